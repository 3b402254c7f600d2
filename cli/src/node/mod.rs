//! `laminar node`: a chain behind JSON-RPC, made by a development miner (`--dev`) or led by a consensus client.
//!
//! Place in the flow: one subcommand; `dev` and `follow` put a node together, this serves it and waits for the end.
//! Invariant: addresses are loopback unless told otherwise; Ctrl-C or SIGTERM stops taking calls, and then ends with success.

mod authrpc;
mod builder;
mod chain;
mod config;
mod dev;
mod dev_start;
mod follow;
mod http;
mod inspect;
mod ipc;
mod metrics;
mod pool;
mod rpc;
mod runtimes;
mod servers;

use crate::{
    ending::{Ended, Verbosity},
    engine,
};
use anyhow::Context as _;
pub(crate) use config::with_file as with_config;
use laminar_executor::BlockExecutor;
use runtimes::Runtimes;
use servers::Servers;
use std::{
    io::{self, Write as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

/// How long the end waits for calls under way.
const GRACE: Duration = Duration::from_secs(3);

/// `laminar node`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    chain: chain::ChainFlags,
    #[command(flatten)]
    authrpc: authrpc::AuthrpcFlags,
    #[command(flatten)]
    builder: builder::BuilderFlags,
    #[command(flatten)]
    inspect: inspect::InspectFlags,
    #[command(flatten)]
    dev: dev::DevFlags,
    #[command(flatten)]
    http: http::HttpFlags,
    #[command(flatten)]
    ipc: ipc::IpcFlags,
    #[command(flatten)]
    rpc: rpc::RpcFlags,
    #[command(flatten)]
    pool: pool::PoolFlags,
    #[command(flatten)]
    metrics: metrics::MetricsFlags,
    /// Take flags from this TOML file: a key for each, by its name without the dashes. The command line wins.
    #[arg(long, value_name = "FILE.toml", help_heading = None)]
    config: Option<PathBuf>,
    #[command(flatten)]
    engine: engine::Flags,
}

impl Args {
    /// Whether a consensus client leads the node.
    pub(crate) const fn follows(&self) -> bool {
        !self.dev.dev
    }
}

/// Runs the node until it is told to stop.
///
/// # Errors
/// An address is taken, a file cannot be used, or the system gives no threads.
pub(crate) fn run(args: &Args, verbosity: Verbosity) -> anyhow::Result<Ended> {
    args.engine.start_loops()?;
    let executor = Arc::new(BlockExecutor::new(args.engine.shared_config()).context("starting workers")?);
    let runtimes = if args.dev.dev { Runtimes::dev()? } else { Runtimes::followed()? };
    let ended = runtimes.public.block_on(async {
        args.metrics.start()?;
        let mut servers = Servers::default();
        let mut chain = None;
        let banner = match args.dev.dev {
            true => chain.insert(dev::start(args, executor, &mut servers).await?).banner.clone(),
            false => follow::start(args, executor, runtimes.engine(), &mut servers).await?,
        };
        if verbosity != Verbosity::Quiet {
            // A node works whether anybody reads this or not.
            let _ = writeln!(io::stderr(), "laminar {}\n\n{banner}\n{servers}", env!("CARGO_PKG_VERSION"));
        }
        interrupted().await.context("waiting for Ctrl-C")?;
        servers.stop(GRACE).await;
        if let Some(chain) = chain {
            chain.end(&args.dev)?;
        }
        Ok(Ended::Success)
    });
    runtimes.shutdown(GRACE);
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
