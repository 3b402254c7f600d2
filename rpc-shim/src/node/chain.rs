//! The node: all known blocks, their states, and which of them is the head.
//!
//! Place in the flow: shared as `Arc<Node>` by every task that serves or imports; `import` holds the steps of an import.
//! Invariant: the tree is locked for look-ups and insertions only, never over execution, hashing or a read of a state; one
//! import or change of the head runs at a time. Lock order: `writer` before `tree`.

use super::{
    error::ChainError,
    head::{BEHIND_MAX, ForkChoice, HeadChange},
    store::{StateView, Store},
    tree::{BlockRecord, BlockTree},
};
use crate::error::RpcError;
use alloy_consensus::{Header, Sealable};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_genesis::Genesis;
use alloy_primitives::B256;
use laminar_executor::{BlockExecutor, chain_spec::ChainSpec};
use laminar_state_db::MemoryState;
use parking_lot::{Mutex, RwLock};
use std::sync::Arc;
use tokio::sync::broadcast;

/// A chain with its states, its head, and the executor that extends it.
#[derive(Debug)]
pub struct Node {
    pub(super) spec: ChainSpec,
    pub(super) executor: Arc<BlockExecutor>,
    pub(super) store: Store,
    pub(super) tree: RwLock<BlockTree>,
    /// Held by whoever imports or moves the head.
    pub(super) writer: Mutex<()>,
    heads: broadcast::Sender<Arc<HeadChange>>,
}

impl Node {
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
        let store = Store::memory(state, genesis.header.number, genesis.hash());
        let tree = RwLock::new(BlockTree::new(genesis));
        Ok(Self { spec, executor, store, tree, writer: Mutex::new(()), heads: broadcast::channel(BEHIND_MAX).0 })
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
    pub const fn executor(&self) -> &Arc<BlockExecutor> {
        &self.executor
    }

    /// The newest canonical block.
    pub fn head(&self) -> Arc<BlockRecord> {
        Arc::clone(self.tree.read().head())
    }

    /// The first block.
    pub fn genesis(&self) -> Arc<BlockRecord> {
        Arc::clone(self.tree.read().genesis())
    }

    /// The block that is unlikely to be undone, where a fork choice named one.
    pub fn safe(&self) -> Option<Arc<BlockRecord>> {
        let tree = self.tree.read();
        tree.get(&tree.safe?).cloned()
    }

    /// The block that cannot be undone, where a fork choice named one.
    pub fn finalized(&self) -> Option<Arc<BlockRecord>> {
        let tree = self.tree.read();
        tree.get(&tree.finalized?).cloned()
    }

    /// A block by its hash, canonical or not.
    pub fn block_by_hash(&self, hash: &B256) -> Option<Arc<BlockRecord>> {
        self.tree.read().get(hash).cloned()
    }

    /// The canonical block with a number.
    pub fn block_by_number(&self, number: u64) -> Option<Arc<BlockRecord>> {
        let tree = self.tree.read();
        tree.get(&tree.canonical_hash(number)?).cloned()
    }

    /// The block that a number, a tag or a hash means. `pending` is the head: see [`Self::state_at`]. A hash that must be
    /// canonical (EIP-1898) and is not means none.
    pub fn block(&self, id: BlockId) -> Option<Arc<BlockRecord>> {
        match id {
            BlockId::Hash(hash) => {
                let record = self.block_by_hash(&hash.block_hash)?;
                let needed = hash.require_canonical == Some(true);
                (!needed || self.is_canonical(&hash.block_hash)).then_some(record)
            }
            BlockId::Number(BlockNumberOrTag::Number(number)) => self.block_by_number(number),
            BlockId::Number(BlockNumberOrTag::Earliest) => Some(self.genesis()),
            BlockId::Number(BlockNumberOrTag::Latest | BlockNumberOrTag::Pending) => Some(self.head()),
            BlockId::Number(BlockNumberOrTag::Safe) => self.safe(),
            BlockId::Number(BlockNumberOrTag::Finalized) => self.finalized(),
        }
    }

    /// The state after the block that `id` means. `pending` is the state of the head; what makes it pending is the
    /// environment of the next block, which is the caller's.
    ///
    /// # Errors
    /// -32000 for an unknown block, as geth; -32603 if the state cannot be read.
    pub fn state_at(&self, id: BlockId) -> Result<StateView, RpcError> {
        let block = self.block(id).ok_or_else(|| self.no_block(id))?;
        self.state_of(&block.hash())
    }

    /// The state after a known block.
    ///
    /// # Errors
    /// -32000 if the store does not have it.
    pub fn state_of(&self, hash: &B256) -> Result<StateView, RpcError> {
        self.store.view_at(hash).ok_or_else(|| RpcError::server(format_args!("missing state of block {hash}")))
    }

    /// The refusal of a method that needs a block which `id` does not name.
    pub fn no_block(&self, id: BlockId) -> RpcError {
        match id {
            BlockId::Number(BlockNumberOrTag::Safe) => RpcError::server("safe block not found"),
            BlockId::Number(BlockNumberOrTag::Finalized) => RpcError::server("finalized block not found"),
            BlockId::Hash(hash) if self.block_by_hash(&hash.block_hash).is_some() => {
                RpcError::server("hash is not currently canonical")
            }
            BlockId::Hash(_) | BlockId::Number(_) => RpcError::server("header not found"),
        }
    }

    /// Whether a block is on the canonical branch.
    pub fn is_canonical(&self, hash: &B256) -> bool {
        let tree = self.tree.read();
        tree.get(hash).is_some_and(|record| tree.canonical_hash(record.header.number) == Some(*hash))
    }

    /// Whether a block is another or comes before it on its branch.
    pub fn is_ancestor_or_same(&self, ancestor: &B256, of: &B256) -> bool {
        let tree = self.tree.read();
        let Some(number) = tree.get(ancestor).map(|record| record.header.number) else { return false };
        tree.branch(*of).take_while(|record| record.header.number >= number).any(|record| record.hash() == *ancestor)
    }

    /// The block of a canonical transaction and the transaction's position in it.
    pub fn transaction(&self, hash: &B256) -> Option<(Arc<BlockRecord>, usize)> {
        let tree = self.tree.read();
        let (block, index) = tree.transaction(hash)?;
        Some((tree.get(&block).cloned()?, index))
    }

    /// Number of known blocks on all branches.
    pub fn blocks_len(&self) -> usize {
        self.tree.read().len()
    }

    /// What became of the canonical branch since `hash` was its head; `None` if the block is not known.
    pub fn since(&self, hash: &B256) -> Option<HeadChange> {
        let tree = self.tree.read();
        tree.get(hash)?;
        Some(tree.route(*hash, tree.head().hash()))
    }

    /// Every change of the head from now on.
    pub fn subscribe_heads(&self) -> broadcast::Receiver<Arc<HeadChange>> {
        self.heads.subscribe()
    }

    /// Makes a known block the head; an ancestor of the head shortens the canonical branch.
    ///
    /// # Errors
    /// [`ChainError::UnknownBlock`]; the head stays.
    pub fn set_head(&self, hash: B256) -> Result<Arc<HeadChange>, ChainError> {
        self.choose(ForkChoice::head(hash))
    }

    /// Moves head, safe and finalised block. That safe and finalised are ancestors of the head is the caller's to check.
    ///
    /// # Errors
    /// [`ChainError::UnknownBlock`]; nothing has changed.
    pub fn choose(&self, choice: ForkChoice) -> Result<Arc<HeadChange>, ChainError> {
        let _writer = self.writer.lock();
        let mut tree = self.tree.write();
        let named = [Some(choice.head), choice.safe, choice.finalized];
        if let Some(hash) = named.into_iter().flatten().find(|hash| tree.get(hash).is_none()) {
            return Err(ChainError::UnknownBlock { hash });
        }
        let change = Arc::new(tree.set_head(choice.head));
        tree.safe = choice.safe.or(tree.safe);
        tree.finalized = choice.finalized.or(tree.finalized);
        drop(tree);
        if !change.removed.is_empty() || !change.added.is_empty() {
            // Nobody listening is no failure.
            let _ = self.heads.send(Arc::clone(&change));
        }
        Ok(change)
    }

    /// Whether a chain that nobody gives a fork choice would take this block as its head.
    ///
    /// CONSENSUS: before the merge the greater total difficulty wins and the first seen wins a tie (yellow paper section 10);
    /// a proof-of-stake block has no such order, and the one that was asked about last wins.
    pub fn prefers(&self, hash: &B256) -> bool {
        let tree = self.tree.read();
        let Some(block) = tree.get(hash) else { return false };
        block.header.difficulty.is_zero() || block.total_difficulty > tree.head().total_difficulty
    }
}
