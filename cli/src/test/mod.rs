//! `laminar test`: runs the official execution tests.
//!
//! Place in the flow: fixtures stream in, [`jobs`] hands them to threads, one module a kind runs a case, [`report`] counts.
//! Invariant: each case ends as passed, failed or skipped, with a reason for the last two; a malformed case fails, whatever it
//! does to us. A run in parallel mode in which a block with transactions took another path has failed.

mod accounts;
mod blockchain;
mod difference;
mod jobs;
mod network;
mod payloads;
mod report;
mod rlp;
mod runner;
mod state;
#[cfg(test)]
mod tampering;
mod transaction;
mod trie;
mod work;

use crate::{
    ending::{Ended, Verbosity, one_line},
    engine::{self, Prediction},
};
use anyhow::Context;
use clap::ValueEnum;
use laminar_executor::{Config, Mode, Pinning, Predict};
use laminar_fixtures::Fixture;
use regex::Regex;
use report::Report;
use std::{num::NonZeroUsize, path::PathBuf};

/// Run the official execution tests: state, blockchain, engine, trie, RLP and transaction tests.
///
/// Every case is recognised by its content. Blocks are imported into a real chain, so a wrong root, receipt, access list or
/// refusal fails the case, and the first difference is printed.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Tests: a file, a folder or an archive (.tar.zst, .json.gz).
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Run only tests of this kind.
    #[arg(long, value_enum, default_value_t)]
    kind: Kind,
    /// Which path every block takes, however small.
    #[arg(long, value_enum, default_value_t)]
    executor: Executor,
    /// What is known of a block before its first transaction runs.
    #[arg(long, value_enum, default_value_t)]
    predict: Prediction,
    /// Worker threads of each job.
    #[arg(long, value_name = "N", default_value = "2")]
    threads: NonZeroUsize,
    /// Files that run at the same time [default: all cores].
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Run only cases whose `file: case` matches.
    #[arg(long, value_name = "REGEX")]
    filter: Option<Regex>,
    /// Print one JSON object per failing case and a summary.
    #[arg(long)]
    json: bool,
}

/// A kind of official test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// Every kind.
    #[default]
    Auto,
    /// One transaction on a state.
    State,
    /// Blocks to import.
    Blockchain,
    /// Calls of the Engine API.
    Engine,
    /// Tries and their roots.
    Trie,
    /// RLP items.
    Rlp,
    /// Transactions to decode.
    Transaction,
}

/// Which path every block takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Executor {
    /// Over the worker pool.
    #[default]
    Parallel,
    /// One transaction after the other.
    Sequential,
}

impl Kind {
    /// The kind of a fixture, or what else it is.
    fn of(fixture: &Fixture) -> Result<Self, &'static str> {
        match fixture {
            Fixture::StateTests(_) => Ok(Self::State),
            Fixture::BlockchainTests(_) => Ok(Self::Blockchain),
            Fixture::EngineTests(_) => Ok(Self::Engine),
            Fixture::TrieTests(_) => Ok(Self::Trie),
            Fixture::RlpTests(_) => Ok(Self::Rlp),
            Fixture::TransactionTests(_) => Ok(Self::Transaction),
            Fixture::Witness(_) | Fixture::Prestate(_) => Err("a block for `laminar replay`"),
            Fixture::Genesis(_) => Err("a genesis"),
            Fixture::ChainRlp(_) | Fixture::Era1(_) => Err("a chain"),
            _ => Err("no official test"),
        }
    }
}

impl Args {
    /// The configuration of every job's executor.
    fn config(&self) -> Config {
        let predict = match self.predict {
            Prediction::None => Predict::None,
            Prediction::Presimulate => Predict::Presimulate,
            Prediction::Ahead => Predict::Ahead,
            Prediction::Bal => Predict::BlockAccessList,
        };
        Config {
            threads: self.threads,
            mode: match self.executor {
                Executor::Parallel => Mode::Parallel,
                Executor::Sequential => Mode::Sequential,
            },
            predict,
            // A list that was not delivered comes from a first run.
            block_access_list: predict == Predict::BlockAccessList,
            timeline: false,
            // Jobs run side by side: the system knows best where.
            pinning: Pinning::Free,
        }
    }

    fn jobs(&self) -> NonZeroUsize {
        self.jobs.unwrap_or_else(engine::cores)
    }
}

/// Runs the subcommand.
///
/// # Errors
/// A path cannot be opened, threads do not start, or stdout cannot be written.
pub(crate) fn run(args: &Args, verbosity: Verbosity) -> anyhow::Result<Ended> {
    let mut report = Report::new(args.json, verbosity);
    for path in &args.paths {
        let entries = match laminar_fixtures::entries(path) {
            Ok(entries) => entries,
            Err(error) => {
                report.unreadable(&one_line(&error));
                continue;
            }
        };
        let plan =
            jobs::Plan { config: args.config(), kind: args.kind, filter: args.filter.as_ref(), jobs: args.jobs() };
        let origin = path.display().to_string();
        let before = report.cases();
        jobs::run(&plan, &origin, entries, &mut report).context("running the tests")?;
        if report.cases() == before && args.filter.is_none() && args.kind == Kind::Auto {
            report.unreadable(&format!("{origin}: expected tests, found none"));
        }
    }
    report.finish(args.executor == Executor::Parallel)
}
