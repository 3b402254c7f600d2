//! `ots_` and `erigon_`: what Otterscan asks about a block.
//!
//! Place in the flow: one namespace of two files; answers from the block tree.
//! Invariant: as Otterscan wants it, inputs are cut to their selector and receipts have no logs. Numbers come as hex or plain.

use super::{Args, Context, Deadline, eth_blocks, method};
use crate::{
    convert::{self, Detail, Quantity, RpcTransaction},
    error::RpcError,
    node::BlockRecord,
    trace,
};
use alloy_consensus::{Transaction as _, Typed2718};
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{B256, U256};
use alloy_rpc_types_eth::{BlockTransactions, TransactionReceipt};
use alloy_rpc_types_trace::otterscan::{
    BlockDetails, InternalIssuance, OtsBlock, OtsBlockTransactions, OtsReceipt, OtsTransactionReceipt,
};
use alloy_rpc_types_trace::parity::{Action, RewardType};
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use laminar_executor::Block;
use serde::{Deserialize, Deserializer};

/// The version of Otterscan's interface.
const API_LEVEL: u64 = 8;
/// Transactions on one page.
const PAGE_MAX: usize = 1000;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::quick(module, "ots_getApiLevel", |_, args| args.read::<()>().map(|()| API_LEVEL))?;
    method::heavy(module, "ots_getBlockDetails", |context, args, _| {
        let (Number(number),) = args.read()?;
        Ok(eth_blocks::find(context, number.into())?.map(|record| details(context, &record)))
    })?;
    method::heavy(module, "ots_getBlockDetailsByHash", |context, args, _| {
        let (hash,) = args.read::<(B256,)>()?;
        Ok(context.node.block_by_hash(&hash).map(|record| details(context, &record)))
    })?;
    method::heavy(module, "ots_getBlockTransactions", block_transactions)?;
    method::heavy(module, "erigon_getHeaderByNumber", |context, args, _| {
        let (Number(number),) = args.read()?;
        Ok(eth_blocks::find(context, number.into())?.map(|record| convert::header(&record)))
    })
}

/// A block's number or tag; numbers plain too.
#[derive(Clone, Copy, Debug)]
struct Number(BlockNumberOrTag);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Plain(u64),
            Named(BlockNumberOrTag),
        }
        Ok(Self(match Form::deserialize(deserializer)? {
            Form::Plain(number) => number.into(),
            Form::Named(named) => named,
        }))
    }
}

fn details(context: &Context, record: &BlockRecord) -> BlockDetails {
    let base_fee = record.header.base_fee_per_gas;
    let mut before = 0;
    let fees = record.body.transactions.iter().zip(&record.receipts).map(|(tx, receipt)| {
        let gas = receipt.cumulative_gas_used - before;
        before = receipt.cumulative_gas_used;
        U256::from(tx.effective_gas_price(base_fee)).saturating_mul(U256::from(gas))
    });
    let total_fees = fees.fold(U256::ZERO, U256::saturating_add);
    BlockDetails::new(convert::block(record, Detail::Hashes), issuance(context, record), total_fees)
}

/// What the block's miner and those of its ommers were given; nothing since the merge.
fn issuance(context: &Context, record: &BlockRecord) -> InternalIssuance {
    let spec = context.node.spec();
    let block = Block { header: record.header.inner().clone(), body: record.body.clone() };
    let target = trace::ReplayBlock { spec, block: &block, hash: record.hash(), senders: &record.senders };
    let mut issuance = InternalIssuance::default();
    for reward in trace::block_rewards(&target, &spec.rules_for(&record.header)) {
        if let Action::Reward(reward) = reward.trace.action {
            match reward.reward_type {
                RewardType::Block => issuance.block_reward += reward.value,
                RewardType::Uncle => issuance.uncle_reward += reward.value,
            }
            issuance.issuance += reward.value;
        }
    }
    issuance
}

/// A page of a block's transactions, counted from the last one.
fn block_transactions(
    context: &Context,
    args: Args<'_>,
    _: Deadline,
) -> Result<Option<OtsBlockTransactions<RpcTransaction>>, RpcError> {
    let (Number(number), page, size) = args.read::<(Number, Quantity, Quantity)>()?;
    let Some(record) = eth_blocks::find(context, BlockId::Number(number))? else { return Ok(None) };
    let size = usize::try_from(size.to_u64()).unwrap_or(usize::MAX).min(PAGE_MAX);
    let skipped = usize::try_from(page.to_u64()).unwrap_or(usize::MAX).saturating_mul(size);
    let end = record.body.transactions.len().saturating_sub(skipped);
    let range = end.saturating_sub(size)..end;
    let mut block = convert::block(&record, Detail::Hashes);
    block.transactions =
        BlockTransactions::Full(range.clone().filter_map(|index| convert::transaction(&record, index)).collect());
    let count = record.body.transactions.len();
    let fullblock = OtsBlock { block, transaction_count: count };
    let receipts = range.filter_map(|index| receipt(context, &record, index)).collect();
    Ok(Some(OtsBlockTransactions { fullblock, receipts }))
}

/// A receipt as Otterscan wants it.
pub(super) fn receipt(context: &Context, record: &BlockRecord, index: usize) -> Option<OtsTransactionReceipt> {
    let rules = context.node.spec().rules_for(&record.header);
    let receipt: TransactionReceipt = convert::receipt(&rules, record, index, None)?;
    let r#type = record.body.transactions.get(index)?.ty();
    let receipt = receipt.map_inner(|inner| OtsReceipt {
        status: inner.status(),
        cumulative_gas_used: inner.cumulative_gas_used(),
        logs: None,
        logs_bloom: None,
        r#type,
    });
    Some(OtsTransactionReceipt { receipt, timestamp: Some(record.header.timestamp) })
}
