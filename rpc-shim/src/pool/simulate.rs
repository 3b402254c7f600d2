//! Simulating what waits: each executable transaction runs once on the state after the head, before its block comes.
//!
//! Place in the flow: a thread beside the pool; arrivals and changes of the head give it work, building and importing adopt what
//! it found.
//! Invariant: a transaction that carries a simulation carries one of the state that the pool stands on: whoever moves the pool
//! takes all of them off first, and one that was under way meanwhile is not put on. So a simulation's parent hash names one state.
//! Work is bounded: beyond the bounds a transaction is not simulated, and runs in its block as if there were no pool.

use super::{Pool, transaction::Pooled};
use alloy_primitives::B256;
use laminar_executor::{
    Knowledge, Simulated, Simulations,
    env::{PreparedBlock, cfg_env},
};
use parking_lot::{Condvar, Mutex};
use std::{
    collections::VecDeque,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, Weak},
    thread,
};

/// Transactions that are simulated between two looks at the head.
const BATCH: usize = 64;

/// A transaction to simulate, with what is known of it from another head.
pub(super) type Task = (Arc<Pooled>, Option<Simulated>);

/// What is to be simulated.
#[derive(Debug, Default)]
pub(super) struct Desk {
    state: Mutex<Waiting>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Waiting {
    /// Nobody simulates until this is set.
    is_open: bool,
    is_closed: bool,
    /// A batch is being simulated.
    is_busy: bool,
    tasks: VecDeque<Task>,
}

impl Desk {
    /// Adds work, as far as fewer than `most` wait.
    pub(super) fn add(&self, tasks: impl IntoIterator<Item = Task>, most: usize) {
        let mut state = self.state.lock();
        if !state.is_open {
            return;
        }
        for task in tasks {
            if state.tasks.len() >= most {
                break;
            }
            state.tasks.push_back(task);
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Forgets all work.
    pub(super) fn clear(&self) -> VecDeque<Task> {
        std::mem::take(&mut self.state.lock().tasks)
    }

    /// Ends the thread.
    pub(super) fn close(&self) {
        self.state.lock().is_closed = true;
        self.changed.notify_all();
    }

    /// The next work; `None` at the end. The caller says when it is done.
    fn take(&self) -> Option<Vec<Task>> {
        let mut state = self.state.lock();
        while state.tasks.is_empty() && !state.is_closed {
            self.changed.wait(&mut state);
        }
        if state.is_closed {
            return None;
        }
        state.is_busy = true;
        let count = state.tasks.len().min(BATCH);
        Some(state.tasks.drain(..count).collect())
    }

    fn done(&self) {
        self.state.lock().is_busy = false;
        self.changed.notify_all();
    }

    fn wait_until_idle(&self) {
        let mut state = self.state.lock();
        while state.is_open && !state.is_closed && (state.is_busy || !state.tasks.is_empty()) {
            self.changed.wait(&mut state);
        }
    }
}

impl Pool {
    /// Starts the thread that simulates; the second call does nothing. It ends with the pool.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start_simulating(self: &Arc<Self>) -> io::Result<()> {
        let first = !std::mem::replace(&mut self.desk.state.lock().is_open, true);
        if first {
            let (desk, pool) = (Arc::clone(&self.desk), Arc::downgrade(self));
            thread::Builder::new().name("laminar-presimulate".to_owned()).spawn(move || work(&desk, &pool))?;
            let state = self.state.lock();
            let ready = state.book.queues().flat_map(|(_, queue)| queue.ready().map(|entry| Arc::clone(&entry.tx)));
            self.desk.add(ready.map(|tx| (tx, None)), state.book.settings().simulations_max);
        }
        Ok(())
    }

    /// Waits until nothing is left to simulate. For tests and measurements: work that comes meanwhile is waited for too.
    pub fn wait_for_simulations(&self) {
        self.desk.wait_until_idle();
    }

    /// What is known of a block whose transactions have these hashes: simulations of those that wait here, if the pool stands on
    /// the block's parent. `block` is the block with its senders.
    pub fn simulations(&self, block: &PreparedBlock, hashes: impl IntoIterator<Item = B256>) -> Knowledge {
        let state = self.state.lock();
        if state.head.hash != block.parent_hash {
            return Knowledge::Nothing;
        }
        let known: Vec<_> =
            hashes.into_iter().map(|hash| state.book.get(&hash).and_then(|tx| tx.simulated())).collect();
        drop(state);
        knowledge(block, &known)
    }

    /// Simulates a batch on the head of the moment.
    fn simulate(&self, tasks: Vec<Task>) {
        let (tasks, head, moves) = {
            let state = self.state.lock();
            let waits = |(tx, _): &Task| state.book.get(&tx.hash()).is_some() && tx.simulated().is_none();
            (tasks.into_iter().filter(waits).collect::<Vec<_>>(), state.head.clone(), state.moves)
        };
        if tasks.is_empty() {
            return;
        }
        let block = PreparedBlock {
            rules: head.rules,
            parent_hash: head.hash,
            block_env: head.foreseen(),
            cfg_env: cfg_env(&head.rules),
            txs: tasks.iter().map(|(tx, _)| tx.env().clone()).collect(),
        };
        let (txs, earlier): (Vec<_>, Vec<_>) = tasks.into_iter().unzip();
        // A panic is our bug; here it costs a prediction, and the block says what is wrong.
        let simulated = catch_unwind(AssertUnwindSafe(|| head.accounts.simulate(&block, &earlier))).unwrap_or_default();
        let mut state = self.state.lock();
        if state.moves != moves {
            let again = txs.into_iter().zip(simulated.into_iter().map(Some));
            self.desk.add(again, state.book.settings().simulations_max);
            return;
        }
        let kept = |(simulated, earlier): (&Simulated, &Option<Simulated>)| {
            earlier.as_ref().is_some_and(|earlier| simulated.is_same_run(earlier))
        };
        let kept = simulated.iter().zip(&earlier).filter(|pair| kept(*pair)).count();
        metrics::counter!("laminar_pool_simulations_total", "result" => "kept").increment(kept as u64);
        metrics::counter!("laminar_pool_simulations_total", "result" => "made")
            .increment((simulated.len() - kept) as u64);
        for (tx, simulated) in txs.into_iter().zip(simulated) {
            if state.simulated.len() >= state.book.settings().simulations_max {
                break;
            }
            tx.set_simulated(Some(simulated));
            state.simulated.push(tx);
        }
    }
}

/// What is known of a block from simulations of its transactions, one entry a transaction.
pub(crate) fn knowledge(block: &PreparedBlock, known: &[Option<Simulated>]) -> Knowledge {
    let gathered = Simulations::gather(block, known.iter().map(Option::as_ref));
    gathered.map_or(Knowledge::Nothing, Knowledge::Simulations)
}

fn work(desk: &Desk, pool: &Weak<Pool>) {
    while let Some(tasks) = desk.take() {
        let Some(pool) = pool.upgrade() else { return };
        pool.simulate(tasks);
        desk.done();
    }
}
