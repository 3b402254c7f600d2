//! Blocks of random changes on a full state: roots against `eth_trie`, unwinding, and the witness of each block.

use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::Encodable;
use alloy_trie::TrieAccount;
use eth_trie::{EthTrie, MemoryDB, Trie as _};
use laminar_state_db::{Account, AccountChange, BlockChanges, MemoryState, SlotChange, TouchedKeys, WitnessState};
use proptest::prelude::*;
use std::{collections::BTreeMap, sync::Arc};

/// What happens to one account in one block; numbers name accounts, slots and values.
#[derive(Clone, Debug)]
enum Step {
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

type Block = BTreeMap<u8, Step>;

fn blocks() -> impl Strategy<Value = Vec<Block>> {
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

fn address(number: u8) -> Address {
    Address::repeat_byte(number)
}

/// The block as changes on `state`, and what it reads.
fn to_changes(block: &Block, state: &MemoryState) -> (BlockChanges, TouchedKeys) {
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

fn account(nonce: u8) -> Account {
    Account { nonce: nonce.into(), balance: U256::from(nonce) << 77, ..Account::default() }
}

fn foreign_trie(leaves: impl Iterator<Item = (B256, Vec<u8>)>) -> B256 {
    let mut trie = EthTrie::new(Arc::new(MemoryDB::new(false)));
    for (key, value) in leaves {
        trie.insert(key.as_slice(), &value).expect("in memory");
    }
    B256::new(trie.root_hash().expect("in memory").0)
}

fn foreign_root(state: &MemoryState) -> B256 {
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

/// The witness answers what the block reads, gives the root after it, and has no node to spare.
fn check_witness(nodes: &[Bytes], state: &mut MemoryState, touched: &TouchedKeys, changes: &BlockChanges, post: B256) {
    let root = state.state_root();
    let replay = |nodes: Vec<Bytes>| {
        let witness = WitnessState::new(root, nodes, [], [])?;
        for (address, slots) in touched {
            assert_eq!(witness.account(address)?.as_ref(), state.account(address));
            for slot in slots {
                assert_eq!(witness.slot(address, *slot)?, state.slot(address, slot));
            }
        }
        witness.post_state_root(changes)
    };
    assert_eq!(replay(nodes.to_vec()).expect("complete witness"), post, "root from the witness");
    for skipped in 0..nodes.len() {
        let fewer = nodes.iter().enumerate().filter(|(i, _)| *i != skipped).map(|(_, node)| node.clone());
        assert!(replay(fewer.collect()).is_err(), "node {skipped} is not needed");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn roots_unwinding_and_witnesses_are_exact(blocks in blocks()) {
        let mut state = MemoryState::default();
        let mut undo = Vec::new();
        for block in &blocks {
            let (changes, touched) = to_changes(block, &state);
            let root = state.state_root();
            let mut parent = state.clone();
            let nodes = parent.witness(&touched, &changes);
            let wiped = state.apply(&changes);
            prop_assert_eq!(state.state_root(), foreign_root(&state));
            check_witness(&nodes, &mut parent, &touched, &changes, state.state_root());
            undo.push((changes, wiped, root, parent));
        }
        for (changes, wiped, root, parent) in undo.into_iter().rev() {
            state.revert(&changes, wiped);
            prop_assert_eq!(state.accounts(), parent.accounts());
            for address in parent.accounts().keys() {
                prop_assert_eq!(state.storage(address), parent.storage(address));
            }
            prop_assert_eq!(state.state_root(), root);
        }
    }
}

/// Enough slots that storage tries are updated on several threads.
#[test]
fn big_block_on_many_storage_tries_has_the_foreign_root() {
    let mut state = MemoryState::default();
    let block = |from: u8, value: u8| -> Block {
        let slots = |number: u8| (from..from + 20 + number % 7).map(|slot| (slot, value)).collect();
        (0..60).map(|number| (number, Step::Write { nonce: number, slots: slots(number) })).collect()
    };
    state.state_root();
    for block in [block(0, 1), block(10, 2), block(5, 0)] {
        let (changes, touched) = to_changes(&block, &state);
        assert!(changes.slots_len() >= 1_000, "{} slots", changes.slots_len());
        let mut parent = state.clone();
        let nodes = parent.witness(&touched, &changes);
        state.apply(&changes);
        let root = state.state_root();
        assert_eq!(root, foreign_root(&state));
        let witness = WitnessState::new(parent.state_root(), nodes, [], []).expect("complete witness");
        assert_eq!(witness.post_state_root(&changes).expect("complete witness"), root);
    }
}

#[test]
fn a_missing_storage_node_names_the_account() {
    let mut state = MemoryState::default();
    state.insert_account(address(1), account(1));
    for slot in 1..100u64 {
        state.insert_slot(address(1), U256::from(slot), U256::from(slot) << 200);
    }
    let slots: TouchedKeys = [(address(1), vec![U256::from(7)])].into_iter().collect();
    let nodes = state.witness(&slots, &BlockChanges::default());
    let witness = WitnessState::new(state.state_root(), nodes, [], []).expect("complete witness");
    assert_eq!(witness.slot(&address(1), U256::from(7)).expect("in the witness"), U256::from(7) << 200);
    let error =
        (1..100).find_map(|slot| witness.slot(&address(1), U256::from(slot)).err()).expect("a slot is not proven");
    let want = format!("storage trie of account {}: missing node at path Nibbles(0x", address(1));
    assert!(error.to_string().starts_with(&want), "{error}");
}
