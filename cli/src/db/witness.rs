//! `laminar db witness`: a kept block with what proves it, as `replay` reads it.
//!
//! Place in the flow: opens the store for reading, beside a node or an import; the library executes the block again and names what
//! it read.
//! Invariant: a file is written only after the block was executed from its witness alone and its header was found right.

use crate::{
    chain,
    ending::Ended,
    engine,
    record::save_witness,
    replay::{self, Input, Setup},
};
use anyhow::{Context, bail, ensure};
use laminar_executor::{
    chain_spec::ChainSpec,
    pipeline::{ExecutionWitness, kept_witness},
    types::Block,
};
use laminar_fixtures::WitnessBlock;
use laminar_state_db::{Access, Store, StoreOptions};
use serde::Serialize;
use std::{
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
};

/// Which blocks, and where to.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    store: super::Store,
    /// The store's chain: mainnet, sepolia, holesky, hoodi, dev or a genesis file.
    #[arg(long, value_name = "NAME|FILE")]
    chain: String,
    /// Numbers of committed blocks whose parent's state is kept.
    #[arg(long = "block", required = true, value_name = "N", value_delimiter = ',')]
    blocks: Vec<u64>,
    /// The folder to write to; made if it is not there.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
}

impl Args {
    /// The store that is read.
    pub(super) const fn store(&self) -> &super::Store {
        &self.store
    }
}

/// One written block.
#[derive(Debug, Serialize)]
struct Written {
    block: u64,
    chain_id: u64,
    file: String,
    txs: usize,
    headers: usize,
    codes: usize,
    nodes: usize,
    /// Of the RLP.
    bytes: usize,
}

/// Writes the witness of each block as `<chain id>-<number>.rlp` with a `.json` beside it. Exit code 1 if a block is not proven by
/// its witness.
///
/// # Errors
/// The store, the chain or a block cannot be used, or nothing can be written.
pub(super) fn run(args: &Args) -> anyhow::Result<Ended> {
    let spec = chain::by_name(&args.chain)?;
    let dir = &args.store.datadir;
    let options = StoreOptions { access: Access::ReadOnly, ..StoreOptions::default() };
    let store = Store::open(Path::new(dir), options)?;
    let setup = Setup::once(engine::cores())?.on_chain(spec.clone());
    fs::create_dir_all(&args.out).with_context(|| args.out.display().to_string())?;
    for number in &args.blocks {
        let witness = make(&spec, &store, *number).with_context(|| format!("{dir}: block {number}"))?;
        let name = format!("{}-{number}", spec.chain_id());
        let input = Input::from_witness(name.clone(), witness.clone())?;
        let report = replay::replay(&setup, &input);
        let unproven = (report.verified.state_root != Some(true)).then(|| "the state root is not proven".to_owned());
        if let Some(why) = report.failure.map(|failure| failure.to_string()).or(unproven) {
            eprintln!("error: {dir}: block {number}: {why}");
            return Ok(Ended::CheckFailed);
        }
        say(args.store.json, &save(&args.out.join(name), &witness)?)?;
    }
    Ok(Ended::Success)
}

fn make(spec: &ChainSpec, store: &Store, number: u64) -> anyhow::Result<WitnessBlock> {
    ensure!(number > 0, "block 0 is not executed");
    let Some(hash) = store.canonical_hash(number)? else {
        bail!("expected a number up to {}, found {number}", store.tip().number);
    };
    let (block, witness) = kept_witness(spec, store, &hash)?;
    with_witness(spec.chain_id(), block, witness)
}

/// A block and its witness as fixtures have them.
///
/// # Errors
/// The witness lacks the header of the parent.
pub(crate) fn with_witness(chain_id: u64, block: Block, witness: ExecutionWitness) -> anyhow::Result<WitnessBlock> {
    let parent = witness.headers.first().context("a witness without its parent's header")?;
    Ok(WitnessBlock {
        chain_id,
        block_hash: block.header.hash_slow(),
        parent_state_root: parent.state_root,
        block_hashes: witness.headers.iter().map(|header| (header.number, header.hash_slow())).collect(),
        codes: witness.codes,
        nodes: witness.nodes,
        headers: witness.headers,
        block,
    })
}

fn save(path: &Path, witness: &WitnessBlock) -> anyhow::Result<Written> {
    let file = path.with_extension("rlp");
    let bytes = save_witness(&file, witness)?;
    Ok(Written {
        block: witness.block.header.number,
        chain_id: witness.chain_id,
        file: file.display().to_string(),
        txs: witness.block.body.transactions.len(),
        headers: witness.headers.len(),
        codes: witness.codes.len(),
        nodes: witness.nodes.len(),
        bytes,
    })
}

fn say(json: bool, written: &Written) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    let Written { file, txs, headers, codes, nodes, bytes, .. } = written;
    let line = match json {
        true => serde_json::to_string(written)?,
        false => format!("{file}: {txs} txs, {nodes} nodes, {codes} codes, {headers} headers, {bytes} bytes"),
    };
    Ok(writeln!(out, "{line}")?)
}
