//! `eth_`: what chain this is and what the node keeps of it.
//!
//! Place in the flow: one namespace of several with this prefix; answers from schedule and head.
//! Invariant: `eth_config` (EIP-7910) tells of forks by time since Cancun alone, which are those that it can describe.

use super::{Args, Context, method};
use crate::error::RpcError;
use alloy_eips::{eip2124::ForkHash, eip7840::BlobParams, eip7910::SystemContract};
use alloy_primitives::{Address, B256, Bytes, U64};
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use laminar_executor::chain_spec::{Activation, ChainSpec, Fork, Rules};
use revm::{
    handler::EthPrecompiles,
    precompile::{PrecompileSpecId, Precompiles},
};
use serde::Serialize;
use std::collections::BTreeMap;

/// The version of the wire protocol whose blocks and transactions the node understands (eth/68); clients print it.
const PROTOCOL_VERSION: u64 = 68;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::quick(module, "eth_config", config)?;
    method::quick(module, "eth_capabilities", capabilities)?;
    method::quick(module, "eth_protocolVersion", |_, args| args.read::<()>().map(|()| U64::from(PROTOCOL_VERSION)))?;
    method::quick(module, "eth_networkId", |context, args| {
        args.read::<()>().map(|()| U64::from(context.node.spec().chain_id()))
    })?;
    // There is no proof of work to take part in; on a development chain mining goes on whenever there is something to mine.
    method::quick(module, "eth_mining", |context, args| args.read::<()>().map(|()| context.dev.is_some()))?;
    method::quick(module, "eth_hashrate", |_, args| args.read::<()>().map(|()| U64::ZERO))?;
    method::quick(module, "eth_coinbase", coinbase)
}

/// Who gets the fees of own blocks.
fn coinbase(context: &Context, args: Args<'_>) -> Result<Address, RpcError> {
    args.read::<()>()?;
    let dev = context.dev.as_ref().ok_or_else(|| RpcError::server("etherbase must be explicitly specified"))?;
    Ok(dev.coinbase())
}

/// The forks around the head (EIP-7910).
#[derive(Clone, Debug, Serialize)]
struct Config {
    current: Option<ForkConfig>,
    next: Option<ForkConfig>,
    last: Option<ForkConfig>,
}

/// One fork as EIP-7910 describes it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ForkConfig {
    activation_time: u64,
    blob_schedule: BlobSchedule,
    chain_id: U64,
    fork_id: Bytes,
    precompiles: BTreeMap<String, Address>,
    system_contracts: BTreeMap<SystemContract, Address>,
}

/// Blob parameters, as numbers.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct BlobSchedule {
    target: u64,
    max: u64,
    base_fee_update_fraction: u128,
}

impl From<BlobParams> for BlobSchedule {
    fn from(params: BlobParams) -> Self {
        Self {
            target: params.target_blob_count,
            max: params.max_blob_count,
            base_fee_update_fraction: params.update_fraction,
        }
    }
}

fn config(context: &Context, args: Args<'_>) -> Result<Config, RpcError> {
    args.read::<()>()?;
    let spec = context.node.spec();
    let (head, genesis) = (context.node.head(), context.node.genesis());
    let times = activation_times(spec);
    let (past, future): (Vec<u64>, Vec<u64>) = times.iter().partition(|time| **time <= head.header.timestamp);
    let describe = |time: Option<&u64>| {
        let time = *time?;
        let number = if time <= head.header.timestamp { head.header.number } else { u64::MAX };
        describe(spec, time, number, (genesis.hash(), genesis.header.timestamp))
    };
    let next = describe(future.first());
    // A chain without a next fork has no last one either: the current one is it.
    let last = next.as_ref().and_then(|_| describe(future.last()));
    Ok(Config { current: describe(past.last()), next, last })
}

/// When the chain's rules change by time, ascending.
fn activation_times(spec: &ChainSpec) -> Vec<u64> {
    let times = Fork::ALL.into_iter().filter_map(|fork| match spec.activation(fork) {
        Activation::Timestamp(time) => Some(time),
        Activation::Never | Activation::Block(_) => None,
    });
    let mut times: Vec<u64> = times.collect();
    times.sort_unstable();
    times.dedup();
    times
}

/// The fork that is active at a time; nothing before Cancun.
fn describe(spec: &ChainSpec, time: u64, number: u64, genesis: (B256, u64)) -> Option<ForkConfig> {
    let rules = spec.rules_at(number, time);
    let blob_schedule = rules.blob_params?.into();
    let precompiles = Precompiles::new(PrecompileSpecId::from_spec_id(rules.spec_id));
    let named = EthPrecompiles::new(rules.spec_id)
        .warm_addresses()
        .iter()
        .filter_map(|address| Some((precompiles.get(address)?.id().name().to_owned(), *address)))
        .collect();
    Some(ForkConfig {
        activation_time: if time <= genesis.1 { 0 } else { time },
        blob_schedule,
        chain_id: U64::from(rules.chain_id),
        fork_id: Bytes::copy_from_slice(&fork_hash(spec, time, genesis).0),
        precompiles: named,
        system_contracts: system_contracts(&rules),
    })
}

/// The identifier of the chain at a time (EIP-2124, EIP-6122): its genesis and every activation up to then.
fn fork_hash(spec: &ChainSpec, time: u64, (genesis, genesis_time): (B256, u64)) -> ForkHash {
    // The merge came by difficulty: where it is known as a block, it is the netsplit block's.
    let mut blocks: Vec<u64> = Fork::ALL
        .into_iter()
        .filter(|fork| *fork != Fork::Paris)
        .filter_map(|fork| match spec.activation(fork) {
            Activation::Block(block) => Some(block),
            Activation::Never | Activation::Timestamp(_) => None,
        })
        .chain(spec.dao().map(|dao| dao.block))
        .chain(spec.merge_netsplit())
        .filter(|block| *block > 0)
        .collect();
    blocks.sort_unstable();
    blocks.dedup();
    let times = activation_times(spec).into_iter().filter(|at| *at > genesis_time && *at <= time);
    blocks.into_iter().chain(times).fold(ForkHash::from(genesis), |hash, activation| hash + activation)
}

fn system_contracts(rules: &Rules) -> BTreeMap<SystemContract, Address> {
    let mut contracts = BTreeMap::new();
    if rules.is_active(Fork::Cancun) {
        contracts.extend(SystemContract::cancun());
    }
    if rules.is_active(Fork::Prague) {
        contracts.extend(SystemContract::prague(Some(rules.deposit_contract)));
    }
    contracts
}

/// From which block on the node answers what.
#[derive(Clone, Debug, Serialize)]
struct Capabilities {
    head: HeadName,
    state: Kept,
    tx: Kept,
    logs: Kept,
    receipts: Kept,
    blocks: Kept,
    stateproofs: Kept,
}

#[derive(Clone, Debug, Serialize)]
struct HeadName {
    number: U64,
    hash: B256,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Kept {
    disabled: bool,
    oldest_block: U64,
}

/// Everything is kept from the genesis on.
fn capabilities(context: &Context, args: Args<'_>) -> Result<Capabilities, RpcError> {
    args.read::<()>()?;
    let head = context.node.head();
    let all = Kept { disabled: false, oldest_block: U64::from(context.node.genesis().header.number) };
    let head = HeadName { number: U64::from(head.header.number), hash: head.hash() };
    Ok(Capabilities { head, state: all, tx: all, logs: all, receipts: all, blocks: all, stateproofs: all })
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::b256;

    #[test]
    fn public_networks_have_their_fork_identifiers() {
        let mainnet = (b256!("d4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3"), 0);
        let sepolia = (b256!("25a5cc106eea7138acab33231d7160d69cb777ee0c2c553fcddf5138993e6dd9"), 1_633_267_481);
        let cases = [
            (ChainSpec::mainnet(), mainnet, 1_681_338_455, "dce96c2d"),
            (ChainSpec::mainnet(), mainnet, 1_710_338_135, "9f3d2254"),
            (ChainSpec::mainnet(), mainnet, 1_746_612_311, "c376cf8b"),
            (ChainSpec::sepolia(), sepolia, 1_677_557_088, "f7f9bc08"),
            (ChainSpec::sepolia(), sepolia, 1_706_655_072, "88cf81d9"),
            (ChainSpec::sepolia(), sepolia, 1_741_159_776, "ed88b5fd"),
        ];
        for (spec, genesis, time, expected) in cases {
            assert_eq!(alloy_primitives::hex::encode(fork_hash(&spec, time, genesis).0), expected, "at {time}");
        }
    }

    #[test]
    fn only_forks_since_cancun_are_described() {
        let (spec, genesis) = (ChainSpec::mainnet(), (B256::ZERO, 0));
        assert!(describe(&spec, 1_681_338_455, 17_034_870, genesis).is_none());
        let prague = describe(&spec, 1_746_612_311, 22_431_084, genesis).unwrap();
        assert_eq!((prague.precompiles.len(), prague.system_contracts.len()), (17, 5));
        assert_eq!(prague.precompiles["BLS12_PAIRING_CHECK"], Address::with_last_byte(0x0f));
    }
}
