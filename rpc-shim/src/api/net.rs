//! `net_`: what a node says of its peers, of which this one has none.
//!
//! Place in the flow: one namespace.

use super::{Args, Context, method};
use crate::error::RpcError;
use alloy_primitives::U64;
use jsonrpsee::{RpcModule, core::RegisterMethodError};

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::quick(module, "net_version", version)?;
    method::quick(module, "net_listening", |_, args| args.read::<()>().map(|()| true))?;
    method::quick(module, "net_peerCount", |_, args| args.read::<()>().map(|()| U64::ZERO))
}

/// The network id, which is the chain id; in decimals, unlike every other number.
fn version(context: &Context, args: Args<'_>) -> Result<String, RpcError> {
    args.read::<()>()?;
    Ok(context.node.spec().chain_id().to_string())
}
