//! The execution-apis suite: its chain is imported, its requests are asked, its answers compared.
//!
//! Without the archive the test says that it is skipped. Messages of errors may differ, codes count.

use alloy_genesis::Genesis;
use alloy_primitives::B256;
use laminar_executor::{BlockExecutor, Config};
use laminar_rpc_shim::{
    api::{self, Context, Limits},
    node::{Delivered, ForkChoice, Node},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::Read,
    path::PathBuf,
    sync::Arc,
};

/// Methods whose answers hang on how the node is set up: on its peers, its pool, or on methods that change it.
const SET_UP: [&str; 4] = ["txpool_", "testing_", "eth_syncing", "net_version"];

/// Cases that are open, and why.
const OPEN: [(&str, &str); 4] = [
    ("eth_getTransactionReceipt/get-legacy-contract.io", "receipts before Byzantium carry a state root"),
    ("eth_getTransactionReceipt/get-legacy-input.io", "receipts before Byzantium carry a state root"),
    ("eth_getBlockReceipts/get-block-receipts-by-hash.io", "receipts before Byzantium carry a state root"),
    ("debug_getRawReceipts/get-block-n.io", "receipts before Byzantium carry a state root"),
];

/// The files of the archive by their path in it.
fn archive() -> Option<BTreeMap<String, Vec<u8>>> {
    let folder = std::env::var_os("LAMINAR_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")), PathBuf::from);
    let path = folder.join("rpc-compat.tar.zst");
    let Ok(file) = std::fs::File::open(&path) else {
        assert!(std::env::var_os("CI").is_none(), "{} is missing", path.display());
        eprintln!("skipped: {} is missing", path.display());
        return None;
    };
    let mut archive = tar::Archive::new(zstd::Decoder::new(file).unwrap());
    let files = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        (path.split_once('/').map_or(path.clone(), |(_, rest)| rest.to_owned()), bytes)
    });
    Some(files.collect())
}

/// The suite's chain, with its last block as head, safe and finalised.
fn node(files: &BTreeMap<String, Vec<u8>>) -> Arc<Node> {
    let genesis: Genesis = serde_json::from_slice(&files["genesis.json"]).unwrap();
    let executor = Arc::new(BlockExecutor::new(Config::default()).unwrap());
    let node = Arc::new(Node::from_genesis(&genesis, executor).unwrap());
    let mut rest = &files["chain.rlp"][..];
    let mut head = B256::ZERO;
    while !rest.is_empty() {
        let mut after = rest;
        let header = alloy_rlp::Header::decode(&mut after).unwrap();
        let len = rest.len() - after.len() + header.payload_length;
        let (block, others) = rest.split_at(len);
        head = node.import(Delivered::decode(block).unwrap()).unwrap().hash();
        rest = others;
    }
    node.choose(ForkChoice { head, safe: Some(head), finalized: Some(head) }).unwrap();
    node
}

/// Without what messages say, and without data that a code does not promise.
fn comparable(mut answer: Value) -> Value {
    if let Some(error) = answer.get_mut("error") {
        *error = error["code"].take();
    }
    answer
}

#[tokio::test]
async fn every_case_of_the_suite_whose_method_exists_passes() {
    let Some(files) = archive() else { return };
    let module = api::module(Context::new(node(&files), Limits::default()));
    let (mut passed, mut absent, mut failed) = (0, BTreeSet::new(), Vec::new());
    for (path, text) in files.iter().filter(|(path, _)| path.ends_with(".io")) {
        let open = SET_UP.iter().any(|prefix| path.starts_with(prefix)) || OPEN.iter().any(|(name, _)| name == path);
        let text = std::str::from_utf8(text).unwrap();
        let spec_only = text.contains("speconly:");
        let lines = |mark| text.lines().filter_map(move |line: &str| line.strip_prefix(mark));
        for (request, expected) in lines(">> ").zip(lines("<< ")) {
            let method = serde_json::from_str::<Value>(request).unwrap()["method"].as_str().unwrap().to_owned();
            if module.method(&method).is_none() {
                absent.insert(method);
                continue;
            }
            if open {
                continue;
            }
            let (found, _) = module.raw_json_request(request, 1).await.unwrap();
            let found: Value = comparable(serde_json::from_str(found.get()).unwrap());
            let expected = comparable(serde_json::from_str(expected).unwrap());
            let same = if spec_only {
                found.get("error").is_some() == expected.get("error").is_some()
            } else {
                (found.get("result"), found.get("error")) == (expected.get("result"), expected.get("error"))
            };
            if same {
                passed += 1;
            } else {
                failed.push(format!("{path}\n  expected {expected}\n  found    {found}"));
            }
        }
    }
    eprintln!("{passed} passed; methods that do not exist here: {absent:?}");
    assert!(failed.is_empty(), "{} failed:\n{}", failed.len(), failed.join("\n"));
    assert!(passed > 50, "{passed}");
}
