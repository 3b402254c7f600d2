//! The versions of newPayload and getPayload: the forks that each serves, its fields, and those that it does not have.

use crate::{
    build::genesis,
    forge::{chain_on, wallet},
};
use alloy_consensus::TxEip1559;
use alloy_primitives::{Address, B256, TxKind};
use laminar_executor::chain_spec::Fork;
use laminar_rpc_shim::{
    build::Attributes,
    engine::{BuiltPayload, Engine, ExecutionPayload, GetPayloadVersion, NewPayloadVersion},
    node::Node,
    pool::{Origin, Pooled},
};
use serde_json::{Value, json};
use std::sync::Arc;

pub(crate) const BEACON_ROOT: B256 = B256::repeat_byte(8);

/// Networks with the versions of newPayload that serve them, the one of those whose fields they have, and the version of
/// getPayload. Version 1 of newPayload cannot know that Shanghai's blocks have withdrawals: their hash refutes it.
const FORKS: [(&str, &[usize], usize, &[usize]); 8] = [
    ("Paris", &[1, 2], 1, &[1, 2]),
    ("Shanghai", &[1, 2], 2, &[2]),
    ("Cancun", &[3], 3, &[3]),
    ("Prague", &[4], 4, &[4]),
    ("Osaka", &[4], 4, &[5]),
    ("BPO1", &[4], 4, &[5]),
    ("BPO2", &[4], 4, &[5]),
    ("Amsterdam", &[5], 5, &[6]),
];

const NEW_PAYLOAD: [NewPayloadVersion; 5] =
    [NewPayloadVersion::V1, NewPayloadVersion::V2, NewPayloadVersion::V3, NewPayloadVersion::V4, NewPayloadVersion::V5];

const GET_PAYLOAD: [GetPayloadVersion; 6] = [
    GetPayloadVersion::V1,
    GetPayloadVersion::V2,
    GetPayloadVersion::V3,
    GetPayloadVersion::V4,
    GetPayloadVersion::V5,
    GetPayloadVersion::V6,
];

/// Fields that later versions add, with a value that is right for nobody.
const LATER_FIELDS: [(&str, &str); 5] = [
    ("withdrawals", "[]"),
    ("blobGasUsed", "\"0x7\""),
    ("excessBlobGas", "\"0x7\""),
    ("blockAccessList", "\"0xc0\""),
    ("slotNumber", "\"0x7\""),
];

/// Whether `version` of newPayload has one of the later fields at a fork.
fn has_field(version: usize, name: &str, is_shanghai: bool) -> bool {
    match name {
        "withdrawals" => version >= 3 || (version == 2 && is_shanghai),
        "blobGasUsed" | "excessBlobGas" => version >= 3,
        _ => version >= 5,
    }
}

/// A chain with nothing but its genesis, and a block with a transaction that was built on it.
pub(crate) fn built(network: &str) -> (Arc<Node>, BuiltPayload) {
    let chain = chain_on(network, genesis());
    let has = |fork| chain.spec().rules_at(1, 12).is_active(fork);
    let attributes = Attributes {
        parent_beacon_block_root: if has(Fork::Cancun) { BEACON_ROOT } else { B256::ZERO },
        slot_number: has(Fork::Amsterdam).then_some(7),
        ..Attributes::new(12, 30_000_000)
    };
    let rules = chain.spec().rules_at(1, 12);
    let transaction = Arc::new(Pooled::new(transfer(0), None, &rules, Origin::Local).unwrap());
    let built = chain.build(&chain.head(), &attributes, vec![transaction]).unwrap();
    assert_eq!(built.receipts.len(), 1, "{network}");
    let built = BuiltPayload::new(chain.spec(), built);
    (chain, built)
}

pub(crate) fn transfer(nonce: u64) -> laminar_executor::Transaction {
    wallet().sign(TxEip1559 {
        chain_id: 1,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1,
        to: TxKind::Call(Address::repeat_byte(0x77)),
        ..TxEip1559::default()
    })
}

/// The parameters of `version` of newPayload for a block.
pub(crate) fn params(version: usize, built: &BuiltPayload) -> Vec<Value> {
    let hash = built.block.header.hash_slow();
    let payload = ExecutionPayload::from_block(hash, &built.block, built.block_access_list.clone());
    let mut payload = serde_json::to_value(payload).unwrap();
    let is_shanghai = built.rules.is_active(Fork::Shanghai);
    for (name, value) in LATER_FIELDS {
        let fields = payload.as_object_mut().unwrap();
        if !has_field(version, name, is_shanghai) {
            fields.remove(name);
        } else if !fields.contains_key(name) {
            fields.insert(name.to_owned(), serde_json::from_str(value).unwrap());
        }
    }
    let all = [payload, json!([]), json!(BEACON_ROOT), json!(built.requests)];
    all.into_iter().take(NEW_PAYLOAD[version - 1].params_len()).collect()
}

/// The word of the status, or the code of the error.
fn deliver(engine: &mut Engine, version: usize, params: &[Value]) -> Result<&'static str, i32> {
    match engine.new_payload(NEW_PAYLOAD[version - 1], params) {
        Ok(status) => Ok(status.word()),
        Err(error) => Err(error.code.number()),
    }
}

#[test]
fn every_version_of_new_payload_serves_its_forks_only() {
    for (network, served, right, _) in FORKS {
        let (chain, built) = built(network);
        let mut engine = Engine::new(chain);
        for version in 1..=5 {
            let expected = match served.contains(&version) {
                false => Err(-38005),
                true if version == right || network == "Paris" => Ok("VALID"),
                true => Ok("INVALID"),
            };
            let found = deliver(&mut engine, version, &params(version, &built));
            assert_eq!(found, expected, "{network}, version {version}");
        }
    }
}

#[test]
fn every_field_must_be_there_and_no_field_of_another_version() {
    for (network, _, version, _) in FORKS {
        let (chain, built) = built(network);
        let is_shanghai = built.rules.is_active(Fork::Shanghai);
        let good = params(version, &built);
        let mut engine = Engine::new(Arc::clone(&chain));
        let mut refused = |what: &str, params: &[Value]| {
            assert_eq!(deliver(&mut engine, version, params), Err(-32602), "{network}, version {version}: {what}");
        };
        let names: Vec<String> = good[0].as_object().unwrap().keys().cloned().collect();
        // CONSENSUS: the official payloads of Amsterdam came before slotNumber and lack it, so it may be missing.
        for name in names.iter().filter(|name| *name != "slotNumber") {
            let mut without = good.clone();
            without[0].as_object_mut().unwrap().remove(name);
            refused(&format!("without {name}"), &without);
            for wrong in [Value::Null, json!({}), json!("zz")] {
                let mut with = good.clone();
                with[0][name] = wrong.clone();
                refused(&format!("{name} is {wrong}"), &with);
            }
        }
        for (name, value) in LATER_FIELDS.into_iter().filter(|(name, _)| !has_field(version, name, is_shanghai)) {
            let mut with = good.clone();
            with[0][name] = serde_json::from_str(value).unwrap();
            refused(&format!("with {name}"), &with);
            with[0][name] = Value::Null;
            assert_eq!(
                deliver(&mut Engine::new(chain_on(network, genesis())), version, &with),
                Ok("VALID"),
                "null {name}"
            );
        }
        for at in 0..good.len() {
            for wrong in [Value::Null, json!(7), json!("0x")] {
                let mut with = good.clone();
                with[at] = wrong.clone();
                refused(&format!("parameter {at} is {wrong}"), &with);
            }
            refused(&format!("{at} parameters"), &good[..at]);
        }
        refused("one more parameter", &[&good[..], &[json!([])]].concat());
        assert_eq!(chain.blocks_len(), 1, "{network}: a refused call changes nothing");
        assert_eq!(deliver(&mut engine, version, &good), Ok("VALID"), "{network}");
    }
}

#[test]
fn every_version_of_get_payload_serves_its_forks_with_its_fields() {
    let fields: [&[&str]; 6] = [
        &[],
        &["blockValue", "executionPayload"],
        &["blobsBundle", "blockValue", "executionPayload", "shouldOverrideBuilder"],
        &["blobsBundle", "blockValue", "executionPayload", "executionRequests", "shouldOverrideBuilder"],
        &["blobsBundle", "blockValue", "executionPayload", "executionRequests", "shouldOverrideBuilder"],
        &["blobsBundle", "blockValue", "executionPayload", "executionRequests", "shouldOverrideBuilder"],
    ];
    for (network, _, version, served) in FORKS {
        let (_, built) = built(network);
        for (at, get) in GET_PAYLOAD.into_iter().enumerate() {
            let found = get.answer(&built).map_err(|error| error.code.number());
            if !served.contains(&(at + 1)) {
                assert_eq!(found, Err(-38005), "{network}, version {}", at + 1);
                continue;
            }
            let answer = serde_json::to_value(found.unwrap()).unwrap();
            let mut payload = &answer;
            if at > 0 {
                let names: Vec<&str> = answer.as_object().unwrap().keys().map(String::as_str).collect();
                assert_eq!(names, fields[at], "{network}");
                assert_eq!(answer["blockValue"], "0x5208", "{network}: a wei for each of 21,000 gas");
                payload = &answer["executionPayload"];
            }
            if at > 1 {
                assert_eq!(answer["blobsBundle"], json!({ "blobs": [], "commitments": [], "proofs": [] }), "{network}");
                assert_eq!(answer["shouldOverrideBuilder"], false);
            }
            assert_eq!(payload, &params(version, &built)[0], "{network}, version {}", at + 1);
        }
    }
}
