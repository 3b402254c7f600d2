//! Limits of all JSON-RPC transports, by the names that reth gave them (geth's for the batch and the time of a call).
//!
//! Place in the flow: read where methods and servers are put together.
//! Invariant: every limit has a default that bounds it; zero lifts only those that say so.

use laminar_rpc_shim::{api::Limits, server::Settings};
use std::{net::SocketAddr, num::NonZeroU32, time::Duration};

/// Bytes in a megabyte of a limit.
const MEGABYTE: u32 = 1 << 20;

/// Limits of the transports.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Limits of JSON-RPC")]
pub(crate) struct RpcFlags {
    /// Megabytes of a request.
    #[arg(long = "rpc.max-request-size", value_name = "MB", default_value_t = 15, value_parser = megabytes())]
    request_size: u32,
    /// Megabytes of an answer, all answers of a batch together.
    #[arg(long = "rpc.max-response-size", value_name = "MB", default_value_t = 160, value_parser = megabytes())]
    response_size: u32,
    /// Connections of each port and of IPC at a time.
    #[arg(long = "rpc.max-connections", value_name = "N", default_value = "500")]
    connections: NonZeroU32,
    /// Subscriptions of a connection.
    #[arg(long = "rpc.max-subscriptions-per-connection", value_name = "N", default_value_t = 1024)]
    subscriptions: u32,
    /// Calls of a batch.
    #[arg(long = "rpc.batch-request-limit", value_name = "N", default_value = "1000")]
    batch: NonZeroU32,
    /// Gas that one call may use; 0 is no limit.
    #[arg(long = "rpc.gascap", value_name = "GAS", default_value_t = 50_000_000)]
    gas_cap: u64,
    /// Seconds that one call may take.
    #[arg(long = "rpc.evmtimeout", value_name = "SECONDS", default_value = "5", value_parser = super::dev::seconds)]
    call_timeout: Duration,
    /// Blocks that one query for logs may span.
    #[arg(long = "rpc.max-blocks-per-filter", value_name = "N", default_value_t = 100_000)]
    logs_blocks: u64,
    /// Logs that one query may give.
    #[arg(long = "rpc.max-logs-per-response", value_name = "N", default_value_t = 20_000)]
    logs: usize,
}

fn megabytes() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..i64::from(u32::MAX / MEGABYTE))
}

impl RpcFlags {
    /// What one call may ask for.
    pub(super) fn limits(&self) -> Limits {
        Limits {
            gas_cap: self.gas_cap,
            call_timeout: self.call_timeout,
            logs_blocks_max: self.logs_blocks,
            logs_max: self.logs,
            ..Limits::default()
        }
    }

    /// What one client may ask for, at an address.
    pub(super) fn settings(&self, address: SocketAddr) -> Settings {
        Settings {
            request_len_max: self.request_size * MEGABYTE,
            response_len_max: self.response_size * MEGABYTE,
            batch_len_max: self.batch.get(),
            connections_max: self.connections.get(),
            subscriptions_max: self.subscriptions,
            ..Settings::on(address)
        }
    }
}
