//! `laminar replay`: executes blocks in parallel, checks them against their headers and against sequential execution.
//!
//! Place in the flow: fixtures give blocks, `input` makes their parent state, `run` executes and checks one, `report` shows it.
//! Invariant: one bad block or file never hides the others; the exit code tells the worst of all.

mod compare;
mod input;
mod known;
mod run;
mod verify;

use crate::{
    chain,
    ending::{Ended, Verbosity, one_line},
    engine,
    report::{Options, Report},
};
use anyhow::Context;
use input::Unfit;
use laminar_executor::{BlockExecutor, Config, Mode, Predict, chain_spec::ChainSpec};
use laminar_fixtures::Loaded;
use std::{
    io,
    num::{NonZeroU32, NonZeroUsize},
    path::{Path, PathBuf},
};

pub(crate) use compare::compare;
pub(crate) use input::{Input, plain_state};
pub(crate) use run::replay;

/// Replay real or sample blocks.
///
/// Each block is executed by lean sequential revm and by the parallel executor on the same state. Both results are compared
/// on receipts and every account and slot, and with every field of the header that the data can prove.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Blocks: a file, a folder or an archive (.tar.zst, .json.gz) of witness or prestate blocks.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    #[command(flatten)]
    engine: engine::Flags,
    /// Execute each block so many times, both ways in turn, and report medians.
    #[arg(long, value_name = "K", default_value = "1")]
    repeat: NonZeroU32,
    /// The chain of all blocks: mainnet, sepolia, holesky, hoodi, dev or a genesis file [default: by chain id].
    #[arg(long, value_name = "NAME|FILE")]
    chain: Option<String>,
    /// Write what each worker did when, for Perfetto or chrome://tracing.
    #[arg(long, value_name = "FILE")]
    trace: Option<PathBuf>,
    /// Print one JSON object per block and a summary.
    #[arg(long)]
    json: bool,
}

/// What all blocks of a replay share.
#[derive(Debug)]
pub(crate) struct Setup {
    /// Executes the candidate runs.
    executor: BlockExecutor,
    /// Makes block access lists, where they are the prediction.
    lister: Option<BlockExecutor>,
    repeat: NonZeroU32,
    chain: Option<ChainSpec>,
}

impl Setup {
    /// One parallel run of each block, on the chain that its id names.
    pub(crate) fn once(threads: NonZeroUsize) -> anyhow::Result<Self> {
        let executor = engine::executor(Config { threads, mode: Mode::Parallel, ..Config::default() })?;
        Ok(Self { executor, lister: None, repeat: NonZeroU32::MIN, chain: None })
    }

    /// The same, of blocks of this chain.
    pub(crate) fn on_chain(self, chain: ChainSpec) -> Self {
        Self { chain: Some(chain), ..self }
    }

    fn new(args: &Args) -> anyhow::Result<Self> {
        let chain = args.chain.as_deref().map(chain::by_name).transpose()?;
        let config = Config { timeline: args.trace.is_some(), ..args.engine.config() };
        let lister = (config.predict == Predict::BlockAccessList).then(|| Config {
            threads: NonZeroUsize::MIN,
            mode: Mode::Sequential,
            block_access_list: true,
            ..config.clone()
        });
        Ok(Self {
            executor: engine::executor(config)?,
            lister: lister.map(engine::executor).transpose()?,
            repeat: args.repeat,
            chain,
        })
    }

    /// The schedule of a block's chain.
    fn chain(&self, chain_id: u64) -> anyhow::Result<ChainSpec> {
        self.chain.clone().map_or_else(|| chain::by_id(chain_id), Ok)
    }
}

/// Runs the subcommand.
///
/// # Errors
/// The set-up or the output failed. What is wrong with a path or a block is reported, not returned.
pub(crate) fn run(args: &Args, verbosity: Verbosity) -> anyhow::Result<Ended> {
    args.engine.start_threads()?;
    let setup = Setup::new(args)?;
    let mut report = Report::new(&Options { json: args.json, trace: args.trace.clone(), verbosity })?;
    for path in &args.paths {
        replay_path(&setup, path, &mut report).context("writing the report")?;
    }
    report.finish()
}

/// Replays all blocks at a path.
fn replay_path(setup: &Setup, path: &Path, report: &mut Report) -> io::Result<()> {
    let loader = match laminar_fixtures::open(path) {
        Ok(loader) => loader,
        Err(error) => {
            report.unreadable(&one_line(&error));
            return Ok(());
        }
    };
    let (mut blocks, mut skipped) = (0_usize, Vec::new());
    for loaded in loader {
        let named = loaded.map(|loaded| Loaded { name: label(path, &loaded.name), ..loaded });
        match named.map_err(Unfit::from).and_then(Input::new) {
            Ok(input) => report.block(replay(setup, &input))?,
            Err(Unfit::Unreadable(error)) => report.unreadable(&one_line(error.as_ref())),
            Err(Unfit::Skipped(what)) => {
                skipped.push(what);
                continue;
            }
        }
        blocks += 1;
    }
    match skipped.first() {
        Some(first) if blocks == 0 => report.unreadable(first),
        None if blocks == 0 => report.unreadable(&format!("{}: expected blocks, found none", path.display())),
        Some(first) => tracing::warn!("skipped {} of other kinds; {first}", skipped.len()),
        None => {}
    }
    Ok(())
}

/// Where a fixture is: `path`, `folder/name` or `archive: name`.
fn label(path: &Path, name: &str) -> String {
    if path.is_dir() {
        return path.join(name).display().to_string();
    }
    let is_the_file = path.file_name().is_some_and(|file| *file == *name);
    if is_the_file { path.display().to_string() } else { format!("{}: {name}", path.display()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_tell_files_from_members_of_folders_and_archives() {
        assert_eq!(label(Path::new("src"), "main.rs"), "src/main.rs");
        assert_eq!(label(Path::new("a/x.rlp"), "x.rlp"), "a/x.rlp");
        assert_eq!(label(Path::new("a/x.tar.zst"), "b/y.rlp"), "a/x.tar.zst: b/y.rlp");
    }
}
