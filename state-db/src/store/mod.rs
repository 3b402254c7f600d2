//! The store: blocks and the states after them, staged, committed and taken back.
//!
//! Place in the flow: a node reads a parent's state through a [`StateView`], executes, stages what execution changed, compares
//! the state root, and commits or discards.
//!
//! ```text
//!                 stage                     commit
//!   executed ──────────────► staged ────────────────────► committed: the one branch up to the tip
//!                              │  ▲                            │
//!                      discard │  └──────────── unwind ────────┘
//!                              ▼
//!                             gone
//! ```
//!
//! Staged blocks stand in memory on committed or staged parents; siblings are side chains. Committed blocks are the backend's:
//! in memory, where everything ends with the process, or on disk.
//! Invariants: a call that fails changes nothing. A view never changes and is never waited for; making one waits for no
//! root, commit or unwind under way. The store does not judge blocks: who stages compares the root with the header's.

mod backend;
mod block;
mod error;
mod lookup;
mod prepare;
mod proof;
mod view;
mod writer;

pub(crate) use backend::{Backend, Kept, Moment, Snapshot, Staged, Staging};
pub use block::{BlockData, BlockRef, Note, TransactionPlace};
pub(crate) use block::{BlockPart, Notes};
pub use error::StoreError;
pub use prepare::StateKey;
pub use proof::{AccountProof, SlotProof};
pub use view::StateView;

use crate::{
    changes::{BlockChanges, WipedStorage},
    disk::{DiskBackend, StoreOptions},
    memory::{MemoryBackend, MemoryState},
    overlay::{Layer, Overlay},
};
use alloy_primitives::{B256, Bytes};
use parking_lot::{Mutex, RwLock};
use std::{path::Path, sync::Arc};

/// Blocks and states behind one type. A clone is another handle to the same store.
#[derive(Clone, Debug)]
pub struct Store(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    backend: Arc<dyn Backend>,
    /// Held for as long as a lookup or a swap takes; no backend write, root or proof happens under it.
    tree: RwLock<Tree>,
    /// Held over a commit, an unwind or a discard. Lock order: this, then `tree`.
    writer: Mutex<()>,
}

/// The blocks that are there.
#[derive(Debug)]
struct Tree {
    overlay: Overlay,
    /// The newest committed block: the durable one, or a layer above it.
    tip: BlockRef,
    /// The newest block of the snapshot.
    durable: BlockRef,
    durable_moment: Moment,
    snapshot: Arc<dyn Snapshot>,
    /// What goes with the next commit.
    notes: Notes,
}

impl Tree {
    /// The committed blocks that the backend does not have yet, newest first.
    fn pending(&self) -> Vec<Arc<Layer>> {
        self.overlay.branch(self.tip.hash).0
    }

    /// Goes on to what the backend has now.
    fn set_durable(&mut self, newest: Kept, snapshot: Arc<dyn Snapshot>) {
        (self.durable, self.durable_moment, self.snapshot) = (newest.id, newest.moment, snapshot);
    }
}

impl Store {
    /// A store in memory that starts with `genesis` on `block`. Every block stays readable until it is discarded.
    ///
    /// # Errors
    /// None in memory.
    pub fn memory(genesis: MemoryState, block: BlockData) -> Result<Self, StoreError> {
        Self::new(Arc::new(MemoryBackend::new(genesis, block)))
    }

    /// A new store in a folder that holds none, and that is made if it is not there.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::Locked`]; the folder or the database fails.
    pub fn create(
        dir: &Path,
        options: StoreOptions,
        genesis: MemoryState,
        block: BlockData,
    ) -> Result<Self, StoreError> {
        Self::new(Arc::new(DiskBackend::create(dir, options, genesis, &block)?))
    }

    /// The store in a folder, at the block that was durable last.
    ///
    /// # Errors
    /// [`StoreError::NotFound`], [`StoreError::Locked`], [`StoreError::Format`], [`StoreError::Corrupt`]; the folder or the
    /// database fails.
    pub fn open(dir: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        Self::new(Arc::new(DiskBackend::open(dir, options)?))
    }

    pub(crate) fn new(backend: Arc<dyn Backend>) -> Result<Self, StoreError> {
        let (newest, snapshot) = backend.newest()?;
        let (tip, durable_moment) = (newest.id, newest.moment);
        let overlay = Overlay::default();
        let tree = Tree { overlay, tip, durable: tip, durable_moment, snapshot, notes: Notes::new() };
        Ok(Self(Arc::new(Shared { backend, tree: RwLock::new(tree), writer: Mutex::default() })))
    }

    /// The newest committed block.
    pub fn tip(&self) -> BlockRef {
        self.0.tree.read().tip
    }

    /// The newest block that survives a crash: the tip, or an ancestor if commits are [written
    /// behind](StoreOptions::write_behind_max).
    pub fn durable(&self) -> BlockRef {
        self.0.tree.read().durable
    }

    /// The staged blocks, in no order.
    pub fn staged(&self) -> Vec<BlockRef> {
        let tree = self.0.tree.read();
        let committed = tree.pending();
        let is_staged = |block: &BlockRef| committed.iter().all(|layer| layer.block.id != *block);
        tree.overlay.blocks().filter(is_staged).collect()
    }

    /// The state after a staged block or a committed one that is kept.
    ///
    /// # Errors
    /// [`StoreError::UnknownBlock`]; the backend failed.
    pub fn view_at(&self, block: &B256) -> Result<StateView, StoreError> {
        let tree = self.0.tree.read();
        let (layers, below) = tree.overlay.branch(*block);
        let snapshot = tree.snapshot.clone();
        drop(tree);
        StateView::new(layers, below, snapshot)
    }

    /// Adds an executed block on its parent, committed or staged, and returns the state root after it. Nothing is durable. A
    /// block that is there already stays as it is.
    ///
    /// Any number of threads may stage at once, also while a commit is under way.
    ///
    /// # Errors
    /// [`StoreError::UnknownBlock`] for the parent, [`StoreError::Amended`], [`StoreError::Number`]; the backend failed.
    pub fn stage(&self, block: BlockData, changes: Arc<BlockChanges>) -> Result<B256, StoreError> {
        if let Ok(view) = self.view_at(&block.id.hash) {
            return Ok(view.state_root());
        }
        let parent = self.view_at(&block.parent)?;
        let expected = parent.block().number + 1;
        if block.id.number != expected {
            return Err(StoreError::Number { hash: block.id.hash, expected, found: block.id.number });
        }
        let wiped = Arc::new(wiped_storage(&changes, &parent)?);
        let staging = Staging { id: block.id, changes: &changes, wiped: &wiped };
        let Staged { state_root, trie } = parent.snapshot().stage(&parent, &staging)?;
        let (hash, parent, parent_root) = (block.id.hash, block.parent, parent.state_root());
        let mut tree = self.0.tree.write();
        let stands_on = match tree.overlay.get(&parent) {
            Some(layer) => Some(layer.state_root),
            None => tree.snapshot.find(&parent)?.map(|kept| kept.state_root),
        };
        if stands_on != Some(parent_root) {
            // Discarded or amended meanwhile.
            drop(tree);
            self.0.backend.forget(&hash);
            return Err(
                stands_on.map_or(StoreError::UnknownBlock { hash: parent }, |_| StoreError::Amended { hash: parent })
            );
        }
        tree.overlay.insert(Arc::new(Layer { block: Arc::new(block), state_root, changes, wiped, trie }));
        Ok(state_root)
    }

    /// Forgets a staged block and all that are staged on it, for example because its root is not the header's.
    ///
    /// # Errors
    /// [`StoreError::NotStaged`].
    pub fn discard(&self, block: &B256) -> Result<(), StoreError> {
        let _writer = self.0.writer.lock();
        let mut tree = self.0.tree.write();
        if tree.overlay.get(block).is_none() || tree.pending().iter().any(|layer| layer.block.id.hash == *block) {
            return Err(StoreError::NotStaged { hash: *block });
        }
        let gone = tree.overlay.take_subtree(*block);
        drop(tree);
        self.0.forget(&gone);
        Ok(())
    }

    /// What was noted last.
    ///
    /// # Errors
    /// The backend failed.
    pub fn note(&self, note: Note) -> Result<Option<Bytes>, StoreError> {
        let waiting = self.0.tree.read().notes.get(&note).cloned();
        waiting.map_or_else(|| self.0.backend.note(note), |bytes| Ok(Some(bytes)))
    }

    /// Keeps a note in place of the one before. It becomes durable in the transaction of the next commit that does, or by
    /// [`Self::flush`].
    pub fn set_note(&self, note: Note, bytes: Bytes) {
        self.0.tree.write().notes.insert(note, bytes);
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // Nobody is left to be told; what is lost is what a crash may lose.
        drop(self.flush());
    }
}

/// The slots that the changes wipe on the parent.
pub(crate) fn wiped_storage(changes: &BlockChanges, parent: &StateView) -> Result<WipedStorage, StoreError> {
    let mut wiped = WipedStorage::default();
    for (address, _) in changes.accounts.iter().filter(|(_, change)| change.wipes_storage()) {
        let slots = parent.slots(address)?;
        if !slots.is_empty() {
            wiped.0.insert(*address, slots);
        }
    }
    Ok(wiped)
}
