//! The scheduler's atomics, each behind a type that says what it means.
//!
//! Place in the flow: only [`super::Schedule`] uses them.
//! Invariant: no caller sees an `Ordering`; each operation names what it publishes or sees, and its partner.

use crate::{
    sync::{AtomicBool, AtomicU32, AtomicUsize, Ordering},
    types::TxIndex,
};
use std::ops::Range;

/// Hands out positions, each once.
#[derive(Debug, Default)]
pub(crate) struct Election(AtomicUsize);

impl Election {
    /// The next position below `end` that nobody got yet.
    pub(crate) fn take(&self, end: usize) -> Option<usize> {
        self.take_some(1, end).next()
    }

    /// The next positions below `end` that nobody got yet, at most `len` of them; empty at the end.
    pub(crate) fn take_some(&self, len: usize, end: usize) -> Range<usize> {
        // ORDER: Relaxed, both. An election: the read-modify-write gives each position to one thread, and publishes nothing.
        // The early look keeps idle threads from pushing the counter on for ever.
        if self.0.load(Ordering::Relaxed) >= end {
            return end..end;
        }
        let start = self.0.fetch_add(len, Ordering::Relaxed).min(end);
        start..end.min(start + len)
    }
}

/// Transactions that nobody has started yet; at zero, a worker without a task may leave.
#[derive(Debug)]
pub(super) struct Unstarted(AtomicUsize);

impl Unstarted {
    pub(super) fn new(count: usize) -> Self {
        Self(AtomicUsize::new(count))
    }

    /// Starts `count` of them; true if they were the last.
    pub(super) fn start(&self, count: usize) -> bool {
        // ORDER: Relaxed. A counter; who reads zero leaves, and joining the workers publishes everything.
        self.0.fetch_sub(count, Ordering::Relaxed) == count
    }

    pub(super) fn is_zero(&self) -> bool {
        // ORDER: Relaxed, see `start`. A value too high only means another look.
        self.0.load(Ordering::Relaxed) == 0
    }
}

/// How many predecessors a transaction still waits for.
#[derive(Debug)]
pub(super) struct Waiting(AtomicU32);

impl Waiting {
    pub(super) fn new(predecessors: u32) -> Self {
        Self(AtomicU32::new(predecessors))
    }

    /// One predecessor is done; true for the last.
    pub(super) fn release(&self) -> bool {
        // ORDER: AcqRel. Release: what the predecessor published is visible to whoever starts the transaction; Acquire: the
        // last releaser passes on what the others published. Partner: the other calls of `release`.
        self.0.fetch_sub(1, Ordering::AcqRel) == 1
    }
}

/// Exclusive end of the committed prefix. Moved by whoever holds the committer, read by all.
#[derive(Debug)]
pub(super) struct CommitCursor(AtomicUsize);

impl CommitCursor {
    pub(super) fn new(start: TxIndex) -> Self {
        Self(AtomicUsize::new(start.as_usize()))
    }

    pub(super) fn publish(&self, end: TxIndex) {
        // ORDER: Release, pairs with `get`: who sees the end sees that the slots below it are empty.
        self.0.store(end.as_usize(), Ordering::Release);
    }

    pub(super) fn get(&self) -> usize {
        // ORDER: Acquire, pairs with `publish`.
        self.0.load(Ordering::Acquire)
    }
}

/// What idle workers need to look at finished runs again.
#[derive(Debug)]
pub(super) struct Review {
    /// Where they look next: positions below it were looked at since something below them was published.
    next: AtomicUsize,
    /// Runs that are to come or under way.
    unfinished: AtomicUsize,
}

impl Review {
    /// Nothing to look at among `txs` transactions, `tasks` of which are to be run.
    pub(super) fn new(txs: usize, tasks: usize) -> Self {
        Self { next: AtomicUsize::new(txs), unfinished: AtomicUsize::new(tasks) }
    }

    /// Runs from `start` on may have become stale.
    pub(super) fn lower(&self, start: usize) {
        // ORDER: Relaxed, here and below. Hints: what is looked at lies behind locks of its own, and who leaves because of a
        // counter leaves the work to others.
        if self.next.load(Ordering::Relaxed) > start {
            self.next.fetch_min(start, Ordering::Relaxed);
        }
    }

    /// The next position from `start` on and below `end` to look at.
    pub(super) fn take(&self, start: usize, end: usize) -> Option<usize> {
        let next = self.next.load(Ordering::Relaxed);
        if next.max(start) >= end {
            return None;
        }
        if next < start {
            self.next.fetch_max(start, Ordering::Relaxed);
        }
        Some(self.next.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < end)
    }

    /// A finished run is under way again.
    pub(super) fn start_another(&self) {
        self.unfinished.fetch_add(1, Ordering::Relaxed);
    }

    /// A run is done.
    pub(super) fn finish(&self) {
        self.unfinished.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether, of `uncommitted` transactions, none is finished that a run under way could make stale.
    pub(super) fn is_over(&self, uncommitted: usize) -> bool {
        let unfinished = self.unfinished.load(Ordering::Relaxed);
        unfinished == 0 || unfinished >= uncommitted
    }
}

/// Ends the work of all: the block is invalid, or a worker failed.
#[derive(Debug)]
pub(super) struct Cancel(AtomicBool);

impl Cancel {
    pub(super) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    pub(super) fn set(&self) {
        // ORDER: Relaxed. A wish to stop; the reason is read after the workers were joined.
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_set(&self) -> bool {
        // ORDER: Relaxed, see `set`.
        self.0.load(Ordering::Relaxed)
    }
}
