//! The public ports: HTTP and WebSocket.
//!
//! Place in the flow: served by `dev` and `follow`, with the names that reth gave the flags.
//! Invariant: a chain that others rely on shows nothing in public that it was not told to; a development chain shows everything.

use super::{
    rpc::RpcFlags,
    servers::{self, Servers},
};
use anyhow::Context as _;
use laminar_rpc_shim::{
    api::{self, Context},
    server::{self, Settings, VirtualHosts},
};
use std::net::{IpAddr, SocketAddr};

/// The name of the server on the HTTP port.
pub(super) const NAME: &str = "HTTP";

/// What is public on a chain that others rely on, unless told otherwise; as in reth.
const CLOSED: [&str; 3] = ["eth", "net", "web3"];

/// What flags mean that are not given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Defaults {
    /// HTTP is served, with all methods, to pages of every origin.
    Open,
    /// Nothing is served but what is asked for.
    Closed,
}

/// Flags of the public ports.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "HTTP and WebSocket")]
pub(crate) struct HttpFlags {
    /// Serve HTTP, and WebSocket on the same port; always so on a development chain.
    #[arg(long)]
    http: bool,
    /// Address of HTTP.
    #[arg(long = "http.addr", visible_alias = "host", value_name = "IP", default_value = "127.0.0.1")]
    http_addr: IpAddr,
    /// Port of HTTP; 0 takes a free one.
    #[arg(short = 'p', long = "http.port", visible_alias = "port", value_name = "PORT", default_value_t = 8545)]
    http_port: u16,
    /// Origins of web pages that may call, separated by commas [default: none; every one on a development chain].
    #[arg(long = "http.corsdomain", visible_alias = "allow-origin", value_name = "ORIGINS", value_delimiter = ',')]
    http_corsdomain: Option<Vec<String>>,
    /// Names under which HTTP and WebSocket may be called, separated by commas; * is every one. Addresses in numbers always may
    /// [default: localhost on a loopback address, otherwise every one].
    #[arg(long = "http.vhosts", value_name = "NAMES", value_delimiter = ',')]
    http_vhosts: Option<Vec<String>>,
    /// Namespaces to serve, separated by commas, or all [default: eth,net,web3; all on a development chain].
    #[arg(long = "http.api", value_name = "NAMESPACES", value_delimiter = ',')]
    http_api: Option<Vec<String>>,
    /// Serve WebSocket on a port of its own.
    #[arg(long)]
    ws: bool,
    /// Address of WebSocket.
    #[arg(long = "ws.addr", value_name = "IP", default_value = "127.0.0.1")]
    ws_addr: IpAddr,
    /// Port of WebSocket; 0 takes a free one.
    #[arg(long = "ws.port", value_name = "PORT", default_value_t = 8546)]
    ws_port: u16,
    /// Origins of web pages that may connect, separated by commas [default: as for HTTP].
    #[arg(long = "ws.origins", value_name = "ORIGINS", value_delimiter = ',')]
    ws_origins: Option<Vec<String>>,
    /// Namespaces to serve, separated by commas [default: as for HTTP].
    #[arg(long = "ws.api", value_name = "NAMESPACES", value_delimiter = ',')]
    ws_api: Option<Vec<String>>,
}

/// One port.
struct Port<'a> {
    name: &'static str,
    address: SocketAddr,
    /// The flag that chooses the port.
    flag: &'static str,
    origins: &'a Option<Vec<String>>,
    namespaces: &'a Option<Vec<String>>,
}

impl HttpFlags {
    /// Serves the ports that were asked for.
    ///
    /// # Errors
    /// An address is taken, or an origin is none.
    pub(super) async fn serve(
        &self,
        context: Context,
        limits: &RpcFlags,
        defaults: Defaults,
        servers: &mut Servers,
    ) -> anyhow::Result<()> {
        let methods = api::module(context).into();
        for port in self.ports(defaults) {
            let namespaces = port.namespaces.clone();
            let namespaces = namespaces.or_else(|| match defaults {
                Defaults::Open => None,
                Defaults::Closed => Some(CLOSED.map(str::to_owned).to_vec()),
            });
            let methods =
                namespaces.map_or_else(|| Clone::clone(&methods), |names| server::namespaces(&methods, &names));
            let origins = port.origins.clone().unwrap_or_else(|| match defaults {
                Defaults::Open => vec!["*".to_owned()],
                Defaults::Closed => Vec::new(),
            });
            let address = port.address;
            let mut settings = Settings { origins, ..limits.settings(address) };
            if let Some(names) = &self.http_vhosts {
                settings.hosts = VirtualHosts::new(names.iter().cloned());
            }
            let served = server::serve(&settings, methods).await;
            servers.add(port.name, served.with_context(|| servers::listening(address, port.flag))?);
        }
        Ok(())
    }

    fn ports(&self, defaults: Defaults) -> Vec<Port<'_>> {
        let http = Port {
            name: NAME,
            address: SocketAddr::new(self.http_addr, self.http_port),
            flag: "--http.port",
            origins: &self.http_corsdomain,
            namespaces: &self.http_api,
        };
        let ws = Port {
            name: "WebSocket",
            address: SocketAddr::new(self.ws_addr, self.ws_port),
            flag: "--ws.port",
            origins: if self.ws_origins.is_some() { &self.ws_origins } else { http.origins },
            namespaces: if self.ws_api.is_some() { &self.ws_api } else { http.namespaces },
        };
        let has_http = self.http || defaults == Defaults::Open;
        // HTTP speaks WebSocket too, so one port may serve as both.
        let has_ws = self.ws && !(has_http && ws.address == http.address);
        [has_ws.then_some(ws), has_http.then_some(http)].into_iter().flatten().collect()
    }
}
