//! Blocks of random changes on a full state: roots against `eth_trie`, unwinding, and the witness of each block.

use crate::random_blocks::{Block, Step, account, address, blocks, foreign_root, to_changes};
use alloy_primitives::{B256, Bytes, U256};
use laminar_state_db::{BlockChanges, MemoryState, TouchedKeys, WitnessState};
use proptest::prelude::*;

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
