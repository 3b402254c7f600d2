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

/// Runs that are to come and runs that are under way: what tells a worker that found nothing to do whether to leave.
#[derive(Debug)]
pub(super) struct Outstanding {
    unstarted: AtomicUsize,
    unfinished: AtomicUsize,
}

impl Outstanding {
    /// So many runs to come.
    pub(super) fn new(count: usize) -> Self {
        Self { unstarted: AtomicUsize::new(count), unfinished: AtomicUsize::new(count) }
    }

    /// `count` of those to come are under way; true if they were the last.
    pub(super) fn start(&self, count: usize) -> bool {
        // ORDER: Relaxed, here and below. Counters; who leaves because of them leaves the work to others, and joining the
        // workers publishes everything. A value too high only means another look.
        self.unstarted.fetch_sub(count, Ordering::Relaxed) == count
    }

    /// One that was not to come is under way.
    pub(super) fn start_another(&self) {
        self.unfinished.fetch_add(1, Ordering::Relaxed);
    }

    /// One under way is done.
    pub(super) fn finish(&self) {
        self.unfinished.fetch_sub(1, Ordering::Relaxed);
    }

    /// Whether none is to come.
    pub(super) fn all_started(&self) -> bool {
        self.unstarted.load(Ordering::Relaxed) == 0
    }

    /// Whether none is to come and, of `uncommitted` transactions, none is finished that a run under way could make stale.
    pub(super) fn is_over(&self, uncommitted: usize) -> bool {
        let unfinished = self.unfinished.load(Ordering::Relaxed);
        self.all_started() && (unfinished == 0 || unfinished >= uncommitted)
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

/// Where idle workers look next at finished runs: positions below it were looked at since something below them was published.
#[derive(Debug)]
pub(super) struct ReviewCursor(AtomicUsize);

impl ReviewCursor {
    /// Nothing to look at among `txs` transactions.
    pub(super) fn new(txs: usize) -> Self {
        Self(AtomicUsize::new(txs))
    }

    /// Runs from `start` on may have become stale.
    pub(super) fn lower(&self, start: usize) {
        // ORDER: Relaxed, also in `take`. A hint; what is looked at lies behind locks of its own.
        if self.0.load(Ordering::Relaxed) > start {
            self.0.fetch_min(start, Ordering::Relaxed);
        }
    }

    /// The next position from `start` on and below `end` to look at.
    pub(super) fn take(&self, start: usize, end: usize) -> Option<usize> {
        let next = self.0.load(Ordering::Relaxed);
        if next.max(start) >= end {
            return None;
        }
        if next < start {
            self.0.fetch_max(start, Ordering::Relaxed);
        }
        Some(self.0.fetch_add(1, Ordering::Relaxed)).filter(|at| *at < end)
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
