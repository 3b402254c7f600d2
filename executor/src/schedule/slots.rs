//! Where transactions wait for merge: one place for the finished run of each, and one bit for each that is left to merge.
//!
//! Place in the flow: workers put, whoever merges takes, and who looks at finished runs again does both.
//! Invariant: a transaction is taken once for each time that it was put; nothing put is forgotten.
//!
//! PERF: kept from block to block, because touching fresh memory costs more than running a plain transfer. A run comes to who merges
//! from another core's cache; a bit comes with those of 63 others, which is what makes leaving a transaction to merge cheap.

use crate::{
    sync::{AtomicU64, Mutex, Ordering},
    types::TxIndex,
};

const WORD_BITS: usize = 64;

/// The places of a block's transactions. What is put and taken is `Some` finished run, or `None` for a transaction that is left to
/// merge.
#[derive(Debug)]
pub(crate) struct Slots<A> {
    finished: Vec<Mutex<Option<A>>>,
    left: Vec<AtomicU64>,
}

impl<A> Default for Slots<A> {
    fn default() -> Self {
        Self { finished: Vec::new(), left: Vec::new() }
    }
}

impl<A> Slots<A> {
    /// Empty places for `txs` transactions. All runs of the block before were taken: to look at each place for that would cost as much
    /// as a tenth of a plain transfer.
    pub(crate) fn reset(&mut self, txs: usize) {
        debug_assert!(
            self.finished.iter_mut().all(|place| place.get_mut().is_none()),
            "a run of the block before was not taken"
        );
        self.finished.resize_with(txs, Mutex::default);
        self.left.clear();
        self.left.resize_with(txs.div_ceil(WORD_BITS), AtomicU64::default);
    }

    /// Number of places.
    pub(super) const fn len(&self) -> usize {
        self.finished.len()
    }

    /// Puts what became of a transaction in its place, which is empty.
    pub(crate) fn put(&self, index: TxIndex, attempt: Option<A>) {
        let at = index.as_usize();
        match attempt {
            Some(run) => *self.finished[at].lock() = Some(run),
            // ORDER: Release, pairs with `take`: who takes sees what was noted of the transaction before it was left.
            None => _ = self.left[at / WORD_BITS].fetch_or(bit(at), Ordering::Release),
        }
    }

    /// Takes from a place; `None` if it is empty, also for a transaction that the block does not have.
    pub(crate) fn take(&self, index: TxIndex) -> Option<Option<A>> {
        let at = index.as_usize();
        let place = self.finished.get(at)?;
        if self.is_left(at) {
            // ORDER: AcqRel. An election among those who saw the bit.
            let before = self.left[at / WORD_BITS].fetch_and(!bit(at), Ordering::AcqRel);
            if before & bit(at) != 0 {
                return Some(None);
            }
        }
        place.lock().take().map(Some)
    }

    /// Whether there is something to take.
    pub(super) fn is_filled(&self, at: usize) -> bool {
        self.finished.get(at).is_some_and(|place| self.is_left(at) || place.lock().is_some())
    }

    /// The transactions from `start` on that have no finished run, ascending. Those that were left to merge are not left any more.
    pub(crate) fn missing(&mut self, start: TxIndex) -> impl Iterator<Item = TxIndex> {
        let start = start.as_usize();
        self.left.iter_mut().skip(start / WORD_BITS).for_each(|word| *word = AtomicU64::default());
        let places = self.finished.iter_mut().enumerate().skip(start);
        places.filter_map(|(at, place)| place.get_mut().is_none().then(|| TxIndex::from_usize(at)))
    }

    fn is_left(&self, at: usize) -> bool {
        // ORDER: Acquire, pairs with `put`.
        self.left[at / WORD_BITS].load(Ordering::Acquire) & bit(at) != 0
    }
}

const fn bit(at: usize) -> u64 {
    1 << (at % WORD_BITS)
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_is_taken_once() {
        let mut slots = Slots::default();
        slots.reset(130);
        for at in [0, 63, 64, 129] {
            for put in [None, Some('a')] {
                let index = TxIndex(at);
                assert_eq!((slots.is_filled(index.as_usize()), slots.take(index)), (false, None));
                slots.put(index, put);
                assert!(slots.is_filled(index.as_usize()));
                assert_eq!((slots.take(index), slots.take(index)), (Some(put), None));
            }
        }
        assert_eq!(slots.take(TxIndex(130)), None);
    }

    #[test]
    fn only_finished_runs_are_kept() {
        let mut slots = Slots::default();
        slots.reset(3);
        slots.put(TxIndex(0), None);
        slots.put(TxIndex(2), Some('a'));
        assert_eq!(slots.missing(TxIndex(0)).collect::<Vec<_>>(), [TxIndex(0), TxIndex(1)]);
        assert_eq!(slots.missing(TxIndex(1)).collect::<Vec<_>>(), [TxIndex(1)]);
        assert_eq!((slots.take(TxIndex(0)), slots.take(TxIndex(2))), (None, Some(Some('a'))));
        slots.put(TxIndex(1), None);
        slots.reset(3);
        assert!((0..3).all(|at| !slots.is_filled(at)));
    }
}
