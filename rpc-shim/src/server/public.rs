//! The public server: HTTP with batches and WebSocket on one port.
//!
//! Place in the flow: in front of the methods of `api`.
//! Invariant: everything that a client decides is bounded: body, batch, answer, connections, subscriptions. A browser page reaches the
//! server only from an origin that was allowed, and only under a host name that is ours.

use super::{HexIds, VirtualHosts, measure::Measured, origins::Origins, patience::Patience};
use jsonrpsee::{
    Methods,
    core::middleware::RpcServiceBuilder,
    server::{BatchRequestConfig, ServerBuilder, ServerConfig, ServerHandle},
};
use std::{collections::BTreeSet, io, net::SocketAddr, time::Duration};

/// Where to serve and within which limits.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The address; port 0 takes a free one.
    pub address: SocketAddr,
    /// Origins of pages that may call (`--http.corsdomain`); `*` is every one.
    pub origins: Vec<String>,
    /// Bytes of a request.
    pub request_len_max: u32,
    /// Bytes of an answer, all answers of a batch together.
    pub response_len_max: u32,
    /// Calls of a batch.
    pub batch_len_max: u32,
    /// Connections at a time.
    pub connections_max: u32,
    /// Subscriptions of a connection.
    pub subscriptions_max: u32,
    /// How long an HTTP request may take to arrive and be answered.
    pub request_time_max: Duration,
    /// Names under which the server may be called (`--http.vhosts`).
    pub hosts: VirtualHosts,
}

impl Settings {
    /// The limits of reth on an address. A page that resolves its own name to our loopback address does not get through; on
    /// another address the server is called by whatever name it has there.
    pub fn on(address: SocketAddr) -> Self {
        Self {
            address,
            origins: Vec::new(),
            request_len_max: 15 << 20,
            response_len_max: 160 << 20,
            batch_len_max: 1000,
            connections_max: 500,
            subscriptions_max: 1024,
            request_time_max: Duration::from_secs(60),
            hosts: VirtualHosts::new([if address.ip().is_loopback() { "localhost" } else { "*" }.to_owned()]),
        }
    }
}

/// Keeps the methods of some namespaces (`--http.api`), or `all`. A name without methods is said in the log: most likely it is misspelt.
///
/// # Panics
/// Never: names that were different stay different.
pub fn namespaces(methods: &Methods, allowed: &[String]) -> Methods {
    if allowed == ["all"] {
        return methods.clone();
    }
    let known: BTreeSet<_> = methods.method_names().filter_map(|name| name.split('_').next()).collect();
    for namespace in allowed.iter().filter(|allowed| !known.contains(allowed.as_str())) {
        let known = known.iter().copied().collect::<Vec<_>>().join(",");
        tracing::warn!("no methods in the namespace {namespace:?}: there are {known}");
    }
    let mut kept = Methods::new();
    for name in methods.method_names() {
        let namespace = name.split('_').next().unwrap_or_default();
        if let Some(method) = methods.method(name).filter(|_| allowed.iter().any(|allowed| allowed == namespace)) {
            kept.verify_and_insert(name, method.clone()).expect("names are different");
        }
    }
    kept
}

/// Serves `methods`; the handle stops it, the address names the port.
///
/// # Errors
/// The address cannot be listened on, or an origin is none.
pub async fn serve(settings: &Settings, methods: Methods) -> io::Result<(ServerHandle, SocketAddr)> {
    let config = ServerConfig::builder()
        .max_request_body_size(settings.request_len_max)
        .max_response_body_size(settings.response_len_max)
        .max_connections(settings.connections_max)
        .set_batch_request_config(BatchRequestConfig::Limit(settings.batch_len_max))
        .max_subscriptions_per_connection(settings.subscriptions_max)
        .set_id_provider(HexIds)
        .build();
    let origins = Origins::new(&settings.origins);
    let patience = Patience(settings.request_time_max);
    let layers = tower::ServiceBuilder::new().layer(settings.hosts.clone()).layer(origins.cors()?);
    let layers = layers.layer(origins).layer(patience);
    let names = methods.clone();
    let measured = RpcServiceBuilder::new().layer_fn(move |inner| Measured { inner, methods: names.clone() });
    let server = ServerBuilder::with_config(config).set_http_middleware(layers).set_rpc_middleware(measured);
    let server = server.build(settings.address).await?;
    let address = server.local_addr()?;
    Ok((server.start(methods), address))
}
