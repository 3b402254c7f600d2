//! The root of a block, begun while the block is still executed.
//!
//! Place in the flow: `import` names what is known before the first transaction runs (senders, recipients, what simulations or a
//! delivered list say is written), execution names what it reads of the parent's state; a rayon job beside it makes the ways to all
//! of that known in the tries. After execution, staging finds them there and has values and hashes left to do.
//! Invariant: results are the same without it, and so are errors: what cannot be read here is met again by the root. One job
//! runs at a time; it waits for nobody, and execution waits only for the piece that it is at when it ends.

use super::StateView;
use alloy_primitives::map::HashSet;
use laminar_executor::{Knowledge, env::PreparedBlock};
use laminar_state_db::StateKey;
use parking_lot::Mutex;
use rayon::Scope;
use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// Keys that are worth a job.
const KEYS_MIN: usize = 64;

/// Keys after which the job looks whether execution is over.
const PIECE_LEN: usize = 8;

/// The keys of one block on their way to the tries.
#[derive(Debug)]
pub(super) struct RootAhead<'a> {
    parent: &'a StateView,
    waiting: Mutex<Waiting>,
    /// Execution ended, or the tries cannot be read.
    is_over: AtomicBool,
    keys: AtomicU64,
    nanoseconds: AtomicU64,
}

#[derive(Debug, Default)]
struct Waiting {
    keys: Vec<StateKey>,
    known: HashSet<StateKey>,
    is_running: bool,
}

/// The right to name keys, as long as the jobs' scope lives.
#[derive(Clone, Copy)]
pub(super) struct Naming<'s, 'a> {
    ahead: &'a RootAhead<'a>,
    scope: &'s Scope<'a>,
}

impl<'a> RootAhead<'a> {
    /// Of a block on `parent`.
    pub(super) fn new(parent: &'a StateView) -> Self {
        let (is_over, keys, nanoseconds) = Default::default();
        Self { parent, waiting: Mutex::default(), is_over, keys, nanoseconds }
    }

    /// Runs `execute`, which may name keys; none if the state's tries gain nothing by it.
    pub(super) fn beside<T>(&'a self, execute: impl FnOnce(Option<Naming<'_, 'a>>) -> T) -> T {
        if !self.parent.can_prepare_root() {
            return execute(None);
        }
        rayon::in_place_scope(|scope| {
            let _guard = OverGuard(&self.is_over);
            execute(Some(Naming { ahead: self, scope }))
        })
    }

    /// Keys whose ways were made known before execution ended, and the time that it took.
    pub(super) fn done(&self) -> (u64, Duration) {
        // ORDER: Relaxed. Whoever asks has left the scope of the jobs.
        (self.keys.load(Relaxed), Duration::from_nanos(self.nanoseconds.load(Relaxed)))
    }

    fn is_over(&self) -> bool {
        // ORDER: Relaxed. Seen late, it costs a piece of work and nothing else.
        self.is_over.load(Relaxed)
    }

    fn work(&self) {
        while let Some(keys) = self.take() {
            let start = Instant::now();
            for piece in keys.chunks(PIECE_LEN) {
                if self.is_over() {
                    break;
                }
                match self.parent.prepare_root(piece) {
                    Ok(()) => _ = self.keys.fetch_add(piece.len() as u64, Relaxed),
                    Err(_) => self.is_over.store(true, Relaxed),
                }
            }
            self.nanoseconds.fetch_add(start.elapsed().as_nanos() as u64, Relaxed);
        }
    }

    /// What was named since; `None` ends the job.
    fn take(&self) -> Option<Vec<StateKey>> {
        let mut waiting = self.waiting.lock();
        let keys = std::mem::take(&mut waiting.keys);
        waiting.is_running = !keys.is_empty() && !self.is_over();
        waiting.is_running.then_some(keys)
    }
}

impl<'a> Naming<'_, 'a> {
    /// Names a key that the block may change.
    pub(super) fn name(self, key: StateKey) {
        if self.ahead.is_over() {
            return;
        }
        let mut waiting = self.ahead.waiting.lock();
        if waiting.known.insert(key) {
            waiting.keys.push(key);
        }
        if waiting.keys.len() >= KEYS_MIN && !waiting.is_running {
            waiting.is_running = true;
            drop(waiting);
            let ahead = self.ahead;
            self.scope.spawn(move |_| ahead.work());
        }
    }

    /// Names what is known of the block before it is executed.
    pub(super) fn name_known(self, block: &PreparedBlock, knowledge: &Knowledge) {
        for tx in &block.txs {
            for address in [Some(tx.caller), tx.kind.to().copied()].into_iter().flatten() {
                self.name(StateKey { address, slot: None });
            }
        }
        knowledge.for_each_written(|address, slot| self.name(StateKey { address, slot }));
    }
}

/// Ends the jobs however execution ends.
struct OverGuard<'a>(&'a AtomicBool);

impl Drop for OverGuard<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, B256, U256, keccak256};
    use laminar_state_db::{
        Account, AccountChange, BlockChanges, BlockData, BlockRef, MemoryState, SlotChange, Store, StoreOptions,
    };
    use std::{sync::Arc, thread};

    const ACCOUNTS: u64 = 4096;

    fn address(i: u64) -> Address {
        Address::from_word(keccak256(i.to_be_bytes()))
    }

    fn genesis() -> (MemoryState, BlockData) {
        let mut state = MemoryState::default();
        for i in 0..ACCOUNTS {
            state.insert_account(address(i), Account { nonce: 1, ..Account::default() });
            state.insert_slot(address(i % 4), U256::from(i), U256::from(i + 1));
        }
        let id = BlockRef { number: 0, hash: B256::repeat_byte(1) };
        (state, BlockData { id, ..BlockData::default() })
    }

    /// A block that changes every tenth account and slot.
    fn changes() -> Arc<BlockChanges> {
        let mut changes = BlockChanges::default();
        for i in (0..ACCOUNTS).step_by(10) {
            let before = Some(Account { nonce: 1, ..Account::default() });
            let after = Some(Account { nonce: 2, ..Account::default() });
            let change = |_: ()| AccountChange { before, after, ..AccountChange::default() };
            changes.accounts.entry(address(i)).or_insert_with(|| change(()));
            let owner = changes.accounts.entry(address(i % 4)).or_insert_with(|| change(()));
            let slot = SlotChange { before: U256::from(i + 1), after: U256::from(i % 3) };
            owner.storage.insert(U256::from(i), slot);
        }
        Arc::new(changes)
    }

    fn keys(changes: &BlockChanges) -> Vec<StateKey> {
        let of = |(address, change): (&Address, &AccountChange)| {
            let (address, slots) = (*address, change.storage.keys().copied().map(Some).collect::<Vec<_>>());
            [None].into_iter().chain(slots).map(move |slot| StateKey { address, slot })
        };
        changes.accounts.iter().flat_map(of).collect()
    }

    #[test]
    fn the_root_begins_before_execution_ends_and_comes_out_the_same() {
        let (state, block) = genesis();
        let memory = Store::memory(state, block.clone()).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let options = StoreOptions { size_max: 64 << 20, ..StoreOptions::default() };
        let disk = Store::create(folder.path(), options, genesis().0, block.clone()).unwrap();
        let (changes, child) = (changes(), BlockRef { number: 1, hash: B256::repeat_byte(2) });
        let data = BlockData { id: child, parent: block.id.hash, ..BlockData::default() };
        let expected = memory.stage(data.clone(), changes.clone()).unwrap();

        let view = disk.view_at(&block.id.hash).unwrap();
        let ahead = RootAhead::new(&view);
        let keys = keys(&changes);
        ahead.beside(|naming| {
            let naming = naming.expect("nodes of a store on disk must be read");
            keys.iter().chain(&keys).for_each(|key| naming.name(*key));
            // Execution goes on until the root has begun.
            while ahead.done().0 == 0 {
                thread::yield_now();
            }
        });
        let (prepared, took) = ahead.done();
        assert!(prepared > 0 && prepared <= keys.len() as u64 && !took.is_zero(), "{prepared} keys in {took:?}");
        assert_eq!(disk.stage(data, changes).unwrap(), expected);

        let view = memory.view_at(&block.id.hash).unwrap();
        RootAhead::new(&view).beside(|naming| assert!(naming.is_none(), "in memory all nodes are known"));
    }
}
