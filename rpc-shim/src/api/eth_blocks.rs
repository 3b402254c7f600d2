//! `eth_`: blocks, their transactions and receipts, and what the node is.
//!
//! Place in the flow: one namespace of several with this prefix; answers from the block tree.
//! Invariant: what does not exist is `null`, not an error; only the tags `safe` and `finalized` before any fork choice are an error,
//! as in geth.

use super::{Args, Context, Deadline, Work, eth_call::limits, method};
use crate::{
    convert::{self, Detail, RpcBlock, RpcTransaction},
    error::RpcError,
    node::BlockRecord,
    trace::{self, TraceSource},
};
use alloy_eips::{BlockId, BlockNumberOrTag, eip2718::Encodable2718};
use alloy_primitives::{B256, Bytes, U64, U256};
use alloy_rpc_types_eth::TransactionReceipt;
use jsonrpsee::{RpcModule, core::RegisterMethodError, types::ErrorObjectOwned};
use std::sync::Arc;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::quick(module, "eth_chainId", chain_id)?;
    method::quick(module, "eth_blockNumber", block_number)?;
    method::quick(module, "eth_syncing", |_, args| args.read::<()>().map(|()| false))?;
    method::quick(module, "eth_getBlockByHash", block_by_hash)?;
    method::unless_pending(module, "eth_getBlockByNumber", block_by_number)?;
    method::quick(module, "eth_getHeaderByHash", header_by_hash)?;
    method::unless_pending(module, "eth_getHeaderByNumber", header_by_number)?;
    method::quick(module, "eth_getBlockTransactionCountByHash", |context, args| {
        Ok(by_hash(context, args)?.map(|block| U64::from(block.body.transactions.len())))
    })?;
    method::unless_pending(module, "eth_getBlockTransactionCountByNumber", |context, args| {
        Ok(by_number(context, args)?.map(|block| U64::from(block.body.transactions.len())))
    })?;
    method::quick(module, "eth_getUncleCountByBlockHash", |context, args| {
        Ok(by_hash(context, args)?.map(|block| U64::from(block.body.ommers.len())))
    })?;
    method::unless_pending(module, "eth_getUncleCountByBlockNumber", |context, args| {
        Ok(by_number(context, args)?.map(|block| U64::from(block.body.ommers.len())))
    })?;
    method::quick(module, "eth_getUncleByBlockHashAndIndex", uncle_by_hash)?;
    method::unless_pending(module, "eth_getUncleByBlockNumberAndIndex", uncle_by_number)?;
    method::quick(module, "eth_getTransactionByHash", transaction_by_hash)?;
    method::quick(module, "eth_getTransactionByBlockHashAndIndex", transaction_by_block_hash)?;
    method::unless_pending(module, "eth_getTransactionByBlockNumberAndIndex", transaction_by_block_number)?;
    method::quick(module, "eth_getRawTransactionByHash", raw_transaction)?;
    method::quick(module, "eth_getRawTransactionByBlockHashAndIndex", |context, args| {
        let (hash, index) = args.read::<(B256, U64)>()?;
        Ok(context.node.block_by_hash(&hash).and_then(|record| raw(&record, position(index))))
    })?;
    method::unless_pending(module, "eth_getRawTransactionByBlockNumberAndIndex", |context, args| {
        let (number, index) = args.read::<(BlockNumberOrTag, U64)>()?;
        Ok(find(context, number.into())?.and_then(|record| raw(&record, position(index))))
    })?;
    module.register_async_method("eth_getTransactionReceipt", |params, context, _| async move {
        let (hash,) = Args::new(&params).read::<(B256,)>()?;
        receipt(&context, hash).await.map_err(ErrorObjectOwned::from)
    })?;
    method::heavy(module, "eth_getBlockReceipts", block_receipts)
}

/// A block in an answer, or null.
pub(super) type Found = Option<Arc<BlockRecord>>;

/// The block of an id; none is an error only where geth makes it one.
pub(super) fn find(context: &Context, id: BlockId) -> Result<Found, RpcError> {
    let block = context.block(id)?;
    match id {
        BlockId::Number(BlockNumberOrTag::Safe | BlockNumberOrTag::Finalized) if block.is_none() => {
            Err(context.node.no_block(id))
        }
        _ => Ok(block),
    }
}

fn by_hash(context: &Context, args: Args<'_>) -> Result<Found, RpcError> {
    args.read::<(B256,)>().map(|(hash,)| context.node.block_by_hash(&hash))
}

fn by_number(context: &Context, args: Args<'_>) -> Result<Found, RpcError> {
    let (number,) = args.read::<(BlockNumberOrTag,)>()?;
    find(context, number.into())
}

fn chain_id(context: &Context, args: Args<'_>) -> Result<U64, RpcError> {
    args.read::<()>()?;
    Ok(U64::from(context.node.spec().chain_id()))
}

fn block_number(context: &Context, args: Args<'_>) -> Result<U64, RpcError> {
    args.read::<()>()?;
    Ok(U64::from(context.node.head().header.number))
}

fn block_by_hash(context: &Context, args: Args<'_>) -> Result<Option<RpcBlock>, RpcError> {
    let (hash, full) = args.read::<(B256, Option<bool>)>()?;
    let detail = Detail::from_flag(full.unwrap_or_default());
    Ok(context.node.block_by_hash(&hash).map(|record| convert::block(&record, detail)))
}

fn block_by_number(context: &Context, args: Args<'_>) -> Result<Option<RpcBlock>, RpcError> {
    let (number, full) = args.read::<(BlockNumberOrTag, Option<bool>)>()?;
    let detail = Detail::from_flag(full.unwrap_or_default());
    Ok(find(context, number.into())?.map(|record| convert::block(&record, detail)))
}

fn header_by_hash(context: &Context, args: Args<'_>) -> Result<Option<alloy_rpc_types_eth::Header>, RpcError> {
    Ok(by_hash(context, args)?.map(|record| convert::header(&record)))
}

fn header_by_number(context: &Context, args: Args<'_>) -> Result<Option<alloy_rpc_types_eth::Header>, RpcError> {
    Ok(by_number(context, args)?.map(|record| convert::header(&record)))
}

/// A position that a caller gives; one that no machine can index is beyond the end.
fn position(index: U64) -> usize {
    usize::try_from(index.to::<u64>()).unwrap_or(usize::MAX)
}

fn uncle_by_hash(context: &Context, args: Args<'_>) -> Result<Option<RpcBlock>, RpcError> {
    let (hash, index) = args.read::<(B256, U64)>()?;
    Ok(context.node.block_by_hash(&hash).and_then(|record| convert::ommer(&record, position(index))))
}

fn uncle_by_number(context: &Context, args: Args<'_>) -> Result<Option<RpcBlock>, RpcError> {
    let (number, index) = args.read::<(BlockNumberOrTag, U64)>()?;
    Ok(find(context, number.into())?.and_then(|record| convert::ommer(&record, position(index))))
}

fn transaction_by_hash(context: &Context, args: Args<'_>) -> Result<Option<RpcTransaction>, RpcError> {
    let (hash,) = args.read::<(B256,)>()?;
    let mined = context.node.transaction(&hash).and_then(|(record, index)| convert::transaction(&record, index));
    Ok(mined.or_else(|| context.pool.get(&hash).map(|tx| convert::pending(&tx))))
}

fn transaction_by_block_hash(context: &Context, args: Args<'_>) -> Result<Option<RpcTransaction>, RpcError> {
    let (hash, index) = args.read::<(B256, U64)>()?;
    Ok(context.node.block_by_hash(&hash).and_then(|record| convert::transaction(&record, position(index))))
}

fn transaction_by_block_number(context: &Context, args: Args<'_>) -> Result<Option<RpcTransaction>, RpcError> {
    let (number, index) = args.read::<(BlockNumberOrTag, U64)>()?;
    Ok(find(context, number.into())?.and_then(|record| convert::transaction(&record, position(index))))
}

fn raw_transaction(context: &Context, args: Args<'_>) -> Result<Option<Bytes>, RpcError> {
    let (hash,) = args.read::<(B256,)>()?;
    let mined = context.node.transaction(&hash).and_then(|(record, index)| raw(&record, index));
    Ok(mined.or_else(|| context.pool.get(&hash).map(|tx| tx.transaction().encoded_2718().into())))
}

fn raw(record: &BlockRecord, index: usize) -> Option<Bytes> {
    Some(record.body.transactions.get(index)?.encoded_2718().into())
}

/// The receipt of a canonical transaction.
pub(super) async fn receipt(context: &Context, hash: B256) -> Result<Option<TransactionReceipt>, RpcError> {
    let Some((record, index)) = context.node.transaction(&hash) else { return Ok(None) };
    let rules = context.node.spec().rules_for(&record.header);
    if rules.receipts_carry_status() {
        return Ok(convert::receipt(&rules, &record, index, None));
    }
    let find = move |context: &Context, deadline| {
        let roots = roots_between(context, &record, deadline)?;
        Ok(convert::receipt(&rules, &record, index, roots.get(index).copied()))
    };
    context.run_heavy(Work::Read, find).await
}

fn block_receipts(
    context: &Context,
    args: Args<'_>,
    deadline: Deadline,
) -> Result<Option<Vec<TransactionReceipt>>, RpcError> {
    let (id,) = args.read::<(BlockId,)>()?;
    let Some(record) = find(context, id)? else { return Ok(None) };
    let rules = context.node.spec().rules_for(&record.header);
    let roots = roots_between(context, &record, deadline)?;
    Ok(Some(convert::receipts(&rules, &record, &roots)))
}

/// The state root after each transaction of a block before Byzantium, found by running it again; nothing for a later block.
///
/// CONSENSUS: EIP-658.
pub(super) fn roots_between(
    context: &Context,
    record: &Arc<BlockRecord>,
    deadline: Deadline,
) -> Result<Vec<B256>, RpcError> {
    let rules = context.node.spec().rules_for(&record.header);
    if rules.receipts_carry_status() || record.receipts.is_empty() {
        return Ok(Vec::new());
    }
    let source = TraceSource::new(&context.node, Arc::clone(record))?;
    let block = source.block(context.node.spec());
    Ok(trace::intermediate_roots(&block, source.view.clone(), limits(context, deadline).deadline)?)
}

/// The base fee of the block after `record`; zero before London.
pub(super) fn next_base_fee(context: &Context, record: &BlockRecord) -> U256 {
    let spec = context.node.spec();
    let rules = spec.rules_at(record.header.number + 1, record.header.timestamp + 1);
    let fee = laminar_executor::check_header::expected_base_fee(&rules, &record.header);
    U256::from(fee.unwrap_or_default())
}
