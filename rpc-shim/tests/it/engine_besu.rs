//! Besu's acceptance cases of the Engine API, played in order over HTTP against one server a fork.
//!
//! Compared are results, and the codes of errors; messages and payload ids are each client's own. Cases that ask for something
//! else than the specification does are listed with the reason.

use crate::{
    data::{files, first_difference},
    server::Server,
};
use alloy_genesis::Genesis;
use alloy_primitives::Bytes;
use laminar_executor::{BlockExecutor, Config};
use laminar_rpc_shim::{engine::BuilderSettings, node::Node, pool::Settings};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// Cases with an error whose code is another than Besu's: end of the path, the code, and why.
const OTHER_CODES: [(&str, i64, &str); 2] = [
    ("paris/test-cases/08_unknown_payload.json", -38001, "the specification's; -32001 is from before it had one"),
    ("osaka/test-cases/03_prague_send_raw_blob-v1.json", -32000, "the pool's own; not part of the Engine API"),
];

/// Cases that are played, but whose answer is not compared: end of the path, and why.
const NOT_COMPARED: [(&str, &str); 2] = [
    (
        "osaka/test-cases/13_osaka_send_raw_blob-v0.json",
        "EIP-7594 asks for cell proofs from Osaka on, and reth refuses others; Besu takes the transaction and never mines it",
    ),
    (
        "cancun/test-cases/block-production/11_cancun_tx_count.json",
        "asks for txpool_besuStatistics, which Besu alone has",
    ),
];

/// Fields that Besu gives and clients in general do not.
const BESU_FIELDS: [&str; 3] = ["totalDifficulty", "publicKey", "raw"];

/// Puts our payload ids in the place of Besu's.
fn substitute(value: &mut Value, ids: &HashMap<String, String>) {
    match value {
        Value::String(text) => {
            if let Some(ours) = ids.get(text.as_str()) {
                text.clone_from(ours);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| substitute(item, ids)),
        Value::Object(fields) => fields.values_mut().for_each(|item| substitute(item, ids)),
        _ => {}
    }
}

/// What of an answer is compared.
fn essence(answer: &Value, path: &str) -> Value {
    let other = OTHER_CODES.iter().find(|(end, ..)| path.ends_with(end));
    let code = other.map_or_else(|| answer["error"]["code"].clone(), |(_, code, _)| json!(code));
    let mut result = answer["result"].clone();
    if let Some(fields) = result.as_object_mut() {
        BESU_FIELDS.iter().for_each(|name| _ = fields.remove(*name));
    }
    json!({ "code": code, "result": result })
}

/// A genesis as others read it: Besu's keys have no case, it takes comments, accounts need no balance, and a fork brings those
/// before it.
fn genesis(data: &[u8]) -> Genesis {
    let mut genesis: Value = serde_json::from_slice(data).unwrap();
    if let Some(id) = genesis["config"].get("chainID").cloned() {
        genesis["config"]["chainId"] = id;
    }
    if let (Some(cancun), None) = (genesis["config"].get("cancunTime").cloned(), genesis["config"].get("shanghaiTime"))
    {
        genesis["config"]["shanghaiTime"] = cancun;
    }
    for account in genesis["alloc"].as_object_mut().unwrap().values_mut() {
        let account = account.as_object_mut().unwrap();
        account.remove("comment");
        account.entry("balance").or_insert(json!("0x0"));
    }
    serde_json::from_value(genesis).unwrap()
}

/// The number of cases that were compared, and of those that were not.
fn play(fork: &str, files: &BTreeMap<String, Vec<u8>>) -> [usize; 2] {
    let genesis = genesis(&files[&format!("engine/{fork}/genesis.json")]);
    let cases = format!("engine/{fork}/test-cases/");
    let executor = Arc::new(BlockExecutor::new(Config::default()).unwrap());
    let node = Arc::new(Node::from_genesis(&genesis, executor).unwrap());
    // The hashes in the archive are those of blocks without extra data.
    let builder = BuilderSettings { extra_data: Bytes::new(), ..BuilderSettings::default() };
    // Fees in it are large.
    let server = Server::with(node, Settings { fee_cap_wei: 0, ..Settings::default() }, builder);
    let (mut ids, mut compared, mut listed, mut failed) = (HashMap::new(), 0, 0, Vec::new());
    for (path, data) in files.iter().filter(|(path, _)| path.starts_with(&cases) && path.ends_with(".json")) {
        let case: Value = serde_json::from_slice(data).unwrap();
        let (mut request, mut expected) = (case["request"].clone(), case["response"].clone());
        substitute(&mut request, &ids);
        let is_engine = request["method"].as_str().unwrap().starts_with("engine_");
        let found = if is_engine { server.ask(&request) } else { server.ask_public(&request) };
        let id = |answer: &Value| answer["result"]["payloadId"].as_str().map(str::to_owned);
        if let (Some(theirs), Some(ours)) = (id(&expected), id(&found)) {
            ids.insert(theirs, ours);
        }
        if let Some((_, why)) = NOT_COMPARED.iter().find(|(end, _)| path.ends_with(end)) {
            eprintln!("not compared: {path}: {why}");
            listed += 1;
            continue;
        }
        if let Some((_, code, why)) = OTHER_CODES.iter().find(|(end, ..)| path.ends_with(end)) {
            eprintln!("compared with the code {code}: {path}: {why}");
        }
        substitute(&mut expected, &ids);
        match first_difference(path, &essence(&expected, path), &essence(&found, "")) {
            Some(difference) => failed.push(difference),
            None => compared += 1,
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    [compared, listed]
}

#[test]
fn besu_cases_pass_over_http() {
    let Some(files) = files("engine-besu") else { return };
    let forks = ["paris", "cancun", "prague", "osaka"];
    assert_eq!(forks.map(|fork| play(fork, &files)), [[9, 0], [6, 1], [17, 0], [21, 1]]);
}
