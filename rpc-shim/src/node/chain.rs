//! The chain: a block tree, a head, and one state that can stand at any block of the tree.
//!
//! Place in the flow: the owner of everything that an import touches; `import` holds the steps of an import.
//! Invariant: `state` is the state after the block `position`, which is in the tree. Moving it undoes and redoes blocks; the
//! records carry both directions. The head is not the position: an imported block waits for its head without a second run.

use super::{
    error::ChainError,
    parent_state::ParentState,
    tree::{BlockRecord, BlockTree},
};
use alloy_consensus::{Header, Sealable};
use alloy_genesis::Genesis;
use alloy_primitives::B256;
use laminar_executor::{BlockExecutor, chain_spec::ChainSpec};
use laminar_state_db::MemoryState;
use std::sync::Arc;

/// A chain in memory.
#[derive(Debug)]
pub struct Chain {
    pub(super) spec: ChainSpec,
    pub(super) executor: Arc<BlockExecutor>,
    pub(super) tree: BlockTree,
    pub(super) state: MemoryState,
    /// The block whose state `state` is.
    pub(super) position: B256,
}

/// What a change of the head did to the canonical branch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reorg {
    /// Blocks that are no longer canonical, newest first.
    pub removed: Vec<B256>,
    /// Blocks that became canonical, oldest first.
    pub added: Vec<B256>,
}

impl Chain {
    /// A chain that starts with `genesis` on `state`.
    ///
    /// # Errors
    /// [`ChainError::GenesisRoot`] if the state is not the one that the header commits to.
    pub fn new(
        spec: ChainSpec,
        genesis: Header,
        mut state: MemoryState,
        executor: Arc<BlockExecutor>,
    ) -> Result<Self, ChainError> {
        let (expected, found) = (genesis.state_root, state.state_root());
        if expected != found {
            return Err(ChainError::GenesisRoot { expected, found });
        }
        let genesis = BlockRecord::genesis(genesis.seal_slow());
        let position = genesis.hash();
        Ok(Self { spec, executor, tree: BlockTree::new(genesis), state, position })
    }

    /// The chain of a geth-style genesis file.
    ///
    /// # Errors
    /// [`ChainError::Spec`] if its schedule is not supported.
    pub fn from_genesis(genesis: &Genesis, executor: Arc<BlockExecutor>) -> Result<Self, ChainError> {
        let spec = ChainSpec::from_genesis(genesis)?;
        let mut state = MemoryState::from_genesis(genesis);
        let header = spec.genesis_header(genesis, state.state_root());
        Self::new(spec, header, state, executor)
    }

    /// The schedule.
    pub const fn spec(&self) -> &ChainSpec {
        &self.spec
    }

    /// The executor that blocks run on.
    pub fn executor(&self) -> &BlockExecutor {
        &self.executor
    }

    /// All imported blocks.
    pub const fn tree(&self) -> &BlockTree {
        &self.tree
    }

    /// The newest canonical block.
    pub fn head(&self) -> &BlockRecord {
        self.tree.head()
    }

    /// Makes a known block the head; an ancestor of the head shortens the canonical branch.
    ///
    /// # Errors
    /// [`ChainError::UnknownBlock`]; the head stays.
    pub fn set_head(&mut self, hash: B256) -> Result<Reorg, ChainError> {
        if self.tree.get(&hash).is_none() {
            return Err(ChainError::UnknownBlock { hash });
        }
        let route = self.tree.route(self.head().hash(), hash);
        self.tree.set_head(hash);
        Ok(Reorg { removed: route.undo, added: route.redo })
    }

    /// Whether a chain that nobody gives a fork choice would take this block as its head.
    ///
    /// CONSENSUS: before the merge the greater total difficulty wins and the first seen wins a tie (yellow paper section 10);
    /// a proof-of-stake block has no such order, and the one that was asked about last wins.
    pub fn prefers(&self, hash: B256) -> bool {
        let Some(block) = self.tree.get(&hash) else { return false };
        block.header.difficulty.is_zero() || block.total_difficulty > self.head().total_difficulty
    }

    /// The state after a known block, moved there by undoing and redoing the blocks in between.
    ///
    /// # Errors
    /// [`ChainError::UnknownBlock`].
    pub fn state_of(&mut self, hash: B256) -> Result<ParentState<'_>, ChainError> {
        if self.tree.get(&hash).is_none() {
            return Err(ChainError::UnknownBlock { hash });
        }
        self.move_to(hash);
        Ok(ParentState::new(&self.state, &self.tree, hash))
    }

    /// Moves the state to a known block.
    pub(super) fn move_to(&mut self, hash: B256) {
        let route = self.tree.route(self.position, hash);
        for undone in route.undo {
            let record = self.tree.get_mut(&undone).expect("a route runs over known blocks");
            let wiped = std::mem::take(&mut record.wiped);
            self.state.revert(&record.changes, wiped);
            self.position = record.header.parent_hash;
        }
        for redone in route.redo {
            let record = self.tree.get_mut(&redone).expect("a route runs over known blocks");
            record.wiped = self.state.apply(&record.changes);
            self.position = redone;
        }
        assert_eq!(self.position, hash, "the state stands where it was sent");
    }
}
