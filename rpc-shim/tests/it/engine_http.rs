//! The Engine API over HTTP with tokens: statuses, builds, reads, and the official archive of payloads.

use crate::{forge::chain, server::Server};
use alloy_primitives::B256;
use laminar_executor::{
    BlockExecutor, Config,
    chain_spec::{ChainSpec, Fork},
};
use laminar_fixtures::{
    Fixture, Prestate,
    official::{EngineTest, TestConfig},
};
use laminar_rpc_shim::node::Node;
use laminar_state_db::{Account, MemoryState};
use serde_json::{Value, json};
use std::{path::PathBuf, sync::Arc};

fn state(head: B256) -> Value {
    json!({ "headBlockHash": head, "safeBlockHash": B256::ZERO, "finalizedBlockHash": B256::ZERO })
}

fn attributes(timestamp: u64) -> Value {
    json!({
        "timestamp": format!("{timestamp:#x}"),
        "prevRandao": B256::repeat_byte(9),
        "suggestedFeeRecipient": "0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b",
        "withdrawals": [{ "index": "0x0", "validatorIndex": "0x0", "address": "0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b", "amount": "0x7" }],
    })
}

#[test]
fn request_without_a_token_gets_401_and_nothing_else() {
    let server = Server::start(chain("Shanghai"));
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"engine_exchangeCapabilities","params":[[]]}"#;
    for authorization in [None, Some("Bearer x"), Some("Bearer a.b.c")] {
        assert_eq!(server.post(authorization, body), (401, String::new()));
    }
    assert_eq!(
        server.upgrade(false),
        ("401".to_owned(), Some("0".to_owned())),
        "a WebSocket is asked at its handshake"
    );
    assert_eq!(server.upgrade(true).0, "101");
    assert!(server.call("engine_exchangeCapabilities", json!([[]])).is_ok());
    assert_eq!(server.call("eth_getBalance", json!([B256::ZERO, "latest"])), Err(-32601), "not for consensus clients");
}

#[test]
fn built_payload_is_valid_and_becomes_the_head() {
    let server = Server::start(chain("Shanghai"));
    let mut head = server.node.head().hash();
    for number in 1..=3_u64 {
        let updated = server.call("engine_forkchoiceUpdatedV2", json!([state(head), attributes(number * 12)])).unwrap();
        assert_eq!(updated["payloadStatus"]["status"], "VALID");
        let again = server.call("engine_forkchoiceUpdatedV2", json!([state(head), attributes(number * 12)])).unwrap();
        assert_eq!(again["payloadId"], updated["payloadId"], "the same attributes find the same process");
        let payload = server.call("engine_getPayloadV2", json!([updated["payloadId"]])).unwrap();
        assert_eq!(server.call("engine_getPayloadV3", json!([updated["payloadId"]])), Err(-38005));
        let status = server.call("engine_newPayloadV2", json!([payload["executionPayload"]])).unwrap();
        assert_eq!(status["status"], "VALID", "{status}");
        head = serde_json::from_value(status["latestValidHash"].clone()).unwrap();
    }
    server.call("engine_forkchoiceUpdatedV2", json!([state(head), null])).unwrap();
    assert_eq!(server.node.head().hash(), head);
    assert_eq!(server.call("engine_getPayloadV2", json!(["0x0200000000000000"])), Err(-38001));
    let bodies = server.call("engine_getPayloadBodiesByRangeV1", json!(["0x2", "0x20"])).unwrap();
    assert_eq!(bodies.as_array().map(Vec::len), Some(2), "a range ends at the head");
    let by_hash = server.call("engine_getPayloadBodiesByHashV2", json!([[B256::ZERO, head]])).unwrap();
    assert_eq!((&by_hash[0], &by_hash[1]["withdrawals"]), (&Value::Null, &bodies[1]["withdrawals"]));
    assert_eq!(by_hash[1]["blockAccessList"], Value::Null);
    assert_eq!(bodies[1].get("blockAccessList"), None);
    for params in [json!(["0x0", "0x1"]), json!(["0x1", "0x0"])] {
        assert_eq!(server.call("engine_getPayloadBodiesByRangeV1", params), Err(-32602));
    }
    assert_eq!(server.call("engine_getPayloadBodiesByRangeV1", json!(["0x1", "0xfffff"])), Err(-38004));
}

#[test]
fn refused_attributes_leave_the_fork_choice_applied() {
    let server = Server::start(chain("Shanghai"));
    let genesis = server.node.head().hash();
    let id = server.call("engine_forkchoiceUpdatedV2", json!([state(genesis), attributes(12)])).unwrap();
    let payload = server.call("engine_getPayloadV2", json!([id["payloadId"]])).unwrap();
    let status = server.call("engine_newPayloadV2", json!([payload["executionPayload"]])).unwrap();
    let head: B256 = serde_json::from_value(status["latestValidHash"].clone()).unwrap();
    assert_eq!(server.call("engine_forkchoiceUpdatedV2", json!([state(head), attributes(12)])), Err(-38003));
    assert_eq!(server.node.head().hash(), head);
    let lost =
        json!({ "headBlockHash": head, "safeBlockHash": B256::repeat_byte(1), "finalizedBlockHash": B256::ZERO });
    assert_eq!(server.call("engine_forkchoiceUpdatedV2", json!([lost, attributes(24)])), Err(-38002));
}

#[test]
fn both_sides_tell_what_they_are() {
    let server = Server::start(chain("Shanghai"));
    let names = server.call("engine_exchangeCapabilities", json!([["engine_newPayloadV2"]])).unwrap();
    let mut names: Vec<String> = serde_json::from_value(names).unwrap();
    names.sort();
    let all: Vec<String> = [
        ("exchangeTransitionConfiguration", 1),
        ("forkchoiceUpdated", 4),
        ("getBlobs", 3),
        ("getClientVersion", 1),
        ("getPayloadBodiesByHash", 2),
        ("getPayloadBodiesByRange", 2),
        ("getPayload", 6),
        ("newPayload", 5),
    ]
    .into_iter()
    .flat_map(|(name, newest)| (1..=newest).map(move |version| format!("engine_{name}V{version}")))
    .collect();
    assert_eq!(names, all);
    let them = json!({ "code": "XX", "name": "cl", "version": "v0", "commit": "00000000" });
    let us = server.call("engine_getClientVersionV1", json!([them])).unwrap();
    assert_eq!((us.as_array().map(Vec::len), &us[0]["name"]), (Some(1), &json!("Laminar")));
    let zero =
        json!({ "terminalTotalDifficulty": "0x0", "terminalBlockHash": B256::ZERO, "terminalBlockNumber": "0x0" });
    let ours = server.call("engine_exchangeTransitionConfigurationV1", json!([zero])).unwrap();
    assert_eq!(ours["terminalBlockNumber"], "0x0");
}

fn archive(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("LAMINAR_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")), PathBuf::from);
    let path = folder.join(format!("{name}.tar.zst"));
    if path.is_file() {
        return Some(path);
    }
    assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no archive {}", path.display());
    eprintln!("skipped: no archive {}", path.display());
    None
}

fn spec(network: &str, config: &TestConfig) -> Option<ChainSpec> {
    let params = |blobs: &laminar_fixtures::official::BlobSchedule| alloy_eips::eip7840::BlobParams {
        target_blob_count: blobs.target,
        max_blob_count: blobs.max,
        update_fraction: u128::from(blobs.base_fee_update_fraction),
        ..alloy_eips::eip7840::BlobParams::cancun()
    };
    let schedule = config.blob_schedule.iter().filter(|(name, _)| Fork::from_name(name).is_some());
    let schedule = schedule.map(|(name, blobs)| (name.as_str(), params(blobs)));
    Some(ChainSpec::for_test_network(network, schedule).ok()?.with_chain_id(config.chain_id))
}

fn accounts(accounts: &Prestate) -> MemoryState {
    let mut state = MemoryState::default();
    for (address, account) in accounts {
        let mut plain = Account { nonce: account.nonce, balance: account.balance, ..Account::default() };
        if !account.code.is_empty() {
            plain.code_hash = state.insert_code(account.code.clone());
        }
        state.insert_account(*address, plain);
        account.storage.iter().for_each(|(slot, value)| state.insert_slot(*address, *slot, *value));
    }
    state
}

/// Plays the calls of a case as a consensus client would.
fn play(name: &str, case: &EngineTest, executor: &Arc<BlockExecutor>) -> bool {
    let Some(spec) = spec(&case.network, &case.config) else { return false };
    let node = Node::new(spec, case.genesis_header.header.clone(), accounts(&case.pre), Arc::clone(executor)).unwrap();
    let server = Server::start(Arc::new(node));
    for call in &case.payloads {
        let method = format!("engine_newPayloadV{}", call.new_payload_version);
        let answer = server.call(&method, json!(call.params));
        if let Some(code) = call.error_code {
            assert_eq!(answer, Err(code), "{name}");
            continue;
        }
        let status = answer.unwrap();
        let expected = if call.validation_error.is_some() { "INVALID" } else { "VALID" };
        assert_eq!(status["status"], expected, "{name}: {status}");
        if expected == "VALID" {
            let head = serde_json::from_value(status["latestValidHash"].clone()).unwrap();
            let method = format!("engine_forkchoiceUpdatedV{}", call.forkchoice_updated_version);
            let updated = server.call(&method, json!([state(head), null])).unwrap();
            assert_eq!(updated["payloadStatus"]["status"], "VALID", "{name}: {updated}");
        }
    }
    assert_eq!(server.node.head().hash(), case.last_block_hash, "{name}");
    true
}

#[test]
fn official_payloads_pass_over_http() {
    let Some(path) = archive("eest-engine") else { return };
    let executor = Arc::new(BlockExecutor::new(Config::default()).unwrap());
    let mut played = 0;
    for loaded in laminar_fixtures::open(&path).unwrap() {
        let Ok(loaded) = loaded else { continue };
        if let Fixture::EngineTests(cases) = &loaded.fixture {
            played += cases.iter().filter(|(name, case)| play(name, case, &executor)).count();
        }
    }
    assert_eq!(played, 1020);
}
