//! Rows on more cores than there are: recorded on one, run by the real scheduler in virtual time, checked on those that are there.
//!
//! Place in the flow: `run` comes here for `--simulate`; `case` makes the blocks, `simulate_report` prints.
//! Invariant: nothing is predicted before the blocks, as in the row `mainnet/none`. Times of a row are sums over its blocks; each
//! block's are medians over the passes, and lean and real runs take turns.

use super::{
    case::{Case, GAS_MIN, Mainnet},
    catalog::{Spec, Work},
    report::Progress,
    row::{Setup, Trouble, make},
    series::Series,
    simulate_report::{Estimate, Real, Simulated},
};
use crate::{clock::time, ending::one_line, engine};
use laminar_executor::{
    BlockExecutor, Config, Knowledge, Mode, Pinning, Predict, schedule::Pool, sequential, virtual_time::Recording,
};
use std::{
    num::NonZeroUsize,
    sync::Mutex,
    time::{Duration, Instant},
};

/// How often the start of a worker is timed.
const WAKES: usize = 51;

/// What all rows share.
#[derive(Debug)]
pub(super) struct Simulator {
    cores: Vec<NonZeroUsize>,
    /// One worker, always in parallel: for the calibration.
    one: BlockExecutor,
    /// One executor for each number of cores that the machine has.
    real: Vec<BlockExecutor>,
    wake: Duration,
    passes: NonZeroUsize,
}

impl Simulator {
    /// A simulator of `cores`.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub(super) fn new(cores: &[NonZeroUsize], setup: &Setup) -> anyhow::Result<Self> {
        let there = engine::cores();
        let config = |threads, mode| Config {
            threads,
            mode,
            predict: Predict::None,
            pinning: Pinning::OneCoreEach,
            ..Config::default()
        };
        let real = cores.iter().filter(|cores| **cores <= there);
        Ok(Self {
            cores: cores.to_vec(),
            one: engine::executor(config(NonZeroUsize::MIN, Mode::Parallel))?,
            real: real.map(|cores| engine::executor(config(*cores, Mode::Auto))).collect::<Result<_, _>>()?,
            wake: wake_time()?,
            passes: NonZeroUsize::new(setup.passes as usize).unwrap_or(NonZeroUsize::MIN),
        })
    }

    /// Simulates a row.
    ///
    /// # Errors
    /// See [`Trouble`].
    pub(super) fn measure(
        &self,
        spec: &Spec,
        mainnet: &mut Mainnet,
        progress: &Progress,
    ) -> Result<Simulated, Trouble> {
        progress.start(spec.name);
        let made;
        let cases: Vec<&Case> = match &spec.work {
            Work::Mainnet(engine::Prediction::None) => {
                mainnet.cases()?.iter().filter(|case| case.block.header.gas_used >= GAS_MIN).collect()
            }
            Work::Generated(generated) => {
                made = make(generated)?;
                vec![&made]
            }
            Work::Mainnet(_) | Work::Worst | Work::Path(_) | Work::State(_) | Work::Store(_) => {
                return Err(Trouble::Skipped(NOT_SIMULATED.to_owned()));
            }
        };
        let mut simulated = Simulated::new(&self.cores);
        for (at, case) in cases.iter().enumerate() {
            progress.block(at, cases.len());
            self.add_block(&mut simulated, case)?;
        }
        Ok(simulated)
    }

    fn add_block(&self, row: &mut Simulated, case: &Case) -> Result<(), Trouble> {
        let Case { block, prepared, state, .. } = case;
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Trouble::Differs(format!("block {}: {}", block.header.number, one_line(error)))
        };
        let recording = Recording::of(block, prepared, state, self.passes).map_err(|error| failed(&error))?;
        let (mut lean, mut one) = (Series::default(), Series::default());
        let mut real: Vec<_> = self.real.iter().map(|_| Series::default()).collect();
        for _ in 0..self.passes.get() {
            let (done, took) = time(|| sequential::execute(block, prepared, state));
            done.map_err(|error| failed(&error))?;
            lean.push(took);
            for (executor, series) in std::iter::once((&self.one, &mut one)).chain(self.real.iter().zip(&mut real)) {
                let (done, took) = time(|| executor.execute(block, prepared, state, Knowledge::Nothing));
                done.map_err(|error| failed(&error))?;
                series.push(took);
            }
        }
        let recording = recording.calibrated(Duration::from_secs_f64(one.median().wall_ms / 1e3));
        row.add_block(case.prepared.len(), block.header.gas_used, lean.median().wall_ms, &recording);
        for (at, cores) in self.cores.iter().enumerate() {
            let real_ms = real.get(at).map(|series| series.median().wall_ms);
            let run = recording.run(*cores, self.wake);
            row.add(at, &Estimate { run, bounds: recording.bounds(*cores), real: real_ms.map(Real) });
        }
        Ok(())
    }
}

/// Why a row cannot be simulated.
const NOT_SIMULATED: &str = "only execution without predictions is simulated";

/// Whether `--simulate` knows what to do with a row.
pub(super) const fn is_simulated(spec: &Spec) -> bool {
    matches!(spec.work, Work::Mainnet(engine::Prediction::None) | Work::Generated(_))
}

/// What it takes until a second worker begins; zero on a machine that has one core.
fn wake_time() -> anyhow::Result<Duration> {
    let two = engine::cores().get().min(2);
    let pool = Pool::new(NonZeroUsize::new(two).unwrap_or(NonZeroUsize::MIN), Pinning::OneCoreEach)?;
    let mut times: Vec<_> = (0..WAKES)
        .map(|_| {
            let began = Mutex::new(Duration::ZERO);
            let start = Instant::now();
            pool.run(two, |worker| {
                if worker == 1
                    && let Ok(mut began) = began.lock()
                {
                    *began = start.elapsed();
                }
            });
            began.into_inner().unwrap_or_default()
        })
        .collect();
    times.sort_unstable();
    Ok(times[WAKES / 2])
}
