//! The time of a development chain: the system's, moved as a test asks for.
//!
//! Place in the flow: mining asks for the timestamp of each block; `evm_increaseTime` and its kin move it.
//! Invariant: timestamps never descend, whatever is asked for. Blocks of the same second have the same one, as on anvil, so that a
//! chain that makes many blocks does not run ahead of the clock. The system's time comes in from outside, so that tests have none.

/// Where the next timestamp comes from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Clock {
    /// Seconds by which the chain is ahead of the system.
    offset: i64,
    /// The timestamp of the next block, once.
    next: Option<u64>,
    /// Seconds from block to block.
    interval: Option<u64>,
}

impl Clock {
    /// The timestamp that a block on a parent would have at `now`.
    pub(super) fn peek(&self, now: u64, parent: u64) -> u64 {
        match (self.next, self.interval) {
            (Some(next), _) => next.max(parent),
            (None, Some(interval)) => parent.saturating_add(interval),
            (None, None) => self.time(now).max(parent),
        }
    }

    /// A block was made with this timestamp at `now`. A timestamp that was asked for moves the time that follows.
    pub(super) fn mined(&mut self, now: u64, timestamp: u64) {
        if self.next.take().is_some() {
            self.set(now, timestamp);
        }
    }

    /// The chain's time.
    pub(super) fn time(&self, now: u64) -> u64 {
        now.saturating_add_signed(self.offset)
    }

    /// Lets time pass; the whole offset.
    pub(super) fn increase(&mut self, seconds: u64) -> i64 {
        self.offset = self.offset.saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX));
        self.offset
    }

    /// Makes `timestamp` the chain's time; the offset before.
    pub(super) fn set(&mut self, now: u64, timestamp: u64) -> i64 {
        let between = i128::from(timestamp) - i128::from(now);
        let clamped = between.clamp(i128::from(i64::MIN), i128::from(i64::MAX));
        std::mem::replace(&mut self.offset, i64::try_from(clamped).unwrap_or_default())
    }

    /// Fixes the timestamp of the next block.
    ///
    /// # Errors
    /// The parent's timestamp, if that is later.
    pub(super) fn set_next(&mut self, timestamp: u64, parent: u64) -> Result<(), u64> {
        if timestamp < parent {
            return Err(parent);
        }
        self.next = Some(timestamp);
        Ok(())
    }

    /// Fixes the seconds between blocks, or no longer; whether they were fixed before.
    pub(super) fn set_interval(&mut self, seconds: Option<u64>) -> bool {
        std::mem::replace(&mut self.interval, seconds).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timestamps_follow_the_system_and_never_descend() {
        let clock = Clock::default();
        assert_eq!((clock.peek(100, 50), clock.peek(100, 100), clock.peek(100, 200)), (100, 100, 200));
        assert_eq!(clock.peek(100, u64::MAX), u64::MAX);
    }

    #[test]
    fn time_that_passed_stays_passed() {
        let mut clock = Clock::default();
        assert_eq!((clock.increase(3600), clock.increase(10)), (3600, 3610));
        assert_eq!(clock.peek(100, 50), 3710);
        clock.set(100, 40);
        assert_eq!((clock.time(100), clock.time(160)), (40, 100));
    }

    #[test]
    fn a_fixed_timestamp_counts_once_and_time_goes_on_from_it() {
        let mut clock = Clock::default();
        assert_eq!(clock.set_next(49, 50), Err(50));
        clock.set_next(50, 50).unwrap();
        clock.set_next(5_000, 50).unwrap();
        assert_eq!(clock.peek(100, 50), 5_000);
        clock.mined(100, 5_000);
        assert_eq!(clock.peek(107, 5_000), 5_007);
    }

    #[test]
    fn an_interval_counts_from_the_parent() {
        let mut clock = Clock::default();
        assert!(!clock.set_interval(Some(12)));
        assert_eq!(clock.peek(100, 1_000), 1_012);
        clock.set_next(2_000, 1_000).unwrap();
        assert_eq!(clock.peek(100, 1_000), 2_000);
        assert!(clock.set_interval(None));
    }
}
