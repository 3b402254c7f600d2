//! How far the committed prefix has come, for those who decide how to go on.
//!
//! Place in the flow: asked between transactions, by whoever owns the committer.
//! Invariant: it only looks.

use super::Committer;
use crate::types::TxIndex;
use alloy_primitives::Address;

impl Committer {
    /// The next transaction to commit: the exclusive end of the committed prefix.
    pub(crate) fn next(&self) -> TxIndex {
        TxIndex::from_usize(self.receipts.len() + self.left_out.len())
    }

    /// Gas that the committed prefix used.
    pub(crate) const fn gas_used(&self) -> u64 {
        self.gas_used
    }

    /// Number of slots of a contract that the committed prefix wrote.
    pub(crate) fn written_slots(&self, contract: &Address) -> usize {
        self.ledger.state.change(contract).map_or(0, |change| change.storage.len())
    }
}
