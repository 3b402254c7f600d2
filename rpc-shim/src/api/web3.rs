//! `web3_`: the client's name, and a hash.
//!
//! Place in the flow: one namespace.

use super::{Args, Context, method};
use crate::error::RpcError;
use alloy_primitives::{B256, Bytes, keccak256};
use jsonrpsee::{RpcModule, core::RegisterMethodError};

/// Name and version, as `web3_clientVersion` gives them: `laminar/v0.1.0/linux-x86_64`.
pub(crate) fn client_version() -> String {
    let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
    format!("laminar/v{}/{os}-{arch}", env!("CARGO_PKG_VERSION"))
}

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::quick(module, "web3_clientVersion", |_, args| args.read::<()>().map(|()| client_version()))?;
    method::quick(module, "web3_sha3", sha3)
}

fn sha3(_: &Context, args: Args<'_>) -> Result<B256, RpcError> {
    args.read::<(Bytes,)>().map(|(bytes,)| keccak256(bytes))
}
