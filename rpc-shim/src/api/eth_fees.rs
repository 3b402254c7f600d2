//! `eth_`: what gas costs, and what it cost.
//!
//! Place in the flow: one namespace of several with this prefix; reads headers and receipts.

use super::{Args, Context, Deadline, eth_blocks::next_base_fee, method};
use crate::{error::RpcError, node::BlockRecord};
use alloy_consensus::Transaction;
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{U64, U256};
use alloy_rpc_types_eth::FeeHistory;
use jsonrpsee::{RpcModule, core::RegisterMethodError};

/// Percentiles that one call may ask for, as in geth.
const PERCENTILES_MAX: usize = 100;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::quick(module, "eth_gasPrice", gas_price)?;
    method::quick(module, "eth_maxPriorityFeePerGas", max_priority_fee)?;
    method::quick(module, "eth_baseFee", base_fee)?;
    method::quick(module, "eth_blobBaseFee", blob_base_fee)?;
    method::heavy(module, "eth_feeHistory", fee_history)
}

/// Enough for the next block: its base fee and the suggested tip.
fn gas_price(context: &Context, args: Args<'_>) -> Result<U256, RpcError> {
    args.read::<()>()?;
    let head = context.node.head();
    Ok(next_base_fee(context, &head) + U256::from(context.gas_oracle.tip(&context.node)))
}

fn max_priority_fee(context: &Context, args: Args<'_>) -> Result<U256, RpcError> {
    args.read::<()>()?;
    Ok(U256::from(context.gas_oracle.tip(&context.node)))
}

fn base_fee(context: &Context, args: Args<'_>) -> Result<U256, RpcError> {
    args.read::<()>()?;
    Ok(next_base_fee(context, &context.node.head()))
}

fn blob_base_fee(context: &Context, args: Args<'_>) -> Result<U256, RpcError> {
    args.read::<()>()?;
    Ok(U256::from(next_blob_fee(context, &context.node.head())))
}

/// Blob fee of a block, zero before Cancun.
fn blob_fee(context: &Context, record: &BlockRecord) -> u128 {
    let params = context.node.spec().rules_for(&record.header).blob_params;
    params.and_then(|params| record.header.blob_fee(params)).unwrap_or_default()
}

/// Blob fee of the block after `record`, zero before Cancun.
fn next_blob_fee(context: &Context, record: &BlockRecord) -> u128 {
    let rules = context.node.spec().rules_at(record.header.number + 1, record.header.timestamp + 1);
    let excess = laminar_executor::check_header::expected_excess_blob_gas(&rules, &record.header);
    let fee = rules.blob_params.zip(excess).map(|(params, excess)| params.calc_blob_fee(excess));
    fee.unwrap_or_default()
}

/// A number of blocks: a quantity, or as some clients write it, a plain number or decimals.
#[derive(Debug, serde::Deserialize)]
#[serde(untagged)]
enum Count {
    Quantity(U64),
    Number(u64),
}

fn fee_history(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<FeeHistory, RpcError> {
    let (count, newest, percentiles) = args.read::<(Count, BlockNumberOrTag, Option<Vec<f64>>)>()?;
    let percentiles = percentiles.unwrap_or_default();
    check_percentiles(&percentiles)?;
    let count = match count {
        Count::Quantity(count) => count.to(),
        Count::Number(count) => count,
    };
    if count == 0 {
        return Ok(FeeHistory::default());
    }
    let node = &context.node;
    let Some(newest) = node.block(newest.into()) else {
        return Err(match newest {
            BlockNumberOrTag::Number(_) => RpcError::server("request beyond head block"),
            tag => node.no_block(tag.into()),
        });
    };
    let parent = |block: &std::sync::Arc<BlockRecord>| node.block_by_hash(&block.header.parent_hash);
    let len = usize::try_from(count.min(context.limits.fee_history_max)).unwrap_or(usize::MAX);
    let mut blocks = Vec::new();
    for block in std::iter::successors(Some(newest.clone()), parent).take(len) {
        deadline.check()?;
        blocks.push(block);
    }
    blocks.reverse();
    let ratio = |used: u64, limit: u64| if limit == 0 { 0.0 } else { used as f64 / limit as f64 };
    let blob_ratio = |block: &BlockRecord| {
        let params = node.spec().rules_for(&block.header).blob_params;
        ratio(block.header.blob_gas_used.unwrap_or_default(), params.map_or(0, |p| p.max_blob_gas_per_block()))
    };
    let base_fees = blocks.iter().map(|block| u128::from(block.header.base_fee_per_gas.unwrap_or_default()));
    Ok(FeeHistory {
        base_fee_per_gas: base_fees.chain([next_base_fee(context, &newest).to()]).collect(),
        gas_used_ratio: blocks.iter().map(|block| ratio(block.header.gas_used, block.header.gas_limit)).collect(),
        base_fee_per_blob_gas: blocks
            .iter()
            .map(|block| blob_fee(context, block))
            .chain([next_blob_fee(context, &newest)])
            .collect(),
        blob_gas_used_ratio: blocks.iter().map(|block| blob_ratio(block)).collect(),
        oldest_block: blocks.first().map_or(newest.header.number, |block| block.header.number),
        reward: (!percentiles.is_empty()).then(|| blocks.iter().map(|block| rewards(block, &percentiles)).collect()),
    })
}

fn check_percentiles(percentiles: &[f64]) -> Result<(), RpcError> {
    if percentiles.len() > PERCENTILES_MAX {
        return Err(RpcError::params(format_args!("over the query limit {PERCENTILES_MAX}")));
    }
    if let Some(bad) = percentiles.iter().find(|p| !(0.0..=100.0).contains(*p)) {
        return Err(RpcError::params(format_args!("invalid reward percentile: {bad}")));
    }
    match percentiles.windows(2).find(|pair| pair[0] > pair[1]) {
        Some(pair) => {
            Err(RpcError::params(format_args!("invalid reward percentile: {} comes before {}", pair[0], pair[1])))
        }
        None => Ok(()),
    }
}

/// The tips at these percentiles of the block's gas.
fn rewards(block: &BlockRecord, percentiles: &[f64]) -> Vec<u128> {
    let base_fee = block.header.base_fee_per_gas.unwrap_or_default();
    let cumulative = block.receipts.iter().map(|receipt| receipt.cumulative_gas_used);
    let gas = cumulative.scan(0, |before, after| Some(after - std::mem::replace(before, after)));
    let txs = block.body.transactions.iter();
    let mut paid: Vec<(u128, u64)> =
        txs.zip(gas).map(|(tx, gas)| (tx.effective_tip_per_gas(base_fee).unwrap_or_default(), gas)).collect();
    paid.sort_unstable_by_key(|(tip, _)| *tip);
    let reward = |percentile: &f64| {
        let threshold = (block.header.gas_used as f64 * percentile / 100.0) as u64;
        let mut sum = 0;
        let at = paid.iter().find(|(_, gas)| {
            sum += gas;
            sum >= threshold
        });
        at.or(paid.last()).map_or(0, |(tip, _)| *tip)
    };
    percentiles.iter().map(reward).collect()
}
