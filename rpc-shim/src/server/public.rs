//! The public server: HTTP with batches and WebSocket on one port.
//!
//! Place in the flow: in front of the methods of `api`.
//! Invariant: everything that a client decides is bounded: body, batch, answer, connections, subscriptions. A browser page reaches the
//! server only from an origin that was allowed, and only under a host name that is ours.

use jsonrpsee::{
    Methods,
    server::{
        BatchRequestConfig, IdProvider, ServerBuilder, ServerConfig, ServerHandle, middleware::http::HostFilterLayer,
    },
    types::SubscriptionId,
};
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    io,
    net::SocketAddr,
};
use tower_http::cors::{AllowOrigin, Any, CorsLayer};

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
}

impl Settings {
    /// The limits of reth on an address.
    pub const fn on(address: SocketAddr) -> Self {
        Self {
            address,
            origins: Vec::new(),
            request_len_max: 15 << 20,
            response_len_max: 160 << 20,
            batch_len_max: 1000,
            connections_max: 500,
        }
    }
}

/// Keeps the methods of some namespaces (`--http.api`).
///
/// # Panics
/// Never: names that were different stay different.
pub fn namespaces(methods: &Methods, allowed: &[String]) -> Methods {
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
        .set_id_provider(HexIds)
        .build();
    // A page that resolves its own name to our loopback address must not get through.
    let hosts = if settings.address.ip().is_loopback() {
        let ours = ["localhost", "localhost:*", "127.0.0.1", "127.0.0.1:*", "[::1]", "[::1]:*"];
        HostFilterLayer::new(ours).map_err(io::Error::other)?
    } else {
        HostFilterLayer::disable()
    };
    let layers = tower::ServiceBuilder::new().layer(cors(&settings.origins)?).layer(hosts);
    let server = ServerBuilder::with_config(config).set_http_middleware(layers).build(settings.address).await?;
    let address = server.local_addr()?;
    Ok((server.start(methods), address))
}

fn cors(origins: &[String]) -> io::Result<CorsLayer> {
    let layer = CorsLayer::new().allow_methods(Any).allow_headers(Any);
    if origins.iter().any(|origin| origin == "*") {
        return Ok(layer.allow_origin(Any));
    }
    let origins: Result<Vec<_>, _> = origins.iter().map(|origin| origin.parse()).collect();
    Ok(layer.allow_origin(AllowOrigin::list(origins.map_err(io::Error::other)?)))
}

/// Ids of subscriptions: hex, as clients know them from geth.
#[derive(Debug)]
struct HexIds;

impl IdProvider for HexIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        let word = || RandomState::new().build_hasher().finish();
        format!("0x{:016x}{:016x}", word(), word()).into()
    }
}
