//! Hashes of 64 bytes, which is what Solidity and Vyper make of a mapping's key and place to find the slot: remembered, and
//! made several at a time where they are foreseen.
//!
//! Place in the flow: the KECCAK256 opcode of every revm instance of [`super::Instance`].
//! Invariant: it gives what Keccak-256 gives; only the time differs. The transactions of a block ask for the same slots again
//! and again, and so does a transaction that is run again, so most hashes have been made before. Hashes are forgotten with
//! the instance, at the latest with the block; which ones a function makes stays with the thread, and so does the room.
//! It does not know what the bytes mean, and looks at nothing longer or shorter.

use super::{
    observe::Step,
    templates::{Call, Maker, PAIR, Templates},
};
use alloy_primitives::{B256, U256, keccak256};
use laminar_state_db::keccak256_batch;
use revm::{
    context_interface::Transaction,
    database_interface::DatabaseRef,
    interpreter::{Host, InstructionExecResult, Interpreter, instructions::system},
};
use std::cell::Cell;

/// Power of two; with 108 bytes each they stay within the cache of a core.
const ENTRIES: usize = 512;

thread_local! {
    /// What the thread's last instance leaves to its next one.
    static KEPT: Cell<Option<Box<Remembered>>> = const { Cell::new(None) };
}

/// The last hashes that an instance made, and what its next calls are going to hash.
#[derive(Debug)]
pub(super) struct MappingKeys {
    remembered: Option<Box<Remembered>>,
    /// Whether anybody asks what calls are going to hash; else nothing is learned for it.
    foresees: bool,
}

#[derive(Debug)]
struct Remembered {
    /// One for each place that the bytes hashed may have.
    entries: Vec<Entry>,
    /// Which instance of the thread has it; entries of earlier ones are not looked at.
    owner: u32,
    templates: Templates,
    /// Room for [`MappingKeys::foresee`].
    messages: Vec<[u8; PAIR]>,
    makers: Vec<Maker>,
    hashes: Vec<B256>,
}

#[derive(Clone, Debug)]
struct Entry {
    made_of: [u8; PAIR],
    hash: B256,
    owner: u32,
    /// Until it is asked for: the template that made it.
    foreseen: Option<Maker>,
}

impl Default for MappingKeys {
    fn default() -> Self {
        let mut remembered = KEPT.take();
        if let Some(remembered) = &mut remembered {
            remembered.owner = remembered.owner.wrapping_add(1);
        }
        Self { remembered, foresees: false }
    }
}

impl Drop for MappingKeys {
    fn drop(&mut self) {
        if let Some(remembered) = self.remembered.take() {
            KEPT.set(Some(remembered));
        }
    }
}

impl MappingKeys {
    /// The hash of `bytes`. `call` is what the running transaction says.
    fn hash<'c>(&mut self, bytes: &[u8; PAIR], call: impl FnOnce() -> Option<Call<'c>>) -> B256 {
        let Remembered { entries, templates, owner, .. } = &mut **self.remembered.get_or_insert_default();
        let entry = &mut entries[place(bytes)];
        if entry.is_of(bytes, *owner) {
            if let Some(maker) = entry.foreseen.take() {
                templates.note_used(maker);
            }
            return entry.hash;
        }
        let hash = keccak256(bytes);
        *entry = Entry { made_of: *bytes, hash, owner: *owner, foreseen: None };
        if self.foresees
            && let Some(call) = call()
        {
            templates.learn(&call, bytes, |bytes| known(entries, *owner, bytes));
        }
        hash
    }

    /// Makes the hashes that `calls` are going to ask for.
    pub(super) fn foresee<'c>(&mut self, calls: impl Iterator<Item = Call<'c>> + Clone) {
        self.foresees = true;
        let Some(remembered) = self.remembered.as_deref_mut() else { return };
        let Remembered { entries, templates, messages, makers, hashes, owner } = remembered;
        for nested in [false, true] {
            messages.clear();
            makers.clear();
            let mut is_any_nested = false;
            for call in calls.clone() {
                is_any_nested |= templates.for_each_pair(
                    &call,
                    nested,
                    |bytes| known(entries, *owner, bytes),
                    |message, maker| {
                        messages.push(message);
                        makers.push(maker);
                    },
                );
            }
            keccak256_batch(messages, hashes);
            for ((made_of, hash), maker) in messages.iter().zip(hashes.iter()).zip(makers.iter()) {
                let (made_of, hash, owner, foreseen) = (*made_of, *hash, *owner, Some(*maker));
                entries[place(&made_of)] = Entry { made_of, hash, owner, foreseen };
            }
            if !is_any_nested {
                break;
            }
        }
    }
}

impl Default for Remembered {
    fn default() -> Self {
        let zeros = [0; PAIR];
        Self {
            entries: vec![Entry { made_of: zeros, hash: keccak256(zeros), owner: 0, foreseen: None }; ENTRIES],
            owner: 0,
            templates: Templates::default(),
            messages: Vec::new(),
            makers: Vec::new(),
            hashes: Vec::new(),
        }
    }
}

impl Entry {
    fn is_of(&self, bytes: &[u8; PAIR], owner: u32) -> bool {
        self.owner == owner && self.made_of == *bytes
    }
}

/// The hash of `bytes`, if `owner` remembers it.
fn known(entries: &[Entry], owner: u32, bytes: &[u8; PAIR]) -> Option<B256> {
    let entry = &entries[place(bytes)];
    entry.is_of(bytes, owner).then_some(entry.hash)
}

/// Where the hash of `bytes` is kept. Keys and places of mappings are words; most differ in the lower 24 bytes.
fn place(bytes: &[u8; PAIR]) -> usize {
    const ODD: [u64; 3] = [0x9e37_79b9_7f4a_7c15, 0xc2b2_ae3d_27d4_eb4f, 0x1656_67b1_9e37_79f9];
    let (words, _) = bytes.as_chunks::<8>();
    let word = |at: usize| u64::from_be_bytes(words[at]);
    let mixed = |at: usize| (word(at) ^ word(at + 4).rotate_left(17)).wrapping_mul(ODD[at - 1]);
    ((mixed(1) ^ mixed(2) ^ mixed(3)) >> 40) as usize % ENTRIES
}

/// KECCAK256: of 64 bytes that lie in the memory from here, of any others as revm does it.
pub(super) fn keccak256_opcode<DB: DatabaseRef, TX: Transaction>(step: Step<'_, '_, DB, TX>) -> InstructionExecResult {
    let cost = step.host.gas_params().keccak256_cost(PAIR);
    let tx = &step.host.tx;
    let keys = &mut step.host.journaled_state.database.mapping_keys;
    match hash_pair(step.interpreter, cost, |bytes| keys.hash(bytes, || Call::of(tx))) {
        Some(()) => Ok(()),
        None => system::keccak256(step),
    }
}

/// Does KECCAK256 where it is of 64 bytes of the memory as it is and `cost` can be paid; else nothing has changed.
fn hash_pair(interpreter: &mut Interpreter, cost: u64, hash: impl FnOnce(&[u8; PAIR]) -> B256) -> Option<()> {
    let Interpreter { stack, memory, gas, .. } = interpreter;
    let [.., length, offset] = &mut stack.data_mut()[..] else { return None };
    if *length != U256::from(PAIR) {
        return None;
    }
    let start = usize::try_from(*offset).ok()?;
    let end = start.checked_add(PAIR).filter(|end| *end <= memory.len())?;
    let bytes = memory.slice_range(start..end);
    let bytes = bytes.first_chunk()?;
    gas.record_regular_cost(cost).then_some(())?;
    *length = hash(bytes).into();
    stack.data_mut().pop();
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, TxKind};
    use revm::{
        context::TxEnv,
        interpreter::{InputsImpl, InstructionContext, SharedMemory, host::DummyHost, interpreter::ExtBytecode},
        primitives::hardfork::SpecId,
    };

    #[test]
    fn hashes_are_those_of_keccak_also_where_places_are_shared() {
        let mut keys = MappingKeys::default();
        for round in 0..2 {
            for key in 0..3 * ENTRIES as u64 {
                let mut bytes = [0; PAIR];
                bytes[24..32].copy_from_slice(&key.to_be_bytes());
                bytes[63] = round;
                for _ in 0..2 {
                    assert_eq!(keys.hash(&bytes, || None), keccak256(bytes));
                }
            }
        }
        assert_eq!(keys.hash(&[0; PAIR], || None), keccak256([0; PAIR]));
    }

    #[test]
    fn what_is_foreseen_is_asked_for() {
        let mut keys = MappingKeys::default();
        let account = |number: u64| Address::from_word(keccak256(number.to_be_bytes()));
        let transfer = |number: u64| {
            let data = [&[1; 4], account(2 * number + 1).into_word().as_slice()].concat();
            let kind = TxKind::Call(Address::repeat_byte(9));
            TxEnv { caller: account(2 * number), kind, data: data.into(), ..TxEnv::default() }
        };
        let (mut asked, mut made_before) = (0, 0);
        for first in (0..1600).step_by(16) {
            let txs: Vec<_> = (first..first + 16).map(transfer).collect();
            keys.foresee(txs.iter().filter_map(Call::of));
            for (tx, number) in txs.iter().zip(first..) {
                for holder in [2 * number, 2 * number + 1] {
                    let mut bytes = [0; PAIR];
                    bytes[..32].copy_from_slice(account(holder).into_word().as_slice());
                    made_before += u32::from(
                        keys.remembered.as_ref().is_some_and(|keys| known(&keys.entries, keys.owner, &bytes).is_some()),
                    );
                    asked += 1;
                    assert_eq!(keys.hash(&bytes, || Call::of(tx)), keccak256(bytes));
                }
            }
        }
        assert!(made_before * 10 > asked * 9, "{made_before} of {asked}");
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
        let (mut keys, cost) = (MappingKeys::default(), host.gas_params().keccak256_cost(PAIR));
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
            assert_eq!(
                hash_pair(&mut ours, cost, |bytes| keys.hash(bytes, || None)).is_some(),
                done,
                "{offset} {length} {gas_limit}"
            );
            if done {
                system::keccak256(InstructionContext { interpreter: &mut theirs, host: &mut host })
                    .expect("revm does it");
            }
            assert_eq!((&ours.stack, ours.gas), (&theirs.stack, theirs.gas), "{offset} {length} {gas_limit}");
        }
    }
}
