//! Running the transactions of a block ahead of a host that commits them in its own time, with the host's own EVM.
//!
//! Place in the flow: the EVM factory and the driver of this module's parent share it. Workers call [`Ahead::next`] and
//! [`Ahead::deliver`], the host's side [`Ahead::take`].
//! Invariant: every transaction is claimed once, by a worker or by the host. A claimed transaction is delivered, if need be
//! without a result: a [`Claim`] that is dropped says so, a panic included; so nobody waits for ever.
//!
//! ```text
//! open ── claimed by a worker ──► running ── delivered ──► done ── taken by the host ──► taken
//!   └──────────────── taken by the host, which runs it itself ─────────────────────────────►
//! ```
//!
//! The engine's own [`crate::schedule`] is not used here: it moves the right to commit between threads, and the executors of
//! alloy-evm cannot move.

mod overlay;
mod reads;
mod view;

pub(super) use overlay::Overlay;
pub(super) use reads::{Run, Settled};
pub(super) use view::{FrameWatch, View};

use crate::{
    sync::{AtomicBool, AtomicUsize, Mutex, Ordering},
    types::TxIndex,
};
use revm::state::EvmState;

/// When something was written: zero before the first transaction, `i + 1` by transaction `i`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Version(pub(super) u32);

impl Version {
    /// What transaction `index` writes; it sees the versions below.
    pub(super) const fn of(index: TxIndex) -> Self {
        Self(index.0 + 1)
    }
}

#[derive(Debug)]
enum Slot<R> {
    Open,
    Running,
    Done(Option<Box<Run<R>>>),
    Taken,
}

/// What the host finds of a transaction.
#[derive(Debug)]
pub(super) enum Found<R> {
    /// A run, or its failure; or nobody started it and nobody will.
    Run(Option<Box<Run<R>>>),
    /// A worker is at it.
    Running,
}

/// The transactions of one block on their way.
#[derive(Debug)]
pub(super) struct Ahead<R> {
    overlay: Overlay,
    slots: Vec<Mutex<Slot<R>>>,
    next: AtomicUsize,
    cancelled: AtomicBool,
    state_of: fn(&R) -> &EvmState,
}

impl<R> Ahead<R> {
    /// A block of `txs` transactions; `state_of` gives the state of a run's output.
    pub(super) fn new(txs: usize, state_of: fn(&R) -> &EvmState) -> Self {
        let slots = (0..txs).map(|_| Mutex::new(Slot::Open)).collect();
        let (next, cancelled) = (AtomicUsize::new(0), AtomicBool::new(false));
        Self { overlay: Overlay::new(), slots, next, cancelled, state_of }
    }

    pub(super) const fn overlay(&self) -> &Overlay {
        &self.overlay
    }

    /// The next transaction in block order that nobody has claimed.
    pub(super) fn next(&self) -> Option<Claim<'_, R>> {
        // ORDER: Relaxed, both. A wish to stop, and an election that the slot's lock decides.
        while !self.cancelled.load(Ordering::Relaxed) {
            let at = self.next.fetch_add(1, Ordering::Relaxed);
            let mut slot = self.slots.get(at)?.lock();
            if matches!(*slot, Slot::Open) {
                *slot = Slot::Running;
                return Some(Claim { ahead: self, index: TxIndex::from_usize(at) });
            }
        }
        None
    }

    /// What is known of a transaction. Unless it is running, it is taken: the host has the next word.
    pub(super) fn take(&self, index: TxIndex) -> Found<R> {
        let Some(slot) = self.slots.get(index.as_usize()) else { return Found::Run(None) };
        let mut slot = slot.lock();
        match std::mem::replace(&mut *slot, Slot::Taken) {
            Slot::Running => {
                *slot = Slot::Running;
                Found::Running
            }
            Slot::Done(run) => Found::Run(run),
            Slot::Open | Slot::Taken => Found::Run(None),
        }
    }

    /// Publishes what the host's own run of a transaction did.
    pub(super) fn publish(&self, version: Version, state: &EvmState) {
        self.overlay.publish(version, state, |_| false);
    }

    /// Starts no more runs.
    pub(super) fn cancel(&self) {
        // ORDER: Relaxed, see `next`.
        self.cancelled.store(true, Ordering::Relaxed);
    }
}

/// The duty to deliver a transaction.
#[derive(Debug)]
pub(super) struct Claim<'a, R> {
    ahead: &'a Ahead<R>,
    pub(super) index: TxIndex,
}

impl<R> Claim<'_, R> {
    /// Delivers a finished run and publishes what it did.
    pub(super) fn deliver(self, reads: reads::Reads, output: R) {
        let run = Box::new(Run::new(reads, output, self.ahead.state_of));
        let state = (self.ahead.state_of)(&run.output);
        self.ahead.overlay.publish(Version::of(self.index), state, |address| run.is_credited(address));
        *self.ahead.slots[self.index.as_usize()].lock() = Slot::Done(Some(run));
    }
}

impl<R> Drop for Claim<'_, R> {
    fn drop(&mut self) {
        let mut slot = self.ahead.slots[self.index.as_usize()].lock();
        if matches!(*slot, Slot::Running) {
            *slot = Slot::Done(None);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block() -> Ahead<EvmState> {
        Ahead::new(3, |state| state)
    }

    fn is_run<R>(found: &Found<R>) -> bool {
        matches!(found, Found::Run(Some(_)))
    }

    #[test]
    fn delivered_run_is_found_once() {
        let block = block();
        let claim = block.next().unwrap();
        assert!(matches!(block.take(TxIndex(0)), Found::Running));
        claim.deliver(reads::Reads::default(), EvmState::default());
        assert!(is_run(&block.take(TxIndex(0))));
        assert!(!is_run(&block.take(TxIndex(0))));
    }

    #[test]
    fn what_the_host_took_is_not_run_ahead() {
        let block = block();
        assert!(!is_run(&block.take(TxIndex(1))));
        let claimed: Vec<_> = std::iter::from_fn(|| block.next().map(|claim| claim.index)).collect();
        assert_eq!(claimed, [TxIndex(0), TxIndex(2)]);
    }

    #[test]
    fn dropped_claim_leaves_the_transaction_to_the_host() {
        let block = block();
        drop(block.next());
        assert!(matches!(block.take(TxIndex(0)), Found::Run(None)));
        assert!(matches!(block.take(TxIndex(9)), Found::Run(None)));
    }

    #[test]
    fn nothing_starts_after_the_end() {
        let block = block();
        block.cancel();
        assert!(block.next().is_none());
    }
}
