//! `laminar db`: how big a store is, whether it is whole, less history in it, and witnesses of its blocks.
//!
//! Place in the flow: opens the folder that `node` and `import` write, through `state-db`'s maintenance.
//! Invariant: `stats`, `verify` and `witness` leave the store as it is, and run beside a process that has the store open; `prune` is
//! refused then.

mod watched;
mod witness;

use crate::ending::Ended;
use clap::{Subcommand, builder::NonEmptyStringValueParser};
use laminar_executor::pipeline::check_integrity;
use laminar_state_db::{Access, Maintenance, StoreError, StoreStats, Verified};
use serde_json::json;
use std::{
    io::{self, Write},
    path::Path,
};

pub(crate) use witness::with_witness;

/// Look into a store: sizes, integrity, history, witnesses.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the number of entries and the bytes of each table.
    Stats(Store),
    /// Recompute the state roots from the accounts, slots and history, and check blocks and tables against each other.
    Verify(Store),
    /// Drop the history of old states. Blocks and receipts stay.
    Prune {
        #[command(flatten)]
        store: Store,
        /// Blocks below the newest one whose states stay readable.
        #[arg(long, value_name = "BLOCKS")]
        keep: u64,
    },
    /// Write blocks with the trie nodes, codes and headers that prove them, for `replay`.
    Witness(witness::Args),
}

/// Which store, and how it is reported.
#[derive(Debug, clap::Args)]
struct Store {
    /// Folder of the store.
    #[arg(long, value_name = "DIR", value_parser = NonEmptyStringValueParser::new())]
    datadir: String,
    /// Print one JSON object instead of text.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    watched: watched::Flag,
}

/// Runs the subcommand. Exit code 1 if `verify` finds a fault, if a witness does not prove its block, or if the file is damaged such
/// that reading it ends the process that does.
///
/// # Errors
/// There is no store that can be opened, it is in use, or stdout cannot be written.
pub(crate) fn run(args: &Args) -> anyhow::Result<Ended> {
    let store = args.command.store();
    if !store.watched.is_watcher() {
        return args.command.run();
    }
    Ok(match watched::run()? {
        watched::Watched::Ended(ended) => ended,
        watched::Watched::Killed(signal) => {
            store.faulty(&format!("damaged file: reading it ended with signal {signal}"))?
        }
    })
}

impl Command {
    const fn store(&self) -> &Store {
        match self {
            Self::Stats(store) | Self::Verify(store) | Self::Prune { store, .. } => store,
            Self::Witness(args) => args.store(),
        }
    }

    /// Does it in this process.
    fn run(&self) -> anyhow::Result<Ended> {
        match self {
            Self::Stats(store) => {
                let stats = store.open(Access::ReadOnly)?.stats()?;
                print(&if store.json { stats_json(&stats) } else { stats_table(&stats) })?;
            }
            Self::Verify(store) => match store.open(Access::ReadOnly)?.verify_with(check_integrity) {
                Ok(verified) => print(&if store.json { verified_json(&verified) } else { verified_text(&verified) })?,
                Err(fault @ (StoreError::Corrupt { .. } | StoreError::Trie(_))) => {
                    return Ok(store.faulty(&fault.to_string())?);
                }
                Err(error) => return Err(error.into()),
            },
            Self::Witness(args) => return witness::run(args),
            Self::Prune { store, keep } => {
                let pruned = store.open(Access::ReadWrite)?.prune(*keep)?;
                print(&match store.json {
                    true => json!({ "pruned": pruned }).to_string(),
                    false => format!("dropped the states of {pruned} blocks"),
                })?;
            }
        }
        Ok(Ended::Success)
    }
}

impl Store {
    fn open(&self, access: Access) -> Result<Maintenance, StoreError> {
        Maintenance::open(Path::new(&self.datadir), access)
    }

    /// Says what is wrong with it.
    fn faulty(&self, fault: &str) -> io::Result<Ended> {
        if self.json {
            print(&json!({ "ok": false, "fault": fault }).to_string())?;
        }
        eprintln!("error: {}: {fault}", self.datadir);
        Ok(Ended::CheckFailed)
    }
}

fn print(text: &str) -> io::Result<()> {
    writeln!(io::stdout().lock(), "{text}")
}

fn stats_json(stats: &StoreStats) -> String {
    let table = |table: &laminar_state_db::TableStats| json!({ "name": table.name, "entries": table.entries, "bytes": table.bytes });
    json!({
        "tip": { "number": stats.tip.number, "hash": stats.tip.hash },
        "oldest_state": stats.oldest_state,
        "tables": stats.tables.iter().map(table).collect::<Vec<_>>(),
        "file_bytes": stats.file_bytes,
        "free_bytes": stats.free_bytes,
    })
    .to_string()
}

fn stats_table(stats: &StoreStats) -> String {
    let row = |name: &str, entries: &str, bytes: u64| format!("{name:<16} {entries:>14} {bytes:>16}\n");
    let head = format!("{:<16} {:>14} {:>16}\n", "table", "entries", "bytes");
    let rows = stats.tables.iter().map(|table| row(table.name, &table.entries.to_string(), table.bytes));
    let sums = row("free", "", stats.free_bytes) + &row("file", "", stats.file_bytes);
    let (tip, oldest) = (stats.tip, stats.oldest_state);
    let blocks = format!("newest block {} {}, oldest state {oldest}", tip.number, tip.hash);
    head + &rows.collect::<String>() + &sums + &blocks
}

fn verified_json(verified: &Verified) -> String {
    json!({
        "ok": true,
        "state_root": verified.state_root,
        "accounts": verified.accounts,
        "slots": verified.slots,
        "nodes": verified.nodes,
        "blocks": verified.blocks,
        "transactions": verified.transactions,
        "history": verified.history,
    })
    .to_string()
}

fn verified_text(verified: &Verified) -> String {
    let Verified { state_root, accounts, slots, nodes, blocks, transactions, history } = verified;
    format!(
        "state root {state_root} from {accounts} accounts and {slots} slots, {nodes} nodes agree\n\
         {blocks} blocks, {transactions} transactions, history of {history} blocks"
    )
}
