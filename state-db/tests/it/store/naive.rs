//! The oracle: a state as plain sorted maps, copied for each block, with roots from `eth_trie`.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::Encodable;
use alloy_trie::TrieAccount;
use eth_trie::{EthTrie, MemoryDB, Trie as _};
use laminar_state_db::{Account, AccountChange, BlockChanges, BlockData, BlockRef, MemoryState, SlotChange};
use proptest::prelude::*;
use revm::bytecode::Bytecode;
use std::{collections::BTreeMap, sync::Arc};

/// Accounts and slots of the tiny address space.
pub(super) const ACCOUNTS: u8 = 12;
pub(super) const SLOTS: u8 = 10;

/// What happens to one account in one block; numbers name accounts, slots and values.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Write {
        nonce: u8,
        slots: Vec<(u8, u8)>,
    },
    /// Destroyed and made again.
    Wipe {
        nonce: u8,
        slots: Vec<(u8, u8)>,
    },
    Deploy {
        code: u8,
    },
    Delete,
    /// Exists and is empty, as before EIP-161.
    Empty,
}

/// What a block does.
pub(super) type Steps = BTreeMap<u8, Step>;

pub(super) fn steps() -> impl Strategy<Value = Steps> {
    let slots = || proptest::collection::vec((0..SLOTS, 0u8..3), 0..8);
    let step = prop_oneof![
        6 => (any::<u8>(), slots()).prop_map(|(nonce, slots)| Step::Write { nonce, slots }),
        2 => (any::<u8>(), slots()).prop_map(|(nonce, slots)| Step::Wipe { nonce, slots }),
        1 => (0u8..4).prop_map(|code| Step::Deploy { code }),
        2 => Just(Step::Delete),
        1 => Just(Step::Empty),
    ];
    proptest::collection::btree_map(0..ACCOUNTS, step, 0..8)
}

pub(super) fn address(number: u8) -> Address {
    Address::repeat_byte(number)
}

/// Code by its number: 1 to 4 bytes of `STOP` and its number.
pub(super) fn code(number: u8) -> Bytes {
    vec![number; usize::from(number) + 1].into()
}

/// A state and the hashes of its branch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Naive {
    pub(super) accounts: BTreeMap<Address, Account>,
    pub(super) slots: BTreeMap<(Address, U256), U256>,
    pub(super) branch: Vec<BlockRef>,
}

impl Naive {
    pub(super) fn slot(&self, address: Address, slot: u8) -> U256 {
        self.slots.get(&(address, U256::from(slot))).copied().unwrap_or_default()
    }

    /// The block as changes on this state.
    pub(super) fn changes(&self, steps: &Steps) -> BlockChanges {
        let mut changes = BlockChanges::default();
        for (number, step) in steps {
            let address = address(*number);
            let before = self.accounts.get(&address).copied();
            let with =
                |nonce: u8| Account { nonce: nonce.into(), balance: U256::from(nonce) << 77, ..Account::default() };
            let (after, slots, storage_cleared) = match step {
                Step::Write { nonce, slots } => (Some(with(*nonce)), &slots[..], false),
                Step::Wipe { nonce, slots } => (Some(with(*nonce)), &slots[..], true),
                Step::Delete => (None, &[][..], true),
                Step::Empty => (Some(Account::default()), &[][..], false),
                Step::Deploy { code: number } => {
                    let code = code(*number);
                    let code_hash = keccak256(&code);
                    changes.contracts.insert(code_hash, Bytecode::new_legacy(code));
                    (Some(Account { code_hash, ..before.unwrap_or_default() }), &[][..], false)
                }
            };
            let mut change = AccountChange { before, after, storage_cleared, ..Default::default() };
            for (slot, value) in slots {
                let before = if storage_cleared { U256::ZERO } else { self.slot(address, *slot) };
                change.storage.insert(U256::from(*slot), SlotChange { before, after: U256::from(*value) });
            }
            change.storage.retain(|_, slot| storage_cleared || slot.before != slot.after);
            if before.is_some() || after.is_some() {
                changes.accounts.insert(address, change);
            }
        }
        changes
    }

    /// The state after a block.
    pub(super) fn after(&self, block: BlockRef, changes: &BlockChanges) -> Self {
        let mut next = self.clone();
        for (address, change) in &changes.accounts {
            if change.storage_cleared || change.after.is_none() {
                next.slots.retain(|(owner, _), _| owner != address);
            }
            match change.after {
                Some(account) => next.accounts.insert(*address, account),
                None => next.accounts.remove(address),
            };
            for (slot, value) in change.storage.iter().filter(|_| change.after.is_some()) {
                next.slots.insert((*address, *slot), value.after);
            }
        }
        next.slots.retain(|_, value| !value.is_zero());
        next.branch.push(block);
        next
    }

    /// The state with all codes of the tiny address space.
    pub(super) fn to_memory_state(&self) -> MemoryState {
        let mut state = MemoryState::default();
        for number in 0..4 {
            state.insert_code(code(number));
        }
        self.accounts.iter().for_each(|(address, account)| state.insert_account(*address, *account));
        self.slots.iter().for_each(|((address, slot), value)| state.insert_slot(*address, *slot, *value));
        state
    }

    pub(super) fn state_root(&self) -> B256 {
        foreign_trie(self.accounts.iter().map(|(address, account)| {
            let slots = self.slots.iter().filter(|((owner, _), _)| owner == address);
            let storage_root = foreign_trie(
                slots.map(|((_, slot), value)| (keccak256(slot.to_be_bytes::<32>()), alloy_rlp::encode(value))),
            );
            let Account { nonce, balance, code_hash } = *account;
            let mut leaf = Vec::new();
            TrieAccount { nonce, balance, storage_root, code_hash }.encode(&mut leaf);
            (keccak256(address), leaf)
        }))
    }
}

fn foreign_trie(leaves: impl Iterator<Item = (B256, Vec<u8>)>) -> B256 {
    let mut trie = EthTrie::new(Arc::new(MemoryDB::new(false)));
    for (key, value) in leaves {
        trie.insert(key.as_slice(), &value).expect("in memory");
    }
    B256::new(trie.root_hash().expect("in memory").0)
}

/// A block with recognisable bytes; `salt` tells siblings apart.
pub(super) fn block(parent: BlockRef, salt: u64) -> BlockData {
    let number = parent.number + 1;
    let hash = keccak256([parent.hash.as_slice(), &salt.to_be_bytes()].concat());
    BlockData {
        id: BlockRef { number, hash },
        parent: parent.hash,
        header: [b"header", hash.as_slice()].concat().into(),
        body: [b"body", hash.as_slice()].concat().into(),
        receipts: [b"receipts", hash.as_slice()].concat().into(),
        transactions: (0..salt % 3).map(|index| keccak256([hash.as_slice(), &[index as u8]].concat())).collect(),
        senders: (0..salt % 3).map(|index| address(index as u8)).collect(),
        extra: [b"extra", hash.as_slice()].concat().into(),
    }
}
