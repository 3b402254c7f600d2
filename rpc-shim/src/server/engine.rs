//! The authenticated server: the Engine API and what a consensus client reads through the same connection.
//!
//! Place in the flow: `auth` in front of it, the methods of `engine` and a part of `api` behind it.
//! Invariant: nothing is served here without a token, and of the public methods only those that the specification asks for.
//! Source: execution-apis `src/engine/common.md`.

use super::{auth::JwtLayer, virtual_hosts::VirtualHosts};
use crate::{
    api::{self, Context},
    engine::{self, EngineApi},
};
use alloy_rpc_types_engine::JwtSecret;
use jsonrpsee::{
    Methods,
    server::{ServerBuilder, ServerConfig, ServerHandle},
};
use std::{io, net::SocketAddr};

/// The `eth` methods that consensus clients may use here.
const PUBLIC: [&str; 9] = [
    "eth_blockNumber",
    "eth_call",
    "eth_chainId",
    "eth_getCode",
    "eth_getBlockByHash",
    "eth_getBlockByNumber",
    "eth_getLogs",
    "eth_sendRawTransaction",
    "eth_syncing",
];

/// Bytes of a request or an answer: room for a payload full of transactions with all its blobs.
const BODY_LEN_MAX: u32 = 128 << 20;

/// Connections; a consensus client keeps one or two.
const CONNECTIONS_MAX: u32 = 64;

/// Where the authenticated port is, and for whom.
#[derive(Clone, Debug)]
pub struct EngineSettings {
    /// The address; port 0 takes a free one.
    pub address: SocketAddr,
    /// What tokens are signed with.
    pub secret: JwtSecret,
    /// Under which names the server may be called.
    pub hosts: VirtualHosts,
}

/// Serves the Engine API over HTTP and WebSocket; the handle and the address, which names the port if the settings left it open.
///
/// # Errors
/// The address cannot be listened on.
pub async fn serve_engine(
    settings: EngineSettings,
    engine: EngineApi,
    context: Context,
) -> io::Result<(ServerHandle, SocketAddr)> {
    let EngineSettings { address, secret, hosts } = settings;
    let config = ServerConfig::builder()
        .max_request_body_size(BODY_LEN_MAX)
        .max_response_body_size(BODY_LEN_MAX)
        .max_connections(CONNECTIONS_MAX)
        .build();
    // The token first: whoever has none learns nothing, not even whether the name was right.
    let layers = tower::ServiceBuilder::new().layer(JwtLayer::new(secret)).layer(hosts);
    let server = ServerBuilder::with_config(config).set_http_middleware(layers).build(address).await?;
    let address = server.local_addr()?;
    Ok((server.start(methods(engine, context)), address))
}

fn methods(engine: EngineApi, context: Context) -> Methods {
    let mut public = api::module(context);
    let hidden: Vec<&str> = public.method_names().filter(|name| !PUBLIC.contains(name)).collect();
    for name in hidden {
        public.remove_method(name);
    }
    let mut methods = Methods::new();
    for module in [engine::module(engine).into(), Methods::from(public)] {
        methods.merge(module).expect("the namespaces are apart");
    }
    methods
}
