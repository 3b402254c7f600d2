//! `trace_`: flat traces, as Parity had them.
//!
//! Place in the flow: one namespace; reads parameters, the traces are [`crate::trace`]'s.
//! Invariant: what is not known is `null`, as in Parity; one filter looks at a bounded number of blocks and gives a bounded number of
//! traces.

use super::{
    Args, Context, Deadline,
    eth_call::{limits, place},
    method,
};
use crate::{
    call::Call,
    error::{Code, RpcError},
    node::BlockRecord,
    trace::{self, TraceSource},
};
use alloy_eips::BlockId;
use alloy_primitives::{B256, Bytes, U64, map::HashSet};
use alloy_rpc_types_eth::TransactionRequest;
use alloy_rpc_types_trace::{
    filter::TraceFilter,
    parity::{LocalizedTransactionTrace, TraceResults, TraceResultsWithTransactionHash, TraceType},
};
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use laminar_executor::{TxIndex, env::tx_env, recover};
use std::sync::Arc;

/// Blocks that one filter may span.
const FILTER_BLOCKS_MAX: u64 = 100;
/// Traces that one filter may give.
const FILTER_TRACES_MAX: usize = 10_000;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::heavy(module, "trace_block", block)?;
    method::heavy(module, "trace_transaction", transaction)?;
    method::heavy(module, "trace_get", get)?;
    method::heavy(module, "trace_filter", filter)?;
    method::heavy(module, "trace_replayTransaction", replay_transaction)?;
    method::heavy(module, "trace_replayBlockTransactions", replay_block)?;
    method::heavy(module, "trace_call", call)?;
    method::heavy(module, "trace_callMany", call_many)?;
    method::heavy(module, "trace_rawTransaction", raw_transaction)
}

type Traces = Vec<LocalizedTransactionTrace>;
type Kinds = HashSet<TraceType>;

/// The traces of a whole block; none for the genesis.
fn traces_of(context: &Context, record: Arc<BlockRecord>, deadline: Deadline) -> Result<Traces, RpcError> {
    if record.hash() == context.node.genesis().hash() {
        return Ok(Vec::new());
    }
    let source = TraceSource::new(&context.node, record)?;
    let block = source.block(context.node.spec());
    let all = 0..source.transactions_len();
    let mut traces = trace::localized_traces(&block, source.view.clone(), all, limits(context, deadline).deadline)?;
    traces.extend(trace::block_rewards(&block, &context.node.spec().rules_for(&block.block.header)));
    Ok(traces)
}

fn block(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Option<Traces>, RpcError> {
    let (id,) = args.read::<(BlockId,)>()?;
    context.node.block(id).map(|record| traces_of(context, record, deadline)).transpose()
}

fn transaction_traces(context: &Context, hash: B256, deadline: Deadline) -> Result<Option<Traces>, RpcError> {
    let Some((record, index)) = context.node.transaction(&hash) else { return Ok(None) };
    let source = TraceSource::new(&context.node, record)?;
    let block = source.block(context.node.spec());
    let deadline = limits(context, deadline).deadline;
    Ok(Some(trace::localized_traces(&block, source.view.clone(), index..index + 1, deadline)?))
}

fn transaction(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Option<Traces>, RpcError> {
    let (hash,) = args.read::<(B256,)>()?;
    transaction_traces(context, hash, deadline)
}

/// The trace at a trace address.
fn get(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Option<LocalizedTransactionTrace>, RpcError> {
    let (hash, address) = args.read::<(B256, Vec<U64>)>()?;
    let address: Vec<usize> = address.into_iter().map(|part| part.to()).collect();
    let traces = transaction_traces(context, hash, deadline)?;
    Ok(traces.and_then(|traces| traces.into_iter().find(|trace| trace.trace.trace_address == address)))
}

fn filter(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Traces, RpcError> {
    let (filter,) = args.read::<(TraceFilter,)>()?;
    let head = context.node.head().header.number;
    let (from, to) = (filter.from_block.unwrap_or_default(), filter.to_block.unwrap_or(head).min(head));
    if from > to {
        return Err(RpcError::params("invalid parameters: fromBlock cannot be greater than toBlock"));
    }
    if to - from >= FILTER_BLOCKS_MAX {
        let what = format!("block range too large, at most {FILTER_BLOCKS_MAX} blocks");
        return Err(RpcError::new(Code::LimitExceeded, what));
    }
    let wanted = filter.count.and_then(|count| usize::try_from(count).ok()).unwrap_or(usize::MAX);
    let mut left_out = filter.after.unwrap_or_default();
    let matcher = filter.matcher();
    let mut traces = Traces::new();
    for number in from..=to {
        deadline.check()?;
        let Some(record) = context.node.block_by_number(number) else { break };
        for trace in traces_of(context, record, deadline)?.into_iter().filter(|trace| matcher.matches(&trace.trace)) {
            if traces.len() >= wanted {
                return Ok(traces);
            }
            if left_out > 0 {
                left_out -= 1;
            } else if traces.len() == FILTER_TRACES_MAX {
                let what =
                    format!("more than {FILTER_TRACES_MAX} traces, narrow the filter or page with after and count");
                return Err(RpcError::new(Code::LimitExceeded, what));
            } else {
                traces.push(trace);
            }
        }
    }
    Ok(traces)
}

fn replay_transaction(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Option<TraceResults>, RpcError> {
    let (hash, kinds) = args.read::<(B256, Kinds)>()?;
    let Some((record, index)) = context.node.transaction(&hash) else { return Ok(None) };
    let source = TraceSource::new(&context.node, record)?;
    let block = source.block(context.node.spec());
    let deadline = limits(context, deadline).deadline;
    let mut results = trace::replay_results(&block, source.view.clone(), index..index + 1, &kinds, deadline)?;
    Ok(results.pop().map(|result| result.full_trace))
}

fn replay_block(
    context: &Context,
    args: Args<'_>,
    deadline: Deadline,
) -> Result<Option<Vec<TraceResultsWithTransactionHash>>, RpcError> {
    let (id, kinds) = args.read::<(BlockId, Kinds)>()?;
    let Some(record) = context.node.block(id) else { return Ok(None) };
    if record.hash() == context.node.genesis().hash() {
        return Ok(Some(Vec::new()));
    }
    let source = TraceSource::new(&context.node, record)?;
    let block = source.block(context.node.spec());
    let all = 0..source.transactions_len();
    Ok(Some(trace::replay_results(&block, source.view.clone(), all, &kinds, limits(context, deadline).deadline)?))
}

fn call(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<TraceResults, RpcError> {
    let (request, kinds, block) = args.read::<(TransactionRequest, Kinds, Option<BlockId>)>()?;
    let mut results = calls(context, vec![(request, kinds)], block, deadline)?;
    results.pop().ok_or_else(|| RpcError::server("no call"))
}

fn call_many(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Vec<TraceResults>, RpcError> {
    let (asked, block) = args.read::<(Vec<(TransactionRequest, Kinds)>, Option<BlockId>)>()?;
    calls(context, asked, block, deadline)
}

/// Calls one after the other, each on what the one before it left.
fn calls(
    context: &Context,
    asked: Vec<(TransactionRequest, Kinds)>,
    block: Option<BlockId>,
    deadline: Deadline,
) -> Result<Vec<TraceResults>, RpcError> {
    let (header, view) = place(context, block.unwrap_or_default())?;
    let limits = limits(context, deadline);
    let mut state = crate::call::CallState::new(view);
    let mut all = Vec::with_capacity(asked.len());
    for (request, kinds) in &asked {
        deadline.check()?;
        let spec = context.node.spec();
        let call = Call { spec, header: &header, request, state_overrides: None, block_overrides: None, limits };
        let (machine, tx) = call.prepare_on(state)?;
        let mut machine = machine.with_inspector(trace::Recorder::default());
        all.push(trace::call_results(&mut machine, tx, kinds)?);
        state = machine.into_state();
    }
    Ok(all)
}

/// What a signed transaction would do on the state of a block.
fn raw_transaction(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<TraceResults, RpcError> {
    let (bytes, kinds, block) = args.read::<(Bytes, Kinds, Option<BlockId>)>()?;
    let transaction = recover::decode_transaction(&bytes).map_err(RpcError::server)?;
    let (header, view) = place(context, block.unwrap_or_default())?;
    let spec = context.node.spec();
    let environment = crate::call::Environment::of_block(spec, &header);
    let senders = recover::recover_senders(std::slice::from_ref(&transaction), &environment.rules);
    let tx = tx_env(&transaction, &senders.map_err(RpcError::server)?, TxIndex(0));
    let state = crate::call::CallState::new(view);
    let machine = crate::call::Machine::for_call(&environment, state, &limits(context, deadline));
    Ok(trace::call_results(&mut machine.with_inspector(trace::Recorder::default()), tx, &kinds)?)
}
