//! Trie tests: updates and the root that they lead to, or the order of keys.
//!
//! Place in the flow: one kind of case; needs no executor.
//! Invariant: a root is computed both from scratch and by changing a trie in place, where the keys allow the latter.

use super::runner::Ended;
use alloy_primitives::{B256, Bytes, keccak256};
use anyhow::{Context, ensure};
use laminar_fixtures::official::{TrieNeighbours, TrieTest};
use laminar_state_db::trie::{NoSource, Trie, trie_root};
use std::collections::BTreeMap;

/// Runs a case.
///
/// # Errors
/// What differs from the case.
pub(crate) fn run(test: &TrieTest) -> anyhow::Result<Ended> {
    if let Some(root) = test.root {
        check_root(test, root)?;
        if test.any_order {
            let steps = test.steps.iter().rev().cloned().collect();
            check_root(&TrieTest { steps, ..test.clone() }, root).context("in reverse order")?;
        }
    }
    check_neighbours(test)?;
    Ok(Ended::Passed)
}

fn check_root(test: &TrieTest, expected: B256) -> anyhow::Result<()> {
    let (mut pairs, mut trie) = (BTreeMap::new(), Trie::<Bytes>::default());
    for (key, value) in &test.steps {
        let hash = keccak256(key);
        let key = if test.secure { Bytes::from(hash) } else { key.clone() };
        match value {
            Some(value) => {
                trie.insert(&hash, value.clone(), &NoSource)?;
                pairs.insert(key, value);
            }
            None => {
                trie.remove(&hash, &NoSource)?;
                pairs.remove(&key);
            }
        }
    }
    let found = trie_root(&pairs);
    ensure!(found == expected, "root from scratch: expected {expected}, found {found}");
    if test.secure {
        let found = trie.root();
        ensure!(found == expected, "root of the trie changed in place: expected {expected}, found {found}");
    }
    Ok(())
}

/// The trie is walked in its own order. Its keys have 32 bytes, so shorter keys are filled up with zeros, which keeps their order.
fn check_neighbours(test: &TrieTest) -> anyhow::Result<()> {
    let mut trie = Trie::<Bytes>::default();
    for (key, _) in test.steps.iter().filter(|_| !test.neighbours.is_empty()) {
        ensure!(key.len() <= 32, "expected keys of at most 32 bytes, found {key}");
        trie.insert(&B256::right_padding_from(key), key.clone(), &NoSource)?;
    }
    let mut keys: Vec<Bytes> = Vec::new();
    trie.for_each_leaf(|_, key| keys.push(key.clone()));
    for TrieNeighbours { key, previous, next } in &test.neighbours {
        let found = keys.iter().rev().find(|other| *other < key).cloned().unwrap_or_default();
        ensure!(found == *previous, "key before {key}: expected {previous}, found {found}");
        let found = keys.iter().find(|other| *other > key).cloned().unwrap_or_default();
        ensure!(found == *next, "key after {key}: expected {next}, found {found}");
    }
    Ok(())
}
