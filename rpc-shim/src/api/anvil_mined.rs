//! `evm_mine_detailed`: mining, and what the transactions of the new blocks gave back. `anvil_setRpcUrl`, which needs a fork.
//!
//! Place in the flow: registered only on a development chain; blocks are traced after they were mined.
//! Invariant: blocks are those of this call, oldest first, in the form of `eth_getBlockByNumber` with full transactions.

use super::{Args, Context, Deadline, anvil::mine_as_told, eth_call::limits, method};
use crate::{
    convert::{self, Detail},
    error::RpcError,
    node::BlockRecord,
    trace::{self, TraceSource},
};
use alloy_rpc_types_trace::{
    common::TraceResult,
    geth::{CallFrame, GethDebugBuiltInTracerType, GethDebugTracerType, GethDebugTracingOptions, GethTrace},
};
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use serde_json::Value;
use std::sync::Arc;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    for name in ["evm_mine_detailed", "anvil_mine_detailed"] {
        method::change(module, name, mine_detailed)?;
    }
    method::quick(module, "anvil_setRpcUrl", |_, args| {
        args.read::<(String,)>()?;
        Err::<(), _>(RpcError::params("forking is not supported"))
    })
}

fn mine_detailed(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Vec<Value>, RpcError> {
    let mined = mine_as_told(context, args)?;
    let head = context.node.head().header.number;
    let numbers = head.saturating_sub(mined) + 1..=head;
    let records = numbers.filter_map(|number| context.node.block_by_number(number));
    records.map(|record| deadline.check().and_then(|()| detailed(context, record, deadline))).collect()
}

fn detailed(context: &Context, record: Arc<BlockRecord>, deadline: Deadline) -> Result<Value, RpcError> {
    let block = convert::block(&record, Detail::Full);
    let mut block = serde_json::to_value(block).map_err(|error| RpcError::internal(&error))?;
    let source = TraceSource::new(&context.node, record)?;
    let tracer = GethDebugTracerType::BuiltInTracer(GethDebugBuiltInTracerType::CallTracer);
    let options = GethDebugTracingOptions { tracer: Some(tracer), ..GethDebugTracingOptions::default() };
    let target = source.block(context.node.spec());
    let deadline = limits(context, deadline).deadline;
    let traces = trace::trace_transactions(&target, source.view.clone(), &options, deadline)?;
    let transactions = block["transactions"].as_array_mut().into_iter().flatten();
    for (transaction, trace) in transactions.zip(traces) {
        if let TraceResult::Success { result: GethTrace::CallTracer(frame), .. } = trace {
            add_output(transaction, frame);
        }
    }
    Ok(block)
}

fn add_output(transaction: &mut Value, frame: CallFrame) {
    if let Some(reason) = frame.revert_reason {
        transaction["revertReason"] = reason.into();
    }
    transaction["output"] = frame.output.unwrap_or_default().to_string().into();
}
