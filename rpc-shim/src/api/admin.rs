//! `admin_`: what the node says of itself to operators.
//!
//! Place in the flow: one namespace.
//! Invariant: the node has no peer-to-peer network, so it has no identity and no address there, and no peers.

use super::{Args, Context, method, web3};
use crate::error::RpcError;
use alloy_primitives::{B256, U256};
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use serde::Serialize;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::quick(module, "admin_nodeInfo", node_info)?;
    method::quick(module, "admin_peers", |_, args| args.read::<()>().map(|()| Vec::<()>::new()))
}

/// The fields of geth's answer; those of the network are empty.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct NodeInfo {
    id: &'static str,
    name: String,
    enode: &'static str,
    enr: &'static str,
    ip: &'static str,
    ports: Ports,
    listen_addr: &'static str,
    protocols: Protocols,
}

#[derive(Clone, Copy, Debug, Serialize)]
struct Ports {
    discovery: u16,
    listener: u16,
}

#[derive(Clone, Debug, Serialize)]
struct Protocols {
    eth: Chain,
}

#[derive(Clone, Debug, Serialize)]
struct Chain {
    network: u64,
    difficulty: U256,
    genesis: B256,
    head: B256,
}

fn node_info(context: &Context, args: Args<'_>) -> Result<NodeInfo, RpcError> {
    args.read::<()>()?;
    let head = context.node.head();
    let chain = Chain {
        network: context.node.spec().chain_id(),
        difficulty: head.total_difficulty,
        genesis: context.node.genesis().hash(),
        head: head.hash(),
    };
    Ok(NodeInfo {
        id: "",
        name: web3::client_version(),
        enode: "",
        enr: "",
        ip: "",
        ports: Ports { discovery: 0, listener: 0 },
        listen_addr: "",
        protocols: Protocols { eth: chain },
    })
}
