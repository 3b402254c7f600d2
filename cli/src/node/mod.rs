//! `laminar node --dev`: a local chain behind JSON-RPC.
//!
//! Place in the flow: one subcommand; puts node, pool, miner and server together and waits for the end.
//! Invariant: the address is loopback unless told otherwise; Ctrl-C or SIGTERM stops taking calls, and then ends with success.

use crate::{
    ending::{Ended, Verbosity},
    engine,
};
use alloy_primitives::U256;
use anyhow::Context as _;
use laminar_executor::BlockExecutor;
use laminar_rpc_shim::{
    api::{self, Context, Limits},
    dev::{self, Dev, Keys, Mining},
    node::Node,
    server::{self, Settings},
};
use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

/// How long the end waits for calls under way.
const GRACE: Duration = Duration::from_secs(3);

/// `laminar node --dev`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Run a development chain: accounts with ether, a block for each transaction. The only kind of chain so far.
    #[arg(long, required = true)]
    dev: bool,
    /// Chain id; 31337 is what wallets and tools take for a local chain.
    #[arg(long, value_name = "ID", default_value_t = dev::CHAIN_ID)]
    chain_id: u64,
    /// Make a block every so many seconds, instead of one for each transaction.
    #[arg(short, long = "block-time", visible_alias = "dev.block-time", value_name = "SECONDS", value_parser = seconds)]
    block_time: Option<Duration>,
    /// Make blocks only when asked to (`evm_mine`).
    #[arg(long, conflicts_with = "block_time")]
    no_mining: bool,
    /// Words that the accounts come from.
    #[arg(short, long, visible_alias = "dev.mnemonic", value_name = "WORDS", default_value = dev::MNEMONIC)]
    mnemonic: String,
    /// Number of accounts.
    #[arg(long, value_name = "N", default_value_t = dev::ACCOUNTS)]
    accounts: usize,
    /// Gas limit of blocks.
    #[arg(long, value_name = "GAS")]
    gas_limit: Option<u64>,
    /// Serve HTTP; always so on a development chain.
    #[arg(long)]
    http: bool,
    /// Address of HTTP and WebSocket, which share a port.
    #[arg(long = "http.addr", visible_alias = "host", value_name = "IP", default_value = "127.0.0.1")]
    http_addr: IpAddr,
    /// Port of HTTP and WebSocket; 0 takes a free one.
    #[arg(short = 'p', long = "http.port", visible_alias = "port", value_name = "PORT", default_value_t = 8545)]
    http_port: u16,
    /// Origins of web pages that may call, separated by commas; on a development chain every one.
    #[arg(long = "http.corsdomain", value_name = "ORIGINS", value_delimiter = ',', default_value = "*")]
    http_corsdomain: Vec<String>,
    /// Namespaces to serve, separated by commas [default: all].
    #[arg(long = "http.api", value_name = "NAMESPACES", value_delimiter = ',')]
    http_api: Option<Vec<String>>,
    /// Gas that one call may use; 0 is no limit.
    #[arg(long = "rpc.gascap", value_name = "GAS")]
    gas_cap: Option<u64>,
    #[command(flatten)]
    engine: engine::Flags,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let digits = text.strip_suffix('s').unwrap_or(text);
    let seconds: f64 = digits.parse().map_err(|_| "expected seconds, such as 1 or 0.5s".to_owned())?;
    let time = Duration::try_from_secs_f64(seconds).ok().filter(|time| !time.is_zero());
    time.ok_or_else(|| "expected more than no time".to_owned())
}

/// Runs the node until it is told to stop.
///
/// # Errors
/// The address is taken, or the system gives no threads.
pub(crate) fn run(args: &Args, verbosity: Verbosity) -> anyhow::Result<Ended> {
    args.engine.start_threads()?;
    let executor = Arc::new(BlockExecutor::new(args.engine.config()).context("starting workers")?);
    let keys = Keys::of_mnemonic(&args.mnemonic, args.accounts);
    let genesis = dev::genesis(args.chain_id, keys.addresses(), U256::from(dev::BALANCE_WEI));
    let node = Arc::new(Node::from_genesis(&genesis, executor)?);
    let mining = match args.block_time {
        Some(time) => Mining::Interval(time),
        None if args.no_mining => Mining::Manual,
        None => Mining::Auto,
    };
    let options = dev::Options {
        mining,
        mnemonic: args.mnemonic.clone(),
        accounts: args.accounts,
        gas_limit: args.gas_limit,
        ..dev::Options::default()
    };
    let dev = Arc::new(Dev::new(Arc::clone(&node), options)?);
    dev.start().context("starting the miner")?;
    let mut limits = Limits::default();
    limits.gas_cap = args.gas_cap.unwrap_or(limits.gas_cap);
    let methods = api::module(Context::new(node, limits).with_dev(dev)).into();
    let methods =
        args.http_api.as_ref().map_or_else(|| Clone::clone(&methods), |api| server::namespaces(&methods, api));
    let address = SocketAddr::new(args.http_addr, args.http_port);
    let settings = Settings { origins: args.http_corsdomain.clone(), ..Settings::on(address) };
    let runtime = tokio::runtime::Runtime::new().context("starting the server's threads")?;
    let ended = runtime.block_on(async {
        let (handle, address) =
            server::serve(&settings, methods).await.with_context(|| format!("listening on {address}"))?;
        if verbosity != Verbosity::Quiet {
            banner(args, &keys, address);
        }
        interrupted().await.context("waiting for Ctrl-C")?;
        // Already stopped is what is wanted.
        let _ = handle.stop();
        // Connections that stay open do not keep the process alive.
        let _ = tokio::time::timeout(GRACE, handle.stopped()).await;
        Ok(Ended::Success)
    });
    runtime.shutdown_timeout(GRACE);
    ended
}

/// Comes back when somebody asks the process to end: Ctrl-C, or SIGTERM where there is such a thing.
async fn interrupted() -> std::io::Result<()> {
    #[cfg(unix)]
    {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            interrupt = tokio::signal::ctrl_c() => interrupt,
            _ = terminate.recv() => Ok(()),
        }
    }
    #[cfg(not(unix))]
    tokio::signal::ctrl_c().await
}

/// What a developer needs to begin, as anvil shows it; on stderr, like everything that is no result.
fn banner(args: &Args, keys: &Keys, address: SocketAddr) {
    eprintln!("laminar {}\n\nAvailable Accounts\n==================", env!("CARGO_PKG_VERSION"));
    for (index, account) in keys.addresses().enumerate() {
        eprintln!("({index}) {account} (10000 ETH)");
    }
    eprintln!("\nPrivate Keys\n==================");
    for (index, key) in keys.addresses().filter_map(|account| keys.secret(&account)).enumerate() {
        eprintln!("({index}) {key}");
    }
    eprintln!("\nWallet\n==================\nMnemonic: {}", args.mnemonic);
    eprintln!("\nChain ID\n==================\n{}\n\nListening on {address}", args.chain_id);
}
