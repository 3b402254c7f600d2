//! IPC: the methods on a Unix socket, named as reth and geth name it.
//!
//! Place in the flow: served by `dev` and `follow` beside the ports.
//! Invariant: who may open the socket runs as the node's user, so every method is there. A path that nobody asked for is given
//! up to another node that has it; one that was asked for is not.

use super::{rpc::RpcFlags, servers::Servers};
use std::path::PathBuf;

/// Flags of IPC.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "IPC")]
pub(crate) struct IpcFlags {
    /// Path of the socket [default: laminar.ipc in the system's folder for temporary files].
    #[arg(long = "ipcpath", value_name = "FILE")]
    ipc_path: Option<PathBuf>,
    /// Serve no IPC.
    #[arg(long = "ipcdisable", conflicts_with = "ipc_path")]
    ipc_disable: bool,
}

impl IpcFlags {
    /// Serves all methods of `context`.
    ///
    /// # Errors
    /// The path that was asked for cannot be served.
    #[cfg(unix)]
    pub(super) async fn serve(
        &self,
        context: &laminar_rpc_shim::api::Context,
        limits: &RpcFlags,
        servers: &mut Servers,
    ) -> anyhow::Result<()> {
        use anyhow::Context as _;
        use laminar_rpc_shim::{api, server};

        if self.ipc_disable {
            return Ok(());
        }
        let path = self.ipc_path.clone().unwrap_or_else(|| std::env::temp_dir().join("laminar.ipc"));
        let address = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
        let server::Settings {
            request_len_max,
            response_len_max,
            batch_len_max,
            connections_max,
            subscriptions_max,
            ..
        } = limits.settings(address);
        let settings = server::IpcSettings {
            path: path.clone(),
            request_len_max,
            response_len_max,
            batch_len_max,
            connections_max,
            subscriptions_max,
        };
        match server::serve_ipc(settings, api::module(context.clone()).into()).await {
            Ok(handle) => servers.add_ipc(handle, path),
            Err(error) if self.ipc_path.is_none() => {
                tracing::info!(path = %path.display(), %error, "IPC is not served")
            }
            Err(error) => return Err(error).with_context(|| format!("serving IPC at {}", path.display())),
        }
        Ok(())
    }

    /// There is none on this system.
    ///
    /// # Errors
    /// It was asked for.
    #[cfg(not(unix))]
    pub(super) async fn serve(
        &self,
        _context: &laminar_rpc_shim::api::Context,
        _limits: &RpcFlags,
        _servers: &mut Servers,
    ) -> anyhow::Result<()> {
        anyhow::ensure!(self.ipc_path.is_none(), "IPC is served on Unix systems only");
        Ok(())
    }
}
