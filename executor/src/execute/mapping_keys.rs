//! Hashes of 64 bytes, which is what Solidity and Vyper make of a mapping's key and place to find the slot, remembered.
//!
//! Place in the flow: the KECCAK256 opcode of every revm instance of [`super::Instance`]; forgotten with the block.
//! Invariant: it gives what Keccak-256 gives; only the time differs. The transactions of a block ask for the same slots again
//! and again, and so does a transaction that is run again, so most hashes have been made before.
//! It does not know what the bytes mean, and looks at nothing longer or shorter.

use super::observe::Step;
use alloy_primitives::{B256, U256, keccak256};
use revm::{
    context_interface::Transaction,
    database_interface::DatabaseRef,
    interpreter::{Host, InstructionExecResult, Interpreter, instructions::system},
};

const LENGTH: usize = 64;
/// Power of two; with 96 bytes each they stay within the cache of a core.
const ENTRIES: usize = 512;

/// The last hashes made, one for each place that the bytes hashed may have.
#[derive(Debug, Default)]
pub(super) struct MappingKeys {
    /// Empty until the first is asked for.
    entries: Vec<([u8; LENGTH], B256)>,
}

impl MappingKeys {
    fn hash(&mut self, bytes: &[u8; LENGTH]) -> B256 {
        if self.entries.is_empty() {
            let zeros = [0; LENGTH];
            self.entries.resize(ENTRIES, (zeros, keccak256(zeros)));
        }
        let (made_of, hash) = &mut self.entries[place(bytes)];
        if made_of != bytes {
            (*made_of, *hash) = (*bytes, keccak256(bytes));
        }
        *hash
    }
}

/// Where the hash of `bytes` is kept. Keys and places of mappings are words; most differ in the lower 24 bytes.
fn place(bytes: &[u8; LENGTH]) -> usize {
    const ODD: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9];
    let (words, _) = bytes.as_chunks::<8>();
    let word = |at: usize| u64::from_be_bytes(words[at]);
    let mixed = |at: usize| (word(at) ^ word(at + 4).rotate_left(17)).wrapping_mul(ODD[at - 1]);
    ((mixed(1) ^ mixed(2) ^ mixed(3)) >> 40) as usize % ENTRIES
}

/// KECCAK256: of 64 bytes that lie in the memory from here, of any others as revm does it.
pub(super) fn keccak256_opcode<DB: DatabaseRef, TX: Transaction>(step: Step<'_, '_, DB, TX>) -> InstructionExecResult {
    let cost = step.host.gas_params().keccak256_cost(LENGTH);
    let keys = &mut step.host.journaled_state.database.mapping_keys;
    match hash_pair(step.interpreter, cost, keys) {
        Some(()) => Ok(()),
        None => system::keccak256(step),
    }
}

/// Does KECCAK256 where it is of 64 bytes of the memory as it is and `cost` can be paid; else nothing has changed.
fn hash_pair(interpreter: &mut Interpreter, cost: u64, keys: &mut MappingKeys) -> Option<()> {
    let Interpreter { stack, memory, gas, .. } = interpreter;
    let [.., length, offset] = &mut stack.data_mut()[..] else { return None };
    if *length != U256::from(LENGTH) {
        return None;
    }
    let start = usize::try_from(*offset).ok()?;
    let end = start.checked_add(LENGTH).filter(|end| *end <= memory.len())?;
    let bytes = memory.slice_range(start..end);
    let bytes = bytes.first_chunk()?;
    gas.record_regular_cost(cost).then_some(())?;
    *length = keys.hash(bytes).into();
    stack.data_mut().pop();
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use revm::{
        interpreter::{InputsImpl, InstructionContext, SharedMemory, host::DummyHost, interpreter::ExtBytecode},
        primitives::hardfork::SpecId,
    };

    #[test]
    fn hashes_are_those_of_keccak_also_where_places_are_shared() {
        let mut keys = MappingKeys::default();
        for round in 0..2 {
            for key in 0..3 * ENTRIES as u64 {
                let mut bytes = [0; LENGTH];
                bytes[24..32].copy_from_slice(&key.to_be_bytes());
                bytes[63] = round;
                for _ in 0..2 {
                    assert_eq!(keys.hash(&bytes), keccak256(bytes));
                }
            }
        }
        assert_eq!(keys.hash(&[0; LENGTH]), keccak256([0; LENGTH]));
    }

    fn frame(offset: usize, length: usize, gas_limit: u64) -> Interpreter {
        let mut memory = SharedMemory::new();
        memory.resize(96);
        memory.set(0, &(0..96).collect::<Vec<_>>());
        let mut frame =
            Interpreter::new(memory, ExtBytecode::default(), InputsImpl::default(), false, SpecId::OSAKA, gas_limit);
        frame.gas.memory_mut().words_num = 3;
        frame.stack.data_mut().extend([U256::from(9), U256::from(length), U256::from(offset)]);
        frame
    }

    #[test]
    fn what_is_done_here_is_what_revm_does_and_the_rest_is_left_alone() {
        let mut host = DummyHost::new(SpecId::OSAKA);
        let (mut keys, cost) = (MappingKeys::default(), host.gas_params().keccak256_cost(LENGTH));
        for (offset, length, gas_limit, done) in [
            (0, 64, 1_000, true),
            (7, 64, cost, true),
            (32, 64, 1_000, true),
            (0, 64, cost - 1, false),
            (33, 64, 1_000, false),
            (usize::MAX, 64, 1_000, false),
            (0, 63, 1_000, false),
            (0, 0, 1_000, false),
        ] {
            let (mut ours, mut theirs) = (frame(offset, length, gas_limit), frame(offset, length, gas_limit));
            assert_eq!(hash_pair(&mut ours, cost, &mut keys).is_some(), done, "{offset} {length} {gas_limit}");
            if done {
                system::keccak256(InstructionContext { interpreter: &mut theirs, host: &mut host })
                    .expect("revm does it");
            }
            assert_eq!((&ours.stack, ours.gas), (&theirs.stack, theirs.gas), "{offset} {length} {gas_limit}");
        }
    }
}
