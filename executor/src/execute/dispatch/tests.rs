//! The loop against revm's own, on any code.

use super::run;
use alloy_primitives::{Address, Bytes, U256};
use proptest::prelude::*;
use revm::{
    bytecode::{Bytecode, opcode as op},
    interpreter::{
        CallInput, InputsImpl, InstructionResult, Interpreter, InterpreterAction, SharedMemory,
        host::DummyHost,
        instructions::{gas_table_spec, instruction_table},
        interpreter::{EthInterpreter, ExtBytecode},
        interpreter_types::Jumps,
    },
    primitives::hardfork::SpecId,
};

/// Opcodes that a stretch does by itself.
fn written_out() -> Vec<u8> {
    let mut opcodes = vec![op::ADD, op::MUL, op::SUB, op::DIV, op::AND, op::OR, op::XOR, op::NOT, op::SHL, op::SHR];
    opcodes.extend([op::LT, op::GT, op::SLT, op::SGT, op::EQ, op::ISZERO, op::CALLDATALOAD, op::CALLDATASIZE]);
    opcodes.extend([op::CALLVALUE, op::CALLER, op::PC, op::GAS, op::MLOAD, op::MSTORE, op::POP, op::JUMP, op::JUMPI]);
    opcodes.extend(op::PUSH0..=op::PUSH32);
    opcodes.extend(op::DUP1..=op::SWAP16);
    opcodes
}

/// Pieces of programs: opcodes written out, branches as compilers write them, and anything.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let question = prop::sample::select(vec![op::ISZERO, op::LT, op::GT, op::SLT, op::SGT, op::EQ, op::JUMPDEST]);
    let branch = (question, 0_u8..120, prop::sample::select(vec![op::JUMP, op::JUMPI]));
    prop_oneof![
        6 => prop::sample::select(written_out()).prop_map(|opcode| vec![opcode]),
        3 => branch.prop_map(|(question, target, jump)| vec![question, op::PUSH2, 0, target, jump]),
        3 => Just(vec![op::JUMPDEST]),
        1 => any::<u8>().prop_map(|opcode| vec![opcode]),
        1 => (0_u8..90).prop_map(|opcode| vec![opcode]),
    ]
}

/// Runs `code` with both loops; everything that a frame leaves must be the same.
fn check(code: &[u8], gas_limit: u64, spec: SpecId) -> InterpreterAction {
    // The dummy has no randomness to give.
    let code = code.iter().map(|byte| if *byte == op::DIFFICULTY { op::JUMPDEST } else { *byte });
    let code = &code.collect::<Vec<_>>()[..];
    let (table, gas) = (instruction_table::<EthInterpreter, DummyHost>(), gas_table_spec(spec));
    let frame = || {
        let bytecode = ExtBytecode::new(Bytecode::new_legacy(Bytes::copy_from_slice(code)));
        // An input of nothing, which lies nowhere in the memory, at odd limits.
        let input =
            if gas_limit.is_multiple_of(2) { input() } else { InputsImpl { input: CallInput::default(), ..input() } };
        Interpreter::new(SharedMemory::new(), bytecode, input, false, spec, gas_limit)
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

fn input() -> InputsImpl {
    InputsImpl {
        input: CallInput::Bytes((1..=70).collect::<Vec<u8>>().into()),
        call_value: U256::from(7),
        caller_address: Address::repeat_byte(9),
        ..InputsImpl::default()
    }
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
        (&[op::PUSH1, 0, op::ISZERO, op::PUSH2, 0, 7, op::JUMPI, op::JUMPDEST], 100, InstructionResult::Stop),
        (&[op::PUSH1, 0, op::ISZERO, op::PUSH2, 0, 7, op::JUMPI, op::ADD], 100, InstructionResult::InvalidJump),
        (&[op::PUSH1, 1, op::ISZERO, op::PUSH2, 0, 7, op::JUMPI, op::ADD], 100, InstructionResult::StackUnderflow),
        (&[op::PUSH2, 0, 4, op::JUMP, op::JUMPDEST], 11, InstructionResult::OutOfGas),
        (&[op::PUSH2, 0, 4, op::JUMP, op::JUMPDEST], 12, InstructionResult::Stop),
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
        code in prop::collection::vec(piece(), 0..60),
        gas_limit in prop_oneof![0_u64..400, Just(5_000)],
        spec in prop::sample::select(vec![SpecId::FRONTIER, SpecId::PETERSBURG, SpecId::BERLIN, SpecId::OSAKA]),
    ) {
        let pushed = words.iter().flat_map(|word| [op::PUSH1, *word]);
        check(&pushed.chain(code.into_iter().flatten()).collect::<Vec<_>>(), gas_limit, spec);
    }
}
