//! The proof that the runner's checks bite: official cases with one number changed must fail, and say which.
//!
//! Place in the flow: tests only.
//! Invariant: every sample passes before it is changed, on every path and with every prediction.

use super::{
    blockchain, payloads,
    runner::{Ended, Runner},
    state,
};
use alloy_primitives::{B256, Bloom, Bytes, U256, hex};
use laminar_executor::{Block, Config, Mode, Pinning, Predict, recover::decode_block};
use laminar_fixtures::official::{BlockchainTest, Cases, EngineTest, StateTest};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::num::NonZeroUsize;

const STATE: &str = include_str!("samples/state.json");
const STATE_REFUSED: &str = include_str!("samples/state_refused.json");
const BLOCKCHAIN: &str = include_str!("samples/blockchain.json");
const ACCESS_LIST: &str = include_str!("samples/access_list.json");
const ENGINE: &str = include_str!("samples/engine.json");

/// Spoils a block.
type Change = fn(&mut Block);

fn runner(mode: Mode, predict: Predict) -> Runner {
    let block_access_list = predict == Predict::BlockAccessList;
    let threads = NonZeroUsize::new(2).unwrap();
    Runner::new(Config { threads, mode, predict, block_access_list, timeline: false, pinning: Pinning::Free }).unwrap()
}

/// The only case of a sample, changed.
fn case<T: DeserializeOwned>(sample: &str, tamper: impl FnOnce(&mut Value)) -> T {
    let mut file: Value = serde_json::from_str(sample).unwrap();
    tamper(file.as_object_mut().unwrap().values_mut().next().unwrap());
    serde_json::from_value::<Cases<T>>(file).unwrap().into_values().next().unwrap()
}

/// Runs a sample; the reason of a failure on one line.
fn reason(sample: &str, runner: &mut Runner, tamper: impl FnOnce(&mut Value)) -> Option<String> {
    let ended = if sample.contains("engineNewPayloads") {
        payloads::run(&case::<EngineTest>(sample, tamper), runner)
    } else if sample.contains("genesisBlockHeader") {
        blockchain::run(&case::<BlockchainTest>(sample, tamper), runner)
    } else {
        let test: StateTest = case(sample, tamper);
        let (fork, posts) = test.post.iter().next().unwrap();
        state::run(&test, fork, &posts[0], runner)
    };
    match ended {
        Ok(ended) => {
            assert_eq!(ended, Ended::Passed);
            None
        }
        Err(error) => Some(crate::ending::one_line(error.as_ref())),
    }
}

/// Changes a sample and expects a failure whose reason has all these parts.
#[track_caller]
fn check(sample: &str, parts: &[&str], tamper: impl FnOnce(&mut Value)) {
    let mut runner = runner(Mode::Parallel, Predict::Presimulate);
    let reason = reason(sample, &mut runner, tamper).expect("a changed case must fail");
    for part in parts {
        assert!(reason.contains(part), "expected {part:?} in: {reason}");
    }
}

/// Adds to the hex number at a JSON pointer.
fn add(case: &mut Value, pointer: &str, more: u64) {
    let number = case.pointer_mut(pointer).unwrap();
    let old = U256::from_str_radix(number.as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
    *number = json!(format!("{:#x}", old + U256::from(more)));
}

/// Changes the first block of a blockchain case and encodes it again.
fn reseal(case: &mut Value, change: impl FnOnce(&mut Block)) {
    let rlp = case.pointer_mut("/blocks/0/rlp").unwrap();
    let mut block = decode_block(&hex::decode(rlp.as_str().unwrap()).unwrap()).unwrap();
    change(&mut block);
    *rlp = json!(Bytes::from(alloy_rlp::encode(&block)));
}

#[test]
fn samples_pass_on_every_path_and_with_every_prediction() {
    for sample in [STATE, STATE_REFUSED, BLOCKCHAIN, ACCESS_LIST, ENGINE] {
        for mode in [Mode::Parallel, Mode::Sequential] {
            for predict in [Predict::None, Predict::Presimulate, Predict::Ahead, Predict::BlockAccessList] {
                let mut runner = runner(mode, predict);
                assert_eq!(reason(sample, &mut runner, |_| ()), None, "{mode:?} {predict:?}");
                let parallel = runner.work.parallel_blocks > 0 && runner.work.not_parallel().is_none();
                assert_eq!(parallel, mode == Mode::Parallel && sample != STATE_REFUSED, "{predict:?}");
            }
        }
    }
}

#[test]
fn one_wei_or_one_slot_in_a_state_test_is_found() {
    let poor = "/pre/0x2e231c14d31a086ee6a8c56204807bf42ed4344e/balance";
    check(STATE, &["state root", "balance: expected 1000000000000000023 wei, found 1000000000000000024 wei"], |case| {
        add(case, poor, 1)
    });
    let rich = "/post/Osaka/0/state/0x943c58ee8e1e7b41b51b075276dbdee992c53347/balance";
    check(STATE, &["state: account 0x943C58EE8e1e7b41b51b075276DBDee992C53347: balance"], |case| add(case, rich, 1));
    let slot = "/post/Osaka/0/state/0x2e231c14d31a086ee6a8c56204807bf42ed4354e/storage/0x00";
    check(STATE, &["slot 0x0: expected 0x2, found 0x1"], |case| add(case, slot, 1));
    check(
        STATE,
        &["state root: expected 0xf8b19fa1a4ea6404fc06506870e449977edea7267cdf4bc1e1a1b8dc509a91c2"],
        |case| {
            add(case, "/post/Osaka/0/hash", 1);
        },
    );
    check(STATE, &["logs hash"], |case| add(case, "/post/Osaka/0/logs", 1));
}

#[test]
fn environment_of_a_state_test_counts() {
    check(STATE, &["expected a valid transaction", "max fee per gas below the base fee"], |case| {
        add(case, "/env/currentBaseFee", 1);
    });
    check(STATE, &["expected a valid transaction", "gas limit above the gas left"], |case| {
        case["env"]["currentGasLimit"] = json!("0x3344f");
    });
    check(STATE, &["sender: expected"], |case| add(case, "/transaction/sender", 1));
}

#[test]
fn refusal_for_another_reason_is_a_failure() {
    let parts =
        ["expected TransactionException.NONCE_MISMATCH_TOO_LOW", "found TransactionException.INTRINSIC_GAS_TOO_LOW"];
    check(STATE_REFUSED, &parts, |case| {
        let post = case["post"].as_object_mut().unwrap().values_mut().next().unwrap();
        post[0]["expectException"] = json!("TransactionException.NONCE_MISMATCH_TOO_LOW");
    });
    check(STATE, &["expected TransactionException.NONCE_IS_MAX, found a valid transaction"], |case| {
        case["post"]["Osaka"][0]["expectException"] = json!("TransactionException.NONCE_IS_MAX");
    });
    let parts = ["expected BlockException.INVALID_GASLIMIT", "wrong base fee per gas"];
    check(BLOCKCHAIN, &parts, |case| {
        reseal(case, |block| block.header.base_fee_per_gas = Some(8));
        case["blocks"][0]["expectException"] = json!("BlockException.INVALID_GASLIMIT");
    });
}

#[test]
fn every_header_field_is_checked() {
    let table: [(&str, Change); 14] = [
        ("unknown parent", |b| b.header.parent_hash = B256::ZERO),
        ("wrong ommers hash", |b| b.header.ommers_hash = B256::ZERO),
        ("wrong state root", |b| b.header.state_root = B256::ZERO),
        ("wrong transactions root", |b| b.header.transactions_root = B256::ZERO),
        ("wrong receipts root", |b| b.header.receipts_root = B256::ZERO),
        ("wrong logs bloom", |b| b.header.logs_bloom = Bloom::repeat_byte(1)),
        ("wrong difficulty", |b| b.header.difficulty += U256::ONE),
        ("wrong block number", |b| b.header.number += 1),
        ("gas limit out of bounds", |b| b.header.gas_limit *= 2),
        ("wrong gas used", |b| b.header.gas_used += 1),
        ("timestamp not after", |b| b.header.timestamp = 0),
        ("extra data too long", |b| b.header.extra_data = Bytes::from(vec![0; 33])),
        ("wrong base fee per gas", |b| b.header.base_fee_per_gas = Some(8)),
        ("withdrawals root must be absent", |b| b.header.withdrawals_root = Some(B256::ZERO)),
    ];
    for (part, change) in table {
        check(BLOCKCHAIN, &["block 0 of the case", part], |case| reseal(case, change));
    }
}

#[test]
fn wrong_start_and_end_of_a_chain_are_found() {
    check(BLOCKCHAIN, &["genesis hash"], |case| add(case, "/genesisBlockHeader/gasLimit", 1));
    let slot = "/pre/0x31fea89c26d83e9ea40dc184bba2615d70f62e61/storage/0x00";
    check(BLOCKCHAIN, &["wrong genesis state root"], |case| add(case, slot, 1));
    check(BLOCKCHAIN, &["head: expected"], |case| add(case, "/lastblockhash", 1));
    check(BLOCKCHAIN, &["block hash: expected"], |case| add(case, "/blocks/0/blockHeader/hash", 1));
    let slot = "/postState/0x31fea89c26d83e9ea40dc184bba2615d70f62e61/storage/0x00";
    check(BLOCKCHAIN, &["state of the head", "slot 0x0: expected 0x2, found 0x1"], |case| add(case, slot, 1));
    let parts = ["balance: expected 2000000000000012738 wei, found 2000000000000012739 wei", "wrong state root"];
    check(BLOCKCHAIN, &parts[1..], |case| reseal(case, |block| block.header.state_root = B256::ZERO));
}

#[test]
fn bytes_that_are_no_block_are_refused() {
    check(BLOCKCHAIN, &["not a valid encoding"], |case| case["blocks"][0]["rlp"] = json!("0xc0"));
    check(BLOCKCHAIN, &["not a valid encoding"], |case| {
        let rlp = case["blocks"][0]["rlp"].as_str().unwrap().to_owned();
        case["blocks"][0]["rlp"] = json!(format!("{rlp}00"));
    });
}

#[test]
fn one_index_of_a_block_access_list_is_found() {
    let index = "/blocks/0/blockAccessList/5/nonceChanges/0/blockAccessIndex";
    let parts = ["nonce changes 0: expected", "wrong block access list hash"];
    check(ACCESS_LIST, &parts, |case| add(case, index, 1));
    check(ACCESS_LIST, &["exceeds the block maximum"], |case| add(case, index, 2));
    check(ACCESS_LIST, &["wrong block access list hash"], |case| {
        reseal(case, |block| block.header.block_access_list_hash = Some(B256::ZERO));
    });
    check(
        ACCESS_LIST,
        &[
            "expected account 0x00000961Ef480Eb55e80D19ad83579A64c007002, found 0x00000000219ab540356cBB839Cbe05303d7705Fa",
        ],
        |case| {
            case["blocks"][0]["blockAccessList"].as_array_mut().unwrap().remove(0);
        },
    );
    check(ACCESS_LIST, &["violating canonical order"], |case| {
        case["blocks"][0]["blockAccessList"].as_array_mut().unwrap().swap(0, 1);
    });
    check(ACCESS_LIST, &["wrong requests hash"], |case| {
        reseal(case, |block| block.header.requests_hash = Some(B256::ZERO));
    });
}

#[test]
fn one_gas_in_a_receipt_is_found() {
    check(ACCESS_LIST, &["receipt 0: cumulative gas"], |case| add(case, "/blocks/0/receipts/0/cumulativeGasUsed", 1));
    check(ACCESS_LIST, &["expected 0 receipts, found 1"], |case| case["blocks"][0]["receipts"] = json!([]));
}

#[test]
fn payload_of_an_engine_test_is_checked() {
    let payload = "/engineNewPayloads/0/params/0";
    check(ENGINE, &["expected VALID", "wrong block hash"], |case| add(case, &format!("{payload}/gasUsed"), 1));
    check(ENGINE, &["head: expected"], |case| add(case, "/lastblockhash", 1));
    check(ENGINE, &["V3 does not serve Prague"], |case| {
        case["engineNewPayloads"][0]["newPayloadVersion"] = json!("3");
        case["engineNewPayloads"][0]["params"].as_array_mut().unwrap().pop();
    });
    check(ENGINE, &["missing executionRequests (-32602)"], |case| {
        case["engineNewPayloads"][0]["params"][3] = Value::Null;
    });
    check(ENGINE, &["expected error -32602, found status VALID"], |case| {
        case["engineNewPayloads"][0]["errorCode"] = json!("-32602");
    });
    check(ENGINE, &["expected INVALID (BlockException.INVALID_REQUESTS), found VALID"], |case| {
        case["engineNewPayloads"][0]["validationError"] = json!("BlockException.INVALID_REQUESTS");
    });
}
