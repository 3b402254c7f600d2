//! What stops a run that takes too long.
//!
//! Place in the flow: the `chain` value of every [`super::Machine`]'s context, asked by the instructions that every long run has to
//! pass: jump targets, calls and creations.
//! Invariant: a run ends at most [`STEPS_BETWEEN_LOOKS`] such instructions after its deadline. Without one the clock is not read.

use revm::{
    bytecode::opcode::{CALL, CALLCODE, CREATE, CREATE2, DELEGATECALL, JUMPDEST, STATICCALL},
    context_interface::context::ContextError,
    database_interface::DatabaseRef,
    handler::instructions::EthInstructions,
    interpreter::{
        InstructionContext, InstructionExecResult, InstructionResult,
        instructions::{Instruction, contract},
        interpreter::EthInterpreter,
    },
};
use std::time::{Duration, Instant};

use super::machine::MachineContext;

/// Instructions between two looks at the clock; a power of two.
const STEPS_BETWEEN_LOOKS: u32 = 256;

/// How revm's error says that a run was stopped.
pub(super) const STOPPED: &str = "stopped at the deadline";

/// When a run must be done.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    end: Option<Instant>,
    /// For the message.
    timeout: Duration,
    steps: u32,
}

impl Deadline {
    /// Never.
    pub const fn never() -> Self {
        Self { end: None, timeout: Duration::ZERO, steps: 0 }
    }

    /// `left` from now, of `timeout` that was given.
    pub fn within(left: Duration, timeout: Duration) -> Self {
        Self { end: Instant::now().checked_add(left), timeout, steps: 0 }
    }

    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }

    /// How long was given.
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    fn step(&mut self) -> bool {
        self.steps = self.steps.wrapping_add(1);
        self.steps.is_multiple_of(STEPS_BETWEEN_LOOKS) && self.is_over()
    }
}

type Step<'s, DB> = InstructionContext<'s, MachineContext<DB>, EthInterpreter>;

/// Wraps the instructions that no long run can do without, keeping their static gas.
pub(super) fn install<DB: DatabaseRef>(table: &mut EthInstructions<EthInterpreter, MachineContext<DB>>) {
    let mut wrap = |opcode: u8, step| {
        table.instruction_table_mut()[usize::from(opcode)] = Instruction::new(step);
    };
    wrap(JUMPDEST, |step| look(step.host));
    wrap(CALL, call::<CALL, DB>);
    wrap(CALLCODE, call::<CALLCODE, DB>);
    wrap(DELEGATECALL, call::<DELEGATECALL, DB>);
    wrap(STATICCALL, call::<STATICCALL, DB>);
    wrap(CREATE, create::<false, DB>);
    wrap(CREATE2, create::<true, DB>);
}

fn call<const KIND: u8, DB: DatabaseRef>(step: Step<'_, DB>) -> InstructionExecResult {
    look(step.host)?;
    contract::call::<KIND, _, _>(step)
}

fn create<const IS_CREATE2: bool, DB: DatabaseRef>(step: Step<'_, DB>) -> InstructionExecResult {
    look(step.host)?;
    contract::create::<IS_CREATE2, _, _>(step)
}

fn look<DB: DatabaseRef>(host: &mut MachineContext<DB>) -> InstructionExecResult {
    if host.chain.step() {
        host.error = Err(ContextError::Custom(STOPPED.to_owned()));
        return Err(InstructionResult::FatalExternalError);
    }
    Ok(())
}
