//! What the executor did over all cases: the proof that the parallel path ran.
//!
//! Place in the flow: every job counts its blocks, the report adds the jobs up.
//! Invariant: only blocks with transactions count as blocks.

use laminar_executor::{Fallback, Path, Stats};
use serde::Serialize;
use std::collections::BTreeMap;

/// Sums over executed blocks; those that were refused while they ran are not in it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Work {
    /// Blocks with transactions that ran over the worker pool.
    pub(crate) parallel_blocks: u64,
    /// Blocks with transactions that ran one transaction after the other.
    pub(crate) sequential_blocks: u64,
    /// Transactions.
    pub(crate) txs: u64,
    /// Runs of transactions.
    pub(crate) incarnations: u64,
    /// Runs whose result was thrown away.
    pub(crate) aborted: u64,
    /// Transactions whose earlier simulation was adopted.
    pub(crate) adopted: u64,
    /// Transactions done as plain transfers.
    pub(crate) transfers: u64,
    /// Transactions that fell back to sequential execution, by cause.
    pub(crate) fallbacks: BTreeMap<&'static str, u64>,
}

impl Work {
    /// Counts a block.
    pub(crate) fn block(&mut self, txs: usize, stats: &Stats) {
        if txs == 0 {
            return;
        }
        match stats.path {
            Path::Parallel => self.parallel_blocks += 1,
            Path::Sequential => self.sequential_blocks += 1,
        }
        self.txs += txs as u64;
        self.incarnations += stats.incarnations;
        self.aborted += stats.aborted;
        self.adopted += stats.adopted;
        self.transfers += stats.transfers;
        if let Some((cause, txs)) = stats.fallback {
            *self.fallbacks.entry(cause_name(cause)).or_default() += txs;
        }
    }

    /// Adds another job's sums.
    pub(crate) fn add(&mut self, other: &Self) {
        self.parallel_blocks += other.parallel_blocks;
        self.sequential_blocks += other.sequential_blocks;
        self.txs += other.txs;
        self.incarnations += other.incarnations;
        self.aborted += other.aborted;
        self.adopted += other.adopted;
        self.transfers += other.transfers;
        for (cause, txs) in &other.fallbacks {
            *self.fallbacks.entry(cause).or_default() += txs;
        }
    }

    /// Why the run does not count as parallel, if it does not.
    pub(crate) fn not_parallel(&self) -> Option<String> {
        if self.sequential_blocks > 0 {
            return Some(format!("{} blocks with transactions did not take the parallel path", self.sequential_blocks));
        }
        let idle = self.parallel_blocks > 0 && self.incarnations + self.adopted == 0;
        idle.then(|| "no transaction was run or adopted in parallel".to_owned())
    }
}

/// A cause as the summary names it.
const fn cause_name(cause: Fallback) -> &'static str {
    match cause {
        Fallback::WorkerPanic => "worker_panic",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_sequential_block_makes_a_run_not_parallel() {
        let mut work = Work::default();
        assert_eq!(work.not_parallel(), None);
        work.block(2, &Stats { path: Path::Parallel, incarnations: 2, ..Stats::default() });
        work.block(0, &Stats::default());
        assert_eq!(work.not_parallel(), None);
        work.block(1, &Stats { path: Path::Sequential, incarnations: 1, ..Stats::default() });
        assert!(work.not_parallel().is_some());
    }

    #[test]
    fn parallel_path_without_a_run_is_not_parallel() {
        let mut work = Work::default();
        work.block(2, &Stats { path: Path::Parallel, ..Stats::default() });
        assert!(work.not_parallel().is_some());
    }
}
