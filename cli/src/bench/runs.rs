//! One block, executed by both sides in turn.
//!
//! Place in the flow: between `case` and `figures`.
//! Invariant: nothing is timed before both results were compared and equal; each timed run starts afresh, results are dropped
//! outside the clock, and neither side always runs on the caches that the other left.

use super::{
    case::Case,
    row::Trouble,
    series::{Series, sum},
};
use crate::{
    clock::{Took, time},
    ending::one_line,
    engine,
    replay::compare,
};
use alloy_eip7928::BlockAccessList;
use laminar_executor::{BlockExecutor, Config, ExecuteError, Knowledge, Mode, Outcome, Predict, Stats, sequential};
use std::num::NonZeroUsize;

/// A pass over a block takes at least so long, by repetition: below it, the clock and the scheduler of the system show.
const PASS_MS_MIN: f64 = 2.0;
const SHOTS_MAX: f64 = 32.0;

/// Executes blocks both ways.
#[derive(Debug)]
pub(super) struct Runner {
    executor: BlockExecutor,
    /// Makes block access lists, where they are what is known before.
    lister: Option<BlockExecutor>,
    passes: u32,
}

/// What one block took.
#[derive(Clone, Debug)]
pub(super) struct Measured {
    /// The block's number.
    pub(super) number: u64,
    pub(super) txs: usize,
    pub(super) gas_used: u64,
    pub(super) lean: Series,
    pub(super) candidate: Series,
    /// Simulations that were ready before the candidate's clock started.
    pub(super) simulate: Series,
    /// How the candidate's last run went.
    pub(super) stats: Stats,
}

impl Measured {
    /// Lean over candidate time, medians.
    pub(super) fn ratio(&self) -> f64 {
        self.lean.median().wall_ms / self.candidate.median().wall_ms
    }
}

/// An error that says that the two sides, or the block and its header, do not agree.
pub(super) fn differs(error: &(dyn std::error::Error + 'static)) -> Trouble {
    Trouble::Differs(one_line(error))
}

impl Runner {
    /// A runner with its threads started.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub(super) fn new(config: Config, passes: u32) -> Result<Self, Trouble> {
        let start = |config| engine::executor(config).map_err(|error| Trouble::Unreadable(one_line(error.as_ref())));
        let lister = (config.predict == Predict::BlockAccessList).then(|| Config {
            threads: NonZeroUsize::MIN,
            mode: Mode::Sequential,
            block_access_list: true,
            ..config.clone()
        });
        Ok(Self { executor: start(config)?, lister: lister.map(start).transpose()?, passes })
    }

    /// The same runner with another number of passes.
    pub(super) fn with_passes(self, passes: u32) -> Self {
        Self { passes, ..self }
    }

    pub(super) const fn passes(&self) -> u32 {
        self.passes
    }

    pub(super) const fn executor(&self) -> &BlockExecutor {
        &self.executor
    }

    /// Compares both sides on a block, which also warms them up, then times them.
    ///
    /// # Errors
    /// They differ, or one of them fails.
    pub(super) fn measure(&self, case: &Case) -> Result<Measured, Trouble> {
        let list = self.list(case)?;
        self.check(case, list.as_ref())?;
        let warm = self.lean(case)?;
        let shots = (PASS_MS_MIN / warm.wall_ms.max(f64::MIN_POSITIVE)).clamp(1.0, SHOTS_MAX).ceil() as u32;
        let mut measured = Measured {
            number: case.block.header.number,
            txs: case.prepared.len(),
            gas_used: case.block.header.gas_used,
            lean: Series::default(),
            candidate: Series::default(),
            simulate: Series::default(),
            stats: Stats::default(),
        };
        for pass in 0..self.passes {
            let (mut lean, mut candidate, mut simulate) = (Series::default(), Series::default(), Series::default());
            for shot in 0..shots {
                let lean_first = (pass * shots + shot).is_multiple_of(2);
                if lean_first {
                    lean.push(self.lean(case)?);
                }
                let (outcome, simulated, took) = self.candidate(case, list.as_ref())?;
                candidate.push(took);
                simulate.push(simulated);
                measured.stats = outcome.stats;
                if !lean_first {
                    lean.push(self.lean(case)?);
                }
            }
            measured.lean.push(lean.median());
            measured.candidate.push(candidate.median());
            measured.simulate.push(simulate.median());
        }
        Ok(measured)
    }

    /// Both results are the same, and use the gas that the header says. Gives the candidate's.
    ///
    /// # Errors
    /// They differ, or one of them fails.
    pub(super) fn check(&self, case: &Case, list: Option<&BlockAccessList>) -> Result<Outcome, Trouble> {
        let mut lean =
            sequential::execute(&case.block, &case.prepared, &case.state).map_err(|error| differs(&error))?;
        let (expected, found) = (case.block.header.gas_used, lean.gas_used);
        if found != expected {
            return Err(Trouble::Differs(format!("sequential gas used: expected {expected}, found {found}")));
        }
        let (outcome, ..) = self.candidate(case, list)?;
        compare(&mut lean, &outcome, &case.state).map_err(|error| differs(&*error))?;
        Ok(outcome)
    }

    /// One run of lean sequential revm. Dropping its result is not part of what it took.
    fn lean(&self, case: &Case) -> Result<Took, Trouble> {
        let (run, took) = time(|| sequential::execute(&case.block, &case.prepared, &case.state));
        run.map(|_| took).map_err(|error| differs(&error))
    }

    /// One run of the candidate: its outcome, what simulating took before, and what it took.
    fn candidate(&self, case: &Case, list: Option<&BlockAccessList>) -> Result<(Outcome, Took, Took), Trouble> {
        let (knowledge, simulated) = match (self.executor.config().predict, list) {
            (Predict::Ahead, _) => {
                let (simulations, took) = time(|| self.executor.simulate(&case.prepared, &case.state));
                (Knowledge::Simulations(simulations), took)
            }
            (_, Some(list)) => (Knowledge::BlockAccessList(list.clone()), sum(&[])),
            (_, None) => (Knowledge::Nothing, sum(&[])),
        };
        let (run, took) = time(|| self.executor.execute(&case.block, &case.prepared, &case.state, knowledge));
        Ok((run.map_err(|error| differs(&error))?, simulated, took))
    }

    fn list(&self, case: &Case) -> Result<Option<BlockAccessList>, Trouble> {
        let Some(lister) = &self.lister else { return Ok(None) };
        let outcome: Result<Outcome, ExecuteError> =
            lister.execute(&case.block, &case.prepared, &case.state, Knowledge::Nothing);
        Ok(outcome.map_err(|error| differs(&error))?.block_access_list)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use laminar_fixtures::workload::erc20::RECIPE;

    #[test]
    fn equal_results_pass_and_a_wrong_header_gives_no_figure() {
        let mut case = Case::from_workload(&RECIPE.build(&RECIPE.sample)).unwrap();
        let runner = Runner::new(Config { mode: Mode::Parallel, ..Config::default() }, 1).unwrap();
        let outcome = runner.check(&case, None).unwrap();
        assert_eq!((outcome.receipts.len(), outcome.gas_used), (RECIPE.sample.txs, case.block.header.gas_used));
        case.block.header.gas_used += 1;
        let refused = runner.measure(&case).unwrap_err();
        assert!(matches!(&refused, Trouble::Differs(what) if what.contains("gas used: expected")), "{refused}");
    }
}
