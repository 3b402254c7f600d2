//! A block's whole way: senders, execution, receipts root, state root, by lean sequential revm on one thread and by ours.
//!
//! Place in the flow: beside `runs`, for the rows that time more than execution.
//! Invariant: the stages run one after the other and are timed apart, so each total is a sum of its parts. Both sides take the
//! same code for senders and roots, lean on one thread: what speeds up a thread speeds up both. Both start from a state
//! whose tries are built and clean.

use super::{
    case::Case,
    row::Trouble,
    runs::{Runner, differs},
    series::{Series, sum},
};
use crate::{
    clock::{Took, time},
    ending::one_line,
};
use alloy_primitives::B256;
use laminar_executor::{
    Knowledge, Receipt, Stats,
    check_header::{ReceiptSummary, summarize_receipts},
    env::PreparedBlock,
    sequential,
};
use laminar_state_db::{BlockChanges, MemoryState};
use rayon::{ThreadPool, ThreadPoolBuilder};

/// The stages, in the order in which they run.
pub(super) const STAGES: [&str; 4] = ["senders", "execution", "receipts root", "state root"];
/// The figures that are never mixed, and the stages that each one sums.
pub(super) const FIGURES: [(&str, &[usize]); 4] = [
    ("execution", &[1]),
    ("execution + receipts root", &[1, 2]),
    ("execution + receipts root + state root", &[1, 2, 3]),
    ("execution + receipts root + state root + senders", &[0, 1, 2, 3]),
];

/// What each stage took on both sides.
#[derive(Clone, Debug, Default)]
pub(super) struct MeasuredPath {
    lean: Vec<[Took; STAGES.len()]>,
    candidate: Vec<[Took; STAGES.len()]>,
    /// How the last execution went.
    pub(super) stats: Stats,
}

impl MeasuredPath {
    /// The lean and the candidate's series of the sum of some stages.
    pub(super) fn of(&self, stages: &[usize]) -> [Series; 2] {
        [&self.lean, &self.candidate].map(|passes| {
            let pass = |took: &[Took; STAGES.len()]| {
                let parts: Vec<_> = stages.iter().filter_map(|stage| took.get(*stage).copied()).collect();
                sum(&parts)
            };
            passes.iter().map(pass).collect()
        })
    }
}

/// Who does the work of a stage that both sides do by the same code.
#[derive(Clone, Copy, Debug)]
enum Threads<'a> {
    One(&'a ThreadPool),
    All,
}

impl Threads<'_> {
    /// Times the work there; getting there is not part of it.
    fn time<T: Send>(self, work: impl FnOnce() -> T + Send) -> (T, Took) {
        match self {
            Self::One(pool) => pool.install(|| time(work)),
            Self::All => time(work),
        }
    }
}

/// What a pass computed, beside the times.
#[derive(Debug, PartialEq, Eq)]
struct Roots {
    receipts: ReceiptSummary,
    state: B256,
}

/// Compares both sides on a block, then times their whole ways.
///
/// # Errors
/// They differ in their results or roots, or one of them fails.
pub(super) fn measure(runner: &Runner, case: &mut Case) -> Result<MeasuredPath, Trouble> {
    let one = ThreadPoolBuilder::new().num_threads(1).build();
    let one = one.map_err(|error| Trouble::Unreadable(one_line(&error)))?;
    let checked = runner.check(case, None)?;
    case.state.state_root();
    let mut measured = MeasuredPath::default();
    for pass in 0..=runner.passes() {
        let mut way = Way { runner, case, changes: &checked.changes, one: &one };
        // The first pass warms up and is not counted.
        let mut lean = None;
        if pass.is_multiple_of(2) {
            lean = Some(way.lean()?);
        }
        let (candidate_roots, candidate, stats) = way.candidate()?;
        let (lean_roots, lean) = lean.map_or_else(|| way.lean(), Ok)?;
        if lean_roots != candidate_roots {
            let what = format!("roots: expected {lean_roots:?}, found {candidate_roots:?}");
            return Err(Trouble::Differs(what));
        }
        if pass > 0 {
            measured.lean.push(lean);
            measured.candidate.push(candidate);
            measured.stats = stats;
        }
    }
    Ok(measured)
}

struct Way<'a> {
    runner: &'a Runner,
    case: &'a mut Case,
    /// What the block changes: lean sequential revm keeps a map and no changes, so its state root is given them.
    changes: &'a BlockChanges,
    one: &'a ThreadPool,
}

impl Way<'_> {
    fn lean(&mut self) -> Result<(Roots, [Took; STAGES.len()]), Trouble> {
        let threads = Threads::One(self.one);
        let (prepared, senders) = self.recover(threads)?;
        let (run, execution) = time(|| sequential::execute(&self.case.block, &prepared, &self.case.state));
        let (receipts, receipts_took) = summarize(threads, &run.map_err(|error| differs(&error))?.receipts);
        let (state, root_took) = root(threads, &mut self.case.state, self.changes);
        Ok((Roots { receipts, state }, [senders, execution, receipts_took, root_took]))
    }

    fn candidate(&mut self) -> Result<(Roots, [Took; STAGES.len()], Stats), Trouble> {
        let (prepared, senders) = self.recover(Threads::All)?;
        let Case { block, state, .. } = &*self.case;
        let (run, execution) = time(|| self.runner.executor().execute(block, &prepared, state, Knowledge::Nothing));
        let outcome = run.map_err(|error| differs(&error))?;
        let (receipts, receipts_took) = summarize(Threads::All, &outcome.receipts);
        let (state, root_took) = root(Threads::All, &mut self.case.state, &outcome.changes);
        Ok((Roots { receipts, state }, [senders, execution, receipts_took, root_took], outcome.stats))
    }

    fn recover(&self, threads: Threads<'_>) -> Result<(PreparedBlock, Took), Trouble> {
        let (prepared, took) = threads.time(|| self.case.recover());
        Ok((prepared.map_err(|error| differs(&error))?, took))
    }
}

fn summarize(threads: Threads<'_>, receipts: &[Receipt]) -> (ReceiptSummary, Took) {
    threads.time(|| summarize_receipts(receipts))
}

/// Applies the block and takes the root; then, outside the clock, undoes both.
fn root(threads: Threads<'_>, state: &mut MemoryState, changes: &BlockChanges) -> (B256, Took) {
    let ((wiped, root), took) = threads.time(|| {
        let wiped = state.apply(changes);
        (wiped, state.state_root())
    });
    state.revert(changes, wiped);
    state.state_root();
    (root, took)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_sum_their_stages() {
        let took = |wall_ms| Took { wall_ms, cpu_ms: 0.0 };
        let pass = [took(1.0), took(10.0), took(100.0), took(1000.0)];
        let measured = MeasuredPath { lean: vec![pass; 3], candidate: vec![pass], stats: Stats::default() };
        let sums = FIGURES.map(|(_, stages)| measured.of(stages)[0].median().wall_ms);
        assert_eq!(sums, [10.0, 110.0, 1110.0, 1111.0]);
        for (name, stages) in FIGURES {
            assert!(stages.iter().all(|stage| name.contains(STAGES[*stage])), "{name}");
            assert_eq!(name.split(" + ").count(), stages.len());
        }
    }
}
