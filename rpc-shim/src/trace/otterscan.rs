//! The traces of `ots_`.
//!
//! Place in the flow: what `ots_getInternalOperations` and `ots_traceTransaction` answer.
//! Invariant: as in Otterscan's own nodes, operations are ether that moved inside the transaction, not its own value.

use super::{
    budget::limited,
    replay::{ReplayBlock, replay},
};
use crate::call::{CallError, Deadline};
use alloy_primitives::Bytes;
use alloy_rpc_types_trace::otterscan::{InternalOperation, TraceEntry};
use revm::{
    context::result::ExecutionResult,
    database_interface::{DBErrorMarker, DatabaseRef},
    inspector::NoOpInspector,
};
use revm_inspectors::{
    otterscan::InternalOperationsInspector,
    tracing::{TracingInspector, TracingInspectorConfig},
};

/// Ether that moved inside a transaction.
///
/// # Errors
/// The block cannot run again.
pub fn otterscan_operations<DB: DatabaseRef<Error: DBErrorMarker>>(
    target: &ReplayBlock<'_>,
    view: DB,
    index: usize,
    deadline: Deadline,
) -> Result<Vec<InternalOperation>, CallError> {
    let mut operations = Vec::new();
    replay(target, view, deadline, index..index + 1, InternalOperationsInspector::default, |replayed| {
        operations = replayed.machine.replace_inspector(InternalOperationsInspector::default()).into_operations();
        Ok(())
    })?;
    Ok(operations)
}

/// The calls of a transaction with their depth, in the order of execution.
///
/// # Errors
/// The block cannot run again.
pub fn otterscan_trace<DB: DatabaseRef<Error: DBErrorMarker>>(
    target: &ReplayBlock<'_>,
    view: DB,
    index: usize,
    deadline: Deadline,
) -> Result<Vec<TraceEntry>, CallError> {
    let mut entries = Vec::new();
    let inspector = || limited(TracingInspector::new(TracingInspectorConfig::default_parity()));
    replay(target, view, deadline, index..index + 1, inspector, |replayed| {
        let nodes = replayed.machine.replace_inspector(inspector()).into_traces().into_nodes();
        entries.extend(nodes.into_iter().map(|node| TraceEntry {
            r#type: node.trace.kind.to_string(),
            depth: u32::try_from(node.trace.depth).unwrap_or(u32::MAX),
            from: node.trace.caller,
            to: node.trace.address,
            value: Some(node.trace.value),
            input: node.trace.data,
            output: node.trace.output,
        }));
        Ok(())
    })?;
    Ok(entries)
}

/// What a transaction gave back when it failed; no bytes for one that succeeded.
///
/// # Errors
/// The block cannot run again.
pub fn failure_output<DB: DatabaseRef<Error: DBErrorMarker>>(
    target: &ReplayBlock<'_>,
    view: DB,
    index: usize,
    deadline: Deadline,
) -> Result<Bytes, CallError> {
    let mut output = Bytes::new();
    replay(target, view, deadline, index..index + 1, NoOpInspector::default, |replayed| {
        if let ExecutionResult::Revert { output: reverted, .. } = &replayed.ran.result {
            output = reverted.clone();
        }
        Ok(())
    })?;
    Ok(output)
}
