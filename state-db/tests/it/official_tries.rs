//! The TrieTests of ethereum/tests.

use crate::archive;
use alloy_primitives::{B256, Bytes, hex, keccak256};
use laminar_state_db::trie::{NoSource, Trie, trie_root};
use serde_json::Value;
use std::collections::BTreeMap;

/// Text is UTF-8 unless it starts with `0x`.
fn bytes(text: &Value) -> Vec<u8> {
    let text = text.as_str().expect("text");
    text.strip_prefix("0x").map_or_else(|| text.as_bytes().to_vec(), |digits| hex::decode(digits).expect("hex"))
}

/// Operations in order: a value, or `None` for a removal.
fn operations(case: &Value) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let value = |value: &Value| (!value.is_null()).then(|| bytes(value));
    match &case["in"] {
        Value::Object(pairs) => {
            pairs.iter().map(|(key, text)| (bytes(&Value::String(key.clone())), value(text))).collect()
        }
        pairs => {
            let pairs = pairs.as_array().expect("a list").iter();
            pairs.map(|pair| (bytes(&pair[0]), value(&pair[1]))).collect()
        }
    }
}

#[track_caller]
fn check(name: &str, case: &Value, is_secure: bool) {
    let want: B256 = case["root"].as_str().and_then(|root| root.parse().ok()).expect("a root");
    let (mut pairs, mut trie) = (BTreeMap::new(), Trie::<Bytes>::default());
    for (key, value) in operations(case) {
        let hash = keccak256(&key);
        let key = if is_secure { hash.to_vec() } else { key };
        match value {
            Some(value) => {
                trie.insert(&hash, value.clone().into(), &NoSource).expect("all known");
                pairs.insert(key, value);
            }
            None => {
                trie.remove(&hash, &NoSource).expect("all known");
                pairs.remove(&key);
            }
        }
    }
    assert_eq!(trie_root(&pairs), want, "{name}, from scratch");
    if is_secure {
        assert_eq!(trie.root(), want, "{name}, changed in place");
    }
}

#[test]
fn official_trie_tests_pass() {
    let mut cases = 0;
    archive::for_each_file(
        "ethereum-tests",
        |path| path.contains("TrieTests/"),
        |path, content| {
            let file: Value = serde_json::from_slice(&content).expect("JSON");
            // `trietestnextprev` is about neighbouring keys and has no root.
            for (name, case) in
                file.as_object().expect("an object").iter().filter(|(_, case)| case.get("root").is_some())
            {
                let is_secure = path.to_lowercase().contains("secure");
                check(&format!("{path} {name}"), case, is_secure);
                cases += 1;
            }
        },
    );
    eprintln!("{cases} trie tests");
}
