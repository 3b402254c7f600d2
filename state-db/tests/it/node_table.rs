//! Tries that live on a table of nodes by path: each block's updates are written to it, and any later block can start from the
//! root and the table alone.

use crate::random_blocks::{blocks, foreign_root, to_changes};
use alloy_primitives::{Address, B256, Bytes, keccak256};
use alloy_trie::Nibbles;
use laminar_state_db::{
    Account, AccountChange, BlockChanges, MemoryState,
    trie::{NoSource, NodeUpdates, SourcedNode, StateNodeSource, StateTrie, TrieUpdates},
};
use proptest::prelude::*;
use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

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
    /// The updates are written, and the tries keep about so many bytes.
    Shrink(u16),
    /// The updates are written, and the next block starts from root and table.
    Reopen,
    /// They go on in parts.
    Split,
}

fn after() -> impl Strategy<Value = After> {
    prop_oneof![
        Just(After::KeepUpdates),
        Just(After::Write),
        any::<u16>().prop_map(After::Shrink),
        Just(After::Reopen),
        Just(After::Split),
    ]
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
            match after {
                After::KeepUpdates => continue,
                After::Split => {
                    tries.split();
                    continue;
                }
                _ => {}
            }
            table.write(tries.take_updates());
            prop_assert!(tries.take_updates().is_empty());
            let mut full = NodeTable::default();
            full.write(state_tries(&state).known_nodes());
            prop_assert_eq!(&table, &full);
            match after {
                After::KeepUpdates | After::Write | After::Split => {}
                After::Shrink(bytes_max) => {
                    tries.shrink_to(bytes_max.into());
                    prop_assert_eq!(tries.root(), root);
                }
                After::Reopen => tries = StateTrie::from_root(root).tracked(),
            }
        }
    }
}

/// The tries of a full state, from scratch.
fn state_tries(state: &MemoryState) -> StateTrie {
    let storage = state.accounts().keys().filter_map(|address| Some((*address, state.storage(address)?.clone())));
    StateTrie::from_state(state.accounts(), &storage.collect())
}

/// Reading from a table, and how often.
struct Counted<'a> {
    table: &'a NodeTable,
    reads: AtomicUsize,
}

impl StateNodeSource for Counted<'_> {
    fn state_node(&self, owner: Option<&B256>, path: &Nibbles, hash: &B256) -> SourcedNode<'_> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.table.state_node(owner, path, hash)
    }
}

#[test]
fn memory_stays_bounded_and_what_was_used_last_stays_warm() {
    const ACCOUNTS: u64 = 20_000;
    const BYTES_MAX: usize = 1 << 20;
    let mut state = MemoryState::default();
    for i in 0..ACCOUNTS {
        state.insert_account(address(i), Account { nonce: i, ..Account::default() });
    }
    let mut full = state_tries(&state);
    let mut table = NodeTable::default();
    table.write(full.known_nodes());
    assert!(full.memory_bytes() > 2 * BYTES_MAX, "{} bytes", full.memory_bytes());

    let mut tries = StateTrie::from_root(full.root()).tracked();
    let block = |accounts: std::ops::Range<u64>, nonce: u64| {
        let change = |i| {
            let after = Some(Account { nonce, ..Account::default() });
            (address(i % ACCOUNTS), AccountChange { after, ..Default::default() })
        };
        BlockChanges { accounts: accounts.map(change).collect(), contracts: Default::default() }
    };
    // The first accounts change in every block, the others in turn.
    for number in 0..100 {
        let changes = [block(0..10, number), block(number * 300..number * 300 + 300, number)];
        let reads = changes.map(|changes| {
            let source = Counted { table: &table, reads: AtomicUsize::new(0) };
            tries.apply(&changes, &source).expect("the table holds all nodes");
            full.apply(&changes, &NoSource).expect("all known");
            source.reads.into_inner()
        });
        assert_eq!(tries.root(), full.root(), "block {number}");
        table.write(tries.take_updates());
        tries.shrink_to(BYTES_MAX);
        assert!(tries.memory_bytes() <= BYTES_MAX, "block {number}: {} bytes", tries.memory_bytes());
        assert!(number == 0 || reads[0] == 0, "block {number} read {} nodes again", reads[0]);
        assert!(reads[1] > 0 || number > 66, "block {number} found accounts that were never read");
    }
}

/// So many that threads change and hash parts of the trie at once.
#[test]
fn many_changes_at_once_leave_the_nodes_of_the_state() {
    const ACCOUNTS: u64 = 20_000;
    let mut state = MemoryState::default();
    for i in 0..ACCOUNTS {
        state.insert_account(address(i), Account { nonce: i, ..Account::default() });
    }
    let (mut full, mut table) = (state_tries(&state), NodeTable::default());
    table.write(full.known_nodes());
    let mut tries = StateTrie::from_root(full.root()).tracked();
    // Every so many accounts change; of these every so many end.
    for (number, (step, ends)) in (1..).zip([(3, None), (4, Some(7)), (2, None), (5, Some(2))]) {
        let change = |i: u64| {
            let lives = ends.is_none_or(|ends| !(i / step).is_multiple_of(ends));
            let after = lives.then(|| Account { nonce: i + number, ..Account::default() });
            (
                address(i),
                AccountChange { before: state.accounts().get(&address(i)).copied(), after, ..Default::default() },
            )
        };
        let accounts = (number..ACCOUNTS + number).step_by(step as usize).map(change).collect();
        let changes = BlockChanges { accounts, contracts: Default::default() };
        state.apply(&changes);
        tries.apply(&changes, &table).expect("the table holds all nodes");
        assert_eq!(tries.root(), foreign_root(&state), "block {number}");
        table.write(tries.take_updates());
        let mut whole = NodeTable::default();
        whole.write(state_tries(&state).known_nodes());
        assert!(table == whole, "block {number}: other nodes");
    }
}

fn address(i: u64) -> Address {
    Address::from_word(keccak256(i.to_be_bytes()))
}
