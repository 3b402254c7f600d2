//! The worker loop: who runs what when, and who merges.
//!
//! Place in the flow: takes a plan and steps (run one transaction, commit one transaction), drives both to the end.
//! Invariant: every transaction is committed once, in block order, by one thread at a time; a transaction starts when its
//! planned predecessors are done; whatever the plan says, the work ends.
//! It does not know revm or state: its steps are all it sees, so a model checker can drive it on scripted transactions.
//!
//! The right to merge is a value, the committer, that lies in a mutex while nobody uses it. A worker that finished a
//! transaction takes it if the next transaction of the committed prefix is finished, commits what it can, and puts it back.
//! A worker that finds nothing to start looks at finished runs again, lowest first, from where something was published last:
//! one that would be thrown away is made anew at once, on what was published since, instead of by who merges later on.
//! No lock is held during a run. No finished transaction is forgotten: finishing stores the attempt before it looks for the
//! committer, and putting back looks for a finished next transaction afterwards; the committer's mutex orders the two.

mod affinity;
mod cursor;
#[cfg(test)]
mod model;
mod pool;
mod slots;

use crate::{
    partition::Plan,
    sync::{Mutex, spin_loop, yield_now},
    types::TxIndex,
};
pub use affinity::{cores, pin_to_core, unpin};
pub(crate) use cursor::Election;
use cursor::{Cancel, CommitCursor, Review, Unstarted, Waiting};
pub use pool::Pool;
pub(crate) use slots::Slots;
use std::{cmp::Reverse, collections::BinaryHeap, ops::ControlFlow};

/// Looks without work before a waiting worker offers its core to others.
const SPINS_MAX: u32 = 64;

/// Workers from which on those who find nothing to start look at finished runs again. Two leave too little time without
/// work: what they would find, the merging one finds as soon, for less.
const REVIEWING_WORKERS_MIN: usize = 3;

/// What the scheduler drives.
pub(crate) trait Steps: Sync {
    /// What a worker keeps from run to run; made on its own thread.
    type Worker;
    /// A finished run on its way to merge.
    type Attempt: Send;
    /// The right to merge.
    type Committer: Send;

    /// The state of a worker.
    fn worker(&self, worker: usize) -> Self::Worker;

    /// Told which runs this worker begins next, where they are several.
    fn foresee(&self, _: &mut Self::Worker, _: &[TxIndex]) {}

    /// Runs a transaction speculatively and publishes what it did; `None` if a run would be in vain: then the transaction is left
    /// to merge.
    fn run(&self, worker: &mut Self::Worker, index: TxIndex) -> Option<Self::Attempt>;

    /// Told once no run will begin any more.
    fn all_started(&self) {}

    /// Looks at a finished run again, because something may have been published since that speaks against it, or at a transaction
    /// that was left to merge. Gives it back, with true if it was run.
    fn review(
        &self,
        worker: &mut Self::Worker,
        index: TxIndex,
        attempt: Option<Self::Attempt>,
    ) -> (Option<Self::Attempt>, bool);

    /// Commits a transaction, after all before it; without an attempt it was left to merge. `Continue(true)` says that it was run again
    /// for that; `Break` ends the block.
    fn commit(
        &self,
        worker: &mut Self::Worker,
        committer: &mut Self::Committer,
        index: TxIndex,
        attempt: Option<Self::Attempt>,
    ) -> ControlFlow<(), bool>;

    /// Passes the time of a worker that looked for work in vain; `looks` counts how often in a row.
    fn wait(&self, _: &mut Self::Worker, looks: &mut u32) {
        wait(looks);
    }
}

/// One block's schedule, shared by its workers.
pub(crate) struct Schedule<'a, S: Steps> {
    steps: &'a S,
    plan: &'a Plan,
    ready: Election,
    waiting: Vec<Waiting>,
    released: Mutex<BinaryHeap<(u64, Reverse<TxIndex>)>>,
    unstarted: Unstarted,
    finished: Slots<S::Attempt>,
    committed: CommitCursor,
    /// None where there are too few workers for it.
    review: Option<Review>,
    committer: Mutex<Option<S::Committer>>,
    cancel: Cancel,
}

impl<S: Steps> std::fmt::Debug for Schedule<'_, S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Schedule").field("committed", &self.committed.get()).finish_non_exhaustive()
    }
}

impl<'a, S: Steps> Schedule<'a, S> {
    /// A schedule of `plan` from `start` on, below which all is committed. `finished` has a place for each transaction
    /// of the block, and holds the attempts that exist already; the plan runs the others. So many `workers` will work on it.
    pub(crate) fn new(
        steps: &'a S,
        plan: &'a Plan,
        start: TxIndex,
        finished: Slots<S::Attempt>,
        committer: S::Committer,
        workers: usize,
    ) -> Self {
        let review = (workers >= REVIEWING_WORKERS_MIN).then(|| Review::new(finished.len(), plan.tasks()));
        Self {
            steps,
            plan,
            ready: Election::default(),
            waiting: plan.predecessors().iter().map(|count| Waiting::new(*count)).collect(),
            released: Mutex::default(),
            unstarted: Unstarted::new(plan.tasks()),
            finished,
            committed: CommitCursor::new(start),
            review,
            committer: Mutex::new(Some(committer)),
            cancel: Cancel::new(),
        }
    }

    /// Works until nothing is left to start, and merges on the way. Called once on each worker.
    pub(crate) fn work(&self, worker: usize) {
        let guard = CancelOnPanic(&self.cancel);
        let mut state = self.steps.worker(worker);
        let mut idle = 0;
        self.merge(&mut state);
        while !self.cancel.is_set() {
            if self.run_next(&mut state) || self.review_next(&mut state) {
                idle = 0;
                self.merge(&mut state);
            } else if self.is_over() {
                break;
            } else {
                self.steps.wait(&mut state, &mut idle);
            }
        }
        drop(guard);
    }

    /// Whether every transaction was committed.
    pub(crate) fn is_complete(&self) -> bool {
        self.committed.get() == self.finished.len()
    }

    /// After all workers have returned: the committer, or `None` if a worker panicked while merging, and the attempts that
    /// were not committed.
    pub(crate) fn into_parts(self) -> (Option<S::Committer>, Slots<S::Attempt>) {
        (self.committer.into_inner(), self.finished)
    }

    /// Runs the next transaction, or the next few where the plan hands out few at once; false if none can be started.
    fn run_next(&self, state: &mut S::Worker) -> bool {
        let released = if self.plan.has_dependencies() { self.released.lock().pop() } else { None };
        if let Some((_, Reverse(index))) = released {
            self.run(state, &[index]);
            return true;
        }
        let next = &self.plan.ready()[self.ready.take_some(self.plan.handful(), self.plan.ready().len())];
        self.run(state, next);
        !next.is_empty()
    }

    fn run(&self, state: &mut S::Worker, indices: &[TxIndex]) {
        if !indices.is_empty() && self.unstarted.start(indices.len()) && self.review.is_none() {
            self.steps.all_started();
        }
        if indices.len() > 1 {
            self.steps.foresee(state, indices);
        }
        for index in indices {
            if self.cancel.is_set() {
                return;
            }
            let attempt = self.steps.run(state, *index);
            self.finish(*index, attempt);
        }
    }

    /// Whether a worker that found nothing to do may leave.
    fn is_over(&self) -> bool {
        let uncommitted = || self.finished.len() - self.committed.get();
        self.unstarted.is_zero() && self.review.as_ref().is_none_or(|review| review.is_over(uncommitted()))
    }

    /// Looks at one finished run again, where there is nothing to start; false if there is none.
    fn review_next(&self, state: &mut S::Worker) -> bool {
        let Some(review) = &self.review else { return false };
        // The next one to commit is looked at by who merges.
        let start = self.committed.get() + 1;
        let Some(at) = review.take(start, self.finished.len()) else { return false };
        let index = TxIndex::from_usize(at);
        let Some(attempt) = self.finished.take(index) else { return true };
        review.start_another();
        let (attempt, again) = self.steps.review(state, index, attempt);
        self.finished.put(index, attempt);
        review.finish();
        if again {
            review.lower(at + 1);
        }
        true
    }

    fn finish(&self, index: TxIndex, attempt: Option<S::Attempt>) {
        self.finished.put(index, attempt);
        if let Some(review) = &self.review {
            review.finish();
            review.lower(index.as_usize());
        }
        for successor in self.plan.successors(index) {
            if self.waiting[successor.as_usize()].release() {
                self.released.lock().push((self.plan.priority(*successor), Reverse(*successor)));
            }
        }
    }

    /// Commits what is finished, if nobody else is at it.
    fn merge(&self, state: &mut S::Worker) {
        while self.next_is_finished() && !self.cancel.is_set() {
            let Some(mut committer) = self.committer.lock().take() else { return };
            let flow = self.commit_finished(state, &mut committer);
            // Put it back in any case: after the block's end it is read, and it says why the block ended.
            *self.committer.lock() = Some(committer);
            if flow.is_break() {
                self.cancel.set();
            }
        }
    }

    fn commit_finished(&self, state: &mut S::Worker, committer: &mut S::Committer) -> ControlFlow<()> {
        loop {
            let next = self.committed.get();
            let index = TxIndex::from_usize(next);
            let Some(attempt) = self.finished.take(index) else { return ControlFlow::Continue(()) };
            let again = self.steps.commit(state, committer, index, attempt)?;
            self.committed.publish(TxIndex(index.0 + 1));
            if let Some(review) = self.review.as_ref().filter(|_| again) {
                review.lower(next + 1);
            }
        }
    }

    fn next_is_finished(&self) -> bool {
        self.finished.is_filled(self.committed.get())
    }
}

/// Ends the other workers' waiting when a worker unwinds.
struct CancelOnPanic<'a>(&'a Cancel);

impl Drop for CancelOnPanic<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.0.set();
        }
    }
}

fn wait(idle: &mut u32) {
    if *idle < SPINS_MAX {
        *idle += 1;
        spin_loop();
    } else {
        yield_now();
    }
}
