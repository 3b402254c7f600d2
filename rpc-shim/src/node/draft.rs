//! The state root after a block that is only being built.
//!
//! Place in the flow: between a builder, which knows the changes, and the store, which knows the tries.
//! Invariant: nothing of a draft stays in the store, and the tree never hears of it.

use super::chain::Node;
use crate::error::RpcError;
use alloy_consensus::Header;
use alloy_primitives::B256;
use laminar_state_db::BlockChanges;

impl Node {
    /// The state root after a draft: a block whose header lacks what its execution gives.
    ///
    /// # Errors
    /// -32000 if the parent's state is not known.
    pub(crate) fn root_after(&self, draft: &Header, changes: &BlockChanges) -> Result<B256, RpcError> {
        let hash = draft.hash_slow();
        let root = self.store.stage((draft.number, hash), &draft.parent_hash, changes);
        self.store.discard(&hash);
        root.ok_or_else(|| RpcError::server(format_args!("missing state of block {}", draft.parent_hash)))
    }
}
