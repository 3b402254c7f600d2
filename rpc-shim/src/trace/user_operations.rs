//! What geth's tracer for user operations (ERC-7562) notes of each frame.
//!
//! Place in the flow: an inspector beside the library's, which gives the frames; its own notes of them follow other rules.
//! Invariant: as in geth, everything is noted before the opcode runs, and what an opcode means can depend on the one before it, also
//! across frames: `GAS` counts unless a call follows, `EXTCODESIZE` unless `ISZERO` does.

use crate::call::MachineContext;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rpc_types_trace::geth::erc7562::{AccessedSlots, ContractSize, Erc7562Frame};
use revm::{
    Inspector,
    bytecode::opcode,
    database_interface::DatabaseRef,
    interpreter::{
        CallInputs, CallOutcome, CreateInputs, CreateOutcome, InstructionResult, Interpreter,
        interpreter_types::{InputsTr, Jumps, MemoryTr},
    },
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Bytes after the end of the memory that a hash may take in and still be noted, as in geth.
const PADDING_LEN_MAX: usize = 1 << 20;

/// Notes of one frame.
#[derive(Clone, Debug, Default)]
struct FrameNotes {
    accessed: AccessedSlots,
    code_looks: Vec<Address>,
    opcodes: BTreeMap<u8, u64>,
    sizes: BTreeMap<Address, ContractSize>,
    is_out_of_gas: bool,
}

/// Notes of all frames of a transaction.
#[derive(Clone, Debug, Default)]
pub(super) struct UserOperations {
    is_on: bool,
    ignored: BTreeSet<u8>,
    /// In the order in which the frames begin.
    frames: Vec<FrameNotes>,
    open: Vec<usize>,
    /// The opcode before, with the top of its stack.
    last: Option<(u8, U256)>,
    preimages: BTreeSet<Vec<u8>>,
}

const fn is_call(opcode: u8) -> bool {
    matches!(opcode, opcode::CALL | opcode::CALLCODE | opcode::DELEGATECALL | opcode::STATICCALL)
}

const fn looks_at_code(opcode: u8) -> bool {
    matches!(opcode, opcode::EXTCODEHASH | opcode::EXTCODESIZE | opcode::EXTCODECOPY)
}

impl UserOperations {
    /// Notes something, but does not count these opcodes.
    pub(super) fn new(ignored: impl IntoIterator<Item = u8>) -> Self {
        Self { is_on: true, ignored: ignored.into_iter().collect(), ..Self::default() }
    }

    /// Puts the notes into the frames of the transaction.
    pub(super) fn put_into(&self, root: &mut Erc7562Frame) {
        put_into(&mut self.frames.iter(), root);
        root.keccak = self.preimages.iter().map(|preimage| Bytes::copy_from_slice(preimage)).collect();
    }

    fn begin(&mut self) {
        if self.is_on {
            self.open.push(self.frames.len());
            self.frames.push(FrameNotes::default());
        }
    }

    fn end(&mut self, result: InstructionResult) {
        let Some(at) = self.open.pop() else { return };
        // As in geth, the first frame says it by its error alone.
        self.frames[at].is_out_of_gas = !self.open.is_empty()
            && matches!(
                result,
                InstructionResult::OutOfGas
                    | InstructionResult::MemoryOOG
                    | InstructionResult::MemoryLimitOOG
                    | InstructionResult::PrecompileOOG
            );
    }

    fn note_last(&mut self, opcode: u8, frame: usize) {
        if matches!(opcode, opcode::RETURN | opcode::REVERT) {
            self.last = None;
        }
        let Some((last, top)) = self.last else { return };
        let frame = &mut self.frames[frame];
        if looks_at_code(last) && (last, opcode) != (opcode::EXTCODESIZE, opcode::ISZERO) {
            frame.code_looks.push(Address::from_word(top.into()));
        }
        if last == opcode::GAS && !is_call(opcode) {
            *frame.opcodes.entry(opcode::GAS).or_default() += 1;
        }
    }

    fn note_preimage(&mut self, interpreter: &Interpreter) {
        let (Ok(offset), Ok(len)) = (interpreter.stack.peek(0), interpreter.stack.peek(1)) else { return };
        let (Ok(offset), Ok(len)) = (usize::try_from(offset), usize::try_from(len)) else { return };
        let size = interpreter.memory.size();
        if offset.saturating_add(len).saturating_sub(size) > PADDING_LEN_MAX {
            return;
        }
        let inside = offset.min(size)..offset.saturating_add(len).min(size);
        let mut preimage = interpreter.memory.slice(inside).to_vec();
        preimage.resize(len, 0);
        self.preimages.insert(preimage);
    }
}

fn put_into<'a>(notes: &mut impl Iterator<Item = &'a FrameNotes>, frame: &mut Erc7562Frame) {
    let Some(note) = notes.next() else { return };
    frame.accessed_slots = note.accessed.clone();
    frame.ext_code_access_info = note.code_looks.iter().map(|address| format!("{address:#x}")).collect();
    frame.used_opcodes = note.opcodes.iter().map(|(opcode, count)| (*opcode, *count)).collect();
    frame.contract_size = note.sizes.iter().map(|(address, size)| (*address, size.clone())).collect();
    frame.out_of_gas = note.is_out_of_gas;
    frame.keccak.clear();
    for call in &mut frame.calls {
        put_into(notes, call);
    }
}

impl<DB: DatabaseRef> Inspector<MachineContext<DB>> for UserOperations {
    fn step(&mut self, interpreter: &mut Interpreter, context: &mut MachineContext<DB>) {
        let Some(at) = self.open.last().copied() else { return };
        let opcode = interpreter.bytecode.opcode();
        self.note_last(opcode, at);
        let operand = |at: usize| interpreter.stack.peek(at).ok();
        let frame = &mut self.frames[at];
        let looked_at = match opcode {
            opcode if looks_at_code(opcode) => operand(0),
            opcode if is_call(opcode) => operand(1),
            _ => None,
        };
        if let Some(word) = looked_at {
            let address = Address::from_word(word.into());
            frame
                .sizes
                .entry(address)
                .or_insert_with(|| ContractSize { contract_size: code_len(context, address), opcode });
        }
        if opcode != opcode::GAS && !self.ignored.contains(&opcode) {
            *frame.opcodes.entry(opcode).or_default() += 1;
        }
        if let Some(slot) = operand(0) {
            note_slot(&mut frame.accessed, opcode, slot.into(), || {
                slot_value(context, interpreter.input.target_address(), slot).into()
            });
        }
        if opcode == opcode::KECCAK256 {
            self.note_preimage(interpreter);
        }
        self.last = Some((opcode, interpreter.stack.peek(0).unwrap_or_default()));
    }

    fn call(&mut self, _: &mut MachineContext<DB>, _: &mut CallInputs) -> Option<CallOutcome> {
        self.begin();
        None
    }

    fn call_end(&mut self, _: &mut MachineContext<DB>, _: &CallInputs, outcome: &mut CallOutcome) {
        self.end(outcome.result.result);
    }

    fn create(&mut self, _: &mut MachineContext<DB>, _: &mut CreateInputs) -> Option<CreateOutcome> {
        self.begin();
        None
    }

    fn create_end(&mut self, _: &mut MachineContext<DB>, _: &CreateInputs, outcome: &mut CreateOutcome) {
        self.end(outcome.result.result);
    }
}

fn note_slot(accessed: &mut AccessedSlots, opcode: u8, slot: B256, value: impl FnOnce() -> B256) {
    let count = |counts: &mut HashMap<_, u64, _>| *counts.entry(slot).or_default() += 1;
    match opcode {
        // What a slot held before the frame wrote it, once.
        opcode::SLOAD if !accessed.reads.contains_key(&slot) && !accessed.writes.contains_key(&slot) => {
            accessed.reads.insert(slot, vec![value()]);
        }
        opcode::SSTORE => count(&mut accessed.writes),
        opcode::TLOAD => count(&mut accessed.transient_reads),
        opcode::TSTORE => count(&mut accessed.transient_writes),
        _ => {}
    }
}

/// What a slot holds now; looks without warming anything.
fn slot_value<DB: DatabaseRef>(context: &MachineContext<DB>, address: Address, slot: U256) -> U256 {
    let account = context.journaled_state.inner.state.get(&address);
    match account.and_then(|account| account.storage.get(&slot)) {
        Some(slot) => slot.present_value,
        None if account.is_some_and(|account| account.is_created()) => U256::ZERO,
        None => context.journaled_state.database.storage_ref(address, slot).unwrap_or_default(),
    }
}

/// The length of an account's code in bytes; looks without warming anything.
fn code_len<DB: DatabaseRef>(context: &MachineContext<DB>, address: Address) -> u64 {
    let database = &context.journaled_state.database;
    let loaded = context.journaled_state.inner.state.get(&address).map(|account| account.info.clone());
    let Some(info) = loaded.or_else(|| database.basic_ref(address).ok().flatten()) else { return 0 };
    let code = info.code.or_else(|| database.code_by_hash_ref(info.code_hash).ok());
    code.map_or(0, |code| code.original_byte_slice().len() as u64)
}
