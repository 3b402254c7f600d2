//! The interpreter's loop: one frame, opcode by opcode, until it calls, ends or fails.
//!
//! Place in the flow: the inside of every run of [`super::Instance`], between revm's frames.
//! Invariant: it does what revm's `Interpreter::run_plain` does over the same tables, to the last unit of gas. The opcodes that
//! contracts consist of mostly (stack, jumps, comparisons, sums) are written out in the loop on revm's own stack, so that
//! the compiler sees one function; every other opcode, those that [`super::observe`] wraps among them, goes through the table.
//! It knows no state and no fork: what an opcode costs and whether it exists is in the tables.

use alloy_primitives::U256;
use revm::{
    bytecode::opcode as op,
    interpreter::{
        Host, InstructionContext, InstructionResult, Interpreter, InterpreterAction,
        instructions::{GasTable, InstructionTable},
        interpreter::{EthInterpreter, ExtBytecode},
        interpreter_types::{Immediates, Jumps, LoopControl},
    },
};

/// What an opcode leaves: an error ends the frame, and so does an action, which comes as an error too.
type Stepped = Result<(), InstructionResult>;

/// Runs the frame of `interpreter` until it has something for its caller to do.
pub(super) fn run<H: Host>(
    interpreter: &mut Interpreter,
    table: &InstructionTable<EthInterpreter, H>,
    gas: &GasTable,
    host: &mut H,
) -> InterpreterAction {
    let ended = loop {
        if let Err(ended) = step(interpreter, table, gas, host) {
            break ended;
        }
    };
    if interpreter.bytecode.action().is_none() {
        interpreter.halt(ended);
    }
    interpreter.take_next_action()
}

#[inline(always)]
fn step<H: Host>(
    interpreter: &mut Interpreter,
    table: &InstructionTable<EthInterpreter, H>,
    gas: &GasTable,
    host: &mut H,
) -> Stepped {
    let opcode = interpreter.bytecode.opcode();
    interpreter.bytecode.relative_jump(1);
    if interpreter.gas.record_cost_unsafe(u64::from(gas[usize::from(opcode)])) {
        return Err(InstructionResult::OutOfGas);
    }
    match opcode {
        op::PUSH1 => push::<1>(interpreter, |code| code.read_u8().into()),
        op::PUSH2 => push::<2>(interpreter, |code| code.read_u16().into()),
        op::PUSH3 => push_slice::<3>(interpreter),
        op::PUSH4 => push_slice::<4>(interpreter),
        op::PUSH20 => push_slice::<20>(interpreter),
        op::PUSH32 => push_slice::<32>(interpreter),
        op::DUP1..=op::DUP16 => {
            let done = interpreter.stack.dup(usize::from(opcode - op::DUP1) + 1);
            if done { Ok(()) } else { Err(InstructionResult::StackOverflow) }
        }
        op::SWAP1..=op::SWAP16 => {
            let done = interpreter.stack.exchange(0, usize::from(opcode - op::SWAP1) + 1);
            if done { Ok(()) } else { Err(InstructionResult::StackUnderflow) }
        }
        op::POP => pop::<1>(interpreter).map(|_| ()),
        op::JUMPDEST => Ok(()),
        op::JUMP => {
            let [target] = pop(interpreter)?;
            jump(interpreter, target)
        }
        op::JUMPI => {
            let [target, condition] = pop(interpreter)?;
            if condition.is_zero() { Ok(()) } else { jump(interpreter, target) }
        }
        op::ADD => combine(interpreter, U256::wrapping_add),
        op::SUB => combine(interpreter, U256::wrapping_sub),
        op::AND => combine(interpreter, |a, b| a & b),
        op::OR => combine(interpreter, |a, b| a | b),
        op::LT => combine(interpreter, |a, b| U256::from(a < b)),
        op::GT => combine(interpreter, |a, b| U256::from(a > b)),
        op::EQ => combine(interpreter, |a, b| U256::from(a == b)),
        op::ISZERO => {
            let ([], top) = interpreter.stack.popn_top::<0>().ok_or(InstructionResult::StackUnderflow)?;
            *top = U256::from(top.is_zero());
            Ok(())
        }
        _ => table[usize::from(opcode)].execute(InstructionContext { interpreter, host }),
    }
}

/// Pushes what `read` finds in the code behind the opcode, `N` bytes.
#[inline(always)]
fn push<const N: isize>(interpreter: &mut Interpreter, read: impl FnOnce(&ExtBytecode) -> u64) -> Stepped {
    if !interpreter.stack.push(U256::from(read(&interpreter.bytecode))) {
        return Err(InstructionResult::StackOverflow);
    }
    interpreter.bytecode.relative_jump(N);
    Ok(())
}

/// Pushes the `N` bytes of the code behind the opcode.
#[inline(always)]
fn push_slice<const N: usize>(interpreter: &mut Interpreter) -> Stepped {
    interpreter.stack.push_slice(interpreter.bytecode.read_slice(N))?;
    interpreter.bytecode.relative_jump(N as isize);
    Ok(())
}

#[inline(always)]
fn pop<const N: usize>(interpreter: &mut Interpreter) -> Result<[U256; N], InstructionResult> {
    interpreter.stack.popn().ok_or(InstructionResult::StackUnderflow)
}

/// Puts what `compute` makes of the two words on top in their place.
#[inline(always)]
fn combine(interpreter: &mut Interpreter, compute: impl FnOnce(U256, U256) -> U256) -> Stepped {
    let ([first], second) = interpreter.stack.popn_top::<1>().ok_or(InstructionResult::StackUnderflow)?;
    *second = compute(first, *second);
    Ok(())
}

#[inline(always)]
fn jump(interpreter: &mut Interpreter, target: U256) -> Stepped {
    let target = usize::try_from(target).unwrap_or(usize::MAX);
    if !interpreter.bytecode.is_valid_legacy_jump(target) {
        return Err(InstructionResult::InvalidJump);
    }
    interpreter.bytecode.absolute_jump(target);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::Bytes;
    use proptest::prelude::*;
    use revm::{
        bytecode::Bytecode,
        interpreter::{
            InputsImpl, SharedMemory,
            host::DummyHost,
            instructions::{gas_table_spec, instruction_table},
        },
        primitives::hardfork::SpecId,
    };

    /// The opcodes that the loop writes out, some twice.
    fn written_out() -> Vec<u8> {
        let mut opcodes = vec![op::PUSH1, op::PUSH1, op::PUSH2, op::PUSH3, op::PUSH4, op::PUSH20, op::PUSH32];
        opcodes.extend([op::POP, op::JUMPDEST, op::JUMPDEST, op::JUMP, op::JUMPI, op::ADD, op::SUB, op::AND, op::OR]);
        opcodes.extend([op::LT, op::GT, op::EQ, op::ISZERO]);
        opcodes.extend(op::DUP1..=op::DUP16);
        opcodes.extend(op::SWAP1..=op::SWAP16);
        opcodes
    }

    /// Runs `code` with both loops; everything that a frame leaves must be the same.
    fn check(code: &[u8], gas_limit: u64, spec: SpecId) -> InterpreterAction {
        // The dummy has no randomness to give.
        let code = code.iter().map(|byte| if *byte == op::DIFFICULTY { op::JUMPDEST } else { *byte });
        let code = &code.collect::<Vec<_>>()[..];
        let (table, gas) = (instruction_table::<EthInterpreter, DummyHost>(), gas_table_spec(spec));
        let frame = || {
            let bytecode = ExtBytecode::new(Bytecode::new_raw(Bytes::copy_from_slice(code)));
            Interpreter::new(SharedMemory::new(), bytecode, InputsImpl::default(), false, spec, gas_limit)
        };
        let (mut ours, mut theirs) = (frame(), frame());
        let got = run(&mut ours, &table, &gas, &mut DummyHost::new(spec));
        let want = theirs.run_plain(&table, &gas, &mut DummyHost::new(spec));
        assert_eq!(got, want, "{code:02x?}");
        assert_eq!(ours.stack, theirs.stack, "{code:02x?}");
        assert_eq!(ours.gas, theirs.gas, "{code:02x?}");
        assert_eq!(ours.bytecode.pc(), theirs.bytecode.pc(), "{code:02x?}");
        assert_eq!(ours.memory.context_memory().to_vec(), theirs.memory.context_memory().to_vec(), "{code:02x?}");
        got
    }

    fn ends(code: &[u8], gas_limit: u64) -> InstructionResult {
        match check(code, gas_limit, SpecId::OSAKA) {
            InterpreterAction::Return(result) => result.result,
            InterpreterAction::NewFrame(_) => panic!("no frame is asked for"),
        }
    }

    #[test]
    fn each_opcode_on_every_height_of_the_stack() {
        for opcode in 0..=u8::MAX {
            for height in (0..18).chain([1022, 1023, 1024]) {
                let mut code = [op::PUSH1, 5].repeat(height);
                code.push(opcode);
                code.extend([op::JUMPDEST; 40]);
                for gas_limit in [100_000, 3 * height as u64, 3 * height as u64 + 2] {
                    check(&code, gas_limit, SpecId::OSAKA);
                }
            }
        }
    }

    #[test]
    fn frames_end_as_they_should() {
        for (code, gas_limit, want) in [
            (&[op::PUSH1, 3, op::JUMP, op::JUMPDEST][..], 100, InstructionResult::Stop),
            (&[op::PUSH1, 3, op::JUMP, op::ADD], 100, InstructionResult::InvalidJump),
            (&[op::PUSH1, 1, op::PUSH1, 5, op::JUMPI, op::JUMPDEST], 100, InstructionResult::Stop),
            (&[op::JUMPDEST, op::PUSH1, 0, op::JUMP], 100, InstructionResult::OutOfGas),
            (&[op::ADD], 100, InstructionResult::StackUnderflow),
            (&[op::PUSH1, 1, op::PUSH1, 2, op::ADD], 8, InstructionResult::OutOfGas),
            (&[op::PUSH1, 1, op::PUSH1, 2, op::ADD], 9, InstructionResult::Stop),
        ] {
            assert_eq!(ends(code, gas_limit), want, "{code:02x?}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_code_does_what_revm_does(
            words in prop::collection::vec(prop_oneof![any::<u8>(), 0_u8..90], 0..24),
            code in prop::collection::vec(
                prop_oneof![6 => prop::sample::select(written_out()), 1 => any::<u8>(), 1 => 0_u8..90],
                0..90,
            ),
            gas_limit in prop_oneof![0_u64..400, Just(5_000)],
            spec in prop::sample::select(vec![SpecId::FRONTIER, SpecId::BERLIN, SpecId::OSAKA]),
        ) {
            let pushed = words.iter().flat_map(|word| [op::PUSH1, *word]);
            check(&pushed.chain(code).collect::<Vec<_>>(), gas_limit, spec);
        }
    }
}
