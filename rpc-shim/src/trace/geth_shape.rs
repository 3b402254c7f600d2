//! What geth writes otherwise than the inspectors give it.
//!
//! Place in the flow: last step of a geth trace.
//! Invariant: only the form changes: what geth leaves out is left out, and errors have geth's words.

use alloy_rpc_types_eth::TransactionInfo;
use alloy_rpc_types_trace::{
    geth::DefaultFrame,
    parity::{Action, LocalizedTransactionTrace},
};
use revm_inspectors::tracing::TracingInspector;

/// Struct logs leave out what is empty or zero.
pub(super) fn trim_struct_logs(frame: &mut DefaultFrame) {
    for log in &mut frame.struct_logs {
        log.refund_counter = log.refund_counter.filter(|refund| *refund != 0);
        log.memory = log.memory.take().filter(|memory| !memory.is_empty());
        log.return_data = log.return_data.take().filter(|data| !data.is_empty());
    }
}

/// Whose words the errors of flat traces have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ErrorWords {
    Geth,
    Parity,
}

/// Flat traces: the root's gas is the transaction's.
pub(super) fn flat_traces(
    inspector: TracingInspector,
    gas_used: u64,
    info: TransactionInfo,
    words: ErrorWords,
) -> Vec<LocalizedTransactionTrace> {
    let inspector = inspector.with_transaction_gas_used(gas_used);
    let nodes = inspector.traces().nodes().iter().filter(|node| !node.is_precompile());
    let errors: Vec<_> = nodes.map(|node| node.geth_empty_call_frame(false).error).collect();
    let mut traces = inspector.into_parity_builder().into_localized_transaction_traces(info);
    if words == ErrorWords::Geth {
        let calls = traces.iter_mut().filter(|trace| !matches!(trace.trace.action, Action::Selfdestruct(_)));
        for (trace, error) in calls.zip(errors) {
            trace.trace.error = error;
        }
    }
    traces
}
