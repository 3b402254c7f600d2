//! `laminar_`: what no other node can tell.
//!
//! Place in the flow: one namespace; the trace is [`crate::trace`]'s. The form is documented in `docs/block-trace.md`.

use super::{Args, Context, Deadline, eth_call::limits, method};
use crate::{
    error::RpcError,
    trace::{self, BlockTrace, TraceSource},
};
use alloy_eips::BlockId;
use jsonrpsee::{RpcModule, core::RegisterMethodError};

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::heavy(module, "laminar_getBlockTrace", block_trace)
}

/// How a block runs in parallel; null for one that is not known.
fn block_trace(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Option<BlockTrace>, RpcError> {
    let (id,) = args.read::<(BlockId,)>()?;
    let Some(record) = context.node.block(id) else { return Ok(None) };
    let imported = record.stats.clone();
    let source = TraceSource::new(&context.node, record)?;
    let block = source.block(context.node.spec());
    let deadline = limits(context, deadline).deadline;
    Ok(Some(trace::block_trace(&block, source.view.clone(), imported.as_ref(), deadline)?))
}
