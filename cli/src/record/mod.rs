//! `laminar record`: makes witness blocks from an Ethereum node.
//!
//! Place in the flow: the only subcommand that speaks to the network; what it writes is what `replay` reads.
//! Invariant: a file is written only after the block in it was executed from its witness alone and every field of its header
//! was found right; it appears under its name complete or not at all.
//!
//! ```text
//! block ─► ancestors ─► nodes and codes ─► complete ─► replay ─► write
//!                        │ debug_executionWitness
//!                        └ else prestate tracer, eth_getProof, eth_getCode
//! ```

mod block;
mod complete;
mod draft;
mod orphans;
mod proofs;
mod rpc;
mod witness;
mod write;

use crate::{
    ending::{Ended, flat, one_line},
    engine,
    replay::{self, Input, Setup},
    report::{BlockReport, Failure},
};
use anyhow::Context;
use block::BlockId;
use draft::Draft;
use rpc::Client;
use serde::Serialize;
use std::{
    fs,
    io::{self, Write},
    path::PathBuf,
};

pub(crate) use write::{atomically, save_witness};

/// Make blocks with witnesses from an Ethereum node.
///
/// The node is asked for `debug_executionWitness`; where it has none, for proofs of all that the block touches. Each block is
/// executed from its witness and checked against its header before it is written, as `<chain id>-<number>.rlp` with a
/// `.json` beside it.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The node's JSON-RPC endpoint, such as http://127.0.0.1:8545.
    #[arg(long, value_name = "URL")]
    rpc: String,
    /// Blocks: numbers, decimal or 0x-hexadecimal, or `latest`.
    #[arg(required = true, value_name = "BLOCK")]
    blocks: Vec<BlockId>,
    /// The folder to write to; made if it is not there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Print one JSON object per block.
    #[arg(long)]
    json: bool,
}

/// One written block.
#[derive(Debug, Serialize)]
struct Recorded {
    block: u64,
    chain_id: u64,
    file: String,
    txs: usize,
    gas_used: u64,
    /// The method that gave the nodes.
    source: &'static str,
    headers: usize,
    codes: usize,
    nodes: usize,
    /// Of the RLP.
    bytes: usize,
}

/// Runs the subcommand.
///
/// # Errors
/// The node does not answer, or lacks what a witness needs; or nothing can be written.
pub(crate) fn run(args: &Args) -> anyhow::Result<Ended> {
    let client = Client::new(&args.rpc)?;
    let chain_id = block::chain_id(&client)?;
    crate::chain::by_id(chain_id)?;
    let setup = Setup::once(engine::cores())?;
    fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    let mut ended = Ended::Success;
    for id in &args.blocks {
        let (draft, source) = gather(&client, chain_id, *id).with_context(|| format!("block {id}"))?;
        let refused = check(&setup, &draft)?;
        if let Some(refused) = refused {
            eprintln!("error: block {id}: {refused}");
            ended = ended.max(match refused {
                Failure::Unreadable(_) => Ended::BadInput,
                Failure::Refused(_) | Failure::Differs(_) => Ended::CheckFailed,
            });
            continue;
        }
        let recorded = save(args, &draft, source)?;
        say(args, &recorded).context("writing the report")?;
    }
    Ok(ended)
}

/// Asks the node for everything that the block's execution needs.
fn gather(client: &Client, chain_id: u64, id: BlockId) -> anyhow::Result<(Draft, &'static str)> {
    let (block, hash) = block::block(client, id)?;
    let parent = block::parent(client, &block)?;
    let mut draft = Draft::new(chain_id, block, hash, parent);
    let source = if witness::fetch(client, &mut draft)? {
        "debug_executionWitness"
    } else {
        proofs::fetch(client, &mut draft)?;
        "eth_getProof"
    };
    complete::complete(client, &mut draft)?;
    Ok((draft, source))
}

/// Replays the block from what was gathered; the reason, if it may not be written.
fn check(setup: &Setup, draft: &Draft) -> anyhow::Result<Option<Failure>> {
    let input = Input::from_witness(draft.name(), draft.to_witness())?;
    let report: BlockReport = replay::replay(setup, &input);
    if let Some(failure) = report.failure {
        return Ok(Some(failure));
    }
    let proven = report.verified.state_root == Some(true);
    Ok((!proven).then(|| Failure::Differs("the state root was not proven".to_owned())))
}

fn save(args: &Args, draft: &Draft, source: &'static str) -> anyhow::Result<Recorded> {
    let witness = draft.to_witness();
    let path = args.out.join(draft.name());
    let bytes = save_witness(&path, &witness)?;
    Ok(Recorded {
        block: witness.block.header.number,
        chain_id: witness.chain_id,
        file: path.display().to_string(),
        txs: witness.block.body.transactions.len(),
        gas_used: witness.block.header.gas_used,
        source,
        headers: witness.headers.len(),
        codes: witness.codes.len(),
        nodes: witness.nodes.len(),
        bytes,
    })
}

fn say(args: &Args, recorded: &Recorded) -> io::Result<()> {
    let mut out = io::stdout().lock();
    if args.json {
        return writeln!(out, "{}", serde_json::to_string(recorded)?);
    }
    let Recorded { file, txs, gas_used, source, codes, nodes, bytes, .. } = recorded;
    let gas = *gas_used as f64 / 1e6;
    writeln!(out, "{file}: {txs} txs, {gas:.2} Mgas, {nodes} nodes, {codes} codes, {bytes} bytes, from {source}")
}

/// An error as part of another one's message.
fn brief(error: &(dyn std::error::Error + 'static)) -> String {
    flat(&one_line(error))
}
