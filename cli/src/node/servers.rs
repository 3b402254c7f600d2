//! The servers of a node: what listens where, and how all of them end.
//!
//! Place in the flow: filled while a node starts; `mod` stops it.
//! Invariant: every address is one that is listened on, with the port that the system gave where none was asked for.

use super::http;
#[cfg(unix)]
use laminar_rpc_shim::server::IpcHandle;
use laminar_rpc_shim::server::ServerHandle;
#[cfg(unix)]
use std::path::PathBuf;
use std::{fmt, net::SocketAddr, time::Duration};

/// What is being done when an address cannot be listened on, and what to do about it.
pub(super) fn listening(address: SocketAddr, flag: &str) -> String {
    format!("listening on {address}, of which {flag} chooses the port (0 takes a free one)")
}

/// Servers by what they are for.
#[derive(Debug, Default)]
pub(super) struct Servers {
    ports: Vec<Server>,
    #[cfg(unix)]
    ipc: Option<(IpcHandle, PathBuf)>,
}

#[derive(Debug)]
struct Server {
    name: &'static str,
    handle: ServerHandle,
    address: SocketAddr,
}

impl Servers {
    /// Adds one that listens already.
    pub(super) fn add(&mut self, name: &'static str, (handle, address): (ServerHandle, SocketAddr)) {
        self.ports.push(Server { name, handle, address });
    }

    /// Adds IPC.
    #[cfg(unix)]
    pub(super) fn add_ipc(&mut self, handle: IpcHandle, path: PathBuf) {
        self.ipc = Some((handle, path));
    }

    /// Takes no more calls, and waits for those under way; connections that stay open after `grace` do not count.
    pub(super) async fn stop(self, grace: Duration) {
        for server in &self.ports {
            // Already stopped is what is wanted.
            let _ = server.handle.stop();
        }
        let ports = async {
            for server in self.ports {
                server.handle.stopped().await;
            }
        };
        #[cfg(unix)]
        let ipc = async {
            if let Some((ipc, _)) = self.ipc {
                ipc.stop().await;
            }
        };
        #[cfg(not(unix))]
        let ipc = std::future::ready(());
        let stopped = async { tokio::join!(ports, ipc) };
        let _ = tokio::time::timeout(grace, stopped).await;
    }
}

impl fmt::Display for Servers {
    /// A line for each; the public one comes last and in the words of anvil, which tools wait for.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        #[cfg(unix)]
        if let Some((_, path)) = &self.ipc {
            write!(out, "\nIPC on {}", path.display())?;
        }
        for server in &self.ports {
            match server.name {
                http::NAME => write!(out, "\nListening on {}", server.address)?,
                name => write!(out, "\n{name} on {}", server.address)?,
            }
        }
        Ok(())
    }
}
