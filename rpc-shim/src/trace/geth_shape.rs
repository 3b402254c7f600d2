//! What geth writes otherwise than the inspectors give it.
//!
//! Place in the flow: last step of a geth trace.
//! Invariant: only the form changes: what geth leaves out is left out, and errors have geth's words.

use super::frames::FrameNotes;
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

/// What geth says of a frame's failure where the library has other words; `at` is the frame's number.
fn failure(nodes: &[CallTraceNode], notes: &[FrameNotes], at: usize) -> Option<String> {
    if could_not_store_code(&nodes[at]) {
        return Some(CODE_TOO_DEAR.to_owned());
    }
    notes.get(at)?.refusal.clone()
}

/// Puts geth's words into the frames of a call trace, which has those of the nodes in their order.
pub(super) fn name_failures(nodes: &[CallTraceNode], notes: &[FrameNotes], frame: &mut CallFrame, at: usize) {
    let Some(node) = nodes.get(at) else { return };
    if let Some(words) = failure(nodes, notes, at) {
        frame.error = Some(words);
    }
    let calls = frame.calls.iter_mut().filter(|call| call.typ != "SELFDESTRUCT");
    for (call, child) in calls.zip(&node.children) {
        name_failures(nodes, notes, call, *child);
    }
}

/// Gives creations the code that they returned, though it was not stored.
pub(super) fn add_code_not_stored(nodes: &mut [CallTraceNode], notes: &[FrameNotes]) {
    for (node, note) in nodes.iter_mut().zip(notes) {
        if let Some(code) = &note.code_not_stored {
            node.trace.output = code.clone();
        }
    }
}

/// How flat traces look.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlatShape<'a> {
    pub(super) words: ErrorWords,
    /// Without, plain and static calls of precompiles are left out, and no others, as in geth.
    pub(super) with_precompiles: bool,
    pub(super) notes: &'a [FrameNotes],
}

/// Flat traces in the order of the calls: the root's gas is the transaction's.
pub(super) fn flat_traces(
    inspector: TracingInspector,
    gas_used: u64,
    info: TransactionInfo,
    shape: &FlatShape<'_>,
) -> Vec<LocalizedTransactionTrace> {
    let inspector = inspector.with_transaction_gas_used(gas_used);
    let nodes = inspector.traces().nodes();
    let mut flat = Vec::with_capacity(nodes.len());
    if !nodes.is_empty() {
        push_flat(nodes, 0, Vec::new(), shape, &mut flat);
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
    shape: &FlatShape<'_>,
    flat: &mut Vec<TransactionTrace>,
) {
    let node = &nodes[at];
    let is_shown = |child: &&usize| {
        let is_plain = matches!(nodes[**child].kind(), CallKind::Call | CallKind::StaticCall);
        let is_precompile = shape.notes.get(**child).is_some_and(|note| note.is_precompile);
        shape.with_precompiles || !(is_plain && is_precompile)
    };
    let children: Vec<usize> = node.children.iter().filter(is_shown).copied().collect();
    let mut trace = node.parity_transaction_trace(address.clone());
    if shape.words == ErrorWords::Geth {
        let named = failure(nodes, shape.notes, at);
        trace.error = named.or_else(|| node.geth_empty_call_frame(false).error);
    }
    let child_address = |position| address.iter().copied().chain([position]).collect::<Vec<_>>();
    let end = node.parity_selfdestruct_trace(child_address(children.len()));
    trace.subtraces = children.len() + usize::from(end.is_some());
    flat.push(trace);
    for (position, child) in children.iter().enumerate() {
        push_flat(nodes, *child, child_address(position), shape, flat);
    }
    flat.extend(end);
}
