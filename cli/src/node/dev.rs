//! `laminar node --dev`: a local chain with accounts of its own.
//!
//! Place in the flow: beside `follow`; the miner of `laminar_rpc_shim::dev` makes the blocks.
//! Invariant: HTTP is always served, with every method.

use super::{Args, dev_start::StartFlags, http::Defaults, servers::Servers};
use alloy_eips::BlockId;
use alloy_primitives::utils::format_ether;
use anyhow::Context as _;
use laminar_executor::BlockExecutor;
use laminar_rpc_shim::{
    api::{self, Context, Deadline},
    dev::{self, Dev, Keys, Mining},
    node::Node,
    pool::Settings,
};
use std::{fmt::Write as _, fs, path::PathBuf, sync::Arc, time::Duration};

/// Flags of a development chain.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Development chain")]
pub(crate) struct DevFlags {
    /// Run a development chain: accounts with ether, a block for each transaction.
    #[arg(long)]
    pub(super) dev: bool,
    #[command(flatten)]
    start: StartFlags,
    /// Make a block every so many seconds, instead of one for each transaction.
    #[arg(short, long = "block-time", visible_alias = "dev.block-time", value_name = "SECONDS")]
    #[arg(requires = "dev", value_parser = seconds)]
    block_time: Option<Duration>,
    /// Make blocks only when asked to (`evm_mine`).
    #[arg(long, visible_alias = "no-mine", requires = "dev", conflicts_with = "block_time")]
    no_mining: bool,
    /// Gas limit of blocks.
    #[arg(long, value_name = "GAS", requires = "dev", value_parser = clap::value_parser!(u64).range(GAS_LIMIT_MIN..))]
    gas_limit: Option<u64>,
    /// Take transactions of every account without its signature.
    #[arg(long, visible_alias = "auto-unlock", requires = "dev")]
    auto_impersonate: bool,
    /// File with accounts to begin with, as `anvil_dumpState` or --dump-state wrote them.
    #[arg(long, value_name = "FILE", requires = "dev")]
    load_state: Option<PathBuf>,
    /// File to write the accounts to at the end.
    #[arg(long, value_name = "FILE", requires = "dev")]
    dump_state: Option<PathBuf>,
    /// File with accounts to begin with, if it is there, and to write them to at the end.
    #[arg(long, value_name = "FILE", requires = "dev", conflicts_with_all = ["load_state", "dump_state"])]
    state: Option<PathBuf>,
}

/// How long reading or writing the accounts of a file may take.
const STATE_TIME_MAX: Duration = Duration::from_secs(600);
/// The least gas limit of a block that the protocol allows.
const GAS_LIMIT_MIN: u64 = 5000;

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let digits = text.strip_suffix('s').unwrap_or(text);
    let seconds: f64 = digits.parse().map_err(|_| "expected seconds, such as 1 or 0.5s".to_owned())?;
    let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero());
    time.ok_or_else(|| "expected more than no time".to_owned())
}

/// Starts the chain and its servers; what a developer needs to begin.
///
/// # Errors
/// An address is taken, or the system gives no threads.
pub(super) async fn start(args: &Args, executor: Arc<BlockExecutor>, servers: &mut Servers) -> anyhow::Result<Started> {
    let flags = &args.dev;
    let keys = flags.start.keys();
    let now = args.chain.datadir().is_none().then(dev::now);
    let node = Arc::new(args.chain.open(Some(&flags.start.genesis(&keys, now)), executor)?);
    let options = dev::Options {
        mining: match flags.block_time {
            Some(time) => Mining::Interval(time),
            None if flags.no_mining => Mining::Manual,
            None => Mining::Auto,
        },
        mnemonic: flags.start.mnemonic.clone(),
        accounts: flags.start.accounts,
        gas_limit: flags.gas_limit,
        pool: args.pool.settings(Settings::dev()),
        ..dev::Options::default()
    };
    let dev = Arc::new(Dev::new(Arc::clone(&node), options)?);
    dev.impersonate_all(flags.auto_impersonate);
    flags.start.set_clock(&dev);
    flags.load(&dev)?;
    dev.start().context("starting the miner")?;
    laminar_rpc_shim::metrics::follow(&node, dev.pool()).context("starting to follow the head")?;
    let context = Context::new(Arc::clone(&node), args.rpc.limits()).with_dev(dev);
    args.ipc.serve(&context, &args.rpc, servers).await?;
    args.http.serve(context, &args.rpc, Defaults::Open, servers).await?;
    Ok(Started { banner: banner(flags, &keys, &node)?, node })
}

/// A chain that runs.
#[derive(Debug)]
pub(super) struct Started {
    /// What a developer needs to begin.
    pub(super) banner: String,
    node: Arc<Node>,
}

impl Started {
    /// Writes the accounts to a file, if that was asked for.
    ///
    /// # Errors
    /// The state cannot be read, or the file cannot be written.
    pub(super) fn end(&self, flags: &DevFlags) -> anyhow::Result<()> {
        let Some(path) = flags.state.as_ref().or(flags.dump_state.as_ref()) else { return Ok(()) };
        let dump = api::dump_state(&self.node, Deadline::after(STATE_TIME_MAX)).context("reading the accounts")?;
        fs::write(path, dump).with_context(|| path.display().to_string())
    }
}

impl DevFlags {
    /// Takes accounts from a file, if that was asked for.
    fn load(&self, dev: &Dev) -> anyhow::Result<()> {
        let path = match (&self.load_state, &self.state) {
            (Some(path), _) => path,
            (None, Some(path)) if path.exists() => path,
            _ => return Ok(()),
        };
        let name = || path.display().to_string();
        let dump = fs::read(path).with_context(name)?;
        api::load_state(dev, &dump, Deadline::after(STATE_TIME_MAX)).with_context(name)
    }
}

/// What a developer needs to begin, as anvil shows it.
fn banner(flags: &DevFlags, keys: &Keys, node: &Node) -> anyhow::Result<String> {
    let state = node.state_at(BlockId::latest())?;
    let mut text = "Available Accounts\n==================\n".to_owned();
    // Writing to a string does not fail.
    for (index, address) in keys.addresses().enumerate() {
        let wei = state.account(&address)?.unwrap_or_default().balance;
        let ether = format_ether(wei);
        let ether = ether.trim_end_matches('0').trim_end_matches('.');
        let _ = writeln!(text, "({index}) {address} ({ether} ETH)");
    }
    text.push_str("\nPrivate Keys\n==================\n");
    for (index, key) in keys.addresses().filter_map(|account| keys.secret(&account)).enumerate() {
        let _ = writeln!(text, "({index}) {key}");
    }
    let _ = writeln!(text, "\nWallet\n==================\nMnemonic: {}", flags.start.mnemonic);
    let _ = writeln!(text, "\nChain ID\n==================\n{}", node.spec().chain_id());
    Ok(text)
}
