//! Witnesses of real blocks: every node is found, read and written back as it was.

use crate::archive;
use alloy_primitives::{B256, Bytes, U256, keccak256, map::B256Map};
use alloy_rlp::{Decodable, Header};
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};
use laminar_state_db::{
    BlockChanges, WitnessError, WitnessState,
    trie::{NoSource, Trie, TrieValue},
};
use std::collections::BTreeMap;

struct Witness {
    codes: Vec<Bytes>,
    nodes: Vec<Bytes>,
}

/// One RLP list `[block, headers, codes, nodes]`.
fn decode(rlp: &[u8]) -> alloy_rlp::Result<Witness> {
    let mut items = Header::decode_bytes(&mut &*rlp, true)?;
    for _ in ["block", "headers"] {
        Header::decode_bytes(&mut items, true)?;
    }
    Ok(Witness { codes: Vec::decode(&mut items)?, nodes: Vec::decode(&mut items)? })
}

/// Makes every known leaf dirty and leaves it as it was.
fn rewrite_leaves<V: TrieValue>(trie: &mut Trie<V>, other: V) -> usize {
    let mut leaves = Vec::new();
    trie.for_each_leaf(|key, value| leaves.push((key, value.clone())));
    for (key, value) in &leaves {
        trie.insert(key, other.clone(), &NoSource).expect("known");
        trie.insert(key, value.clone(), &NoSource).expect("known");
    }
    leaves.len()
}

fn check(name: &str, state_root: B256, witness: Witness) {
    let state = WitnessState::new(state_root, witness.nodes.clone(), witness.codes, []).expect(name);
    assert_eq!(state.post_state_root(&BlockChanges::default()).expect(name), state_root, "{name}");

    let (mut accounts, mut slots) = (Vec::new(), 0);
    state.for_each_account(|hash, account| accounts.push((hash, *account)));
    for (_, account) in &accounts {
        state.for_each_slot(&account.storage_root, |_, value| slots += usize::from(!value.is_zero()));
    }
    assert!(!accounts.is_empty(), "{name}: no accounts");

    let nodes: B256Map<Bytes> = witness.nodes.iter().map(|node| (keccak256(node), node.clone())).collect();
    let mut trie = Trie::<TrieAccount>::from_root(state_root);
    let mut revealed = trie.reveal_all(&nodes, nodes.len()).expect(name);
    assert_eq!(rewrite_leaves(&mut trie, TrieAccount::default()), accounts.len());
    assert_eq!(trie.root(), state_root, "{name}: account trie");
    let mut roots = B256Map::default();
    for (_, account) in accounts.iter().filter(|(_, account)| account.storage_root != EMPTY_ROOT_HASH) {
        roots.entry(account.storage_root).or_insert_with(|| {
            let mut trie = Trie::<U256>::from_root(account.storage_root);
            revealed += trie.reveal_all(&nodes, nodes.len()).expect(name);
            rewrite_leaves(&mut trie, U256::from(0x1234));
            assert_eq!(trie.root(), account.storage_root, "{name}: storage trie");
        });
    }
    // Some witnesses list the empty trie's node, an empty string, which no parent refers to.
    let hanging = nodes.values().filter(|node| node.as_ref() != [alloy_rlp::EMPTY_STRING_CODE]).count();
    assert!(revealed >= hanging, "{name}: {revealed} of {hanging} nodes hang below the state root");
    eprintln!("{name}: {} nodes, {} accounts, {slots} slots", nodes.len(), accounts.len());
}

#[test]
fn every_node_of_real_witnesses_is_read_and_written_back() {
    let mut roots = BTreeMap::new();
    let mut witnesses = BTreeMap::new();
    archive::for_each_file(
        "mainnet-witness",
        |path| path.contains("/blocks/"),
        |path, content| {
            if let Some(stem) = path.strip_suffix(".json") {
                let facts: serde_json::Value = serde_json::from_slice(&content).expect("JSON");
                let root: B256 =
                    facts["parent_state_root"].as_str().and_then(|root| root.parse().ok()).expect("a root");
                roots.insert(stem.to_owned(), root);
            } else if let Some(stem) = path.strip_suffix(".rlp") {
                witnesses.insert(stem.to_owned(), decode(&content).expect("RLP"));
            }
        },
    );
    assert_eq!(roots.len(), witnesses.len());
    for (name, witness) in witnesses {
        check(&name, roots[&name], witness);
    }
}

#[test]
fn what_the_witness_does_not_prove_is_an_error_that_names_it() {
    let root = B256::repeat_byte(1);
    let error = WitnessState::new(root, [], [], []).expect_err("no root node");
    assert_eq!(error.to_string(), format!("account trie: missing node at path Nibbles(0x) with hash {root}"));
    let state = WitnessState::new(EMPTY_ROOT_HASH, [], [], [(7, root)]).expect("empty state");
    use revm::database_interface::DatabaseRef;
    assert!(state.basic_ref(Default::default()).expect("proven absent").is_none());
    assert_eq!(state.storage_ref(Default::default(), U256::from(1)).expect("proven absent"), U256::ZERO);
    assert_eq!(state.block_hash_ref(7).expect("given"), root);
    assert!(matches!(state.block_hash_ref(8), Err(WitnessError::MissingBlockHash { number: 8 })));
    assert!(matches!(state.code_by_hash_ref(root), Err(WitnessError::MissingCode { hash }) if hash == root));
    assert!(state.code_by_hash_ref(revm::primitives::KECCAK_EMPTY).expect("always known").is_empty());
}
