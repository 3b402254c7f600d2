//! How a block would run on more cores than there are: recorded times through the real scheduler in virtual time.
//!
//! Place in the flow: for `laminar bench --simulate`; nothing that executes blocks uses it.
//! Invariant: deterministic, the recording aside. It does not know caches, memory bandwidth and shared execution units, so it says
//! what the schedule allows, not what a machine gives.
//!
//! ```text
//! block ── record (one thread, real) ──► Recording ── run (n virtual cores) ──► Virtual
//!                                            └─────── bounds ──► what no schedule beats
//! ```

mod bounds;
mod clock;
mod record;
mod run;

use crate::{
    choice::pays_in_parallel,
    env::PreparedBlock,
    error::ExecuteError,
    partition::ConflictGraph,
    predict::Declared,
    types::{Block, TxIndex},
};
use clock::Nanos;
use revm::DatabaseRef;
use std::{num::NonZeroUsize, time::Duration};

/// What one transaction took.
#[derive(Clone, Copy, Debug)]
struct Recorded {
    /// To run it ahead and publish what it did.
    run: Nanos,
    /// To commit it.
    commit: Nanos,
    /// It was run again when it was committed, although everything before it was known: its commit has that run's time.
    runs_again: bool,
}

/// The times and conflicts of one block.
#[derive(Clone, Debug)]
pub struct Recording {
    txs: Vec<Recorded>,
    /// What is done once a block.
    around: Nanos,
    graph: ConflictGraph,
    declared: Declared,
    /// In which order the executor would start the transactions if nothing else is known.
    order: Vec<TxIndex>,
    /// Whether the executor would run the block in parallel by choice.
    is_parallel: bool,
}

/// A virtual run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Virtual {
    /// From the start of the block to its end.
    pub time: Duration,
    /// Runs of transactions.
    pub incarnations: u64,
    /// Runs that were thrown away.
    pub aborted: u64,
}

/// What schedules that know all conflicts beforehand would take for the runs alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// The longest chain of conflicting transactions: no number of cores beats it.
    pub critical_path: Duration,
    /// Each transaction as soon as its predecessors are done and a core is free, the longest chain first.
    pub list_schedule: Duration,
    /// One conflict-free batch after the other.
    pub barrier_batches: Duration,
}

impl Recording {
    /// Records `block` on the calling thread, `passes` times; each time is the median of the passes.
    ///
    /// # Errors
    /// The block is invalid or a read failed.
    pub fn of<DB: DatabaseRef>(
        block: &Block,
        prepared: &PreparedBlock,
        parent: &DB,
        passes: NonZeroUsize,
    ) -> Result<Self, ExecuteError> {
        let is_parallel = pays_in_parallel(prepared, block.header.gas_used);
        let record::Times { txs, around, graph } = record::record(block, prepared, parent, passes)?;
        let declared = Declared::of(prepared);
        let order = declared.order(prepared, TxIndex(0));
        Ok(Self { txs, around, graph, declared, order, is_parallel })
    }

    /// The same block with every time stretched or shortened alike, so that one worker takes `one_worker`: stopwatches cost time,
    /// and the worker loop is not in them.
    #[must_use]
    pub fn calibrated(mut self, one_worker: Duration) -> Self {
        let factor = one_worker.as_secs_f64() / self.one_worker().as_secs_f64().max(f64::MIN_POSITIVE);
        let scale = |nanos: &mut Nanos| *nanos = (*nanos as f64 * factor).round() as Nanos;
        scale(&mut self.around);
        for tx in &mut self.txs {
            scale(&mut tx.run);
            scale(&mut tx.commit);
        }
        self
    }

    /// What one worker takes.
    pub fn one_worker(&self) -> Duration {
        Duration::from_nanos(self.around + self.txs.iter().map(|tx| tx.run + tx.commit).sum::<Nanos>())
    }

    /// All runs one after the other, nothing around them.
    pub fn all_runs(&self) -> Duration {
        Duration::from_nanos(self.txs.iter().map(|tx| tx.run).sum())
    }

    /// Runs the block on `cores`; `wake` is what it takes to start a worker.
    pub fn run(&self, cores: NonZeroUsize, wake: Duration) -> Virtual {
        if cores.get() == 1 || !self.is_parallel {
            return Virtual { time: self.one_worker(), incarnations: self.txs.len() as u64, aborted: 0 };
        }
        run::run(self, cores.get(), Nanos::try_from(wake.as_nanos()).unwrap_or(Nanos::MAX))
    }

    /// The bounds on `cores`.
    pub fn bounds(&self, cores: NonZeroUsize) -> Bounds {
        let runs: Vec<_> = self.txs.iter().map(|tx| tx.run).collect();
        let (graph, cores) = (&self.graph, cores.get());
        Bounds {
            critical_path: Duration::from_nanos(bounds::critical_path(graph, &runs)),
            list_schedule: Duration::from_nanos(bounds::list_schedule(graph, &runs, cores)),
            barrier_batches: Duration::from_nanos(bounds::barrier_batches(graph, &runs, cores)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    /// Transactions of 1,000 ns and commits of 10 ns.
    fn recording(predecessors: &[&[u32]]) -> Recording {
        let before = predecessors.iter().map(|before| before.iter().copied().map(TxIndex).collect()).collect();
        let tx = Recorded { run: 1_000, commit: 10, runs_again: false };
        let graph = ConflictGraph::from_predecessors(before);
        let order = (0..predecessors.len()).map(TxIndex::from_usize).collect();
        let txs = vec![tx; predecessors.len()];
        Recording { txs, around: 100, graph, declared: Declared::default(), order, is_parallel: true }
    }

    #[track_caller]
    fn check(recording: &Recording, cores: usize) -> Virtual {
        let cores = NonZeroUsize::new(cores).unwrap();
        let got = recording.run(cores, Duration::ZERO);
        assert_eq!(got, recording.run(cores, Duration::ZERO), "not deterministic");
        assert!(got.time >= recording.bounds(cores).list_schedule, "{got:?}");
        got
    }

    #[test]
    fn independent_transactions_scale_until_merge_is_the_limit() {
        let block = recording(&[[].as_slice(); 64]);
        let one = block.one_worker();
        assert_eq!(check(&block, 1).time, one);
        for cores in [2, 4, 8] {
            let speed_up = one.as_secs_f64() / check(&block, cores).time.as_secs_f64();
            assert!(speed_up > 0.85 * cores as f64, "{speed_up} on {cores}");
        }
        assert!(check(&block, 64).time >= Duration::from_nanos(64 * 10 + 1_000));
    }

    #[test]
    fn chain_is_aborted_and_takes_hardly_longer_than_on_one_core() {
        let before: Vec<Vec<u32>> = (0..200).map(|at: u32| at.checked_sub(1).into_iter().collect()).collect();
        let block = recording(&before.iter().map(Vec::as_slice).collect::<Vec<_>>());
        let got = check(&block, 4);
        assert!(got.aborted > 0);
        assert!(got.time < block.one_worker() * 5 / 4, "{got:?}");
    }

    #[test]
    fn runs_that_began_too_early_are_made_again_by_idle_workers_at_once() {
        let mut before: Vec<&[u32]> = vec![&[0]; 9];
        before[0] = &[];
        let mut block = recording(&before);
        block.txs[0].run = 10_000;
        let got = check(&block, 9);
        assert_eq!((got.aborted, got.incarnations), (8, 17));
        assert!(got.time < Duration::from_nanos(10_000 + 2 * 1_000 + 1_000), "{got:?}");
        assert!(check(&block, 2).time > got.time);
    }

    #[test]
    fn calibration_stretches_everything_alike() {
        let block = recording(&[&[], &[0]]);
        let twice = block.clone().calibrated(block.one_worker() * 2);
        assert_eq!(twice.one_worker(), block.one_worker() * 2);
        assert_eq!(twice.bounds(NonZeroUsize::MIN).critical_path, Duration::from_nanos(4_000));
    }
}
