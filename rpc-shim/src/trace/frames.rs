//! What geth tells of a frame and the library's tracers do not note.
//!
//! Place in the flow: an inspector beside the library's; `geth_shape` puts its notes into the trace.
//! Invariant: frames are numbered in the order in which they begin, as the library's tracer numbers its nodes.

use crate::call::MachineContext;
use alloy_primitives::Bytes;
use revm::{
    Inspector,
    database_interface::DatabaseRef,
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, InstructionResult, Interpreter, InterpreterAction,
        interpreter_types::LoopControl,
    },
    precompile::{PrecompileSpecId, Precompiles},
    primitives::hardfork::SpecId,
};

/// Notes of one frame.
#[derive(Clone, Debug, Default)]
pub(super) struct FrameNotes {
    /// Whether a precompile was called.
    pub(super) is_precompile: bool,
    /// Why the precompile that was called refused its input, in geth's words.
    pub(super) refusal: Option<String>,
    /// What a creation in Frontier returned and could not pay for, so that the account has no code.
    pub(super) code_not_stored: Option<Bytes>,
}

/// Notes of all frames of a transaction.
#[derive(Clone, Debug, Default)]
pub(super) struct Frames {
    is_on: bool,
    notes: Vec<FrameNotes>,
    open: Vec<usize>,
    /// What the frame that ends returns.
    returned: Bytes,
}

impl Frames {
    /// Notes something only if `is_on`.
    pub(super) fn new(is_on: bool) -> Self {
        Self { is_on, ..Self::default() }
    }

    /// By frame, in the order of their beginnings.
    pub(super) fn notes(&self) -> &[FrameNotes] {
        &self.notes
    }

    fn begin(&mut self, notes: FrameNotes) {
        self.open.push(self.notes.len());
        self.notes.push(notes);
    }

    fn current(&mut self) -> Option<&mut FrameNotes> {
        self.notes.get_mut(*self.open.last()?)
    }
}

impl<DB: DatabaseRef> Inspector<MachineContext<DB>> for Frames {
    fn step_end(&mut self, interpreter: &mut Interpreter, _: &mut MachineContext<DB>) {
        if self.is_on
            && let Some(InterpreterAction::Return(result)) = interpreter.bytecode.action()
        {
            self.returned = result.output.clone();
        }
    }

    fn call(&mut self, context: &mut MachineContext<DB>, inputs: &mut CallInputs) -> Option<CallOutcome> {
        if self.is_on {
            let precompiles = Precompiles::new(PrecompileSpecId::from_spec_id(context.cfg.spec));
            self.begin(FrameNotes {
                is_precompile: precompiles.contains(&inputs.bytecode_address),
                ..FrameNotes::default()
            });
        }
        None
    }

    fn call_end(&mut self, context: &mut MachineContext<DB>, _: &CallInputs, outcome: &mut CallOutcome) {
        if !self.is_on {
            return;
        }
        let refusal = match outcome.result.result {
            InstructionResult::PrecompileError => context.local.precompile_error_message.clone(),
            _ => None,
        };
        if let Some(frame) = self.current() {
            frame.refusal = refusal;
        }
        self.open.pop();
        self.returned = Bytes::new();
    }

    fn create(&mut self, _: &mut MachineContext<DB>, _: &mut CreateInputs) -> Option<CreateOutcome> {
        if self.is_on {
            self.begin(FrameNotes::default());
        }
        None
    }

    fn create_end(&mut self, context: &mut MachineContext<DB>, _: &CreateInputs, outcome: &mut CreateOutcome) {
        if !self.is_on {
            return;
        }
        let returned = std::mem::take(&mut self.returned);
        // CONSENSUS: EIP-2 made this a failure.
        let may_lack_code = context.cfg.spec == SpecId::FRONTIER && outcome.result.result.is_ok();
        if may_lack_code
            && outcome.result.output.is_empty()
            && !returned.is_empty()
            && let Some(frame) = self.current()
        {
            frame.code_not_stored = Some(returned);
        }
        self.open.pop();
    }
}
