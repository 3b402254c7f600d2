//! The authenticated port, on which a consensus client speaks the Engine API.
//!
//! Place in the flow: served by `follow`.
//! Invariant: nothing is served there without a token of the secret; an existing file with a secret is never changed.

use super::servers::{self, Servers};
use anyhow::Context as _;
use laminar_rpc_shim::{
    api::Context,
    engine::EngineApi,
    server::{self, EngineSettings, VirtualHosts, auth::load_or_create_secret},
};
use std::{
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};
use tokio::runtime::Handle;

/// Flags of the authenticated port.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Engine API")]
pub(crate) struct AuthrpcFlags {
    /// Address of the authenticated port.
    #[arg(long = "authrpc.addr", value_name = "IP", default_value = "127.0.0.1")]
    authrpc_address: IpAddr,
    /// The authenticated port; 0 takes a free one.
    #[arg(long = "authrpc.port", value_name = "PORT", default_value_t = 8551)]
    authrpc_port: u16,
    /// File with the secret that is shared with the consensus client, 32 bytes in hexadecimal; created if it is missing
    /// [default: jwt.hex in the folder of the chain].
    #[arg(long = "authrpc.jwtsecret", value_name = "FILE")]
    authrpc_secret: Option<PathBuf>,
    /// Names under which the port may be called, separated by commas; * is every one. Addresses in numbers always may.
    #[arg(long = "authrpc.vhosts", value_name = "NAMES", value_delimiter = ',', default_value = "localhost")]
    authrpc_hosts: Vec<String>,
}

impl AuthrpcFlags {
    /// Serves the Engine API on `runtime`.
    ///
    /// # Errors
    /// The secret cannot be read or made, or the address is taken.
    pub(super) async fn serve(
        &self,
        datadir: Option<&Path>,
        api: EngineApi,
        context: Context,
        runtime: &Handle,
        servers: &mut Servers,
    ) -> anyhow::Result<()> {
        let address = SocketAddr::new(self.authrpc_address, self.authrpc_port);
        let file = self.authrpc_secret.clone().or_else(|| datadir.map(|datadir| datadir.join("jwt.hex")));
        let secret =
            load_or_create_secret(&file.context("--authrpc.jwtsecret is missing, and there is no --datadir")?)?;
        let settings = EngineSettings { address, secret, hosts: VirtualHosts::new(self.authrpc_hosts.iter().cloned()) };
        let served = runtime.spawn(server::serve_engine(settings, api, context)).await;
        let served = served.context("the server's task ended")?;
        servers.add("Engine API", served.with_context(|| servers::listening(address, "--authrpc.port"))?);
        Ok(())
    }
}
