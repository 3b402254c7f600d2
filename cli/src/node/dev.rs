//! `laminar node --dev`: a local chain with accounts of its own.
//!
//! Place in the flow: beside `follow`; the miner of `laminar_rpc_shim::dev` makes the blocks.
//! Invariant: HTTP is always served, with every method.

use super::{Args, http::Defaults, servers::Servers};
use alloy_primitives::U256;
use anyhow::Context as _;
use laminar_executor::BlockExecutor;
use laminar_rpc_shim::{
    api::Context,
    dev::{self, Dev, Keys, Mining},
    pool::Settings,
};
use std::{fmt::Write as _, sync::Arc, time::Duration};

/// Flags of a development chain.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Development chain")]
pub(crate) struct DevFlags {
    /// Run a development chain: accounts with ether, a block for each transaction.
    #[arg(long)]
    pub(super) dev: bool,
    /// Chain id; 31337 is what wallets and tools take for a local chain.
    #[arg(long, value_name = "ID", requires = "dev", default_value_t = dev::CHAIN_ID)]
    chain_id: u64,
    /// Make a block every so many seconds, instead of one for each transaction.
    #[arg(short, long = "block-time", visible_alias = "dev.block-time", value_name = "SECONDS")]
    #[arg(requires = "dev", value_parser = seconds)]
    block_time: Option<Duration>,
    /// Make blocks only when asked to (`evm_mine`).
    #[arg(long, requires = "dev", conflicts_with = "block_time")]
    no_mining: bool,
    /// Words that the accounts come from.
    #[arg(short, long, visible_alias = "dev.mnemonic", value_name = "WORDS", requires = "dev")]
    #[arg(default_value = dev::MNEMONIC)]
    mnemonic: String,
    /// Number of accounts.
    #[arg(long, value_name = "N", requires = "dev", default_value_t = dev::ACCOUNTS)]
    accounts: usize,
    /// Gas limit of blocks.
    #[arg(long, value_name = "GAS", requires = "dev")]
    gas_limit: Option<u64>,
}

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
pub(super) async fn start(args: &Args, executor: Arc<BlockExecutor>, servers: &mut Servers) -> anyhow::Result<String> {
    let flags = &args.dev;
    let keys = Keys::of_mnemonic(&flags.mnemonic, flags.accounts);
    let genesis = dev::genesis(flags.chain_id, keys.addresses(), U256::from(dev::BALANCE_WEI));
    let node = Arc::new(args.chain.open(Some(&genesis), executor)?);
    let chain_id = node.spec().chain_id();
    let options = dev::Options {
        mining: match flags.block_time {
            Some(time) => Mining::Interval(time),
            None if flags.no_mining => Mining::Manual,
            None => Mining::Auto,
        },
        mnemonic: flags.mnemonic.clone(),
        accounts: flags.accounts,
        gas_limit: flags.gas_limit,
        pool: args.pool.settings(Settings::dev()),
        ..dev::Options::default()
    };
    let dev = Arc::new(Dev::new(Arc::clone(&node), options)?);
    dev.start().context("starting the miner")?;
    laminar_rpc_shim::metrics::follow(&node, dev.pool()).context("starting to follow the head")?;
    let context = Context::new(node, args.rpc.limits()).with_dev(dev);
    args.ipc.serve(&context, &args.rpc, servers).await?;
    args.http.serve(context, &args.rpc, Defaults::Open, servers).await?;
    Ok(banner(flags, &keys, chain_id))
}

/// What a developer needs to begin, as anvil shows it.
fn banner(flags: &DevFlags, keys: &Keys, chain_id: u64) -> String {
    let mut text = "Available Accounts\n==================\n".to_owned();
    // Writing to a string does not fail.
    for (index, account) in keys.addresses().enumerate() {
        let _ = writeln!(text, "({index}) {account} (10000 ETH)");
    }
    text.push_str("\nPrivate Keys\n==================\n");
    for (index, key) in keys.addresses().filter_map(|account| keys.secret(&account)).enumerate() {
        let _ = writeln!(text, "({index}) {key}");
    }
    let _ = writeln!(text, "\nWallet\n==================\nMnemonic: {}", flags.mnemonic);
    let _ = writeln!(text, "\nChain ID\n==================\n{chain_id}");
    text
}
