//! Whether a small block is worth waking the workers, found out by beginning with it.
//!
//! Place in the flow: before the parallel path, where the executor chooses and nothing is known of the block.
//! Invariant: it decides how a block is run, never what comes out. Gas says little about time (a million gas took from 40 us
//! to 600 us in blocks of different years), so the first transactions are timed: they are committed one after the other, as
//! they would be anyway, and what they took tells what the others will take.

use std::time::{Duration, Instant};

/// How long a trial takes, to the end of the transaction that is running then: less than a worker takes to wake.
const TRIAL: Duration = Duration::from_micros(30);
/// Work that must be left for other workers to pay.
const LEFT_MIN: Duration = Duration::from_micros(700);

/// A trial under way.
#[derive(Debug)]
pub(crate) struct Trial {
    start: Instant,
    /// Gas that the whole block uses, as its header says.
    gas: u64,
    is_over: bool,
}

impl Trial {
    /// Starts the trial of a block that uses `gas`.
    pub(crate) fn new(gas: u64) -> Self {
        Self { start: Instant::now(), gas, is_over: false }
    }

    /// Whether to go on alone, after transactions that used `gas_used`.
    pub(crate) fn goes_on(&mut self, gas_used: u64) -> bool {
        if self.is_over {
            return true;
        }
        let took = self.start.elapsed();
        if took < TRIAL {
            return true;
        }
        self.is_over = true;
        self.left(took, gas_used) < LEFT_MIN
    }

    /// What the rest will take if its gas takes as long as the gas so far.
    fn left(&self, took: Duration, gas_used: u64) -> Duration {
        let per_gas = took.as_secs_f64() / gas_used.max(1) as f64;
        Duration::try_from_secs_f64(per_gas * self.gas.saturating_sub(gas_used) as f64).unwrap_or(Duration::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_follows_the_gas() {
        let trial = Trial::new(1_000);
        let took = Duration::from_micros(30);
        for (gas_used, want) in [(500, 30), (100, 270), (1_000, 0), (2_000, 0)] {
            assert_eq!(trial.left(took, gas_used).as_micros(), want, "{gas_used}");
        }
        assert!(trial.left(took, 0) >= Duration::from_micros(29_999));
        assert_eq!(Trial::new(u64::MAX).left(Duration::MAX, 0), Duration::MAX);
    }

    #[test]
    fn a_trial_that_is_over_has_decided_for_the_whole_block() {
        let mut trial = Trial { is_over: true, ..Trial::new(u64::MAX) };
        assert!(trial.goes_on(0));
    }
}
