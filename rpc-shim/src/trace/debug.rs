//! geth's tracers.
//!
//! Place in the flow: what `debug_trace…` answers.
//! Invariant: options and results are geth's; a tracer or option that we do not have is refused, never ignored.

use super::{
    budget::{Budget, limited},
    frames::Frames,
    geth_shape::{ErrorWords, FlatShape, add_code_not_stored, flat_traces, name_failures, trim_struct_logs},
    prestate::{Lookups, PrestateConfig, prestate},
    replay::{ReplayBlock, machine_at, replay},
    user_operations::UserOperations,
};
use crate::call::{Call, CallError, Deadline, Machine, Ran};
use alloy_primitives::B256;
use alloy_rpc_types_eth::TransactionInfo;
use alloy_rpc_types_trace::{
    common::TraceResult,
    geth::{GethDebugBuiltInTracerType, GethDebugTracerType, GethDebugTracingOptions, GethTrace},
};
use laminar_executor::TxIndex;
use revm::{
    bytecode::opcode,
    context::{TxEnv, result::ResultAndState},
    database_interface::{DBErrorMarker, DatabaseRef},
    inspector::NoOpInspector,
};
use revm_inspectors::tracing::{
    DebugInspector, DebugInspectorError, TracingInspector, TracingInspectorConfig, TransactionContext,
};

/// The trace of one transaction of a block on the state `view` of its parent.
///
/// # Errors
/// A tracer that we do not have; the block cannot run again.
pub fn trace_transaction<DB: DatabaseRef<Error: DBErrorMarker>>(
    target: &ReplayBlock<'_>,
    view: DB,
    index: usize,
    options: &GethDebugTracingOptions,
    deadline: Deadline,
) -> Result<GethTrace, CallError> {
    let mut traces = traces(target, view, index..index + 1, options, deadline)?;
    traces.pop().map(|(_, trace)| trace).ok_or_else(|| CallError::request("transaction not found"))
}

/// The traces of all transactions of a block, in block order.
///
/// # Errors
/// As [`trace_transaction`].
pub fn trace_transactions<DB: DatabaseRef<Error: DBErrorMarker>>(
    target: &ReplayBlock<'_>,
    view: DB,
    options: &GethDebugTracingOptions,
    deadline: Deadline,
) -> Result<Vec<TraceResult<GethTrace, String>>, CallError> {
    let traces = traces(target, view, 0..target.senders.len(), options, deadline)?;
    Ok(traces.into_iter().map(|(hash, result)| TraceResult::Success { result, tx_hash: Some(hash) }).collect())
}

fn traces<DB: DatabaseRef<Error: DBErrorMarker>>(
    target: &ReplayBlock<'_>,
    view: DB,
    range: std::ops::Range<usize>,
    options: &GethDebugTracingOptions,
    deadline: Deadline,
) -> Result<Vec<(B256, GethTrace)>, CallError> {
    let (library, notes) = tracer(options)?;
    let mut traces = Vec::with_capacity(range.len());
    let inspector = || (library.try_clone().expect("a tracer without a script can be cloned"), notes.clone());
    replay(target, view, deadline, range, inspector, |replayed| {
        let hash = *target.block.body.transactions[replayed.index].tx_hash();
        let context =
            TransactionContext::default().with_block_hash(target.hash).with_tx_index(replayed.index).with_tx_hash(hash);
        traces.push((hash, finish(replayed.machine, replayed.tx, replayed.ran, options, Some(context))?));
        Ok(())
    })?;
    Ok(traces)
}

/// The trace of a call on `view`; with `within`, before transaction `index` of that block on its parent's state `view`.
///
/// # Errors
/// A tracer that we do not have; the call cannot run.
pub fn trace_call<DB: DatabaseRef<Error: DBErrorMarker>>(
    call: &Call<'_>,
    view: DB,
    within: Option<(&ReplayBlock<'_>, TxIndex)>,
    options: &GethDebugTracingOptions,
) -> Result<GethTrace, CallError> {
    let Some((target, index)) = within else {
        let (machine, tx) = call.prepare(view)?;
        return trace_one(machine, tx, options);
    };
    let before = machine_at(target, view, call.limits.deadline, index)?;
    let (machine, tx) = call.prepare_on(before.into_state())?;
    trace_one(machine, tx, options)
}

/// The trace of one run on a machine.
///
/// # Errors
/// A tracer that we do not have; the transaction cannot run.
pub fn trace_one<DB: DatabaseRef<Error: DBErrorMarker>>(
    machine: Machine<DB>,
    tx: TxEnv,
    options: &GethDebugTracingOptions,
) -> Result<GethTrace, CallError> {
    let mut machine = machine.with_inspector(tracer(options)?);
    let ran = machine.inspect(tx.clone())?;
    finish(&mut machine, &tx, &ran, options, None)
}

/// The library's tracer, ours that stands in for one of them, and ours that notes what the library's do not.
type Tracer = (DebugInspector, Notes);
type Notes = (Lookups, (Frames, (UserOperations, Budget)));

fn is_prestate(options: &GethDebugTracingOptions) -> bool {
    options.tracer == Some(GethDebugTracerType::BuiltInTracer(GethDebugBuiltInTracerType::PreStateTracer))
}

fn tracer(options: &GethDebugTracingOptions) -> Result<Tracer, CallError> {
    if is_prestate(options) {
        return Ok((DebugInspector::Noop(NoOpInspector), (Lookups::new(true), Default::default())));
    }
    if options.tracer == Some(GethDebugTracerType::BuiltInTracer(GethDebugBuiltInTracerType::FlatCallTracer)) {
        // All calls are kept: which ones of precompiles are left out is decided at the end.
        let inspector =
            TracingInspector::new(TracingInspectorConfig::default_parity().set_exclude_precompile_calls(false));
        let notes = (Frames::new(true), Default::default());
        return Ok((DebugInspector::FlatCallTracer(limited(inspector)), (Lookups::default(), notes)));
    }
    let mut library = DebugInspector::new(with_defaults(options.clone())).map_err(|error| match error {
        DebugInspectorError::JsTracerNotEnabled => {
            let name = options.tracer.as_ref().map(|tracer| tracer.as_str().to_owned()).unwrap_or_default();
            CallError::request(format_args!("tracer not found: {name}"))
        }
        other => CallError::request(other),
    })?;
    let budget = Budget::of_debug(&mut library);
    let (frames, user_operations) = match &library {
        DebugInspector::CallTracer(..) => (Frames::new(true), UserOperations::default()),
        DebugInspector::Erc7562Tracer(_, config) => {
            (Frames::new(true), UserOperations::new(config.ignored_opcodes.iter().copied()))
        }
        _ => Default::default(),
    };
    Ok((library, (Lookups::default(), (frames, (user_operations, budget)))))
}

/// Opcodes that geth's tracer for user operations does not count where the caller names none: arithmetic and the stack's.
fn ignored_opcodes() -> Vec<String> {
    let stack = opcode::PUSH0..opcode::SWAP16;
    let others = [
        opcode::POP,
        opcode::ADD,
        opcode::SUB,
        opcode::MUL,
        opcode::DIV,
        opcode::EQ,
        opcode::LT,
        opcode::GT,
        opcode::SLT,
        opcode::SGT,
        opcode::SHL,
        opcode::SHR,
        opcode::AND,
        opcode::OR,
        opcode::NOT,
        opcode::ISZERO,
    ];
    stack.chain(others).map(|opcode| format!("{opcode:#x}")).collect()
}

/// geth's defaults where the library has others.
fn with_defaults(mut options: GethDebugTracingOptions) -> GethDebugTracingOptions {
    let tracer = GethDebugTracerType::BuiltInTracer(GethDebugBuiltInTracerType::Erc7562Tracer);
    if options.tracer == Some(tracer) {
        let config = &mut options.tracer_config.0;
        if config.is_null() {
            *config = serde_json::json!({});
        }
        if let Some(config) = config.as_object_mut() {
            config.entry("ignoredOpcodes").or_insert_with(|| ignored_opcodes().into());
        }
    }
    options
}

fn read_config(config: serde_json::Value) -> Result<PrestateConfig, CallError> {
    serde_json::from_value(config).map_err(|error| CallError::params(format!("invalid tracerConfig: {error}")))
}

fn finish<DB: DatabaseRef<Error: DBErrorMarker>>(
    machine: &mut Machine<DB, Tracer>,
    tx: &TxEnv,
    ran: &Ran,
    options: &GethDebugTracingOptions,
    context: Option<TransactionContext>,
) -> Result<GethTrace, CallError> {
    let block = machine.block().clone();
    let ((inspector, (lookups, (frames, (user_operations, _)))), state) = machine.inspector_and_state();
    if is_prestate(options) {
        let config = options.tracer_config.clone().into_json();
        let config = if config.is_null() { PrestateConfig::default() } else { read_config(config)? };
        return prestate(lookups.clone(), tx, block.beneficiary, config, state, ran).map(GethTrace::JS);
    }
    let ran = ResultAndState { result: ran.result.clone(), state: ran.state.clone() };
    if let DebugInspector::FlatCallTracer(inspector) = inspector {
        let mut inspector = inspector.clone();
        add_code_not_stored(inspector.traces_mut().nodes_mut(), frames.notes());
        inspector.set_transaction_gas_limit(tx.gas_limit);
        let config = options.tracer_config.clone().into_flat_call_config().unwrap_or_default();
        let words =
            if config.convert_parity_errors.unwrap_or_default() { ErrorWords::Parity } else { ErrorWords::Geth };
        let info = TransactionInfo {
            hash: context.and_then(|context| context.tx_hash),
            index: context.and_then(|context| context.tx_index).map(|index| index as u64),
            block_hash: context.and_then(|context| context.block_hash),
            block_number: Some(block.number.saturating_to()),
            ..TransactionInfo::default()
        };
        let shape = FlatShape {
            words,
            with_precompiles: config.include_precompiles.unwrap_or_default(),
            notes: frames.notes(),
        };
        return Ok(flat_traces(inspector, ran.result.tx_gas_used(), info, &shape).into());
    }
    if let DebugInspector::CallTracer(inspector, ..) | DebugInspector::Erc7562Tracer(inspector, ..) = inspector {
        add_code_not_stored(inspector.traces_mut().nodes_mut(), frames.notes());
    }
    let trace = inspector.get_result(context, tx, &block, &ran, &mut &*state).map_err(|error| match error {
        DebugInspectorError::Database(error) => CallError::state(error),
        other => CallError::Internal { what: other.to_string() },
    });
    trace.map(|mut trace| {
        match (&mut trace, &*inspector) {
            (GethTrace::Default(frame), _) => trim_struct_logs(frame),
            (GethTrace::CallTracer(frame), DebugInspector::CallTracer(inspector, ..)) => {
                name_failures(inspector.traces().nodes(), frames.notes(), frame, 0);
            }
            (GethTrace::Erc7562Tracer(frame), _) => user_operations.put_into(frame),
            _ => {}
        }
        trace
    })
}
