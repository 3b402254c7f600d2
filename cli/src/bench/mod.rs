//! `laminar bench`: real and generated blocks, executed by lean sequential revm and by the executor in turn, and timed.
//!
//! Place in the flow: `catalog` names the rows, `case` makes their blocks, `runs` and `path` measure them, `figures` adds up,
//! `report` and `table` print. `state` measures what needs no block, `store` what ends on disk.
//! Invariant: a row with a figure is a row on whose every block both results were compared and equal; every other row says
//! why it has none. It does not explain single blocks: `replay` does.

mod case;
mod catalog;
mod figures;
mod path;
mod report;
mod row;
mod runs;
mod sealed;
mod series;
mod simulate;
mod simulate_report;
mod state;
mod store;
mod table;

use crate::{
    ending::{Ended, Verbosity},
    engine::{ExecutorMode, Flags, Prediction},
};
use report::Report;
use row::Setup;
use std::{
    env,
    num::{NonZeroU32, NonZeroUsize},
    path::PathBuf,
};

/// Where the archives are, if nobody says: beside the repository.
const DATA: &str = "../shared/data";

/// Accounts of a store, if nobody says.
const ACCOUNTS: usize = 1_000_000;

/// Measure workloads and mainnet blocks against lean sequential revm.
///
/// Both sides run in turn in this process, on the same state with analysed code, after a run that compares their results.
/// Ratios are lean over candidate time, so above 1 is faster; processor time is candidate over lean, so above 1 is dearer.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Rows by name, or by the beginning of their names [default: all].
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Number of worker threads [default: all cores].
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Measure each block in so many passes; medians and the best pass are reported.
    #[arg(long, value_name = "K", default_value = "3")]
    repeat: NonZeroU32,
    /// Folder with the archives of real blocks [default: $LAMINAR_DATA, else ../shared/data].
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// What generated rows know before their first transaction runs; mainnet rows say it in their names.
    #[arg(long, value_enum, default_value_t = Prediction::None)]
    predict: Prediction,
    /// Accounts of the stores on disk that rows of the groups import and reads make, in the folder for temporary files.
    #[arg(long, value_name = "N", default_value_t = ACCOUNTS, value_parser = parse_accounts)]
    accounts: usize,
    /// Simulate so many cores instead, from times recorded on one, with the bounds beside them; blocks are also run on those that
    /// the machine has.
    #[arg(long, value_name = "CORES,...", value_delimiter = ',', value_parser = parse_cores, conflicts_with_all = ["threads", "predict", "list"])]
    simulate: Vec<NonZeroUsize>,
    /// Print one JSON object per row and a summary.
    #[arg(long)]
    json: bool,
    /// Name the rows and measure nothing.
    #[arg(long)]
    list: bool,
}

impl Args {
    fn setup(&self) -> Setup {
        let threads = self.threads.and_then(|threads| NonZeroUsize::new(threads.into()));
        let flags = Flags { threads, executor: ExecutorMode::Auto, predict: self.predict };
        let data = || env::var_os("LAMINAR_DATA").map_or_else(|| DATA.into(), PathBuf::from);
        let (passes, data) = (self.repeat.get(), self.data.clone().unwrap_or_else(data));
        Setup { flags, passes, data, accounts: self.accounts }
    }
}

/// Runs the subcommand.
///
/// # Errors
/// A name is unknown, threads cannot be started, or the output failed. What is wrong with a row is reported, not returned.
pub(crate) fn run(args: &Args, verbosity: Verbosity) -> anyhow::Result<Ended> {
    let rows = catalog::select(&args.names)?;
    let setup = args.setup();
    let mut report = Report::new(args.json, verbosity);
    if args.list {
        report.list(&rows, &setup)?;
        return Ok(Ended::Success);
    }
    setup.flags.start_threads()?;
    if !args.simulate.is_empty() {
        return simulate_rows(args, &rows, &setup, &report);
    }
    let mut inputs = case::Mainnet::new(&setup.data);
    for spec in rows {
        let measured = row::measure(&setup, spec, &mut inputs, report.progress());
        report.row(spec, measured)?;
    }
    Ok(report.finish(&setup)?)
}

/// Simulates rows; without names, those that can be.
fn simulate_rows(
    args: &Args,
    rows: &[&'static catalog::Spec],
    setup: &Setup,
    report: &Report,
) -> anyhow::Result<Ended> {
    let simulator = simulate::Simulator::new(&args.simulate, setup)?;
    let mut inputs = case::Mainnet::new(&setup.data);
    let mut ended = Ended::Success;
    for spec in rows.iter().filter(|spec| !args.names.is_empty() || simulate::is_simulated(spec)) {
        let row = simulator.measure(spec, &mut inputs, report.progress());
        report.progress().hide();
        ended = ended.max(row.as_ref().err().map_or(Ended::Success, row::Trouble::ends));
        let out = std::io::stdout().lock();
        if args.json {
            simulate_report::json(spec.name, &row, out)
        } else {
            simulate_report::table(spec.name, &row, out)
        }?;
    }
    Ok(ended)
}

/// Accounts that a store's rows can have.
fn parse_accounts(text: &str) -> Result<usize, String> {
    const ACCOUNTS_MAX: usize = 100_000_000;
    match text.parse() {
        Ok(accounts @ 1..=ACCOUNTS_MAX) => Ok(accounts),
        _ => Err(format!("expected a number from 1 to {ACCOUNTS_MAX}")),
    }
}

/// Cores that can be simulated: each is a thread.
fn parse_cores(text: &str) -> Result<NonZeroUsize, String> {
    const CORES_MAX: usize = 256;
    let cores: NonZeroUsize = text.parse().map_err(|_| format!("expected numbers from 1 to {CORES_MAX}"))?;
    if cores.get() > CORES_MAX {
        return Err(format!("expected at most {CORES_MAX}"));
    }
    Ok(cores)
}
