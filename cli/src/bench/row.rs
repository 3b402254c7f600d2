//! One row: its blocks measured and added up, or the reason why there is nothing to show.
//!
//! Place in the flow: `run` calls [`measure`] for each row of the catalog.
//! Invariant: a row has an executor of its own and drops it, so that no idle worker of another row takes processor time.

use super::{
    case::{Case, GAS_MIN, Mainnet},
    catalog::{Generated, Spec, Work},
    figures::{Figures, Terms, worst},
    path,
    report::Progress,
    runs::{Measured, Runner},
    state::{self, StateFigures},
    store,
};
use crate::{
    ending::{Ended, one_line},
    engine::{Flags, Prediction},
};
use serde::Serialize;
use std::path::PathBuf;

/// A single reading can be the machine's worst moment and not the block's: so many of the lowest are measured again.
const WORST_AGAIN: usize = 5;
/// With so many times the passes.
const PASSES_AGAIN: u32 = 4;

/// What all rows share.
#[derive(Debug)]
pub(super) struct Setup {
    /// Threads, mode, and what generated rows know.
    pub(super) flags: Flags,
    pub(super) passes: u32,
    /// Folder of the archives.
    pub(super) data: PathBuf,
    /// Accounts of a store on disk.
    pub(super) accounts: usize,
}

/// Why a row has no figures.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Trouble {
    /// Its blocks are not at hand.
    #[error("skipped: {0}")]
    Skipped(String),
    /// Its blocks or threads cannot be had although they should.
    #[error("{0}")]
    Unreadable(String),
    /// The two sides do not agree, or one of them failed.
    #[error("{0}")]
    Differs(String),
}

impl Trouble {
    /// How a command ends with it.
    pub(super) const fn ends(&self) -> Ended {
        match self {
            Self::Skipped(_) => Ended::Success,
            Self::Unreadable(_) => Ended::BadInput,
            Self::Differs(_) => Ended::CheckFailed,
        }
    }

    /// Says in which of several blocks it is.
    fn in_block(self, number: u64) -> Self {
        match self {
            Self::Differs(what) => Self::Differs(format!("block {number}: {what}")),
            other => other,
        }
    }
}

impl Setup {
    fn runner(&self, predict: Prediction) -> Result<Runner, Trouble> {
        Runner::new(Flags { predict, ..self.flags }.config(), self.passes)
    }

    fn terms(&self, predict: Prediction) -> Terms {
        Terms { predict: name(predict), threads: self.flags.threads().get(), passes: self.passes }
    }
}

/// The prediction as the command line spells it.
fn name(predict: Prediction) -> &'static str {
    match predict {
        Prediction::None => "none",
        Prediction::Presimulate => "presimulate",
        Prediction::Ahead => "ahead",
        Prediction::Bal => "bal",
    }
}

/// What a row shows.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Shown {
    /// Of blocks.
    Blocks(Box<Figures>),
    /// Of hashing and tries alone, or of a store.
    State(StateFigures),
}

/// Measures a row.
///
/// # Errors
/// See [`Trouble`].
pub(super) fn measure(
    setup: &Setup,
    spec: &Spec,
    mainnet: &mut Mainnet,
    progress: &Progress,
) -> Result<Shown, Trouble> {
    progress.start(spec.name);
    match &spec.work {
        Work::State(work) => state::measure(setup, *work).map(Shown::State),
        Work::Store(work) => store::measure(setup, *work).map(Shown::State),
        work => measure_blocks(setup, work, mainnet, progress).map(Box::new).map(Shown::Blocks),
    }
}

fn measure_blocks(setup: &Setup, work: &Work, mainnet: &mut Mainnet, progress: &Progress) -> Result<Figures, Trouble> {
    match work {
        Work::State(_) | Work::Store(_) => unreachable!("measured without blocks"),
        Work::Mainnet(predict) => {
            let is_long = |case: &&Case| case.block.header.gas_used >= GAS_MIN;
            let cases: Vec<_> = mainnet.cases()?.iter().filter(is_long).collect();
            let measured = measure_all(&setup.runner(*predict)?, &cases, progress)?;
            Ok(Figures::of_blocks(setup.terms(*predict), &measured))
        }
        Work::Worst => measure_worst(setup, mainnet.cases()?, progress),
        Work::Generated(generated) => {
            let predict = setup.flags.predict;
            let measured = setup.runner(predict)?.measure(&make(generated)?)?;
            Ok(Figures::of_blocks(setup.terms(predict), &[measured]))
        }
        Work::Path(generated) => {
            // A mempool's work is not part of a block's way, and a list would have to be made first.
            let predict = match setup.flags.predict {
                Prediction::Presimulate => Prediction::Presimulate,
                Prediction::None | Prediction::Ahead | Prediction::Bal => Prediction::None,
            };
            let mut case = make(generated)?;
            let measured = path::measure(&setup.runner(predict)?, &mut case)?;
            let size = (case.prepared.len(), case.block.header.gas_used);
            Ok(Figures::of_path(setup.terms(predict), size, &measured))
        }
    }
}

/// The block of a workload.
///
/// # Errors
/// It cannot be executed.
pub(super) fn make(generated: &Generated) -> Result<Case, Trouble> {
    let workload = generated.recipe.build(&generated.params);
    let case = Case::from_workload(&workload).map_err(|error| error.context(format!("workload {}", workload.name)));
    case.map_err(|error| Trouble::Unreadable(one_line(error.as_ref())))
}

fn measure_all(runner: &Runner, cases: &[&Case], progress: &Progress) -> Result<Vec<Measured>, Trouble> {
    let measure = |(at, case): (usize, &&Case)| {
        progress.block(at, cases.len());
        runner.measure(case).map_err(|trouble| trouble.in_block(case.block.header.number))
    };
    cases.iter().enumerate().map(measure).collect()
}

/// The block that gains least, confirmed with more passes.
fn measure_worst(setup: &Setup, cases: &[Case], progress: &Progress) -> Result<Figures, Trouble> {
    let all: Vec<_> = cases.iter().filter(|case| !case.prepared.is_empty()).collect();
    let runner = setup.runner(Prediction::None)?;
    let measured = measure_all(&runner, &all, progress)?;
    let mut by_ratio: Vec<_> = measured.iter().zip(all).collect();
    by_ratio.sort_by(|(a, _), (b, _)| a.ratio().total_cmp(&b.ratio()));
    let suspects: Vec<_> = by_ratio.into_iter().take(WORST_AGAIN).map(|(_, case)| case).collect();
    let passes = setup.passes.saturating_mul(PASSES_AGAIN);
    let again = measure_all(&runner.with_passes(passes), &suspects, progress)?;
    let found = worst(&again);
    let block: Vec<_> =
        again.into_iter().filter(|block| found.is_some_and(|worst| worst.block == block.number)).collect();
    let mut figures = Figures::of_blocks(Terms { passes, ..setup.terms(Prediction::None) }, &block);
    figures.worst = found.map(|found| super::figures::Worst { of_blocks: measured.len(), ..found });
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::ValueEnum;

    #[test]
    fn predictions_are_called_as_on_the_command_line() {
        for predict in Prediction::value_variants() {
            let value = predict.to_possible_value().unwrap();
            assert_eq!(value.get_name(), name(*predict));
        }
    }
}
