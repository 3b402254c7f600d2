//! The opcodes that contracts consist of mostly, written out: stack, jumps, arithmetic, memory.
//!
//! Place in the flow: what [`super::run`] does between two opcodes of the table.
//! Invariant: an opcode is done here only where it succeeds, as one function on revm's own stack and memory, with the place in
//! the code and the gas at hand. Where it would fail, must grow the memory, or is not written out, it is left to the table
//! with nothing changed but its static gas paid. So every failure except that of static gas is revm's own.
//! The order of the arms is measured, not chosen for looks: ranges ahead of the `match` proper give the processor more than
//! one jump to predict.

use alloy_primitives::U256;
use revm::{
    bytecode::{JumpTable, opcode as op},
    interpreter::{
        InputsImpl, Interpreter, SharedMemory, Stack,
        instructions::GasTable,
        interpreter_types::{Jumps, RuntimeFlag},
    },
    primitives::hardfork::SpecId,
};

/// The most words that a stack holds.
const STACK_LIMIT: usize = 1024;

/// Runs opcodes as long as they are of the kind written out here and succeed. The next one, whose static gas is paid and which
/// the program counter has passed, is left to the table; none, where its static gas cannot be paid.
pub(super) fn stretch(interpreter: &mut Interpreter, gas: &GasTable) -> Option<u8> {
    let Interpreter { bytecode, gas: meter, stack, memory, runtime_flag, input, .. } = interpreter;
    let mut frame = Stretch {
        code: bytecode.bytes_slice(),
        jumps: bytecode.legacy_jump_table(),
        pc: bytecode.pc(),
        left: meter.remaining(),
        gas,
        fork: runtime_flag.spec_id(),
        input,
    };
    let next = loop {
        let opcode = frame.code.get(frame.pc).copied().unwrap_or(op::STOP);
        frame.pc += 1;
        let (left, exhausted) = frame.left.overflowing_sub(frame.cost(opcode));
        frame.left = left;
        if exhausted {
            break None;
        }
        if frame.step(opcode, stack, memory).is_none() {
            break Some(opcode);
        }
    };
    let (pc, left) = (frame.pc, frame.left);
    bytecode.absolute_jump(pc);
    meter.set_remaining(left);
    next
}

/// What a stretch keeps at hand of its frame.
struct Stretch<'f> {
    code: &'f [u8],
    jumps: Option<&'f JumpTable>,
    pc: usize,
    left: u64,
    gas: &'f GasTable,
    fork: SpecId,
    input: &'f InputsImpl,
}

impl Stretch<'_> {
    /// Does what `opcode` does; `None`, with nothing changed, where that is the table's to do.
    #[inline(always)]
    fn step(&mut self, opcode: u8, stack: &mut Stack, memory: &mut SharedMemory) -> Option<()> {
        match opcode {
            op::PUSH0 => self.since(SpecId::SHANGHAI).and_then(|()| push(stack, U256::ZERO)),
            op::PUSH1 => self.push(stack, 1),
            op::PUSH2 => self.branch_to_pushed(stack).or_else(|| self.push(stack, 2)),
            op::PUSH3 => self.push(stack, 3),
            op::PUSH4 => self.push(stack, 4),
            op::PUSH20 => self.push(stack, 20),
            op::PUSH32 => self.push(stack, 32),
            op::DUP1..=op::DUP16 => stack.dup(usize::from(opcode - op::DUP1) + 1).then_some(()),
            op::SWAP1..=op::SWAP16 => {
                let other = stack.len().checked_sub(usize::from(opcode - op::SWAP1) + 2)?;
                let (top, under) = stack.data_mut().split_last_mut()?;
                let other = under.get_mut(other)?;
                (*top, *other) = (*other, *top);
                Some(())
            }
            op::POP => drop_top(stack),
            op::JUMPDEST => Some(()),
            op::JUMP => {
                let target = *stack.data().last()?;
                self.jump(target)?;
                drop_top(stack)
            }
            op::JUMPI => {
                let [.., condition, target] = stack.data()[..] else { return None };
                if !condition.is_zero() {
                    self.jump(target)?;
                }
                drop_top(stack)?;
                drop_top(stack)
            }
            op::ADD => combine(stack, U256::wrapping_add),
            op::MUL => combine(stack, U256::wrapping_mul),
            op::SUB => combine(stack, U256::wrapping_sub),
            op::DIV => combine(stack, |a, b| a.checked_div(b).unwrap_or_default()),
            op::AND => combine(stack, |a, b| a & b),
            op::OR => combine(stack, |a, b| a | b),
            op::XOR => combine(stack, |a, b| a ^ b),
            op::NOT => change(stack, |word| !word),
            op::SHL => {
                self.since(SpecId::PETERSBURG).and_then(|()| combine(stack, |by, word| word.wrapping_shl(bits(by))))
            }
            op::SHR => {
                self.since(SpecId::PETERSBURG).and_then(|()| combine(stack, |by, word| word.wrapping_shr(bits(by))))
            }
            op::LT => self.compare(stack, |a, b| a < b),
            op::GT => self.compare(stack, |a, b| a > b),
            op::SLT => self.compare(stack, |a, b| signed(a) < signed(b)),
            op::SGT => self.compare(stack, |a, b| signed(a) > signed(b)),
            op::EQ => self.compare(stack, |a, b| a == b),
            op::ISZERO => {
                let truth = stack.data().last()?.is_zero();
                self.answer(stack, truth)
            }
            op::CALLDATALOAD => {
                let top = stack.data_mut().last_mut()?;
                // An input of no bytes may lie nowhere.
                let (start, end) = word_at(*top).filter(|word| word.1 <= self.input.input.len())?;
                let input = self.input.input.as_bytes_memory(memory);
                *top = U256::from_be_bytes(*input.get(start..end)?.first_chunk::<32>()?);
                Some(())
            }
            op::CALLDATASIZE => push(stack, U256::from(self.input.input.len())),
            op::CALLVALUE => push(stack, self.input.call_value),
            op::CALLER => push(stack, self.input.caller_address.into_word().into()),
            op::PC => push(stack, U256::from(self.pc - 1)),
            op::GAS => push(stack, U256::from(self.left)),
            op::MLOAD => {
                let top = stack.data_mut().last_mut()?;
                let (start, end) = word_at(*top).filter(|word| word.1 <= memory.len())?;
                *top = U256::from_be_bytes(*memory.slice_range(start..end).first_chunk::<32>()?);
                Some(())
            }
            op::MSTORE => {
                let [.., word, offset] = &stack.data()[..] else { return None };
                let (start, _) = word_at(*offset).filter(|word| word.1 <= memory.len())?;
                memory.set(start, &word.to_be_bytes::<32>());
                drop_top(stack)?;
                drop_top(stack)
            }
            _ if matches!(opcode, op::PUSH5..=op::PUSH31) => self.push(stack, usize::from(opcode - op::PUSH1) + 1),
            _ => None,
        }
    }

    #[inline(always)]
    fn cost(&self, opcode: u8) -> u64 {
        u64::from(self.gas[usize::from(opcode)])
    }

    #[inline(always)]
    fn since(&self, fork: SpecId) -> Option<()> {
        self.fork.is_enabled_in(fork).then_some(())
    }

    /// Pushes the `size` bytes of the code behind the opcode, 1 to 32.
    #[inline(always)]
    fn push(&mut self, stack: &mut Stack, size: usize) -> Option<()> {
        let end = self.pc + size;
        push(stack, U256::try_from_be_slice(self.code.get(self.pc..end)?)?)?;
        self.pc = end;
        Some(())
    }

    /// Goes to the JUMPDEST at `target`, and behind it where its gas can be paid at once.
    #[inline(always)]
    fn jump(&mut self, target: U256) -> Option<()> {
        let target = usize::try_from(target).ok()?;
        self.jumps?.is_valid(target).then_some(())?;
        self.pc = target;
        if let Some(left) = self.left.checked_sub(self.cost(op::JUMPDEST)) {
            (self.pc, self.left) = (target + 1, left);
        }
        Some(())
    }

    /// PUSH2 with the JUMP or JUMPI behind it, as compilers write every branch: its target need not pass the stack.
    #[inline(always)]
    fn branch_to_pushed(&mut self, stack: &mut Stack) -> Option<()> {
        let [high, low, jump] = *self.code.get(self.pc..)?.first_chunk::<3>()?;
        if stack.len() >= STACK_LIMIT {
            return None;
        }
        let taken = match jump {
            op::JUMP => true,
            op::JUMPI => !stack.data().last()?.is_zero(),
            _ => return None,
        };
        self.branch(u16::from_be_bytes([high, low]), taken, self.cost(jump))?;
        if jump == op::JUMPI { drop_top(stack) } else { Some(()) }
    }

    /// The end of a PUSH2 and a jump, whose opcode is the third byte from here and for which `cost` is to be paid.
    #[inline(always)]
    fn branch(&mut self, target: u16, taken: bool, cost: u64) -> Option<()> {
        let before = self.left;
        self.left = before.checked_sub(cost)?;
        if !taken {
            self.pc += 3;
            return Some(());
        }
        let jumped = self.jump(U256::from(target));
        if jumped.is_none() {
            self.left = before;
        }
        jumped
    }

    /// Puts whether `holds` of the two words on top in their place.
    #[inline(always)]
    fn compare(&mut self, stack: &mut Stack, holds: impl FnOnce(&U256, &U256) -> bool) -> Option<()> {
        let [.., second, first] = &stack.data()[..] else { return None };
        let truth = holds(first, second);
        drop_top(stack)?;
        self.answer(stack, truth)
    }

    /// Puts `truth` in the place of the word on top, or goes where the jump behind it says.
    #[inline(always)]
    fn answer(&mut self, stack: &mut Stack, truth: bool) -> Option<()> {
        if stack.len() < STACK_LIMIT && self.branch_on(truth).is_some() {
            drop_top(stack)?;
        } else {
            *stack.data_mut().last_mut()? = U256::from(truth);
        }
        Some(())
    }

    /// PUSH2 and JUMPI behind what gives `truth`: it need not become a word.
    #[inline(always)]
    fn branch_on(&mut self, truth: bool) -> Option<()> {
        let [op::PUSH2, high, low, op::JUMPI] = *self.code.get(self.pc..)?.first_chunk::<4>()? else { return None };
        self.pc += 1;
        let branched = self.branch(u16::from_be_bytes([high, low]), truth, self.cost(op::PUSH2) + self.cost(op::JUMPI));
        if branched.is_none() {
            self.pc -= 1;
        }
        branched
    }
}

#[inline(always)]
fn push(stack: &mut Stack, word: U256) -> Option<()> {
    stack.push(word).then_some(())
}

/// Drops the word on top.
#[inline(always)]
fn drop_top(stack: &mut Stack) -> Option<()> {
    stack.data_mut().pop().map(|_| ())
}

/// Puts what `compute` makes of the two words on top in their place.
#[inline(always)]
fn combine(stack: &mut Stack, compute: impl FnOnce(U256, U256) -> U256) -> Option<()> {
    let [.., second, first] = &mut stack.data_mut()[..] else { return None };
    *second = compute(*first, *second);
    drop_top(stack)
}

/// Puts what `compute` makes of the word on top in its place.
#[inline(always)]
fn change(stack: &mut Stack, compute: impl FnOnce(U256) -> U256) -> Option<()> {
    let top = stack.data_mut().last_mut()?;
    *top = compute(*top);
    Some(())
}

/// By how many bits to shift; of a word shifted by all its 256 nothing is left.
#[inline(always)]
fn bits(by: U256) -> usize {
    usize::try_from(by).unwrap_or(usize::MAX)
}

/// In the order of two's complement: the sign of a word, the rest being in order as it is.
#[inline(always)]
fn signed(word: &U256) -> (bool, &U256) {
    (!word.bit(255), word)
}

/// Where the word at `offset` begins and ends.
#[inline(always)]
fn word_at(offset: U256) -> Option<(usize, usize)> {
    let start = usize::try_from(offset).ok()?;
    Some((start, start.checked_add(32)?))
}
