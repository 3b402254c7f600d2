//! Tries that live on a table of nodes by path: each block's updates are written to it, and any later block can start from the
//! root and the table alone.

use crate::random_blocks::{blocks, foreign_root, to_changes};
use alloy_primitives::{B256, Bytes, keccak256};
use alloy_trie::Nibbles;
use laminar_state_db::{
    MemoryState,
    trie::{NodeUpdates, SourcedNode, StateNodeSource, StateTrie, TrieUpdates},
};
use proptest::prelude::*;
use std::{borrow::Cow, collections::BTreeMap};

/// Nodes by trie and path, as a database keeps them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct NodeTable(BTreeMap<(Option<B256>, Nibbles), Bytes>);

impl NodeTable {
    fn write(&mut self, updates: TrieUpdates) {
        self.write_trie(None, updates.accounts);
        for (owner, storage) in updates.storages {
            if storage.is_wiped {
                self.0.retain(|(other, _), _| *other != Some(owner));
            }
            self.write_trie(Some(owner), storage.nodes);
        }
    }

    fn write_trie(&mut self, owner: Option<B256>, nodes: NodeUpdates) {
        assert!(nodes.is_sorted_by(|a, b| a.0 < b.0), "each path once, ascending");
        for (path, rlp) in nodes {
            match rlp {
                Some(rlp) => self.0.insert((owner, path), rlp),
                None => self.0.remove(&(owner, path)),
            };
        }
    }
}

impl StateNodeSource for NodeTable {
    fn state_node(&self, owner: Option<&B256>, path: &Nibbles, hash: &B256) -> SourcedNode<'_> {
        let rlp = self.0.get(&(owner.copied(), *path));
        assert_eq!(rlp.map(keccak256), Some(*hash), "{owner:?} at {path:?}");
        Ok(rlp.map(|rlp| Cow::Borrowed(rlp.as_ref())))
    }
}

/// What happens to the tries after a block.
#[derive(Clone, Copy, Debug)]
enum After {
    /// They go on, and the next block adds to the same updates.
    KeepUpdates,
    /// The updates are written, and they go on.
    Write,
    /// The updates are written, and the next block starts from root and table.
    Reopen,
}

fn after() -> impl Strategy<Value = After> {
    prop_oneof![Just(After::KeepUpdates), Just(After::Write), Just(After::Reopen)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_table_that_takes_the_updates_holds_the_nodes_of_the_state(
        blocks in blocks(),
        afters in proptest::collection::vec(after(), 8),
    ) {
        let (mut state, mut table) = (MemoryState::default(), NodeTable::default());
        let mut tries = StateTrie::default().tracked();
        for (block, after) in blocks.iter().zip(afters) {
            let (changes, _) = to_changes(block, &state);
            state.apply(&changes);
            tries.apply(&changes, &table).expect("the table holds all nodes");
            let root = tries.root();
            prop_assert_eq!(root, foreign_root(&state));
            if matches!(after, After::KeepUpdates) {
                continue;
            }
            table.write(tries.take_updates());
            prop_assert!(tries.take_updates().is_empty());
            let mut full = NodeTable::default();
            full.write(state_tries(&state).known_nodes());
            prop_assert_eq!(&table, &full);
            if matches!(after, After::Reopen) {
                tries = StateTrie::from_root(root).tracked();
            }
        }
    }
}

/// The tries of a full state, from scratch.
fn state_tries(state: &MemoryState) -> StateTrie {
    let storage = state.accounts().keys().filter_map(|address| Some((*address, state.storage(address)?.clone())));
    StateTrie::from_state(state.accounts(), &storage.collect())
}
