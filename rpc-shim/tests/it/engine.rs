//! Payloads and fork choices: statuses, versions and error codes.

use crate::{
    durable::{executor, options, shanghai},
    forge::{Contents, branch, chain, forge},
};
use alloy_primitives::{B256, Bytes};
use laminar_executor::Block;
use laminar_rpc_shim::{
    engine::{Engine, ForkchoiceState, NewPayloadVersion, PayloadStatus, Status},
    error::RpcError,
    node::{Node, StoreOptions},
};
use serde_json::{Value, json};
use std::sync::Arc;

fn hash(block: &Block) -> B256 {
    block.header.hash_slow()
}

fn withdrawn(gwei: u64) -> Contents {
    Contents { withdrawn_gwei: gwei, ..Contents::default() }
}

/// Three blocks of a Shanghai chain, and an engine that knows none of them.
fn setup() -> (Engine, Vec<Block>) {
    let maker = chain("Shanghai");
    let genesis = maker.head().hash();
    let blocks = branch(&maker, genesis, 3, &withdrawn(4));
    (Engine::new(chain("Shanghai")), blocks)
}

pub(crate) fn payload(block: &Block) -> Value {
    let header = &block.header;
    let transactions: Vec<Bytes> =
        block.body.transactions.iter().map(|tx| alloy_eips::eip2718::Encodable2718::encoded_2718(tx).into()).collect();
    json!({
        "parentHash": header.parent_hash,
        "feeRecipient": header.beneficiary,
        "stateRoot": header.state_root,
        "receiptsRoot": header.receipts_root,
        "logsBloom": header.logs_bloom,
        "prevRandao": header.mix_hash,
        "blockNumber": format!("{:#x}", header.number),
        "gasLimit": format!("{:#x}", header.gas_limit),
        "gasUsed": format!("{:#x}", header.gas_used),
        "timestamp": format!("{:#x}", header.timestamp),
        "extraData": header.extra_data,
        "baseFeePerGas": format!("{:#x}", header.base_fee_per_gas.unwrap()),
        "blockHash": hash(block),
        "transactions": transactions,
        "withdrawals": block.body.withdrawals,
    })
}

fn deliver(engine: &mut Engine, block: &Block) -> PayloadStatus {
    engine.new_payload(NewPayloadVersion::V2, &[payload(block)]).unwrap()
}

fn code(answer: Result<PayloadStatus, RpcError>) -> i32 {
    answer.unwrap_err().code.number()
}

fn choose(head: B256) -> ForkchoiceState {
    ForkchoiceState { head_block_hash: head, safe_block_hash: B256::ZERO, finalized_block_hash: B256::ZERO }
}

#[test]
fn valid_payload_becomes_the_head_by_fork_choice_alone() {
    let (mut engine, blocks) = setup();
    let genesis = engine.node().head().hash();
    for block in &blocks {
        let status = deliver(&mut engine, block);
        assert_eq!((status.word(), status.latest_valid_hash), ("VALID", Some(hash(block))));
        assert_eq!(deliver(&mut engine, block).word(), "VALID", "delivered twice");
    }
    assert_eq!(engine.node().head().hash(), genesis);
    let head = hash(&blocks[2]);
    let status = engine.forkchoice_updated(&choose(head)).unwrap();
    assert_eq!((status.word(), status.latest_valid_hash), ("VALID", Some(head)));
    assert_eq!(engine.node().head().hash(), head);
}

#[test]
fn payload_without_its_parent_is_syncing() {
    let (mut engine, blocks) = setup();
    let status = deliver(&mut engine, &blocks[1]);
    assert_eq!((status.word(), status.latest_valid_hash), ("SYNCING", None));
    let status = engine.forkchoice_updated(&choose(hash(&blocks[1]))).unwrap();
    assert_eq!((status.word(), status.latest_valid_hash), ("SYNCING", None));
}

#[test]
fn waiting_payloads_are_delivered_when_their_parent_comes() {
    let (mut engine, blocks) = setup();
    for block in [&blocks[2], &blocks[1], &blocks[2]] {
        assert_eq!(deliver(&mut engine, block).word(), "SYNCING");
    }
    assert_eq!(engine.node().blocks_len(), 1);
    assert_eq!(deliver(&mut engine, &blocks[0]).word(), "VALID");
    assert_eq!(engine.node().blocks_len(), 4);
    let head = hash(&blocks[2]);
    assert_eq!(engine.forkchoice_updated(&choose(head)).unwrap(), deliver(&mut engine, &blocks[2]));
    assert_eq!(engine.node().head().hash(), head);
}

#[test]
fn waiting_payload_that_is_invalid_taints_what_waits_for_it() {
    let (mut engine, blocks) = setup();
    let mut bad = blocks[1].clone();
    bad.header.state_root = B256::ZERO;
    let mut child = blocks[2].clone();
    child.header.parent_hash = hash(&bad);
    for block in [&child, &bad] {
        assert_eq!(deliver(&mut engine, block).word(), "SYNCING");
    }
    assert_eq!(deliver(&mut engine, &blocks[0]).word(), "VALID");
    for block in [&child, &bad] {
        let status = engine.forkchoice_updated(&choose(hash(block))).unwrap();
        assert_eq!((status.word(), status.latest_valid_hash), ("INVALID", Some(hash(&blocks[0]))));
    }
    assert_eq!(engine.node().blocks_len(), 2);
}

#[test]
fn invalid_payload_names_its_parent_and_taints_its_children() {
    let (mut engine, blocks) = setup();
    assert_eq!(deliver(&mut engine, &blocks[0]).word(), "VALID");
    let mut bad = blocks[1].clone();
    bad.header.state_root = B256::ZERO;
    let status = deliver(&mut engine, &bad);
    assert_eq!((status.word(), status.latest_valid_hash), ("INVALID", Some(hash(&blocks[0]))));
    assert!(status.matches("BlockException.INVALID_STATE_ROOT"), "{status:?}");
    assert_eq!(deliver(&mut engine, &bad), status, "delivered twice");
    let mut child = blocks[2].clone();
    child.header.parent_hash = hash(&bad);
    let status = deliver(&mut engine, &child);
    assert_eq!(status.status, Status::InvalidAncestor { ancestor: hash(&bad) });
    assert_eq!(status.latest_valid_hash, Some(hash(&blocks[0])));
    let status = engine.forkchoice_updated(&choose(hash(&child))).unwrap();
    assert_eq!((status.word(), status.latest_valid_hash), ("INVALID", Some(hash(&blocks[0]))));
    assert_eq!(deliver(&mut engine, &blocks[1]).word(), "VALID", "its brother is not tainted");
}

#[test]
fn payload_with_a_wrong_hash_has_no_valid_ancestor() {
    let (mut engine, blocks) = setup();
    let mut spoilt = payload(&blocks[0]);
    spoilt["blockHash"] = json!(B256::ZERO);
    let status = engine.new_payload(NewPayloadVersion::V2, &[spoilt]).unwrap();
    assert_eq!((status.word(), status.latest_valid_hash), ("INVALID", None));
    assert!(status.matches("BlockException.INVALID_BLOCK_HASH"), "{status:?}");
    let mut spoilt = payload(&blocks[0]);
    spoilt["transactions"] = json!(["0x7f01"]);
    let status = engine.new_payload(NewPayloadVersion::V2, &[spoilt]).unwrap();
    assert_eq!((status.word(), status.latest_valid_hash), ("INVALID", None));
}

#[test]
fn versions_take_their_own_parameters_and_forks_only() {
    let (mut engine, blocks) = setup();
    let good = payload(&blocks[0]);
    let with = |name: &str, value: Value| {
        let mut payload = good.clone();
        payload[name] = value;
        payload
    };
    let v2 = NewPayloadVersion::V2;
    let zero = json!(B256::ZERO);
    assert_eq!(code(engine.new_payload(v2, &[])), -32602);
    assert_eq!(code(engine.new_payload(v2, &[json!(null)])), -32602);
    assert_eq!(code(engine.new_payload(v2, &[good.clone(), json!([])])), -32602);
    assert_eq!(code(engine.new_payload(v2, &[with("blockNumber", json!("x"))])), -32602);
    assert_eq!(code(engine.new_payload(v2, &[with("withdrawals", Value::Null)])), -32602);
    assert_eq!(code(engine.new_payload(v2, &[with("blobGasUsed", json!("0x0"))])), -32602);
    assert_eq!(code(engine.new_payload(NewPayloadVersion::V1, std::slice::from_ref(&good))), -32602);
    let mut cancun = with("blobGasUsed", json!("0x0"));
    let v3 = NewPayloadVersion::V3;
    assert_eq!(code(engine.new_payload(v3, &[cancun.clone(), json!([]), zero.clone()])), -32602);
    cancun["excessBlobGas"] = json!("0x0");
    assert_eq!(code(engine.new_payload(v3, &[cancun.clone(), json!([]), json!(null)])), -32602);
    assert_eq!(code(engine.new_payload(v3, &[cancun.clone(), json!([]), zero.clone()])), -38005);
    let requests = |list: Value| [cancun.clone(), json!([]), zero.clone(), list];
    let v4 = NewPayloadVersion::V4;
    assert_eq!(code(engine.new_payload(v4, &requests(json!([])))), -38005);
    assert_eq!(code(engine.new_payload(v4, &requests(Value::Null))), -32602);
    assert_eq!(engine.node().blocks_len(), 1, "a refused call changes nothing");
}

#[test]
fn requests_must_ascend_and_hold_something() {
    let mut engine = Engine::new(chain("Prague"));
    let genesis = engine.node().head().hash();
    let block = Block::new(
        alloy_consensus::Header { parent_hash: genesis, number: 1, base_fee_per_gas: Some(7), ..Default::default() },
        alloy_consensus::BlockBody { withdrawals: Some(Default::default()), ..Default::default() },
    );
    let mut payload = payload(&block);
    payload["blobGasUsed"] = json!("0x0");
    payload["excessBlobGas"] = json!("0x0");
    let mut call = |requests: Value| {
        let params = [payload.clone(), json!([]), json!(B256::ZERO), requests];
        engine.new_payload(NewPayloadVersion::V4, &params)
    };
    for bad in [json!(["0x"]), json!(["0x00"]), json!(["0x0101", "0x0002"]), json!(["0x0101", "0x0102"])] {
        assert_eq!(code(call(bad)), -32602);
    }
    assert_eq!(call(json!(["0x0001", "0x0102"])).unwrap().word(), "INVALID");
}

#[test]
fn safe_and_finalised_blocks_must_be_ancestors_of_the_head() {
    let (mut engine, blocks) = setup();
    blocks.iter().for_each(|block| assert_eq!(deliver(&mut engine, block).word(), "VALID"));
    let genesis = engine.node().genesis().hash();
    let side = {
        let maker = chain("Shanghai");
        forge(&maker, genesis, withdrawn(8))
    };
    assert_eq!(deliver(&mut engine, &side).word(), "VALID");
    let state = |safe, finalized| ForkchoiceState {
        head_block_hash: hash(&blocks[2]),
        safe_block_hash: safe,
        finalized_block_hash: finalized,
    };
    for state in [state(hash(&side), genesis), state(B256::repeat_byte(1), genesis), state(genesis, hash(&side))] {
        assert_eq!(engine.forkchoice_updated(&state).unwrap_err().code.number(), -38002);
        assert_eq!(engine.node().head().hash(), genesis);
    }
    assert_eq!(engine.forkchoice_updated(&state(hash(&blocks[1]), hash(&blocks[0]))).unwrap().word(), "VALID");
}

#[test]
fn a_head_with_the_zero_hash_is_no_fork_choice() {
    let (mut engine, _) = setup();
    assert_eq!(code(engine.forkchoice_updated(&choose(B256::ZERO))), -38002);
}

#[test]
fn what_stands_on_a_state_that_is_not_kept_is_accepted_and_not_gone_back_to() {
    let dir = tempfile::tempdir().unwrap();
    let options = StoreOptions { history_len: Some(2), ..options() };
    let node = Arc::new(Node::open(dir.path(), options, Some(shanghai()), executor()).unwrap());
    let genesis = node.head().hash();
    let maker = crate::durable::in_memory(shanghai());
    let blocks = branch(&maker, genesis, 200, &withdrawn(4));
    let mut engine = Engine::new(node);
    for block in &blocks {
        assert_eq!(deliver(&mut engine, block).word(), "VALID");
        assert_eq!(engine.forkchoice_updated(&choose(hash(block))).unwrap().word(), "VALID");
    }
    let head = hash(&blocks[199]);
    let side = forge(&maker, hash(&blocks[9]), withdrawn(9));
    let status = deliver(&mut engine, &side);
    assert_eq!((status.word(), status.latest_valid_hash, status.validation_error()), ("ACCEPTED", None, None));
    assert_eq!(engine.forkchoice_updated(&choose(hash(&side))).unwrap().word(), "SYNCING");
    assert_eq!(code(engine.forkchoice_updated(&choose(hash(&blocks[9])))), -38006);
    assert_eq!(engine.node().head().hash(), head);
    // What is kept can still be gone back to.
    assert_eq!(engine.forkchoice_updated(&choose(hash(&blocks[198]))).unwrap().word(), "VALID");
}
