//! The interpreter's loop: one frame, opcode by opcode, until it calls, ends or fails.
//!
//! Place in the flow: the inside of every run of [`super::Instance`], between revm's frames.
//! Invariant: it does what revm's `Interpreter::run_plain` does over the same tables, to the last unit of gas: stretches of
//! the opcodes that [`stretch`] has written out, and every other opcode, those that [`super::observe`] wraps among them,
//! through the table. It knows no state: what an opcode costs and whether it exists is in the tables.

mod stretch;
#[cfg(test)]
mod tests;

use revm::interpreter::{
    Host, InstructionContext, InstructionResult, Interpreter, InterpreterAction,
    instructions::{GasTable, InstructionTable},
    interpreter::EthInterpreter,
    interpreter_types::LoopControl,
};
use stretch::stretch;

/// Runs the frame of `interpreter` until it has something for its caller to do.
pub(super) fn run<H: Host>(
    interpreter: &mut Interpreter,
    table: &InstructionTable<EthInterpreter, H>,
    gas: &GasTable,
    host: &mut H,
) -> InterpreterAction {
    let ended = loop {
        let done = match stretch(interpreter, gas) {
            Some(opcode) => table[usize::from(opcode)].execute(InstructionContext { interpreter, host }),
            None => Err(InstructionResult::OutOfGas),
        };
        if let Err(ended) = done {
            break ended;
        }
    };
    if interpreter.bytecode.action().is_none() {
        interpreter.halt(ended);
    }
    interpreter.take_next_action()
}
