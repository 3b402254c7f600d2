//! The totals of a replay.
//!
//! Place in the flow: grows by one block at a time; closed once, at the end.
//! Invariant: times are totals over the blocks that ran both ways, so that their quotient means something.

use super::block::{BlockReport, Failure, rounded};
use crate::{clock::geometric_mean, ending::Ended};
use serde::Serialize;

/// How many blocks have a field right, wrong, or unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tally {
    #[serde(rename = "true")]
    pub(crate) right: usize,
    #[serde(rename = "false")]
    pub(crate) wrong: usize,
    #[serde(rename = "null")]
    pub(crate) unknown: usize,
}

impl Tally {
    const fn add(&mut self, verdict: Option<bool>) {
        match verdict {
            Some(true) => self.right += 1,
            Some(false) => self.wrong += 1,
            None => self.unknown += 1,
        }
    }
}

/// One tally for each field of the header.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Tallies {
    gas: Tally,
    receipts_root: Tally,
    logs_bloom: Tally,
    state_root: Tally,
    requests_hash: Tally,
}

/// Totals over all blocks.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Summary {
    pub(crate) blocks: usize,
    pub(crate) txs: usize,
    pub(crate) gas_used: u64,
    pub(crate) verified: Tallies,
    /// Blocks on which parallel equals sequential.
    pub(crate) identical: usize,
    /// Blocks that break a rule.
    pub(crate) refused: usize,
    /// Blocks on which parallel differs from sequential.
    pub(crate) different: usize,
    /// Files and blocks that could not be read.
    pub(crate) unreadable: usize,
    pub(crate) sequential_ms: f64,
    pub(crate) parallel_ms: f64,
    pub(crate) cpu_ms: f64,
    pub(crate) sequential_cpu_ms: f64,
    /// Times of a step are over the blocks that have it; `None` if none has.
    pub(crate) simulate_ms: Option<f64>,
    pub(crate) recover_ms: Option<f64>,
    pub(crate) root_ms: Option<f64>,
    pub(crate) path_ms: Option<f64>,
    /// Total sequential time over total parallel time.
    pub(crate) speed_up: Option<f64>,
    /// Geometric mean of the blocks' speed-ups.
    pub(crate) geometric_mean: Option<f64>,
    pub(crate) incarnations: u64,
    pub(crate) adopted: u64,
    pub(crate) aborted: u64,
    #[serde(skip)]
    speed_ups: Vec<f64>,
}

impl Summary {
    /// Whether no block was added.
    pub(crate) const fn is_empty(&self) -> bool {
        self.blocks == 0
    }

    /// Adds a block.
    pub(crate) fn add(&mut self, block: &BlockReport) {
        self.blocks += 1;
        self.txs += block.txs;
        self.gas_used += block.gas_used;
        let verified = &block.verified;
        let tallies = &mut self.verified;
        tallies.gas.add(verified.gas);
        tallies.receipts_root.add(verified.receipts_root);
        tallies.logs_bloom.add(verified.logs_bloom);
        tallies.state_root.add(verified.state_root);
        tallies.requests_hash.add(verified.requests_hash);
        self.identical += usize::from(block.identical == Some(true));
        match &block.failure {
            Some(Failure::Refused(_)) => self.refused += 1,
            Some(Failure::Differs(_)) => self.different += 1,
            Some(Failure::Unreadable(_)) => self.unreadable += 1,
            None => {}
        }
        self.incarnations += block.stats.incarnations;
        self.adopted += block.stats.adopted;
        self.aborted += block.stats.aborted;
        self.add_times(block);
    }

    fn add_times(&mut self, block: &BlockReport) {
        let Some(speed_up) = block.speed_up() else { return };
        // Blocks without transactions run nothing that could be faster.
        if block.txs > 0 {
            self.speed_ups.push(speed_up);
        }
        let times = &block.times;
        for (total, part) in [
            (&mut self.sequential_ms, times.sequential_ms),
            (&mut self.parallel_ms, times.parallel_ms),
            (&mut self.cpu_ms, times.cpu_ms),
            (&mut self.sequential_cpu_ms, times.sequential_cpu_ms),
        ] {
            *total += part.unwrap_or_default();
        }
        for (total, part) in [
            (&mut self.simulate_ms, times.simulate_ms),
            (&mut self.recover_ms, times.recover_ms),
            (&mut self.root_ms, times.root_ms),
            (&mut self.path_ms, times.path_ms),
        ] {
            if let Some(part) = part {
                *total.get_or_insert_default() += part;
            }
        }
    }

    /// The summary with its means, and times rounded.
    pub(crate) fn closed(&self) -> Self {
        let mut closed = self.clone();
        closed.speed_up = (self.parallel_ms > 0.0).then(|| self.sequential_ms / self.parallel_ms);
        closed.geometric_mean = geometric_mean(&self.speed_ups);
        for time in
            [&mut closed.sequential_ms, &mut closed.parallel_ms, &mut closed.cpu_ms, &mut closed.sequential_cpu_ms]
        {
            *time = rounded(Some(*time)).unwrap_or_default();
        }
        for value in [
            &mut closed.simulate_ms,
            &mut closed.recover_ms,
            &mut closed.root_ms,
            &mut closed.path_ms,
            &mut closed.speed_up,
            &mut closed.geometric_mean,
        ] {
            *value = rounded(*value);
        }
        closed
    }

    /// How the command ends.
    pub(crate) const fn ended(&self) -> Ended {
        if self.unreadable > 0 {
            Ended::BadInput
        } else if self.refused + self.different > 0 {
            Ended::CheckFailed
        } else {
            Ended::Success
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(sequential_ms: f64, parallel_ms: f64) -> BlockReport {
        let mut block = BlockReport::new("x".to_owned(), 1);
        block.txs = 2;
        block.identical = Some(true);
        block.verified.gas = Some(true);
        block.times.sequential_ms = Some(sequential_ms);
        block.times.parallel_ms = Some(parallel_ms);
        block
    }

    #[test]
    fn totals_and_means_are_over_blocks_that_ran_both_ways() {
        let mut summary = Summary::default();
        summary.add(&block(4.0, 1.0));
        summary.add(&block(1.0, 1.0));
        let mut refused = BlockReport::new("x".to_owned(), 1);
        refused.failure = Some(Failure::Refused("wrong gas used".to_owned()));
        summary.add(&refused);
        let closed = summary.closed();
        assert_eq!((closed.blocks, closed.identical, closed.refused), (3, 2, 1));
        assert_eq!((closed.speed_up, closed.geometric_mean), (Some(2.5), Some(2.0)));
        assert_eq!(closed.verified.gas, Tally { right: 2, wrong: 0, unknown: 1 });
        assert_eq!(summary.ended(), Ended::CheckFailed);
        summary.unreadable += 1;
        assert_eq!(summary.ended(), Ended::BadInput);
    }

    #[test]
    fn nothing_has_no_mean() {
        let closed = Summary::default().closed();
        assert_eq!((closed.speed_up, closed.geometric_mean), (None, None));
        assert_eq!(closed.ended(), Ended::Success);
    }
}
