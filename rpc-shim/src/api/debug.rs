//! `debug_`: geth's traces, and blocks as bytes.
//!
//! Place in the flow: one namespace; reads parameters, the traces are [`crate::trace`]'s.
//! Invariant: blocks are known ones, of any branch where they are named by their hash; transactions are canonical ones.

use super::{
    Args, Context, Deadline, eth_blocks,
    eth_call::{limits, place},
    method,
};
use crate::{
    call::Call,
    convert::{PrefixedHash, Quantity, StorageKey},
    error::RpcError,
    node::BlockRecord,
    trace::{self, TraceSource},
};
use alloy_consensus::{Eip658Value, Receipt, TxReceipt};
use alloy_eips::{BlockId, BlockNumberOrTag, eip2718::Encodable2718};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_rpc_types_debug::{ExecutionWitness, StorageMap, StorageRangeResult, StorageResult};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_trace::{
    common::TraceResult,
    geth::{GethDebugTracingCallOptions, GethDebugTracingOptions, GethTrace},
};
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use laminar_executor::{
    Block, TxIndex,
    pipeline::{WitnessError, kept_witness},
    recover::decode_block,
};
use revm::{database::AccountState, database_interface::DatabaseRef};
use std::{collections::BTreeMap, sync::Arc};

/// Slots that one `debug_storageRangeAt` gives.
const SLOTS_MAX: usize = 1024;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::heavy(module, "debug_traceTransaction", trace_transaction)?;
    method::heavy(module, "debug_traceCall", trace_call)?;
    method::heavy(module, "debug_traceBlockByNumber", trace_block_by_number)?;
    method::heavy(module, "debug_traceBlockByHash", trace_block_by_hash)?;
    method::heavy(module, "debug_traceBlock", trace_block)?;
    method::heavy(module, "debug_getRawHeader", raw_header)?;
    method::heavy(module, "debug_getRawBlock", raw_block)?;
    method::heavy(module, "debug_getRawTransaction", raw_transaction)?;
    method::heavy(module, "debug_getRawReceipts", raw_receipts)?;
    method::heavy(module, "debug_getRawTransactions", raw_transactions)?;
    method::heavy(module, "debug_intermediateRoots", intermediate_roots)?;
    method::heavy(module, "debug_executionWitness", |context, args, _| {
        let (number,) = args.read::<(BlockNumberOrTag,)>()?;
        let not_found = || RpcError::server(format_args!("block #{number} not found"));
        execution_witness(context, context.node.block(number.into()).ok_or_else(not_found)?.hash())
    })?;
    method::heavy(module, "debug_executionWitnessByBlockHash", |context, args, _| {
        let (hash,) = args.read::<(B256,)>()?;
        let not_found = || RpcError::server(format_args!("block {hash} not found"));
        execution_witness(context, context.node.block_by_hash(&hash).ok_or_else(not_found)?.hash())
    })?;
    method::heavy(module, "debug_codeByHash", code_by_hash)?;
    method::heavy(module, "debug_storageRangeAt", storage_range_at)
}

type Traces = Vec<TraceResult<GethTrace, String>>;

fn trace_transaction(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<GethTrace, RpcError> {
    let (hash, options) = args.read::<(B256, Option<GethDebugTracingOptions>)>()?;
    let found = context.node.transaction(&hash);
    let (record, index) = found.ok_or_else(|| RpcError::server("transaction not found"))?;
    let source = TraceSource::new(&context.node, record)?;
    let block = source.block(context.node.spec());
    let deadline = limits(context, deadline).deadline;
    Ok(trace::trace_transaction(&block, source.view.clone(), index, &options.unwrap_or_default(), deadline)?)
}

fn trace_call(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<GethTrace, RpcError> {
    let (request, block, options) =
        args.read::<(TransactionRequest, Option<BlockId>, Option<GethDebugTracingCallOptions>)>()?;
    let (id, options) = (block.unwrap_or_default(), options.unwrap_or_default());
    let (header, view) = place(context, id)?;
    let call = Call {
        spec: context.node.spec(),
        header: &header,
        request: &request,
        state_overrides: options.state_overrides.as_ref(),
        block_overrides: options.block_overrides.as_ref(),
        limits: limits(context, deadline),
    };
    let Some(index) = options.tx_index else {
        return Ok(trace::trace_call(&call, view, None, &options.tracing_options)?);
    };
    let record = context.node.block(id).ok_or_else(|| context.node.no_block(id))?;
    let index = u32::try_from(index).ok().filter(|index| (*index as usize) <= record.senders.len());
    let index = index.ok_or_else(|| RpcError::server("transaction index out of range"))?;
    let source = TraceSource::new(&context.node, record)?;
    let within = source.block(context.node.spec());
    Ok(trace::trace_call(&call, source.view.clone(), Some((&within, TxIndex(index))), &options.tracing_options)?)
}

fn trace_block_by_number(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Traces, RpcError> {
    let (number, options) = args.read::<(BlockNumberOrTag, Option<GethDebugTracingOptions>)>()?;
    let not_found = || RpcError::server(format_args!("block #{number} not found"));
    let record = context.node.block(number.into()).ok_or_else(not_found)?;
    trace_record(context, record, options, deadline)
}

fn trace_block_by_hash(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Traces, RpcError> {
    let (hash, options) = args.read::<(B256, Option<GethDebugTracingOptions>)>()?;
    let not_found = || RpcError::server(format_args!("block {hash} not found"));
    let record = context.node.block_by_hash(&hash).ok_or_else(not_found)?;
    trace_record(context, record, options, deadline)
}

/// A block that is given as bytes: its parent must be known, the block itself need not be.
fn trace_block(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Traces, RpcError> {
    let (bytes, options) = args.read::<(Bytes, Option<GethDebugTracingOptions>)>()?;
    let block =
        decode_block(&bytes).map_err(|rule| RpcError::server(format_args!("could not decode block: {rule}")))?;
    let spec = context.node.spec();
    let rules = spec.rules_for(&block.header);
    let senders =
        laminar_executor::recover::recover_senders(&block.body.transactions, &rules).map_err(RpcError::server)?;
    let parent = block.header.parent_hash;
    let view =
        context.node.state_of(&parent).map_err(|_| RpcError::server(format_args!("parent {parent} not found")))?;
    let hash = block.header.hash_slow();
    let target = trace::ReplayBlock { spec, block: &block, hash, senders: &senders.addresses };
    Ok(trace::trace_transactions(&target, view, &options.unwrap_or_default(), limits(context, deadline).deadline)?)
}

fn trace_record(
    context: &Context,
    record: Arc<BlockRecord>,
    options: Option<GethDebugTracingOptions>,
    deadline: Deadline,
) -> Result<Traces, RpcError> {
    let source = TraceSource::new(&context.node, record)?;
    let block = source.block(context.node.spec());
    let deadline = limits(context, deadline).deadline;
    Ok(trace::trace_transactions(&block, source.view.clone(), &options.unwrap_or_default(), deadline)?)
}

fn record_at(context: &Context, args: Args<'_>) -> Result<Arc<BlockRecord>, RpcError> {
    let (block,) = args.read::<(BlockId,)>()?;
    context.node.block(block).ok_or_else(|| context.node.no_block(block))
}

fn raw_header(context: &Context, args: Args<'_>, _: Deadline) -> Result<Bytes, RpcError> {
    Ok(alloy_rlp::encode(record_at(context, args)?.header.inner()).into())
}

fn raw_block(context: &Context, args: Args<'_>, _: Deadline) -> Result<Bytes, RpcError> {
    let record = record_at(context, args)?;
    let block = Block { header: record.header.inner().clone(), body: record.body.clone() };
    Ok(alloy_rlp::encode(block).into())
}

/// The transaction in its canonical encoding; no bytes for one that is not known, as in geth.
fn raw_transaction(context: &Context, args: Args<'_>, _: Deadline) -> Result<Bytes, RpcError> {
    let (PrefixedHash(hash),) = args.read()?;
    let found = context.node.transaction(&hash);
    Ok(found.map(|(record, index)| record.body.transactions[index].encoded_2718().into()).unwrap_or_default())
}

/// The receipts in their canonical encoding.
fn raw_receipts(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Vec<Bytes>, RpcError> {
    let record = record_at(context, args)?;
    let roots = eth_blocks::roots_between(context, &record, deadline)?;
    if roots.is_empty() {
        return Ok(record.receipts.iter().map(|receipt| receipt.with_bloom_ref().encoded_2718().into()).collect());
    }
    let encoded = record.receipts.iter().zip(roots).map(|(receipt, root)| {
        let receipt = Receipt {
            status: Eip658Value::PostState(root),
            cumulative_gas_used: receipt.cumulative_gas_used,
            logs: receipt.logs.clone(),
        };
        alloy_rlp::encode(receipt.with_bloom()).into()
    });
    Ok(encoded.collect())
}

fn raw_transactions(context: &Context, args: Args<'_>, _: Deadline) -> Result<Vec<Bytes>, RpcError> {
    let record = record_at(context, args)?;
    Ok(record.body.transactions.iter().map(|tx| tx.encoded_2718().into()).collect())
}

/// The state root after each transaction of a block.
fn intermediate_roots(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Vec<B256>, RpcError> {
    let (hash, _options) = args.read::<(B256, Option<GethDebugTracingOptions>)>()?;
    let not_found = || RpcError::server(format_args!("block {hash} not found"));
    let source = TraceSource::new(&context.node, context.node.block_by_hash(&hash).ok_or_else(not_found)?)?;
    let block = source.block(context.node.spec());
    Ok(trace::intermediate_roots(&block, source.view.clone(), limits(context, deadline).deadline)?)
}

/// The code with a hash, or null if no account has it.
fn code_by_hash(context: &Context, args: Args<'_>, _: Deadline) -> Result<Option<Bytes>, RpcError> {
    let (hash, block) = args.read::<(B256, Option<BlockId>)>()?;
    let state = context.node.state_at(block.unwrap_or_default())?;
    Ok(state.code_by_hash_ref(hash).ok().map(|code| code.original_bytes()))
}

/// Slots of an account before a transaction of a block, by the hash of their key from `start` on.
fn storage_range_at(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<StorageRangeResult, RpcError> {
    let (id, index, address, start, count) = args.read::<(BlockId, Quantity, Address, StorageKey, Quantity)>()?;
    let record = context.node.block(id).ok_or_else(|| context.node.no_block(id))?;
    let source = TraceSource::new(&context.node, record)?;
    let index = u32::try_from(index.to_u64()).ok().filter(|index| (*index as usize) <= source.transactions_len());
    let index = index.ok_or_else(|| RpcError::server("transaction index out of range"))?;
    let block = source.block(context.node.spec());
    let state = trace::state_before(&block, source.view.clone(), limits(context, deadline).deadline, TxIndex(index))?;
    let mut slots = source.view.slots(&address)?;
    if let Some(account) = state.cache.accounts.get(&address) {
        if account.account_state == AccountState::StorageCleared {
            slots.clear();
        }
        slots.extend(account.storage.iter().map(|(slot, value)| (*slot, *value)));
    }
    let count = usize::try_from(count.to_u64()).unwrap_or(usize::MAX).min(SLOTS_MAX);
    let hashed = slots.into_iter().filter(|(_, value)| !value.is_zero()).map(|(slot, value)| {
        let key = B256::from(slot);
        (keccak256(key), StorageResult { key, value: value.into() })
    });
    let start = B256::from(start.slot);
    let mut sorted: Vec<_> = hashed.filter(|(hash, _)| *hash >= start).collect();
    sorted.sort_unstable_by_key(|(hash, _)| *hash);
    let next_key = sorted.get(count).map(|(hash, _)| *hash);
    sorted.truncate(count);
    Ok(StorageRangeResult { storage: StorageMap(sorted.into_iter().collect()), next_key })
}

/// What a stateless client needs to run a block; `keys` are the accounts and slots that were read.
fn execution_witness(context: &Context, hash: B256) -> Result<ExecutionWitness, RpcError> {
    let witness = kept_witness(context.node.spec(), context.node.store(), &hash);
    let (_, witness) = witness.map_err(|error| match error {
        WitnessError::Genesis => RpcError::server("the genesis has no witness"),
        error => RpcError::internal(&error),
    })?;
    let touched: BTreeMap<_, _> = witness.touched.iter().collect();
    let keys = touched.into_iter().flat_map(|(address, slots)| {
        let slots = slots.iter().map(|slot| Bytes::from(slot.to_be_bytes_vec()));
        std::iter::once(Bytes::copy_from_slice(address.as_slice())).chain(slots).collect::<Vec<_>>()
    });
    Ok(ExecutionWitness {
        keys: keys.collect(),
        state: witness.nodes,
        codes: witness.codes,
        headers: witness.headers.iter().map(|header| alloy_rlp::encode(header).into()).collect(),
    })
}
