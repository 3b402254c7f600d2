//! Blocks of random changes over a tiny address space, and the foreign root of the state after them.

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_rlp::Encodable;
use alloy_trie::TrieAccount;
use eth_trie::{EthTrie, MemoryDB, Trie as _};
use laminar_state_db::{Account, AccountChange, BlockChanges, MemoryState, SlotChange, TouchedKeys};
use proptest::prelude::*;
use std::{collections::BTreeMap, sync::Arc};

/// What happens to one account in one block; numbers name accounts, slots and values.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Write {
        nonce: u8,
        slots: Vec<(u8, u8)>,
    },
    Wipe {
        nonce: u8,
        slots: Vec<(u8, u8)>,
    },
    Delete,
    /// Exists and is empty, as before EIP-161.
    Empty,
    Read {
        slots: Vec<u8>,
    },
}

pub(crate) type Block = BTreeMap<u8, Step>;

pub(crate) fn blocks() -> impl Strategy<Value = Vec<Block>> {
    let slots = || proptest::collection::vec((0u8..12, 0u8..3), 0..8);
    let step = prop_oneof![
        5 => (any::<u8>(), slots()).prop_map(|(nonce, slots)| Step::Write { nonce, slots }),
        1 => (any::<u8>(), slots()).prop_map(|(nonce, slots)| Step::Wipe { nonce, slots }),
        2 => Just(Step::Delete),
        1 => Just(Step::Empty),
        2 => proptest::collection::vec(0u8..12, 0..4).prop_map(|slots| Step::Read { slots }),
    ];
    proptest::collection::vec(proptest::collection::btree_map(0u8..20, step, 1..12), 1..8)
}

pub(crate) fn address(number: u8) -> Address {
    Address::repeat_byte(number)
}

/// The block as changes on `state`, and what it reads.
pub(crate) fn to_changes(block: &Block, state: &MemoryState) -> (BlockChanges, TouchedKeys) {
    let (mut changes, mut touched) = (BlockChanges::default(), TouchedKeys::default());
    for (number, step) in block {
        let address = address(*number);
        let before = state.account(&address).copied();
        let (after, slots, is_wiped) = match step {
            Step::Write { nonce, slots } => (Some(account(*nonce)), &slots[..], false),
            Step::Wipe { nonce, slots } => (Some(account(*nonce)), &slots[..], true),
            Step::Delete => (None, &[][..], true),
            Step::Empty => (Some(Account::default()), &[][..], false),
            Step::Read { slots } => {
                touched.insert(address, slots.iter().map(|slot| U256::from(*slot)).collect());
                continue;
            }
        };
        let mut change = AccountChange { before, after, storage_cleared: is_wiped, ..Default::default() };
        for (slot, value) in slots {
            let slot = U256::from(*slot);
            let before = state.slot(&address, &slot);
            change.storage.insert(slot, SlotChange { before, after: U256::from(*value) });
        }
        change.storage.retain(|_, slot| is_wiped || slot.before != slot.after);
        touched.insert(address, change.storage.keys().copied().collect());
        changes.accounts.insert(address, change);
    }
    (changes, touched)
}

pub(crate) fn account(nonce: u8) -> Account {
    Account { nonce: nonce.into(), balance: U256::from(nonce) << 77, ..Account::default() }
}

fn foreign_trie(leaves: impl Iterator<Item = (B256, Vec<u8>)>) -> B256 {
    let mut trie = EthTrie::new(Arc::new(MemoryDB::new(false)));
    for (key, value) in leaves {
        trie.insert(key.as_slice(), &value).expect("in memory");
    }
    B256::new(trie.root_hash().expect("in memory").0)
}

pub(crate) fn foreign_root(state: &MemoryState) -> B256 {
    foreign_trie(state.accounts().iter().map(|(address, account)| {
        let slots = state.storage(address).into_iter().flatten();
        let storage_root =
            foreign_trie(slots.map(|(slot, value)| (keccak256(slot.to_be_bytes::<32>()), alloy_rlp::encode(value))));
        let Account { nonce, balance, code_hash } = *account;
        let mut leaf = Vec::new();
        TrieAccount { nonce, balance, storage_root, code_hash }.encode(&mut leaf);
        (keccak256(address), leaf)
    }))
}
