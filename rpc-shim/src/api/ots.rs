//! `ots_`: what Otterscan asks about one transaction.
//!
//! Place in the flow: one namespace; the traces are [`crate::trace`]'s.
//! Invariant: what is not known is `null`. What Otterscan asks about blocks and histories is in `ots_search`.

use super::{Args, Context, Deadline, eth_call::limits, method};
use crate::{
    call,
    error::RpcError,
    trace::{self, ReplayBlock, TraceSource},
};
use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, Bytes};
use alloy_rpc_types_trace::otterscan::{InternalOperation, TraceEntry};
use jsonrpsee::{RpcModule, core::RegisterMethodError};

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::heavy(module, "ots_hasCode", has_code)?;
    method::heavy(module, "ots_getInternalOperations", internal_operations)?;
    method::heavy(module, "ots_getTransactionError", transaction_error)?;
    method::heavy(module, "ots_traceTransaction", trace_transaction)
}

fn has_code(context: &Context, args: Args<'_>, _: Deadline) -> Result<bool, RpcError> {
    let (address, block) = args.read::<(Address, Option<BlockId>)>()?;
    let account = context.node.state_at(block.unwrap_or_default())?.account(&address)?;
    Ok(account.is_some_and(|account| account.has_code()))
}

/// Runs `method` on the block of a transaction, its source and the transaction's position, within the time of a trace.
fn on_transaction<T>(
    context: &Context,
    args: Args<'_>,
    deadline: Deadline,
    method: impl FnOnce(&ReplayBlock<'_>, &TraceSource, usize, call::Deadline) -> Result<T, RpcError>,
) -> Result<Option<T>, RpcError> {
    let (hash,) = args.read::<(B256,)>()?;
    let Some((record, index)) = context.node.transaction(&hash) else { return Ok(None) };
    let source = TraceSource::new(&context.node, record)?;
    let deadline = limits(context, deadline).deadline;
    method(&source.block(context.node.spec()), &source, index, deadline).map(Some)
}

fn internal_operations(
    context: &Context,
    args: Args<'_>,
    deadline: Deadline,
) -> Result<Option<Vec<InternalOperation>>, RpcError> {
    on_transaction(context, args, deadline, |block, source, index, deadline| {
        Ok(trace::otterscan_operations(block, source.view.clone(), index, deadline)?)
    })
}

/// What a transaction gave back when it failed; no bytes for one that succeeded.
fn transaction_error(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Option<Bytes>, RpcError> {
    on_transaction(context, args, deadline, |block, source, index, deadline| {
        Ok(trace::failure_output(block, source.view.clone(), index, deadline)?)
    })
}

fn trace_transaction(
    context: &Context,
    args: Args<'_>,
    deadline: Deadline,
) -> Result<Option<Vec<TraceEntry>>, RpcError> {
    on_transaction(context, args, deadline, |block, source, index, deadline| {
        Ok(trace::otterscan_trace(block, source.view.clone(), index, deadline)?)
    })
}
