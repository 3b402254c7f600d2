//! The `laminar` command: replays, checks and records Ethereum blocks with the parallel executor.
//!
//! Place in the flow: the top. Reads arguments, calls the libraries, reports.
//! Invariant: results go to stdout and everything else to stderr; whatever the input, the end is an exit code and one line
//! that says why, never a panic. Exit codes: 0 success, 1 a check failed, 2 bad usage or input.

mod bench;
mod chain;
mod clock;
mod db;
mod ending;
mod engine;
mod import;
mod node;
mod record;
mod replay;
mod report;
mod test;

use clap::{ArgAction, Parser, Subcommand};
use ending::{Ended, is_closed_pipe, one_line};
use std::{
    io::{self, IsTerminal},
    process::ExitCode,
};
use tracing::level_filters::LevelFilter;

/// Both the sequential baseline and the parallel executor allocate through it.
///
/// PERF: against the system's allocator no difference to the baseline and 1.4 % less processor time for the executor
/// (`laminar replay mainnet-prestate.tar.zst --threads 2 --repeat 7`, three rounds on a busy machine).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Parallel execution of Ethereum blocks, bit-exact with sequential execution.
#[derive(Debug, Parser)]
#[command(name = "laminar", version, max_term_width = 110)]
struct Cli {
    /// Say more; twice for details, three times for everything.
    #[arg(short, long, global = true, action = ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Say errors only, and show no progress.
    #[arg(short, long, global = true)]
    quiet: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Replay real or sample blocks, check them against their headers, and compare parallel with sequential execution.
    Replay(replay::Args),
    /// Run the official execution tests: state, blockchain, engine, trie, RLP and transaction tests.
    Test(test::Args),
    /// Measure workloads and mainnet blocks against lean sequential revm.
    Bench(bench::Args),
    /// Run a local development chain behind JSON-RPC.
    Node(Box<node::Args>),
    /// Make blocks with witnesses from an Ethereum node, for `replay`.
    Record(record::Args),
    /// Import blocks into a store on disk, with every check.
    Import(import::Args),
    /// Look into a store on disk: sizes, integrity, history, witnesses.
    Db(db::Args),
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    let verbosity = ending::Verbosity::new(cli.verbose, cli.quiet);
    start_log(verbosity);
    std::panic::set_hook(Box::new(|panic| eprintln!("error: bug: {}", ending::flat(&panic.to_string()))));
    let ended = match cli.command {
        Command::Replay(args) => replay::run(&args, verbosity),
        Command::Test(args) => test::run(&args, verbosity),
        Command::Bench(args) => bench::run(&args, verbosity),
        Command::Node(args) => node::run(&args, verbosity),
        Command::Record(args) => record::run(&args),
        Command::Import(args) => import::run(&args, verbosity),
        Command::Db(args) => db::run(&args),
    };
    match ended {
        Ok(ended) => ended.into(),
        // Whoever reads our output has seen enough.
        Err(error) if is_closed_pipe(&error) => Ended::Success.into(),
        Err(error) => {
            eprintln!("error: {}", one_line(error.as_ref()));
            Ended::BadInput.into()
        }
    }
}

fn start_log(verbosity: ending::Verbosity) {
    let level = match verbosity {
        ending::Verbosity::Quiet => LevelFilter::ERROR,
        ending::Verbosity::Normal => LevelFilter::WARN,
        ending::Verbosity::Verbose(1) => LevelFilter::INFO,
        ending::Verbosity::Verbose(2) => LevelFilter::DEBUG,
        ending::Verbosity::Verbose(_) => LevelFilter::TRACE,
    };
    let log =
        tracing_subscriber::fmt().with_max_level(level).with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    log.without_time().with_target(false).init();
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn arguments_are_well_formed() {
        Cli::command().debug_assert();
    }
}
