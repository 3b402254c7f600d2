//! What geth writes otherwise than the inspectors give it.
//!
//! Place in the flow: last step of a geth trace.
//! Invariant: only the form changes: what geth leaves out is left out, and errors have geth's words.

use alloy_rpc_types_eth::TransactionInfo;
use alloy_rpc_types_trace::{
    geth::{CallFrame, DefaultFrame},
    parity::{LocalizedTransactionTrace, TransactionTrace},
};
use revm::interpreter::InstructionResult;
use revm_inspectors::tracing::{
    TracingInspector,
    types::{CallKind, CallTraceNode},
};

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

/// What geth says of a contract whose code is too dear to store.
const CODE_TOO_DEAR: &str = "contract creation code storage out of gas";

/// Whether a creation ran to its end and could not pay for its code: other runs out of gas give nothing back.
fn could_not_store_code(node: &CallTraceNode) -> bool {
    node.kind().is_any_create() && node.status() == Some(InstructionResult::OutOfGas) && !node.trace.output.is_empty()
}

/// Puts geth's words into the frames of a call trace, which has those of the nodes in their order.
pub(super) fn name_failed_creations(nodes: &[CallTraceNode], frame: &mut CallFrame, at: usize) {
    let Some(node) = nodes.get(at) else { return };
    if could_not_store_code(node) {
        frame.error = Some(CODE_TOO_DEAR.to_owned());
    }
    let calls = frame.calls.iter_mut().filter(|call| call.typ != "SELFDESTRUCT");
    for (call, child) in calls.zip(&node.children) {
        name_failed_creations(nodes, call, *child);
    }
}

/// Flat traces in the order of the calls: the root's gas is the transaction's. Without `with_precompiles`, plain and static calls
/// of precompiles are left out, and no others, as in geth.
pub(super) fn flat_traces(
    inspector: TracingInspector,
    gas_used: u64,
    info: TransactionInfo,
    words: ErrorWords,
    with_precompiles: bool,
) -> Vec<LocalizedTransactionTrace> {
    let inspector = inspector.with_transaction_gas_used(gas_used);
    let nodes = inspector.traces().nodes();
    let mut flat = Vec::with_capacity(nodes.len());
    if !nodes.is_empty() {
        push_flat(nodes, 0, Vec::new(), words, with_precompiles, &mut flat);
    }
    let TransactionInfo { hash, index, block_hash, block_number, .. } = info;
    let place = |trace| LocalizedTransactionTrace {
        trace,
        transaction_position: index,
        transaction_hash: hash,
        block_number,
        block_hash,
    };
    flat.into_iter().map(place).collect()
}

fn push_flat(
    nodes: &[CallTraceNode],
    at: usize,
    address: Vec<usize>,
    words: ErrorWords,
    with_precompiles: bool,
    flat: &mut Vec<TransactionTrace>,
) {
    let node = &nodes[at];
    let is_shown = |child: &&usize| {
        let child = &nodes[**child];
        let is_plain = matches!(child.kind(), CallKind::Call | CallKind::StaticCall);
        with_precompiles || !(is_plain && child.is_precompile())
    };
    let children: Vec<usize> = node.children.iter().filter(is_shown).copied().collect();
    let mut trace = node.parity_transaction_trace(address.clone());
    if words == ErrorWords::Geth {
        trace.error = match could_not_store_code(node) {
            true => Some(CODE_TOO_DEAR.to_owned()),
            false => node.geth_empty_call_frame(false).error,
        };
    }
    let child_address = |position| address.iter().copied().chain([position]).collect::<Vec<_>>();
    let end = node.parity_selfdestruct_trace(child_address(children.len()));
    trace.subtraces = children.len() + usize::from(end.is_some());
    flat.push(trace);
    for (position, child) in children.iter().enumerate() {
        push_flat(nodes, *child, child_address(position), words, with_precompiles, flat);
    }
    flat.extend(end);
}
