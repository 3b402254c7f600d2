//! `anvil_nodeInfo`, `anvil_metadata` and `hardhat_metadata`: what tools ask to find out which node they talk to.
//!
//! Place in the flow: registered only on a development chain; answers from the head and the pool's prices.

use super::{Args, Context, eth_send::dev, method, web3};
use crate::error::RpcError;
use alloy_primitives::B256;
use alloy_rpc_types_anvil::{Metadata, NodeEnvironment, NodeForkConfig, NodeInfo};
use jsonrpsee::{RpcModule, core::RegisterMethodError};

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::quick(module, "anvil_nodeInfo", node_info)?;
    method::quick(module, "anvil_metadata", metadata)?;
    method::quick(module, "hardhat_metadata", metadata)
}

fn node_info(context: &Context, args: Args<'_>) -> Result<NodeInfo, RpcError> {
    args.read::<()>()?;
    let head = context.node.head();
    let next = dev(context)?.pool().head();
    Ok(NodeInfo {
        current_block_number: head.header.number,
        current_block_timestamp: head.header.timestamp,
        current_block_hash: head.hash(),
        hard_fork: next.rules.fork().name().to_owned(),
        transaction_order: "fees".to_owned(),
        environment: NodeEnvironment {
            base_fee: u128::from(next.base_fee),
            chain_id: next.rules.chain_id,
            gas_limit: next.gas_limit,
            gas_price: u128::from(next.base_fee),
        },
        fork_config: NodeForkConfig { fork_url: None, fork_block_number: None, fork_retry_backoff: None },
        network: None,
    })
}

fn metadata(context: &Context, args: Args<'_>) -> Result<Metadata, RpcError> {
    args.read::<()>()?;
    let head = context.node.head();
    let genesis: B256 = context.node.genesis().hash();
    Ok(Metadata {
        client_version: web3::client_version(),
        client_semver: Some(env!("CARGO_PKG_VERSION").to_owned()),
        client_commit_sha: None,
        chain_id: context.node.spec().chain_id(),
        instance_id: genesis,
        latest_block_number: head.header.number,
        latest_block_hash: head.hash(),
        forked_network: None,
        snapshots: Default::default(),
    })
}
