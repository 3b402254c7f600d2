//! When running ahead does not pay: most of what is run ahead is thrown away.
//!
//! Place in the flow: merge's verdicts come in, the parallel path asks whether to go on; a stretch of the block is then
//! committed one by one, and running ahead is tried again after it.
//! Invariant: it decides when, never what. A chain of conflicts costs at most a share of a window for each stretch, and
//! stretches double, so that the share goes to nothing.

use crate::merge::Taken;

/// Verdicts that are looked at.
const WINDOW: u32 = 24;
/// Stale runs in a window from which on running ahead is given up.
const STALE_MAX: u32 = 14;
/// Transactions of the first stretch.
const STRETCH_FIRST: usize = 64;

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
    /// Notes how a delivered run was taken.
    pub(crate) fn note(&mut self, taken: Taken) {
        self.stale = (self.stale << 1 | u32::from(taken == Taken::RunAgain)) & ((1 << WINDOW) - 1);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_window_of_mostly_stale_runs_is_high_until_the_next_stretch() {
        let mut contention = Contention::default();
        for at in 0..WINDOW {
            assert!(!contention.is_high(), "after {at}");
            contention.note(if at < WINDOW - STALE_MAX { Taken::AsDelivered } else { Taken::RunAgain });
        }
        assert!(contention.is_high());
        assert_eq!(contention.next_stretch(), 64);
        assert!(!contention.is_high());
        assert_eq!(contention.next_stretch(), 128);
        (0..200).for_each(|_| contention.note(Taken::AsDelivered));
        assert!(!contention.is_high());
    }
}
