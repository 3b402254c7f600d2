//! The node: the committed branch, the blocks beside it, and which of them is the head.
//!
//! Place in the flow: shared as `Arc<Node>` by every task that serves or imports; `import` holds the steps of an import, `lookup`
//! the reads.
//! Invariant: the canonical branch is the store's committed one, and the head its tip; so what a fork choice made canonical is
//! what is there after a restart. The tree is locked for look-ups and insertions only, never over execution, hashing or a read
//! of the store; one import or change of the head runs at a time. Lock order: `writer` before `tree`.

use super::{
    bad_blocks::{BadBlock, BadBlocks},
    error::ChainError,
    head::{BEHIND_MAX, ForkChoice, HeadChange},
    record::BlockRecord,
    tags::Tags,
    tree::{BlockTree, SIDE_MAX},
};
use alloy_consensus::Header;
use alloy_genesis::Genesis;
use alloy_primitives::B256;
use laminar_executor::{BlockExecutor, chain_spec::ChainSpec, pipeline::genesis_data};
use laminar_state_db::{BlockChanges, BlockRef, MemoryState, Note, Store, StoreError};
use parking_lot::{Mutex, RwLock};
use std::sync::{Arc, OnceLock};
use tokio::sync::broadcast;

/// A chain with its states, its head, and the executor that extends it.
#[derive(Debug)]
pub struct Node {
    pub(super) spec: ChainSpec,
    pub(super) executor: Arc<BlockExecutor>,
    pub(super) store: Store,
    pub(super) tree: RwLock<BlockTree>,
    /// Held by whoever imports, moves the head or edits its state.
    pub(super) writer: Mutex<()>,
    pub(super) bad_blocks: BadBlocks,
    /// Set where safe and finalised blocks go by depth.
    pub(super) tags_by_depth: OnceLock<()>,
    heads: broadcast::Sender<Arc<HeadChange>>,
}

impl Node {
    /// A chain in memory that starts with `genesis` on `state`.
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
        let hash = genesis.hash_slow();
        let store = Store::memory(state, genesis_data(&genesis, hash))?;
        Self::on_store(spec, store, hash, executor)
    }

    /// The chain of a geth-style genesis file, in memory.
    ///
    /// # Errors
    /// [`ChainError::Spec`] if its schedule is not supported.
    pub fn from_genesis(genesis: &Genesis, executor: Arc<BlockExecutor>) -> Result<Self, ChainError> {
        let spec = ChainSpec::from_genesis(genesis)?;
        let mut state = MemoryState::from_genesis(genesis);
        let header = spec.genesis_header(genesis, state.state_root());
        Self::new(spec, header, state, executor)
    }

    /// The chain that a store holds, at its tip; `genesis` is the hash of its first block.
    ///
    /// # Errors
    /// [`ChainError::Store`] if the tip or the genesis cannot be read.
    pub fn on_store(
        spec: ChainSpec,
        store: Store,
        genesis: B256,
        executor: Arc<BlockExecutor>,
    ) -> Result<Self, ChainError> {
        let read = |hash: B256| -> Result<Arc<BlockRecord>, StoreError> {
            let data = store.block(&hash)?.ok_or(StoreError::UnknownBlock { hash })?;
            BlockRecord::read(&data).map(Arc::new)
        };
        let mut tree = BlockTree::new(read(genesis)?, read(store.tip().hash)?);
        let Tags { safe, finalized } = Tags::read(&store.note(Note::Tags)?.unwrap_or_default());
        let committed = |hash: Option<B256>| -> Result<Option<BlockRef>, StoreError> {
            let Some(data) = hash.map(|hash| store.block(&hash)).transpose()?.flatten() else { return Ok(None) };
            Ok(Some(data.id))
        };
        (tree.safe, tree.finalized) = (committed(safe)?, committed(finalized)?);
        let (tree, heads) = (RwLock::new(tree), broadcast::channel(BEHIND_MAX).0);
        let (bad_blocks, tags_by_depth) = (BadBlocks::default(), OnceLock::new());
        Ok(Self { spec, executor, store, tree, writer: Mutex::new(()), bad_blocks, tags_by_depth, heads })
    }

    /// Where no fork choice names safe and finalised blocks, they go by their depth below the head from now on: a development
    /// chain has them too, though it goes back behind them when it is told to.
    pub fn tag_by_depth(&self) {
        self.tags_by_depth.get_or_init(|| ());
    }

    /// The schedule.
    pub const fn spec(&self) -> &ChainSpec {
        &self.spec
    }

    /// The executor that blocks run on.
    pub const fn executor(&self) -> &Arc<BlockExecutor> {
        &self.executor
    }

    /// Blocks and states: what is canonical is committed there.
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The last blocks that were refused for good, the highest first; at most ten.
    pub fn bad_blocks(&self) -> Vec<Arc<BadBlock>> {
        self.bad_blocks.all()
    }

    /// Every change of the head from now on.
    pub fn subscribe_heads(&self) -> broadcast::Receiver<Arc<HeadChange>> {
        self.heads.subscribe()
    }

    /// Makes a known block the head; an ancestor of the head shortens the canonical branch.
    ///
    /// # Errors
    /// [`ChainError::UnknownBlock`], [`ChainError::Store`]; see [`Self::choose`].
    pub fn set_head(&self, hash: B256) -> Result<Arc<HeadChange>, ChainError> {
        self.choose(ForkChoice::head(hash))
    }

    /// Moves head, safe and finalised block. That safe and finalised are ancestors of the head is the caller's to check.
    ///
    /// All of it is durable when this returns, unless the store writes behind.
    ///
    /// # Errors
    /// [`ChainError::UnknownBlock`]; nothing has changed. [`ChainError::Store`] if the store failed: the head is then where it was
    /// or, if blocks were taken off already, the last one that stayed.
    pub fn choose(&self, choice: ForkChoice) -> Result<Arc<HeadChange>, ChainError> {
        let _writer = self.writer.lock();
        let known = |hash: B256| self.find(&hash)?.ok_or(ChainError::UnknownBlock { hash });
        let head = known(choice.head)?;
        let safe = choice.safe.map(known).transpose()?;
        let finalized = choice.finalized.map(known).transpose()?;
        let (change, fork) = self.route(&self.head(), &head)?;
        // A longer way back is not kept: who wants it again delivers it again.
        let keeps = change.removed.len() <= SIDE_MAX;
        if !change.removed.is_empty() {
            let hash = fork.hash();
            if keeps { self.store.unwind(&hash)? } else { self.store.cut(&hash)? }
        }
        let tags_changed = self.set_tags(&fork, safe.map(|block| block.id()), finalized.map(|block| block.id()));
        if let Err(error) = self.store.commit(&choice.head) {
            let removed = HeadChange { removed: change.removed, added: Vec::new() };
            self.tree.write().set_head(&removed, &fork, keeps);
            return Err(error.into());
        }
        if tags_changed && change.added.is_empty() {
            self.store.flush()?;
        }
        let mut tree = self.tree.write();
        tree.set_head(&change, &fork, keeps);
        if !keeps {
            // The store forgot them with what they stand on.
            change.removed.iter().for_each(|record| drop(tree.remove_above(&record.hash())));
        }
        let gone = tree.remove_finalized();
        drop(tree);
        self.discard(gone);
        let change = Arc::new(change);
        if !change.removed.is_empty() || !change.added.is_empty() {
            // Nobody listening is no failure.
            let _ = self.heads.send(Arc::clone(&change));
        }
        Ok(change)
    }

    /// Moves the tags, and takes back those above the last block that stays canonical; whether that changed any.
    fn set_tags(&self, fork: &BlockRecord, safe: Option<BlockRef>, finalized: Option<BlockRef>) -> bool {
        let mut tree = self.tree.write();
        let before = (tree.safe, tree.finalized);
        let stays = |tag: &BlockRef| tag.number <= fork.header.number;
        tree.safe = safe.or(tree.safe.filter(stays));
        tree.finalized = finalized.or(tree.finalized.filter(stays));
        let changed = before != (tree.safe, tree.finalized);
        if changed {
            let hash = |tag: Option<BlockRef>| tag.map(|tag| tag.hash);
            let tags = Tags { safe: hash(tree.safe), finalized: hash(tree.finalized) };
            drop(tree);
            self.store.set_note(Note::Tags, tags.to_bytes());
        }
        changed
    }

    /// Adds a block that is staged.
    pub(super) fn insert(&self, record: BlockRecord) -> Arc<BlockRecord> {
        let record = Arc::new(record);
        let gone = self.tree.write().insert(Arc::clone(&record));
        self.discard(gone);
        record
    }

    /// Lets the store forget branches that left the tree.
    fn discard(&self, firsts: Vec<B256>) {
        for hash in firsts {
            if let Err(error) = self.store.discard(&hash) {
                tracing::error!(%error, "a side branch could not be discarded");
            }
        }
    }

    /// Changes the state after the head without a block: for development chains. The header keeps its root; the roots of blocks
    /// that are built on it from now on are those of the changed state. Views that are held already stay as they are. Known
    /// blocks on the head are forgotten.
    ///
    /// # Errors
    /// The store failed.
    pub fn amend(&self, changes: &BlockChanges) -> Result<(), StoreError> {
        let _writer = self.writer.lock();
        self.store.amend(changes)?;
        let mut tree = self.tree.write();
        let head = tree.head().hash();
        tree.remove_above(&head);
        Ok(())
    }

    /// Whether a chain that nobody gives a fork choice would take this block as its head.
    ///
    /// CONSENSUS: before the merge the greater total difficulty wins and the first seen wins a tie (yellow paper section 10);
    /// a proof-of-stake block has no such order, and the one that was asked about last wins.
    pub fn prefers(&self, hash: &B256) -> bool {
        let Some(block) = self.block_by_hash(hash) else { return false };
        block.header.difficulty.is_zero() || block.total_difficulty > self.head().total_difficulty
    }
}
