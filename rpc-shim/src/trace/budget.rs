//! What the trace of one transaction may take in memory.
//!
//! Place in the flow: under every tracer of the library, which by themselves record until the gas or the time ends.
//! Invariant: a run that exceeds its budget ends with an error that says so, never with a part of a trace. The library counts the
//! bytes that it copies (inputs, memory), [`Budget`] the steps and their stacks.

use crate::call::{EXCEEDED, MachineContext, TRACE_LEN_MAX};
use revm::{Inspector, context::ContextError, database_interface::DatabaseRef, interpreter::Interpreter};
use revm_inspectors::tracing::{
    DebugInspector, TraceLimitBehavior, TraceLimits, TracingInspector, TracingInspectorConfig, types::CallTraceStep,
};

/// Bytes of a word.
const WORD: usize = 32;

/// The library's tracer with a budget.
pub type Recorder = (TracingInspector, Budget);

/// A tracer of this configuration, with a budget.
pub(super) fn recorder(config: TracingInspectorConfig) -> Recorder {
    (limited(TracingInspector::new(config)), Budget::of(&config))
}

/// A tracer that copies no more than it may.
pub(super) fn limited(inspector: TracingInspector) -> TracingInspector {
    let limits = TraceLimits::default().set_max_recorded_bytes(Some(TRACE_LEN_MAX));
    inspector.with_limits(limits.set_behavior(TraceLimitBehavior::Halt))
}

/// What is left for steps; nothing is counted where none are recorded.
#[derive(Clone, Copy, Debug, Default)]
pub struct Budget {
    left: Option<usize>,
    has_stack: bool,
}

impl Budget {
    fn of(config: &TracingInspectorConfig) -> Self {
        Self { left: config.record_steps.then_some(TRACE_LEN_MAX), has_stack: config.record_stack_snapshots.is_full() }
    }

    /// That of a geth tracer, whose own budget is set.
    pub(super) fn of_debug(library: &mut DebugInspector) -> Self {
        match library {
            DebugInspector::CallTracer(inspector, ..)
            | DebugInspector::PreStateTracer(inspector, ..)
            | DebugInspector::FlatCallTracer(inspector)
            | DebugInspector::Erc7562Tracer(inspector, ..)
            | DebugInspector::Default(inspector, ..) => {
                *inspector = limited(std::mem::take(inspector));
                Self::of(inspector.config())
            }
            _ => Self::default(),
        }
    }
}

impl<DB: DatabaseRef> Inspector<MachineContext<DB>> for Budget {
    fn step(&mut self, interpreter: &mut Interpreter, context: &mut MachineContext<DB>) {
        let Some(left) = &mut self.left else { return };
        let stack = if self.has_stack { interpreter.stack.len() * WORD } else { 0 };
        match left.checked_sub(size_of::<CallTraceStep>() + stack) {
            Some(less) => *left = less,
            None => {
                context.error = Err(ContextError::Custom(EXCEEDED.to_owned()));
                interpreter.halt_fatal();
            }
        }
    }
}
