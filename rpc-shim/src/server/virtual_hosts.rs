//! The names under which a server may be called (`--http.vhosts`, `--authrpc.vhosts`): a request that was sent to another name goes no further.
//!
//! Place in the flow: outermost, in front of each server.
//! Invariant: as geth's: an address in numbers is always one of ours, for no web page can make it mean something else; `*` stands
//! for every name; who is refused gets 403 and a line that says why.

use super::gate::{Admission, Gate, answer};
use jsonrpsee::server::{HttpRequest, HttpResponse};
use std::{net::IpAddr, sync::Arc};
use tower::Layer;

/// RFC 9110 section 15.5.4.
const FORBIDDEN: u16 = 403;

/// Names of this server, in lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VirtualHosts {
    names: Arc<[String]>,
}

impl VirtualHosts {
    /// The server may be called by these names; `*` is every one.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self { names: names.into_iter().map(|name| name.to_ascii_lowercase()).collect() }
    }

    /// Whether the server may be called so; `host` is the `Host` of a request, with or without a port.
    pub fn allows(&self, host: &str) -> bool {
        let name = name_of(host).to_ascii_lowercase();
        name.parse::<IpAddr>().is_ok() || self.names.iter().any(|allowed| *allowed == "*" || *allowed == name)
    }
}

/// A host without its port, and without the brackets around an IPv6 address.
fn name_of(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return rest.split_once(']').map_or(rest, |(name, _)| name);
    }
    match host.split_once(':') {
        // More than one colon: an IPv6 address without brackets.
        Some((name, port)) if !port.contains(':') => name,
        _ => host,
    }
}

impl Admission for VirtualHosts {
    fn refusal<B>(&self, request: &HttpRequest<B>) -> Option<HttpResponse> {
        let header = request.headers().get("host").and_then(|value| value.to_str().ok());
        // HTTP/1.0 names no host; HTTP/2 names it in the target.
        let host = header.or_else(|| request.uri().authority().map(|authority| authority.as_str()));
        if host.is_none_or(|host| self.allows(host)) {
            return None;
        }
        tracing::warn!(target: "laminar::rpc", "request to a host name that is not in --http.vhosts or --authrpc.vhosts refused");
        Some(answer(FORBIDDEN, "invalid host specified\n"))
    }
}

impl<S> Layer<S> for VirtualHosts {
    type Service = Gate<Self, S>;

    fn layer(&self, inner: S) -> Gate<Self, S> {
        Gate { admission: self.clone(), inner }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_and_port() {
        let hosts = VirtualHosts::new(["localhost".to_owned(), "Geth".to_owned()]);
        for host in
            ["localhost", "LocalHost:8551", "geth:1", "127.0.0.1", "10.1.2.3:8551", "[::1]:8551", "::1", "[::1]"]
        {
            assert!(hosts.allows(host), "{host}");
        }
        for host in ["example.org", "localhost.example.org:8551", "", "127.0.0.1.example.org"] {
            assert!(!hosts.allows(host), "{host}");
        }
        assert!(VirtualHosts::new(["*".to_owned()]).allows("example.org"));
        assert!(!VirtualHosts::new([]).allows("localhost"));
    }
}
