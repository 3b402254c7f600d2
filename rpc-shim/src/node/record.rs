//! A known block with everything that its execution gave.
//!
//! Place in the flow: an import or a build makes it; the tree holds the recent ones, the others are read back from the store.
//! Invariant: a record that was read back is the one that was kept, without what is known only while its block is recent.

use alloy_consensus::Sealable;
use alloy_primitives::B256;
use laminar_executor::{Stats, check_header::Ancestor, pipeline::KeptBlock};
use laminar_state_db::{BlockChanges, BlockData, BlockRef, StoreError};
use std::{ops::Deref, sync::Arc};

/// An imported block with everything that its execution gave; what is kept of it is read as if it were its own.
#[derive(Clone, Debug)]
pub struct BlockRecord {
    /// Block, senders, receipts, and what else the store keeps.
    pub kept: KeptBlock,
    /// How it was executed; not kept with old blocks.
    pub stats: Option<Stats>,
    /// What it changes on its parent's state; not kept with old blocks.
    pub changes: Option<Arc<BlockChanges>>,
}

impl Deref for BlockRecord {
    type Target = KeptBlock;

    fn deref(&self) -> &KeptBlock {
        &self.kept
    }
}

impl BlockRecord {
    /// Hash of the header.
    pub fn hash(&self) -> B256 {
        self.header.hash()
    }

    /// Number and hash.
    pub fn id(&self) -> BlockRef {
        BlockRef { number: self.header.number, hash: self.hash() }
    }

    /// Hashes of the transactions in block order.
    pub fn transaction_hashes(&self) -> impl Iterator<Item = B256> {
        self.body.transactions.iter().map(|tx| *tx.tx_hash())
    }

    /// As it is read back.
    pub(super) fn read(data: &BlockData) -> Result<Self, StoreError> {
        let malformed = |error| StoreError::Corrupt { table: "Blocks", what: format!("{error} {}", data.id.number) };
        Ok(Self { kept: KeptBlock::decode(data).map_err(malformed)?, stats: None, changes: None })
    }

    /// What the ommer check asks for.
    pub(super) fn as_ancestor(&self) -> Ancestor {
        let ommers = self.body.ommers.iter().map(Sealable::hash_slow).collect();
        Ancestor { header: self.header.clone(), ommers }
    }
}
