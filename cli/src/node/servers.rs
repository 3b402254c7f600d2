//! The servers of a node: what listens where, and how all of them end.
//!
//! Place in the flow: filled while a node starts; `mod` stops it.
//! Invariant: every address is one that is listened on, with the port that the system gave where none was asked for.

use super::http;
use laminar_rpc_shim::server::ServerHandle;
use std::{fmt, net::SocketAddr, time::Duration};

/// Servers by what they are for.
#[derive(Debug, Default)]
pub(super) struct Servers(Vec<Server>);

#[derive(Debug)]
struct Server {
    name: &'static str,
    handle: ServerHandle,
    address: SocketAddr,
}

impl Servers {
    /// Adds one that listens already.
    pub(super) fn add(&mut self, name: &'static str, (handle, address): (ServerHandle, SocketAddr)) {
        self.0.push(Server { name, handle, address });
    }

    /// Takes no more calls, and waits for those under way; connections that stay open after `grace` do not count.
    pub(super) async fn stop(self, grace: Duration) {
        for server in &self.0 {
            // Already stopped is what is wanted.
            let _ = server.handle.stop();
        }
        let stopped = async {
            for server in self.0 {
                server.handle.stopped().await;
            }
        };
        let _ = tokio::time::timeout(grace, stopped).await;
    }
}

impl fmt::Display for Servers {
    /// A line for each; the public one comes last and in the words of anvil, which tools wait for.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for server in &self.0 {
            match server.name {
                http::NAME => write!(out, "\nListening on {}", server.address)?,
                name => write!(out, "\n{name} on {}", server.address)?,
            }
        }
        Ok(())
    }
}
