//! A store's committed blocks on disk, in one MDBX file.
//!
//! Place in the flow: behind `Store::create` and `Store::open`. `env` opens the folder, `table` draws the rows, `rows` reads and
//! writes them typed, `append` is what a commit writes, `write` what else is written, `snapshot` what views read, `history` older
//! states, `tries` roots and proofs, `cache` the newest values, `warm` the newest nodes; `maintain` and `verify` are for people.
//!
//! ```text
//!   commit ─► write ─► rows ─► MDBX ◄─ rows ◄─ snapshot ◄─ views
//!                │                              │   ▲
//!                └──────────► cache ◄───────────┘   └── history, tries
//! ```
//! Invariants: a commit, an unwind and a pruning are one transaction each, so that a crash at any instant leaves the state
//! before or after it. After one failed, nothing more is written until the store is opened again. Plain values and trie nodes
//! are those of the newest block; older states are read through what was before each change.

mod append;
mod cache;
mod env;
#[cfg(test)]
mod faults;
mod history;
mod maintain;
mod mark;
mod options;
mod rows;
mod snapshot;
mod table;
mod tries;
mod verify;
mod warm;
mod write;

pub use maintain::{Maintenance, StoreStats, TableStats};
pub use options::{Access, StoreOptions};
pub use verify::Verified;

use crate::{
    changes::{BlockChanges, WipedStorage},
    memory::MemoryState,
    overlay::Layer,
    store::{Backend, BlockData, BlockRef, Kept, Note, Notes, Snapshot, StoreError},
    trie::IndexedUpdates,
};
use alloy_primitives::{Address, B256, Bytes, U256, map::AddressSet};
use cache::{Cache, CommitId};
use env::{Env, database_error};
use parking_lot::Mutex;
use rows::{Reading, Writing};
use snapshot::DiskSnapshot;
use std::{
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};
use table::{Meta, MetaKey};
use tries::Nodes;
use warm::WarmTries;

/// Share of the cache for tries: half.
const TRIES_SHARE: usize = 2;

/// Committed blocks and their states in a folder.
#[derive(Debug)]
pub(crate) struct DiskBackend {
    shared: Arc<Shared>,
    newest: Mutex<CommitId>,
    has_failed: AtomicBool,
    /// Writes until one fails in each transaction; only tests set it.
    fails_before: Mutex<Option<u64>>,
}

/// What snapshots need of the store.
#[derive(Debug)]
struct Shared {
    env: Env,
    options: StoreOptions,
    cache: Cache,
    warm: WarmTries,
    bare_storage: AddressSet,
}

impl DiskBackend {
    /// A new store in a folder, which is made if it is not there.
    pub(crate) fn create(
        dir: &Path,
        options: StoreOptions,
        genesis: MemoryState,
        block: &BlockData,
    ) -> Result<Self, StoreError> {
        let env = Env::create(dir, &options)?;
        let bare_storage = genesis.bare_storage.clone();
        let backend = Self::new(env, options, bare_storage);
        backend.write(|rows| rows.write_genesis(genesis, block))?;
        Ok(backend)
    }

    /// A store that exists.
    pub(crate) fn open(dir: &Path, options: StoreOptions) -> Result<Self, StoreError> {
        let env = Env::open(dir, &options)?;
        let tx = env.mdbx.begin_ro_unsync().map_err(|error| database_error("begin to read", error))?;
        let rows = Reading { tx: &tx, tables: &env.tables };
        rows.tip()?;
        let bare = rows.need::<Meta>(&MetaKey::BareStorage)?;
        let bare_storage = bare.chunks_exact(20).map(Address::from_slice).collect();
        drop(tx);
        Ok(Self::new(env, options, bare_storage))
    }

    fn new(env: Env, options: StoreOptions, bare_storage: AddressSet) -> Self {
        let tries_size = options.cache_size_max / TRIES_SHARE;
        let (cache, warm) = (Cache::new(options.cache_size_max - tries_size), WarmTries::new(tries_size));
        Self {
            shared: Arc::new(Shared { env, options, cache, warm, bare_storage }),
            newest: Mutex::default(),
            has_failed: AtomicBool::new(false),
            fails_before: Mutex::default(),
        }
    }

    /// One transaction: all of it, or nothing and no other ever.
    fn write<T>(&self, write: impl FnOnce(&Writing<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        if self.shared.options.access == Access::ReadOnly {
            return Err(StoreError::ReadOnly);
        }
        // ORDER: Relaxed, writers come one at a time.
        if self.has_failed.load(Ordering::Relaxed) {
            return Err(StoreError::Failed);
        }
        let written = self.try_write(write);
        if written.is_err() {
            self.has_failed.store(true, Ordering::Relaxed);
        }
        written
    }

    fn try_write<T>(&self, write: impl FnOnce(&Writing<'_>) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let tx = self.shared.env.mdbx.begin_rw_unsync().map_err(|error| database_error("begin to write", error))?;
        let rows = Writing::new(Reading { tx: &tx, tables: &self.shared.env.tables }, *self.fails_before.lock());
        let written = write(&rows)?;
        rows.spend()?;
        tx.commit().map_err(|error| self.shared.env.commit_error(error))?;
        Ok(written)
    }

    /// Tells the cache of the changes of a transaction that is committed, each with what it wiped.
    fn advance<'a>(&self, changes: impl IntoIterator<Item = (&'a BlockChanges, &'a WipedStorage)>) {
        let mut newest = self.newest.lock();
        newest.0 += 1;
        let cache = &self.shared.cache;
        cache.advance(*newest);
        for (changes, wiped) in changes {
            for (address, slots) in &wiped.0 {
                slots.keys().for_each(|slot| cache.set_slot(*newest, *address, *slot, U256::ZERO));
            }
            for (address, change) in &changes.accounts {
                cache.set_account(*newest, *address, change.after);
                let left = change.storage.iter().filter(|_| change.after.is_some());
                left.for_each(|(slot, value)| cache.set_slot(*newest, *address, *slot, value.after));
            }
        }
    }

    fn open_snapshot(&self) -> Result<DiskSnapshot, StoreError> {
        DiskSnapshot::new(self.shared.clone(), *self.newest.lock())
    }
}

impl Backend for DiskBackend {
    fn newest(&self) -> Result<(Kept, Arc<dyn Snapshot>), StoreError> {
        let snapshot = self.open_snapshot()?;
        Ok((snapshot.newest(), Arc::new(snapshot)))
    }

    fn write_behind_max(&self) -> u64 {
        self.shared.options.write_behind_max
    }

    fn forget(&self, _hash: &B256) {}

    fn append(&self, layers: &[Arc<Layer>], notes: &Notes) -> Result<(), StoreError> {
        self.write(|rows| {
            notes.iter().try_for_each(|(note, bytes)| rows.put::<Meta>(&MetaKey::Note(*note), bytes))?;
            rows.write_blocks(layers)?;
            if let (Some(len), Some(tip)) = (self.shared.options.history_len, layers.last()) {
                rows.prune(tip.block.id.number.saturating_sub(len))?;
            }
            Ok(())
        })?;
        self.advance(layers.iter().map(|layer| (&*layer.changes, &*layer.wiped)));
        Ok(())
    }

    fn note(&self, note: Note) -> Result<Option<Bytes>, StoreError> {
        self.open_snapshot()?.with(|rows| rows.get::<Meta>(&MetaKey::Note(note)))
    }

    fn amend(&self, changes: &BlockChanges) -> Result<(), StoreError> {
        let snapshot = self.open_snapshot()?;
        let (state_root, trie) = Nodes::newest(&snapshot).apply(snapshot.newest().state_root, changes)?;
        let wiped = snapshot.with(|rows| rows.wiped_by(changes))?;
        self.write(|rows| rows.amend(changes, &wiped, &trie, state_root))?;
        self.advance([(changes, &wiped)]);
        Ok(())
    }

    fn layers_above(&self, to: &BlockRef) -> Result<Vec<Arc<Layer>>, StoreError> {
        let snapshot = self.open_snapshot()?;
        let mut nodes = Nodes::newest(&snapshot);
        let mut layers = Vec::new();
        for number in (to.number + 1..=snapshot.newest().id.number).rev() {
            let ((changes, wiped), block, after, before) = snapshot.with(|rows| {
                Ok::<_, StoreError>((
                    rows.changes_of(number)?,
                    rows.block_data(number)?,
                    rows.kept(number)?,
                    rows.kept(number - 1)?,
                ))
            })?;
            let back = nodes.update(after.state_root, &changes.inverse(&wiped), &before)?;
            nodes.cover(back);
            let trie = nodes.update(before.state_root, &changes, &after)?;
            layers.push(Arc::new(Layer {
                block: Arc::new(block),
                state_root: after.state_root,
                changes: Arc::new(changes),
                wiped: Arc::new(wiped),
                trie: IndexedUpdates::new(trie),
            }));
        }
        Ok(layers)
    }

    fn unwind(&self, to: &BlockRef) -> Result<(), StoreError> {
        let snapshot = self.open_snapshot()?;
        if to.number < snapshot.oldest() {
            return Err(StoreError::Pruned { number: to.number, oldest: snapshot.oldest() });
        }
        let (back, state) =
            snapshot.with(|rows| Ok::<_, StoreError>((rows.changes_back_to(to.number)?, rows.kept(to.number)?)))?;
        let updates = Nodes::newest(&snapshot).update(snapshot.newest().state_root, &back, &state)?;
        let wiped = snapshot.with(|rows| rows.wiped_by(&back))?;
        self.write(|rows| rows.unwind(to.number, &back, &updates))?;
        self.advance([(&back, &wiped)]);
        Ok(())
    }
}
