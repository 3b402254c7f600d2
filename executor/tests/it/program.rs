//! Small EVM programs over a tiny address space: what the random blocks are made of.

use alloy_primitives::{Address, Bytes, U256};
use revm::bytecode::opcode as op;

/// Contracts `0..CONTRACTS` exist in the parent state.
pub(crate) const CONTRACTS: u8 = 4;
/// Senders `0..SENDERS`.
pub(crate) const SENDERS: u8 = 4;

/// One step of a program. Numbers are taken modulo what exists.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Step {
    /// `slot[a] += b`
    Add(u8, u8),
    /// `slot[a] = slot[b]`
    Copy(u8, u8),
    /// `slot[a] = balance(subject b)`
    Balance(u8, u8),
    /// `slot[a] = selfbalance`
    SelfBalance(u8),
    /// `slot[a] = extcodehash(subject b)`
    CodeHash(u8, u8),
    /// `slot[a] = extcodesize(subject b)`
    CodeSize(u8, u8),
    /// Calls subject a with b wei; the result goes to a slot.
    Call(u8, u8),
    /// Delegate-calls contract a.
    DelegateCall(u8),
    /// Static-calls contract a; the result goes to a slot.
    StaticCall(u8),
    /// Creates a child with a wei, by CREATE2 with salt b: destroyed children can be created again.
    Create2(u8, u8),
    /// Creates a child with a wei, by CREATE.
    Create(u8),
    /// Self-destructs to subject a if the slot b is odd.
    SelfDestruct(u8, u8),
    /// Reverts if the slot a is odd.
    RevertIfOdd(u8),
    /// Emits the slot a.
    Log(u8),
    /// `tstore`/`tload` round trip into slot a.
    Transient(u8),
    /// `slot[a] =` thing b of the block.
    Block(u8, u8),
    /// Looks at the code size of subject a with so little gas that only a warm account can be paid for.
    Scarce(u8),
}

/// Number of kinds of steps.
const STEP_KINDS: u8 = 17;

impl Step {
    /// A step of kind `kind`, which is taken modulo the number of kinds.
    pub(crate) const fn of_kind(kind: u8, a: u8, b: u8) -> Self {
        match kind % STEP_KINDS {
            0 => Self::Add(a, b),
            1 => Self::Copy(a, b),
            2 => Self::Balance(a, b),
            3 => Self::SelfBalance(a),
            4 => Self::CodeHash(a, b),
            5 => Self::CodeSize(a, b),
            6 => Self::Call(a, b),
            7 => Self::DelegateCall(a),
            8 => Self::StaticCall(a),
            9 => Self::Create2(a, b),
            10 => Self::Create(a),
            11 => Self::SelfDestruct(a, b),
            12 => Self::RevertIfOdd(a),
            13 => Self::Log(a),
            14 => Self::Transient(a),
            15 => Self::Block(a, b),
            _ => Self::Scarce(a),
        }
    }
}

/// A sender's address.
pub(crate) fn sender(n: u8) -> Address {
    Address::repeat_byte(0xa0 + n % SENDERS)
}

/// A contract's address.
pub(crate) fn contract(n: u8) -> Address {
    Address::repeat_byte(0xc0 + n % CONTRACTS)
}

/// The beneficiary.
pub(crate) const BENEFICIARY: Address = Address::repeat_byte(0xbe);

/// What programs look at, pay and call: contracts, a sender, an account that does not exist at first, the beneficiary.
pub(crate) fn subject(n: u8) -> Address {
    match n % 8 {
        n @ 0..=3 => contract(n),
        4 => sender(0),
        5 => sender(1),
        6 => Address::repeat_byte(0xee),
        _ => BENEFICIARY,
    }
}

/// The program as byte code. A call with gas below a bound ends at once, so that recursion is bounded.
pub(crate) fn assemble(steps: &[Step]) -> Bytes {
    let mut code = Code::default();
    // if gas < 60_000 { stop }
    code.push_u64(60_000).op(op::GAS).op(op::GT);
    code.jump_if();
    code.op(op::STOP);
    code.land();
    for step in steps {
        code.step(*step);
    }
    code.op(op::STOP);
    code.bytes.into()
}

/// A contract that looks at the code size of subject n and stops.
pub(crate) fn looker(n: u8) -> Address {
    Address::repeat_byte(0xd0 + n % 8)
}

/// The code of [`looker`].
pub(crate) fn looker_code(n: u8) -> Bytes {
    let mut code = Code::default();
    code.push_address(subject(n)).op(op::EXTCODESIZE).op(op::POP).op(op::STOP);
    code.bytes.into()
}

/// Init code of a child that pays back its caller and counts its calls, and can be destroyed by a call with value.
fn child_init() -> Vec<u8> {
    let mut child = Code::default();
    child.slot_add(0, 1);
    child.op(op::CALLVALUE).op(op::ISZERO);
    child.jump_if();
    child.op(op::CALLER).op(op::SELFDESTRUCT);
    child.land();
    child.op(op::STOP);
    let body = child.bytes;
    let mut init = Code::default();
    init.slot_add(1, 7);
    // The body is short: one PUSH of at most 32 bytes a word, stored left-aligned.
    for (at, word) in body.chunks(32).enumerate() {
        let mut padded = [0; 32];
        padded[..word.len()].copy_from_slice(word);
        init.push(U256::from_be_bytes(padded)).push_u64(at as u64 * 32).op(op::MSTORE);
    }
    init.push_u64(body.len() as u64).push_u64(0).op(op::RETURN);
    init.bytes
}

#[derive(Default)]
struct Code {
    bytes: Vec<u8>,
    open_jumps: Vec<usize>,
}

impl Code {
    fn op(&mut self, opcode: u8) -> &mut Self {
        self.bytes.push(opcode);
        self
    }

    fn push(&mut self, value: U256) -> &mut Self {
        self.bytes.push(op::PUSH32);
        self.bytes.extend(value.to_be_bytes::<32>());
        self
    }

    fn push_u64(&mut self, value: u64) -> &mut Self {
        self.push(U256::from(value))
    }

    fn push_address(&mut self, address: Address) -> &mut Self {
        self.push(address.into_word().into())
    }

    /// Jumps to the next `land` if the top of the stack is true.
    fn jump_if(&mut self) -> &mut Self {
        self.bytes.push(op::PUSH2);
        self.open_jumps.push(self.bytes.len());
        self.bytes.extend([0, 0]);
        self.op(op::JUMPI)
    }

    fn land(&mut self) -> &mut Self {
        let at = self.open_jumps.pop().expect("a jump to land");
        let target = u16::try_from(self.bytes.len()).unwrap().to_be_bytes();
        self.bytes[at..at + 2].copy_from_slice(&target);
        self.op(op::JUMPDEST)
    }

    fn load(&mut self, slot: u8) -> &mut Self {
        self.push_u64(u64::from(slot % 4)).op(op::SLOAD)
    }

    /// Stores the top of the stack.
    fn store(&mut self, slot: u8) -> &mut Self {
        self.push_u64(u64::from(slot % 4)).op(op::SSTORE)
    }

    fn slot_add(&mut self, slot: u8, amount: u8) -> &mut Self {
        self.load(slot).push_u64(u64::from(amount)).op(op::ADD).store(slot)
    }

    fn is_odd(&mut self, slot: u8) -> &mut Self {
        self.load(slot).push_u64(1).op(op::AND)
    }

    fn zeros(&mut self, count: usize) -> &mut Self {
        for _ in 0..count {
            self.push_u64(0);
        }
        self
    }

    fn create(&mut self, wei: u8, salt: Option<u8>) {
        let init = child_init();
        for (at, word) in init.chunks(32).enumerate() {
            let mut padded = [0; 32];
            padded[..word.len()].copy_from_slice(word);
            self.push(U256::from_be_bytes(padded)).push_u64(at as u64 * 32).op(op::MSTORE);
        }
        if let Some(salt) = salt {
            self.push_u64(u64::from(salt % 2));
        }
        self.push_u64(init.len() as u64).push_u64(0).push_u64(u64::from(wei));
        self.op(if salt.is_some() { op::CREATE2 } else { op::CREATE });
        // Call the child, sometimes with value, which destroys it.
        self.zeros(4).push_u64(u64::from(wei / 4)).op(op::DUP6).push_u64(90_000).op(op::CALL).op(op::POP).op(op::POP);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Add(a, b) => _ = self.slot_add(a, b),
            Step::Copy(a, b) => _ = self.load(b).store(a),
            Step::Balance(a, b) => _ = self.push_address(subject(b)).op(op::BALANCE).store(a),
            Step::SelfBalance(a) => _ = self.op(op::SELFBALANCE).store(a),
            Step::CodeHash(a, b) => _ = self.push_address(subject(b)).op(op::EXTCODEHASH).store(a),
            Step::CodeSize(a, b) => _ = self.push_address(subject(b)).op(op::EXTCODESIZE).store(a),
            Step::Call(a, b) => {
                self.zeros(4).push_u64(u64::from(b) * 5).push_address(subject(a)).push_u64(150_000).op(op::CALL);
                self.store(a);
            }
            Step::DelegateCall(a) => {
                self.zeros(4).push_address(contract(a)).push_u64(100_000).op(op::DELEGATECALL).op(op::POP);
            }
            Step::StaticCall(a) => {
                self.zeros(4).push_address(contract(a)).push_u64(100_000).op(op::STATICCALL).store(a);
            }
            Step::Create2(a, b) => self.create(a, Some(b)),
            Step::Create(a) => self.create(a, None),
            Step::SelfDestruct(a, b) => {
                self.is_odd(b).op(op::ISZERO);
                self.jump_if();
                self.push_address(subject(a)).op(op::SELFDESTRUCT);
                self.land();
            }
            Step::RevertIfOdd(a) => {
                self.is_odd(a).op(op::ISZERO);
                self.jump_if();
                self.zeros(2).op(op::REVERT);
                self.land();
            }
            Step::Log(a) => _ = self.load(a).zeros(2).op(op::LOG1),
            Step::Transient(a) => {
                self.push_u64(u64::from(a) + 3).push_u64(1).op(op::TSTORE).push_u64(1).op(op::TLOAD).store(a);
            }
            Step::Block(a, b) => {
                match b % 8 {
                    0 => self.op(op::COINBASE),
                    1 => self.op(op::TIMESTAMP),
                    2 => self.op(op::NUMBER),
                    3 => self.op(op::DIFFICULTY),
                    4 => self.op(op::GASLIMIT),
                    5 => self.op(op::BASEFEE),
                    6 => self.op(op::GASPRICE),
                    _ => self.push_u64(1).op(op::NUMBER).op(op::SUB).op(op::BLOCKHASH),
                };
                self.store(a);
            }
            Step::Scarce(a) => {
                // The looker runs with 500 gas; its result goes to slot 3.
                self.zeros(4).push_address(looker(a)).push_u64(500).op(op::STATICCALL).store(3);
            }
        }
    }
}
