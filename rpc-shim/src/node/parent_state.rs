//! The state that a block runs on, with the hashes of its own branch.
//!
//! Place in the flow: what the executor reads while a block is imported.
//! Invariant: BLOCKHASH answers from the block's branch, whatever branch is canonical.

use super::tree::{BlockRecord, BlockTree};
use alloy_primitives::{Address, B256, U256};
use laminar_state_db::{MemoryState, MemoryStateError};
use revm::{
    bytecode::Bytecode,
    database_interface::{DBErrorMarker, DatabaseRef},
    state::AccountInfo,
};
use std::sync::OnceLock;

/// How many hashes BLOCKHASH reaches back (yellow paper, appendix H).
const ANCESTORS_MAX: usize = 256;

/// The state after a block, for its children.
#[derive(Debug)]
pub struct ParentState<'a> {
    state: &'a MemoryState,
    tree: &'a BlockTree,
    parent: B256,
    /// Hashes of the parent, its parent, and so on; walked when the first one is asked for.
    hashes: OnceLock<Vec<B256>>,
}

/// Why a read failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParentStateError {
    /// The state does not know what an account refers to.
    #[error(transparent)]
    State(#[from] MemoryStateError),
    /// The chain starts after the block whose hash was asked for.
    #[error("missing hash of block {number}")]
    MissingBlockHash {
        /// The block's number.
        number: u64,
    },
}

impl DBErrorMarker for ParentStateError {}

impl<'a> ParentState<'a> {
    /// `state` is the state after the block `parent` of `tree`.
    pub(super) const fn new(state: &'a MemoryState, tree: &'a BlockTree, parent: B256) -> Self {
        Self { state, tree, parent, hashes: OnceLock::new() }
    }

    /// The plain state.
    pub const fn state(&self) -> &'a MemoryState {
        self.state
    }

    /// The block that this is the state of.
    pub fn block(&self) -> Option<&'a BlockRecord> {
        self.tree.get(&self.parent)
    }

    fn hash_of(&self, number: u64) -> Option<B256> {
        let hashes = self
            .hashes
            .get_or_init(|| self.tree.branch(self.parent).take(ANCESTORS_MAX).map(BlockRecord::hash).collect());
        let back = self.block()?.header.number.checked_sub(number)?;
        hashes.get(usize::try_from(back).ok()?).copied()
    }
}

impl DatabaseRef for ParentState<'_> {
    type Error = ParentStateError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, ParentStateError> {
        Ok(self.state.basic_ref(address)?)
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, ParentStateError> {
        Ok(self.state.code_by_hash_ref(hash)?)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, ParentStateError> {
        Ok(self.state.storage_ref(address, slot)?)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, ParentStateError> {
        self.hash_of(number).ok_or(ParentStateError::MissingBlockHash { number })
    }
}
