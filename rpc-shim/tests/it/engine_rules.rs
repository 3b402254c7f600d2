//! The Engine API's rules, one table for each: the newest versions together, what is checked of a payload whose parent is not
//! known, what a fork choice without effect answers, bounds, and what else is served on the authenticated port.

use crate::{
    build::genesis,
    engine_versions::{BEACON_ROOT, built, params, transfer},
    forge::{chain, chain_on},
    server::Server,
};
use alloy_primitives::{Address, B256, Bytes, hex};
use laminar_rpc_shim::engine::{Engine, NewPayloadVersion};
use serde_json::{Value, json};
use std::sync::Arc;

/// A consensus client whose chain is in Amsterdam from genesis on: attributes, payload, delivery, bodies.
#[test]
fn a_chain_in_amsterdam_is_led_by_the_newest_versions() {
    let server = Server::start(chain_on("Amsterdam", genesis()));
    let mut head = server.node.head().hash();
    for number in 1..=3_u64 {
        let raw = Bytes::from(alloy_eips::eip2718::Encodable2718::encoded_2718(&transfer(number - 1)));
        server.call("eth_sendRawTransaction", json!([raw])).unwrap();
        let attributes = json!({
            "timestamp": format!("{:#x}", number * 12), "prevRandao": B256::ZERO, "withdrawals": [],
            "suggestedFeeRecipient": Address::ZERO, "parentBeaconBlockRoot": BEACON_ROOT,
            "slotNumber": format!("{:#x}", number + 100), "targetGasLimit": "0x1000000",
        });
        let columns = json!(hex::encode_prefixed([0xff; 16]));
        let updated = server.call("engine_forkchoiceUpdatedV4", json!([state(head), attributes, columns])).unwrap();
        let built = server.call("engine_getPayloadV6", json!([updated["payloadId"]])).unwrap();
        assert_eq!(server.call("engine_getPayloadV5", json!([updated["payloadId"]])), Err(-38005));
        let payload = &built["executionPayload"];
        assert_eq!(payload["slotNumber"], attributes["slotNumber"]);
        assert_eq!(payload["transactions"].as_array().unwrap().len(), 1);
        let limit = u64::from_str_radix(payload["gasLimit"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
        assert!(limit < 30_000_000, "{limit} is on its way to the target of the attributes");
        let params = |payload: &Value| json!([payload, [], BEACON_ROOT, built["executionRequests"]]);
        let mut spoilt = payload.clone();
        spoilt["slotNumber"] = json!("0x1");
        let status = server.call("engine_newPayloadV5", params(&spoilt)).unwrap();
        assert_eq!((&status["status"], &status["latestValidHash"]), (&json!("INVALID"), &Value::Null));
        let status = server.call("engine_newPayloadV5", params(payload)).unwrap();
        assert_eq!(status["status"], "VALID", "{status}");
        head = serde_json::from_value(payload["blockHash"].clone()).unwrap();
        server.call("engine_forkchoiceUpdatedV4", json!([state(head), null, null])).unwrap();
        let bodies = server.call("engine_getPayloadBodiesByHashV2", json!([[head]])).unwrap();
        assert_eq!(bodies[0]["blockAccessList"], payload["blockAccessList"]);
        let bodies = server.call("engine_getPayloadBodiesByRangeV2", json!([format!("{number:#x}"), "0x1"])).unwrap();
        assert_eq!(bodies[0]["blockAccessList"], payload["blockAccessList"]);
    }
    let call = json!([state(head), null, "0xffff"]);
    assert_eq!(server.call("engine_forkchoiceUpdatedV4", call), Err(-32602), "sixteen bytes of columns");
}

fn state(head: B256) -> Value {
    json!({ "headBlockHash": head, "safeBlockHash": B256::ZERO, "finalizedBlockHash": B256::ZERO })
}

/// CONSENSUS: hashes, transactions and blob hashes are checked even where nothing is known of the parent.
#[test]
fn what_needs_no_parent_is_checked_without_one() {
    let (chain, built) = built("Cancun");
    let mut engine = Engine::new(chain);
    let mut orphan = built;
    orphan.block.header.parent_hash = B256::repeat_byte(5);
    let good = params(3, &orphan);
    let mut check = |what: &str, spoil: &dyn Fn(&mut Vec<Value>), expected: &str| {
        let mut params = good.clone();
        spoil(&mut params);
        let status = engine.new_payload(NewPayloadVersion::V3, &params).unwrap();
        assert_eq!((status.word(), status.latest_valid_hash), (expected, None), "{what}");
        assert_eq!(status.validation_error().is_some(), expected == "INVALID", "{what}");
    };
    check("block hash", &|params| params[0]["blockHash"] = json!(B256::ZERO), "INVALID");
    check("empty transaction", &|params| params[0]["transactions"] = json!(["0x"]), "INVALID");
    check("no transaction", &|params| params[0]["transactions"] = json!(["0x02c0"]), "INVALID");
    check("blob hashes", &|params| params[1] = json!([B256::ZERO]), "INVALID");
    check("beacon root", &|params| params[2] = json!(B256::ZERO), "INVALID");
    check("nothing", &|_| (), "SYNCING");
}

/// CONSENSUS: a proof-of-work parent is no valid block of the branch.
#[test]
fn an_invalid_payload_on_proof_of_work_names_the_zero_hash() {
    let chain = chain_on("ArrowGlacierToParisAtDiffC0000", genesis());
    let mut engine = Engine::new(Arc::clone(&chain));
    let (_, mut stray) = built("Paris");
    stray.block.header.parent_hash = chain.head().hash();
    let params = params(1, &stray);
    let status = engine.new_payload(NewPayloadVersion::V1, &params).unwrap();
    // Same accounts, another genesis header: it could only be wrong about the base fee.
    assert_eq!(status.word(), "VALID", "{status:?}");
    stray.block.header.state_root = B256::ZERO;
    let status = engine.new_payload(NewPayloadVersion::V1, &self::params(1, &stray)).unwrap();
    assert_eq!((status.word(), status.latest_valid_hash), ("INVALID", Some(B256::ZERO)));
}

#[test]
fn nothing_is_built_on_a_head_that_is_not_chosen() {
    let server = Server::start(chain("Shanghai"));
    let attributes = |timestamp: u64| json!({ "timestamp": format!("{timestamp:#x}"), "prevRandao": B256::ZERO, "suggestedFeeRecipient": Address::ZERO, "withdrawals": [] });
    let genesis = server.node.head().hash();
    let choose = |head: B256, finalized: B256, attributes: Value| {
        let state = json!({ "headBlockHash": head, "safeBlockHash": finalized, "finalizedBlockHash": finalized });
        server.call("engine_forkchoiceUpdatedV2", json!([state, attributes])).unwrap()
    };
    let mut hashes = vec![genesis];
    let mut last = Value::Null;
    for number in 1..=3 {
        let updated = choose(hashes[number - 1], B256::ZERO, attributes(12 * number as u64));
        last = server.call("engine_getPayloadV2", json!([updated["payloadId"]])).unwrap()["executionPayload"].take();
        assert_eq!(server.call("engine_newPayloadV2", json!([last])).unwrap()["status"], "VALID");
        hashes.push(serde_json::from_value(last["blockHash"].clone()).unwrap());
    }
    choose(hashes[3], hashes[2], Value::Null);
    // A head before the finalised block: VALID, nothing moves, and bad attributes are not looked at.
    for attributes in [attributes(48), json!({}), Value::Null] {
        let updated = choose(hashes[1], hashes[2], attributes);
        assert_eq!(
            updated,
            json!({
                "payloadStatus": { "status": "VALID", "latestValidHash": hashes[1], "validationError": null }, "payloadId": null,
            })
        );
        assert_eq!(server.node.head().hash(), hashes[3]);
    }
    // An unknown head, and one that was found invalid.
    let mut spoilt = last;
    spoilt["stateRoot"] = json!(B256::ZERO);
    spoilt["blockHash"] = json!(B256::ZERO);
    let bad = {
        let status = server.call("engine_newPayloadV2", json!([spoilt])).unwrap();
        // The refusal names the hash that the fields have.
        let text = status["validationError"].as_str().unwrap().to_owned();
        let at = text.find("expected 0x").unwrap() + "expected ".len();
        text[at..at + 66].parse::<B256>().unwrap()
    };
    spoilt["blockHash"] = json!(bad);
    assert_eq!(server.call("engine_newPayloadV2", json!([spoilt])).unwrap()["status"], "INVALID");
    for attributes in [attributes(60), json!({}), Value::Null] {
        for (head, word, valid) in [(B256::repeat_byte(1), "SYNCING", Value::Null), (bad, "INVALID", json!(hashes[2]))]
        {
            let updated = choose(head, B256::ZERO, attributes.clone());
            assert_eq!((&updated["payloadStatus"]["status"], &updated["payloadId"]), (&json!(word), &Value::Null));
            assert_eq!(updated["payloadStatus"]["latestValidHash"], valid);
        }
    }
    assert_eq!(server.node.head().hash(), hashes[3]);
    assert_eq!(server.node.finalized().map(|record| record.hash()), Some(hashes[2]));
}

#[test]
fn bodies_keep_their_order_and_bounds() {
    let server = Server::start(chain("Paris"));
    let genesis = server.node.head().hash();
    let by_hash = |hashes: Vec<B256>| server.call("engine_getPayloadBodiesByHashV1", json!([hashes]));
    let unknown = B256::repeat_byte(1);
    let found = by_hash(vec![unknown, genesis, unknown, genesis]).unwrap();
    assert_eq!((&found[0], &found[2]), (&Value::Null, &Value::Null));
    for at in [1, 3] {
        assert_eq!(found[at], json!({ "transactions": [], "withdrawals": null }), "before Shanghai");
    }
    let found = server.call("engine_getPayloadBodiesByHashV2", json!([[genesis]])).unwrap();
    assert_eq!(found, json!([{ "transactions": [], "withdrawals": null, "blockAccessList": null }]));
    assert_eq!(by_hash(vec![unknown; 1024]).unwrap().as_array().unwrap().len(), 1024);
    assert_eq!(by_hash(vec![unknown; 1025]), Err(-38004));
    for version in [1, 2] {
        let method = format!("engine_getPayloadBodiesByRangeV{version}");
        assert_eq!(server.call(&method, json!(["0x1", "0x400"])).unwrap(), json!([]), "beyond the head");
        assert_eq!(server.call(&method, json!(["0xffffffffffffffff", "0x2"])).unwrap(), json!([]));
        for (params, code) in [
            (json!(["0x1", "0x401"]), -38004),
            (json!(["0x0", "0x1"]), -32602),
            (json!(["0x1", "0x0"]), -32602),
            (json!(["0x0", "0x401"]), -32602),
            (json!(["0x1"]), -32602),
            (json!([]), -32602),
        ] {
            assert_eq!(server.call(&method, params.clone()), Err(code), "{params}");
        }
    }
}

#[test]
fn the_authenticated_port_serves_what_the_specification_names() {
    let server = Server::start(chain("Shanghai"));
    let genesis = server.node.head().hash();
    let call = json!({ "to": Address::ZERO });
    let raw = Bytes::from(alloy_eips::eip2718::Encodable2718::encoded_2718(&transfer(0)));
    for (method, params) in [
        ("eth_blockNumber", json!([])),
        ("eth_call", json!([call, "latest"])),
        ("eth_chainId", json!([])),
        ("eth_getCode", json!([Address::ZERO, "latest"])),
        ("eth_getBlockByHash", json!([genesis, false])),
        ("eth_getBlockByNumber", json!(["0x0", true])),
        ("eth_getLogs", json!([{}])),
        ("eth_sendRawTransaction", json!([raw])),
        ("eth_syncing", json!([])),
    ] {
        assert!(server.call(method, params).is_ok(), "{method}");
    }
    for method in
        ["eth_accounts", "debug_traceCall", "admin_nodeInfo", "anvil_setBalance", "evm_mine", "engine_newPayloadV6"]
    {
        assert_eq!(server.call(method, json!([])), Err(-32601), "{method}");
    }
    let ask = |body: &str| server.ask_raw(body)["error"]["code"].clone();
    assert_eq!(ask("{"), -32700);
    assert_eq!(ask(r#"{"jsonrpc":"2.0","id":1}"#), -32600);
    // Fork choices of a batch apply in their order.
    let choose = |head: B256| json!({ "jsonrpc": "2.0", "id": 1, "method": "engine_forkchoiceUpdatedV2", "params": [state(head), null] });
    let answers = server.ask(&json!([choose(genesis), choose(B256::repeat_byte(1)), choose(genesis)]));
    let words: Vec<&str> =
        (0..3).map(|at| answers[at]["result"]["payloadStatus"]["status"].as_str().unwrap()).collect();
    assert_eq!(words, ["VALID", "SYNCING", "VALID"]);
}
