//! Our trie against the `eth_trie` crate, on keys that share long prefixes so that forks, extensions and collapses happen.

use alloy_primitives::{B256, Bytes, U256, keccak256, map::B256Map};
use alloy_trie::Nibbles;
use eth_trie::{EthTrie, MemoryDB, Trie as _};
use laminar_state_db::trie::{NoSource, Trie, TrieError, TrieValue, hash_tries, trie_root};
use proptest::prelude::*;
use std::{collections::BTreeMap, sync::Arc};

/// `eth_trie` reads a single byte from 0x80 on back wrongly from its store.
const LEN_MIN: usize = 2;

/// A key that differs from others in four nibbles only: at the start, in the middle and at the very end.
fn key(seed: [u8; 4]) -> B256 {
    let mut key = B256::repeat_byte(0x77);
    let [a, b, c, d] = seed.map(|nibble| nibble & 3);
    key[0] = a << 4 | b;
    key[20] = 0x70 | c;
    key[31] = 0x70 | d;
    key
}

#[derive(Clone, Debug)]
enum Op {
    Insert([u8; 4], u16),
    Remove([u8; 4]),
    Root,
    /// Divides our trie, if it forks at the root.
    Split,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = prop_oneof![
        4 => (any::<[u8; 4]>(), any::<u16>()).prop_map(|(key, value)| Op::Insert(key, value)),
        4 => any::<[u8; 4]>().prop_map(Op::Remove),
        1 => Just(Op::Root),
        1 => Just(Op::Split),
    ];
    proptest::collection::vec(op, 1..120)
}

struct Pair<V> {
    ours: Trie<V>,
    foreign: EthTrie<MemoryDB>,
    model: BTreeMap<B256, V>,
}

impl<V: TrieValue + std::fmt::Debug> Pair<V> {
    fn new() -> Self {
        // `false`: it keeps old nodes; else it drops some that it needs after the removal of a key that is not there.
        let foreign = EthTrie::new(Arc::new(MemoryDB::new(false)));
        Self { ours: Trie::default(), foreign, model: BTreeMap::new() }
    }

    fn insert(&mut self, key: B256, value: V) {
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        self.foreign.insert(key.as_slice(), &bytes).expect("in memory");
        self.ours.insert(&key, value.clone(), &NoSource).expect("all known");
        self.model.insert(key, value);
    }

    fn remove(&mut self, key: B256) {
        self.foreign.remove(key.as_slice()).expect("in memory");
        let was_there = self.ours.remove(&key, &NoSource).expect("all known");
        assert_eq!(was_there, self.model.remove(&key).is_some());
    }

    #[track_caller]
    fn check_root(&mut self) {
        let want = B256::new(self.foreign.root_hash().expect("in memory").0);
        assert_eq!(self.ours.root(), want, "changed in place");
        let leaves: Vec<_> = self.model.clone().into_iter().collect();
        assert_eq!(Trie::from_sorted(&leaves).root(), want, "from scratch");
        let mut seen = Vec::new();
        self.ours.for_each_leaf(|key, value| seen.push((key, value.clone())));
        assert_eq!(seen, leaves);
    }

    fn run(&mut self, ops: &[Op], value: impl Fn(u16) -> V) {
        for op in ops {
            match *op {
                Op::Insert(seed, number) => self.insert(key(seed), value(number)),
                Op::Remove(seed) => self.remove(key(seed)),
                Op::Root => self.check_root(),
                Op::Split => self.ours.split(),
            }
        }
        self.check_root();
        let keys: Vec<_> = self.model.keys().copied().collect();
        for key in keys {
            assert_eq!(self.ours.get(&key).expect("all known"), self.model.get(&key));
            self.remove(key);
        }
        self.check_root();
        assert!(self.ours.is_empty());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn short_values_make_inline_nodes(ops in ops()) {
        Pair::new().run(&ops, |number| U256::from(number) + U256::from(1));
    }

    #[test]
    fn long_values_make_hashed_nodes(ops in ops()) {
        Pair::new().run(&ops, |number| Bytes::from(vec![number as u8 | 1; LEN_MIN + usize::from(number) % 200]));
    }
}

#[test]
fn many_tries_hashed_together_have_the_roots_they_have_alone() {
    let trie = |i: u64| {
        let mut leaves: Vec<_> =
            (0..i * 37).map(|j| (keccak256(U256::from(i + j * 100).to_be_bytes::<32>()), U256::from(j + 1))).collect();
        leaves.sort_unstable();
        Trie::from_sorted(&leaves)
    };
    let mut together: Vec<_> = (0..60).map(trie).collect();
    hash_tries(&mut together.iter_mut().collect::<Vec<_>>());
    for (i, joint) in together.iter_mut().enumerate() {
        assert_eq!(joint.root(), trie(i as u64).root(), "trie {i}");
    }
}

/// Enough leaves that a level is hashed on several threads.
#[test]
fn big_trie_has_the_root_that_alloy_computes() {
    let mut leaves: Vec<_> = (0..5_000u64).map(|i| (keccak256(i.to_be_bytes()), U256::from(i + 1))).collect();
    leaves.sort_unstable();
    let mut foreign = alloy_trie::HashBuilder::default();
    for (key, value) in &leaves {
        foreign.add_leaf(Nibbles::unpack(key), &alloy_rlp::encode(value));
    }
    let want = foreign.root();
    assert_eq!(Trie::from_sorted(&leaves).root(), want, "from scratch");
    assert_eq!(trie_root(leaves.iter().map(|(key, value)| (key, alloy_rlp::encode(value)))), want, "unhashed");
    let mut grown = Trie::default();
    for (key, value) in &leaves {
        grown.insert(key, *value, &NoSource).expect("all known");
    }
    assert_eq!(grown.root(), want, "grown");
}

/// Every node of a trie with the keys, by hash.
fn all_nodes(trie: &mut Trie<U256>, keys: &[B256]) -> B256Map<Bytes> {
    trie.root();
    keys.iter().flat_map(|key| trie.proof(key)).map(|node| (keccak256(&node), node)).collect()
}

#[test]
fn a_collapse_that_lacks_a_node_names_it_and_changes_nothing() {
    // Two keys fork at the first nibble, so that removing one needs the other's leaf.
    let (gone, left) = (B256::with_last_byte(1), B256::repeat_byte(0x20));
    let mut full = Trie::from_sorted(&[(gone, U256::from(1)), (left, U256::from(2))]);
    let root = full.root();
    let nodes = all_nodes(&mut full, &[gone, left]);
    let hash = keccak256(&full.proof(&left)[1]);
    let mut fewer = nodes.clone();
    fewer.remove(&hash);

    let mut sparse = Trie::<U256>::from_root(root);
    assert!(matches!(sparse.get(&gone), Err(TrieError::MissingNode { .. })));
    let error = sparse.remove(&gone, &fewer).expect_err("the sibling is not known");
    assert_eq!(error.to_string(), format!("missing node at path Nibbles(0x2) with hash {hash}"));
    assert_eq!(sparse.root(), root);
    assert_eq!(sparse.get(&gone).expect("known by now"), Some(&U256::from(1)));

    assert!(sparse.remove(&gone, &nodes).expect("all known"));
    assert_eq!(sparse.root(), Trie::from_sorted(&[(left, U256::from(2))]).root());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A trie that starts from its root alone does what the full trie does, or fails and stays as it was.
    #[test]
    fn sparse_trie_follows_the_full_one(
        seeds in proptest::collection::btree_set(any::<[u8; 4]>(), 1..40),
        ops in ops(),
        dropped in 0usize..20,
    ) {
        let keys: Vec<B256> = seeds.into_iter().map(key).collect();
        let mut full = Trie::default();
        for (i, key) in keys.iter().enumerate() {
            full.insert(key, U256::from(i + 1) << 250, &NoSource).expect("all known");
        }
        let mut sparse = Trie::<U256>::from_root(full.root());
        let nodes = all_nodes(&mut full, &keys);
        let mut fewer = nodes.clone();
        if let Some(hash) = nodes.keys().nth(dropped) {
            fewer.remove(hash);
        }
        for op in ops {
            let (at, value) = match op {
                Op::Insert(seed, value) => (key(seed), Some(U256::from(value) + U256::from(1))),
                Op::Remove(seed) => (key(seed), None),
                Op::Root => continue,
                Op::Split => {
                    sparse.split();
                    continue;
                }
            };
            let change = |trie: &mut Trie<U256>, source: &B256Map<Bytes>| match value {
                Some(value) => trie.insert(&at, value, source),
                None => trie.remove(&at, source).map(|_| ()),
            };
            let before = sparse.root();
            if let Err(error) = change(&mut sparse, &fewer) {
                let is_named = matches!(error, TrieError::MissingNode { .. });
                prop_assert!(is_named, "{}", error);
                prop_assert_eq!(sparse.root(), before);
                change(&mut sparse, &nodes).expect("all nodes are at hand");
            }
            change(&mut full, &nodes).expect("all known");
            prop_assert_eq!(sparse.root(), full.root());
        }
    }
}
