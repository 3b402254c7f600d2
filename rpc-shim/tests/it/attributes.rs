//! Payload attributes: structures, forks, ids.

use crate::forge::chain;
use alloy_primitives::B256;
use laminar_rpc_shim::engine::{ForkchoiceCall, ForkchoiceVersion, payload_id};
use serde_json::{Value, json};

use ForkchoiceVersion::{V1, V2, V3, V4};

/// Attributes with the first `extra` fields of the later versions.
fn attributes(timestamp: u64, extra: usize) -> Value {
    let mut value = json!({
        "timestamp": format!("{timestamp:#x}"),
        "prevRandao": B256::ZERO,
        "suggestedFeeRecipient": "0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b",
    });
    let later = [
        (
            "withdrawals",
            json!([{ "index": "0x1", "validatorIndex": "0x2", "address": "0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b", "amount": "0x3" }]),
        ),
        ("parentBeaconBlockRoot", json!(B256::repeat_byte(1))),
        ("slotNumber", json!("0x7")),
        ("targetGasLimit", json!("0x1c9c380")),
    ];
    for (name, field) in later.into_iter().take(extra) {
        value[name] = field;
    }
    value
}

#[test]
fn versions_take_their_own_attributes_and_forks_only() {
    let cases = [
        ("Paris", V1, 0, 0),
        ("Paris", V1, 1, -38003),
        ("Paris", V2, 0, 0),
        ("Paris", V2, 1, -38003),
        ("Shanghai", V1, 0, -38003),
        ("Shanghai", V2, 0, -38003),
        ("Shanghai", V2, 1, 0),
        ("Shanghai", V2, 2, -38003),
        ("Shanghai", V3, 1, -38003),
        ("Shanghai", V3, 2, -38005),
        ("Cancun", V1, 0, -38005),
        ("Cancun", V2, 1, -38005),
        ("Cancun", V2, 2, -38003),
        ("Cancun", V3, 0, -38003),
        ("Cancun", V3, 2, 0),
        ("Cancun", V3, 3, -38003),
        ("Cancun", V4, 4, -38005),
        ("Osaka", V3, 2, 0),
        ("Osaka", V4, 4, -38005),
        ("Amsterdam", V3, 2, -38005),
        ("Amsterdam", V4, 2, -38003),
        ("Amsterdam", V4, 3, -38003),
        ("Amsterdam", V4, 4, 0),
    ];
    for (network, version, extra, code) in cases {
        let chain = chain(network);
        let answer = version.read_attributes(chain.spec(), &chain.head().header, &attributes(5, extra));
        let found = answer.as_ref().map_or_else(|refusal| refusal.code.number(), |_| 0);
        assert_eq!(found, code, "{network} {version:?} with {extra}: {answer:?}");
    }
}

#[test]
fn timestamp_must_follow_the_head() {
    let chain = chain("Cancun");
    let read = |value: &Value| V3.read_attributes(chain.spec(), &chain.head().header, value);
    for bad in [attributes(0, 2), json!("x"), json!({}), json!(7)] {
        assert_eq!(read(&bad).unwrap_err().code.number(), -38003, "{bad}");
    }
    assert_eq!(read(&attributes(1, 2)).unwrap().timestamp, 1);
}

#[test]
fn parameters_are_a_state_and_maybe_attributes() {
    let zero = B256::ZERO;
    let state = json!({ "headBlockHash": zero, "safeBlockHash": zero, "finalizedBlockHash": zero });
    let read =
        |version, params: &[Value]| ForkchoiceCall::from_params(version, params).map_err(|error| error.code.number());
    assert_eq!(read(V3, &[state.clone(), Value::Null]).unwrap().attributes, None);
    assert_eq!(read(V3, std::slice::from_ref(&state)).unwrap().attributes, None);
    assert_eq!(read(V3, &[state.clone(), json!(1)]).unwrap().attributes, Some(json!(1)), "read later");
    for bad in [vec![], vec![Value::Null], vec![json!({})], vec![state.clone(), Value::Null, Value::Null]] {
        assert_eq!(read(V3, &bad), Err(-32602), "{bad:?}");
    }
    let columns = json!("0x000102030405060708090a0b0c0d0e0f");
    assert!(read(V4, &[state.clone(), Value::Null, columns]).is_ok());
    assert_eq!(read(V4, &[state, Value::Null, json!("0x00")]), Err(-32602));
}

/// The expected ids were computed with Python's hashlib from geth's description of the id.
#[test]
fn payload_ids_are_those_of_geth() {
    let parent = "0x3b8fb240d288781d4aac94d3fd16809ee413bc99294a085798a589dae51ddd4a".parse().unwrap();
    let cases = [
        (V1, 0, "0x014ee46c8a5c1be5"),
        (V2, 1, "0x0272f9e17bfb7fa8"),
        (V3, 2, "0x03f5045787fc84d0"),
        (V4, 4, "0x04e52c414c3abbc7"),
    ];
    for (version, extra, expected) in cases {
        let attributes = serde_json::from_value(attributes(5, extra)).unwrap();
        assert_eq!(payload_id(version, parent, &attributes).to_string(), expected, "{version:?}");
    }
}
