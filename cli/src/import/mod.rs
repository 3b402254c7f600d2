//! `laminar import`: blocks from files into a store on disk, every check passed.
//!
//! Place in the flow: from chain files through the executor's pipeline to `state-db`; `db` looks into what it leaves.
//! Invariant: what stops an import keeps every block before it, durable, and the same command goes on there.

mod progress;
mod source;

use crate::{
    chain,
    clock::Stopwatch,
    ending::{Ended, Verbosity, one_line},
    engine::{self, ExecutorMode, Flags, Prediction},
    storage::CacheFlag,
};
use clap::builder::NonEmptyStringValueParser;
use laminar_executor::{
    Config, ExecuteError, Pinning,
    pipeline::{ImportError, Importer, Progress as Done},
};
use laminar_fixtures::FixtureError;
use laminar_state_db::BlockRef;
use progress::Progress;
use serde_json::json;
use source::Sources;
use std::{
    io::{self, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
};

/// Import blocks into a store, with every check. Blocks that it holds already are passed over.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Chain files in RLP (as geth exports them) or era1, oldest blocks first.
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Folder of the store; created from the genesis if it holds none.
    #[arg(long, value_name = "DIR", value_parser = NonEmptyStringValueParser::new())]
    datadir: String,
    /// Geth-style genesis file; or, for a store that is there, the name of a public network.
    #[arg(long, value_name = "FILE|NAME")]
    chain: String,
    #[command(flatten)]
    cache: CacheFlag,
    /// Number of worker threads [default: all cores].
    #[arg(long, value_name = "N", value_parser = engine::parse_threads)]
    threads: Option<NonZeroUsize>,
    /// Which path blocks take.
    #[arg(long, value_enum, default_value_t)]
    executor: ExecutorMode,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// Imports the files. Exit code 1 if a block breaks a rule.
///
/// # Errors
/// Files or store cannot be used, or blocks do not stand on the store's; the blocks before stay.
pub(crate) fn run(args: &Args, verbosity: Verbosity) -> anyhow::Result<Ended> {
    let sources = Sources::new(args.files.clone())?;
    let flags = Flags { threads: args.threads, executor: args.executor, predict: Prediction::None };
    // The root of a large genesis uses them.
    flags.start_loops()?;
    let mut origin = chain::origin(&args.chain)?;
    let executor = engine::executor(Config { pinning: Pinning::Free, ..flags.config() })?;
    let options = args.cache.options();
    let store = origin.store(Path::new(&args.datadir), options)?;
    let mut progress = Progress::new(verbosity, sources.bytes(), sources.read());
    let mut done = Done { tip: store.tip(), ..Done::default() };
    let begun = Stopwatch::start();
    let importer = Importer { spec: origin.spec(), executor: &executor, store: &store };
    let imported = importer.import(sources.blocks(), |now| {
        done = *now;
        progress.show(now);
    });
    progress.finish();
    let seconds = begun.elapsed_s();
    let stopped = match imported {
        Ok(all) => {
            done = all;
            None
        }
        Err(error) => Some(error),
    };
    let text = match args.json {
        true => summary_json(&done, stopped.as_ref(), seconds),
        false => summary(&done, seconds),
    };
    writeln!(io::stdout().lock(), "{text}")?;
    match stopped {
        None => Ok(Ended::Success),
        Some(error) if refused(&error).is_some() => {
            eprintln!("error: {}", one_line(&error));
            Ok(Ended::CheckFailed)
        }
        Some(error) => Err(error.into()),
    }
}

/// The block that breaks a rule.
fn refused(error: &ImportError<FixtureError>) -> Option<BlockRef> {
    match error {
        ImportError::Execute { block, source } if matches!(**source, ExecuteError::InvalidBlock { .. }) => Some(*block),
        _ => None,
    }
}

fn summary(done: &Done, seconds: f64) -> String {
    let Done { blocks, transactions, gas_used, tip, .. } = done;
    let (blocks_s, mgas_s) = rates(done, seconds);
    format!(
        "imported {blocks} blocks with {transactions} transactions and {:.1} Mgas in {seconds:.1} s \
         ({blocks_s:.0} blocks/s, {mgas_s:.1} Mgas/s)\n\
         newest block {} {}",
        *gas_used as f64 / 1e6,
        tip.number,
        tip.hash
    )
}

fn summary_json(done: &Done, stopped: Option<&ImportError<FixtureError>>, seconds: f64) -> String {
    let (blocks_s, mgas_s) = rates(done, seconds);
    let refused = stopped.and_then(refused).map(|block| json!({ "number": block.number, "hash": block.hash }));
    json!({ "summary": {
        "blocks": done.blocks,
        // How many were passed over is told at the end only.
        "known": stopped.is_none().then_some(done.known),
        "txs": done.transactions,
        "gas_used": done.gas_used,
        "tip": { "number": done.tip.number, "hash": done.tip.hash },
        "seconds": seconds,
        "blocks_per_s": blocks_s,
        "mgas_per_s": mgas_s,
        "refused": refused,
        "error": stopped.map(|error| one_line(error)),
    }})
    .to_string()
}

/// Blocks and million gas a second.
fn rates(done: &Done, seconds: f64) -> (f64, f64) {
    (done.blocks as f64 / seconds, done.gas_used as f64 / 1e6 / seconds)
}
