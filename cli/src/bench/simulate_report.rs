//! What the simulator says of a row: one line for each number of cores, as a table or as JSON.
//!
//! Place in the flow: after `simulate`.
//! Invariant: speed-ups are against lean sequential revm on this machine; bounds are against all runs one after the other, since
//! they know the runs alone.

use super::{row::Trouble, series::rounded};
use laminar_executor::virtual_time::{Bounds, Recording, Virtual};
use serde::Serialize;
use std::{
    io::{self, Write},
    num::NonZeroUsize,
    time::Duration,
};

/// What a real run took, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Real(pub(super) f64);

/// One block on one number of cores.
#[derive(Clone, Copy, Debug)]
pub(super) struct Estimate {
    pub(super) run: Virtual,
    pub(super) bounds: Bounds,
    pub(super) real: Option<Real>,
}

/// A row.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub(super) struct Simulated {
    blocks: usize,
    txs: usize,
    gas_used: u64,
    /// Lean sequential revm.
    #[serde(serialize_with = "rounded")]
    lean_ms: f64,
    /// One worker of ours.
    #[serde(serialize_with = "rounded")]
    one_worker_ms: f64,
    /// All runs one after the other, nothing around them.
    #[serde(serialize_with = "rounded")]
    runs_ms: f64,
    simulated: Vec<OnCores>,
}

/// The blocks of a row on one number of cores.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct OnCores {
    cores: NonZeroUsize,
    #[serde(serialize_with = "rounded")]
    ms: f64,
    #[serde(serialize_with = "rounded")]
    critical_path_ms: f64,
    #[serde(serialize_with = "rounded")]
    list_schedule_ms: f64,
    #[serde(serialize_with = "rounded")]
    barrier_batches_ms: f64,
    incarnations: u64,
    aborted: u64,
    /// The same blocks on as many real cores; `null` where the machine has fewer.
    real_ms: Option<f64>,
    #[serde(flatten)]
    ratios: Ratios,
}

/// What the times of a row say, on one number of cores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
struct Ratios {
    /// Lean over simulated time; the next three lean over what each bound says of the same runs.
    #[serde(serialize_with = "rounded")]
    speed_up: f64,
    #[serde(serialize_with = "rounded")]
    critical_path: f64,
    #[serde(serialize_with = "rounded")]
    list_schedule: f64,
    #[serde(serialize_with = "rounded")]
    barrier_batches: f64,
    /// The speed-up as a share of the list schedule's.
    #[serde(serialize_with = "rounded")]
    of_bound: f64,
    /// Lean over real time.
    real_speed_up: Option<f64>,
    /// Simulated over real time.
    simulated_over_real: Option<f64>,
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

impl Simulated {
    /// A row without blocks.
    pub(super) fn new(cores: &[NonZeroUsize]) -> Self {
        let on = |cores: &NonZeroUsize| OnCores {
            cores: *cores,
            ms: 0.0,
            critical_path_ms: 0.0,
            list_schedule_ms: 0.0,
            barrier_batches_ms: 0.0,
            incarnations: 0,
            aborted: 0,
            real_ms: None,
            ratios: Ratios::default(),
        };
        Self { simulated: cores.iter().map(on).collect(), ..Self::default() }
    }

    /// Adds what a block took whatever the cores.
    pub(super) fn add_block(&mut self, txs: usize, gas_used: u64, lean_ms: f64, recording: &Recording) {
        self.blocks += 1;
        self.txs += txs;
        self.gas_used += gas_used;
        self.lean_ms += lean_ms;
        self.one_worker_ms += ms(recording.one_worker());
        self.runs_ms += ms(recording.all_runs());
    }

    /// Adds the block on the `at`-th number of cores.
    pub(super) fn add(&mut self, at: usize, estimate: &Estimate) {
        let Estimate { run, bounds, real } = estimate;
        let Some(on) = self.simulated.get_mut(at) else { return };
        on.ms += ms(run.time);
        on.critical_path_ms += ms(bounds.critical_path);
        on.list_schedule_ms += ms(bounds.list_schedule);
        on.barrier_batches_ms += ms(bounds.barrier_batches);
        on.incarnations += run.incarnations;
        on.aborted += run.aborted;
        if let Some(Real(ms)) = real {
            *on.real_ms.get_or_insert_default() += ms;
        }
    }

    fn finished(&self) -> Self {
        let mut row = self.clone();
        let lean = row.lean_ms;
        for on in &mut row.simulated {
            on.ratios = Ratios {
                speed_up: lean / on.ms,
                critical_path: lean / on.critical_path_ms,
                list_schedule: lean / on.list_schedule_ms,
                barrier_batches: lean / on.barrier_batches_ms,
                of_bound: on.list_schedule_ms / on.ms,
                real_speed_up: on.real_ms.map(|real| lean / real),
                simulated_over_real: on.real_ms.map(|real| on.ms / real),
            };
        }
        row
    }
}

#[derive(Serialize)]
struct Line<'a> {
    name: &'a str,
    scope: &'static str,
    #[serde(flatten)]
    row: &'a Simulated,
}

#[derive(Serialize)]
struct Without<'a> {
    name: &'a str,
    scope: &'static str,
    reason: String,
}

/// Prints a row as one JSON object.
///
/// # Errors
/// Stdout cannot be written.
pub(super) fn json(name: &str, row: &Result<Simulated, Trouble>, mut out: impl Write) -> io::Result<()> {
    let scope = "simulation";
    let line = match row {
        Ok(row) => serde_json::to_string(&Line { name, scope, row: &row.finished() })?,
        Err(trouble) => serde_json::to_string(&Without { name, scope, reason: trouble.to_string() })?,
    };
    writeln!(out, "{line}")
}

/// Prints a row as a table.
///
/// # Errors
/// Stdout cannot be written.
pub(super) fn table(name: &str, row: &Result<Simulated, Trouble>, mut out: impl Write) -> io::Result<()> {
    let row = match row {
        Ok(row) => row.finished(),
        Err(trouble) => return writeln!(out, "{name}: {trouble}"),
    };
    writeln!(
        out,
        "{name}: {} blocks, {} txs, {:.0} Mgas; lean {:.3} ms, one worker {:.3} ms",
        row.blocks,
        row.txs,
        row.gas_used as f64 / 1e6,
        row.lean_ms,
        row.one_worker_ms
    )?;
    writeln!(out, "{HEAD}")?;
    for on in &row.simulated {
        writeln!(out, "{}", line(on))?;
    }
    Ok(())
}

const HEAD: &str = " cores        ms  speed-up  critical path  list schedule  barrier batches  of bound  aborted    real ms  \
                    real speed-up  simulated/real";

fn line(on: &OnCores) -> String {
    let Ratios { speed_up, critical_path, list_schedule, barrier_batches, of_bound, .. } = on.ratios;
    let ratio = |ratio: f64| format!("x{ratio:.2}");
    let real = |ms: Option<f64>, digits| ms.map(|ms| format!("{ms:.digits$}")).unwrap_or_default();
    let line = format!(
        "{:>6} {:>9.3} {:>9} {:>14} {:>14} {:>16} {:>7.0} % {:>8} {:>10} {:>14} {:>15}",
        on.cores,
        on.ms,
        ratio(speed_up),
        ratio(critical_path),
        ratio(list_schedule),
        ratio(barrier_batches),
        of_bound * 100.0,
        on.aborted,
        real(on.real_ms, 3),
        on.ratios.real_speed_up.map(ratio).unwrap_or_default(),
        real(on.ratios.simulated_over_real, 3),
    );
    line.trim_end().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(real: Option<Real>) -> Simulated {
        let cores = NonZeroUsize::new(2).unwrap();
        let mut row = Simulated { lean_ms: 10.0, runs_ms: 9.0, ..Simulated::new(&[cores]) };
        let of = Duration::from_millis;
        let bounds = Bounds { critical_path: of(3), list_schedule: of(5), barrier_batches: of(6) };
        row.add(0, &Estimate { run: Virtual { time: of(8), incarnations: 4, aborted: 1 }, bounds, real });
        row
    }

    #[test]
    fn columns_stand_under_their_titles() {
        let mut text = Vec::new();
        table("amm", &Ok(row(Some(Real(8.0)))), &mut text).unwrap();
        let text = String::from_utf8(text).unwrap();
        let lines: Vec<_> = text.lines().collect();
        assert_eq!(lines[1].len(), lines[2].len(), "{text}");
        assert!(lines[2].contains("x1.25") && lines[2].ends_with("1.000"), "{text}");
    }

    #[test]
    fn json_has_null_where_the_machine_has_too_few_cores() {
        let mut text = Vec::new();
        json("amm", &Ok(row(None)), &mut text).unwrap();
        let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let on = &value["simulated"][0];
        assert_eq!(
            (on["cores"].as_u64(), on["speed_up"].as_f64(), on["of_bound"].as_f64()),
            (Some(2), Some(1.25), Some(0.625))
        );
        assert!(on["real_ms"].is_null() && on["simulated_over_real"].is_null());
    }

    #[test]
    fn row_without_figures_says_why() {
        let mut text = Vec::new();
        table("path/erc20", &Err(Trouble::Skipped("no".to_owned())), &mut text).unwrap();
        assert_eq!(text, b"path/erc20: skipped: no\n");
    }
}
