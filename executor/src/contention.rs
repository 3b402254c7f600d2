//! When running ahead does not pay: what is run ahead is thrown away.
//!
//! Place in the flow: merge's verdicts come in, the parallel path asks whether to run ahead. [`Contention`] speaks of the whole
//! block: a stretch of it is then committed one by one, and running ahead is tried again after it. [`HotGroups`] speaks of
//! transactions that make the same call: where those keep conflicting, one is not run before the one before it is done.
//! Invariant: it decides when, never what. A chain of conflicts costs at most a share of a window for each stretch, and
//! stretches double, so that the share goes to nothing.

use crate::{
    predict::{Declared, Likeness},
    sync::{AtomicBool, AtomicU32, Ordering},
    types::TxIndex,
};

/// Verdicts that are looked at.
const WINDOW: u32 = 24;
/// Stale runs in a window from which on running ahead is given up.
const STALE_MAX: u32 = 18;
/// Transactions of the first stretch.
const STRETCH_FIRST: usize = 16;

/// The last verdicts, one bit each, the newest lowest.
#[derive(Debug)]
pub(crate) struct Contention {
    stale: u32,
    seen: u32,
    stretch: usize,
}

impl Default for Contention {
    fn default() -> Self {
        Self { stale: 0, seen: 0, stretch: STRETCH_FIRST }
    }
}

impl Contention {
    /// Notes whether a run that was made ahead was thrown away.
    pub(crate) fn note(&mut self, stale: bool) {
        self.stale = (self.stale << 1 | u32::from(stale)) & ((1 << WINDOW) - 1);
        self.seen = self.seen.saturating_add(1);
    }

    /// Whether most of the last runs were thrown away.
    pub(crate) const fn is_high(&self) -> bool {
        self.seen >= WINDOW && self.stale.count_ones() >= STALE_MAX
    }

    /// How many transactions to commit one by one now; afterwards the window starts empty.
    pub(crate) fn next_stretch(&mut self) -> usize {
        (self.stale, self.seen) = (0, 0);
        let stretch = self.stretch;
        self.stretch = stretch.saturating_mul(2);
        stretch
    }
}

/// Heat from which on a group is hot: it rises by two with a stale run and falls by one with a run that held.
const HOT: u32 = 4;
/// Heat does not rise above this, so that a group cools down again.
const HEAT_MAX: u32 = 12;

/// Groups of like transactions that keep conflicting, learned while the block runs.
#[derive(Debug)]
pub(crate) struct HotGroups {
    declared: Declared,
    /// One cell a group, for each likeness.
    heat: [Box<[AtomicU32]>; Likeness::ALL.len()],
    /// The same: while a group is hot, which of it was done last.
    last: [Box<[AtomicU32]>; Likeness::ALL.len()],
    /// Whether what a transaction does can be seen by others; empty if nobody calls anything.
    done: Box<[AtomicBool]>,
}

impl HotGroups {
    /// All groups of a block of `txs` transactions, cold.
    pub(crate) fn new(declared: Declared, txs: usize) -> Self {
        let cells = |likeness| (0..declared.groups_len(likeness)).map(|_| AtomicU32::new(0)).collect();
        let (heat, last) = (Likeness::ALL.map(cells), Likeness::ALL.map(cells));
        let watched = if declared.groups_len(Likeness::SameTarget) == 0 { 0 } else { txs };
        Self { declared, heat, last, done: (0..watched).map(|_| AtomicBool::new(false)).collect() }
    }

    /// Whether a run of `index` now would most likely be thrown away: one of its groups is hot, and the one before it there is
    /// not done.
    pub(crate) fn is_hopeless(&self, index: TxIndex) -> bool {
        // ORDER: Relaxed, here and below. Hints: values too old cost a run.
        let waits = |previous: TxIndex| !self.done[previous.as_usize()].load(Ordering::Relaxed);
        Likeness::ALL.into_iter().any(|likeness| {
            self.heat(likeness, index).is_some_and(|heat| heat.load(Ordering::Relaxed) >= HOT)
                && self.declared.previous(likeness, index).is_some_and(waits)
        })
    }

    /// Notes that what `index` does can be seen.
    pub(crate) fn note_done(&self, index: TxIndex) {
        let Some(done) = self.done.get(index.as_usize()) else { return };
        done.store(true, Ordering::Relaxed);
        for likeness in Likeness::ALL {
            let Some(group) = self.declared.group(likeness, index) else { continue };
            if self.heat[likeness as usize][group].load(Ordering::Relaxed) >= HOT {
                self.last[likeness as usize][group].store(index.0, Ordering::Relaxed);
            }
        }
    }

    /// Notes whether a run that was made ahead was thrown away. Called by the one who merges.
    pub(crate) fn note(&self, index: TxIndex, stale: bool) {
        for likeness in Likeness::ALL {
            // Where the closer likeness explains a conflict, the wider one is not blamed.
            let follows = self.declared.previous(likeness, index).is_some();
            let Some(group) = self.declared.group(likeness, index).filter(|_| follows) else { continue };
            let cell = &self.heat[likeness as usize][group];
            let heat = cell.load(Ordering::Relaxed);
            cell.store(if stale { (heat + 2).min(HEAT_MAX) } else { heat.saturating_sub(1) }, Ordering::Relaxed);
            if stale {
                // Those after it that ran already, ran on what was thrown away: nobody shall run on the last of them.
                let last = self.last[likeness as usize][group].load(Ordering::Relaxed);
                if last > index.0 {
                    self.done[last as usize].store(false, Ordering::Relaxed);
                }
                return;
            }
        }
    }

    fn heat(&self, likeness: Likeness, index: TxIndex) -> Option<&AtomicU32> {
        Some(&self.heat[likeness as usize][self.declared.group(likeness, index)?])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_window_of_mostly_stale_runs_is_high_until_the_next_stretch() {
        let mut contention = Contention::default();
        for at in 0..WINDOW {
            assert!(!contention.is_high(), "after {at}");
            contention.note(at >= WINDOW - STALE_MAX);
        }
        assert!(contention.is_high());
        assert_eq!(contention.next_stretch(), 16);
        assert!(!contention.is_high());
        assert_eq!(contention.next_stretch(), 32);
        (0..200).for_each(|_| contention.note(false));
        assert!(!contention.is_high());
    }
}
