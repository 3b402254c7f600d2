//! Tampered blocks are refused, each with the rule, what was expected and what was found.

use super::{
    command::laminar,
    samples::{Scratch, sample},
};
use alloy_consensus::{EthereumTxEnvelope, Header, Signed, Transaction as _, proofs::calculate_transaction_root};
use alloy_primitives::{Address, B64, B256, Bloom, Bytes, Signature, U256};
use laminar_fixtures::WitnessBlock;
use std::ffi::OsStr;

const SAMPLE: &str = "system-requests";

/// Replays a changed copy of a sample and checks how it ends.
#[track_caller]
fn check(change: impl FnOnce(&mut WitnessBlock), code: i32, parts: &[&str]) {
    let mut block = sample(SAMPLE);
    change(&mut block);
    let scratch = Scratch::new();
    let path = scratch.block(&block);
    let ran = laminar([OsStr::new("replay"), path.as_os_str()]);
    ran.check(code, parts);
    ran.check(code, &[path.to_str().unwrap()]);
    assert_eq!(scratch.files(), 1);
}

/// A change of one header field: its name, how it is changed, and how the replay ends.
type Case = (&'static str, fn(&mut Header), i32, &'static str);

const HASH: B256 = B256::repeat_byte(0x77);

/// Every field of the header.
const FIELDS: [Case; 21] = [
    ("parent hash", |h| h.parent_hash = HASH, 2, "hash of header 0: expected 0x7777"),
    ("ommers hash", |h| h.ommers_hash = HASH, 1, "wrong ommers hash: expected 0x1dcc"),
    ("beneficiary", |h| h.beneficiary = Address::ZERO, 1, "wrong state root: expected 0x"),
    ("state root", |h| h.state_root = HASH, 1, "wrong state root: expected 0x"),
    ("transactions root", |h| h.transactions_root = HASH, 1, "wrong transactions root: expected 0x"),
    ("receipts root", |h| h.receipts_root = HASH, 1, "wrong receipts root: expected 0x"),
    ("logs bloom", |h| h.logs_bloom = Bloom::repeat_byte(1), 1, "wrong logs bloom: expected 0x"),
    ("difficulty", |h| h.difficulty = U256::from(1), 1, "wrong difficulty: expected 0, found 1"),
    ("number", |h| h.number = 2, 2, "number of header 0: expected the parent of 2, found 0"),
    ("gas limit", |h| h.gas_limit *= 2, 1, "block gas limit out of bounds: expected "),
    ("gas used", |h| h.gas_used += 1, 1, "wrong gas used: expected "),
    ("timestamp", |h| h.timestamp -= 12, 1, "timestamp not after the parent's: expected at least 1760000001"),
    ("extra data", |h| h.extra_data = Bytes::from(vec![0; 33]), 1, "extra data too long: expected at most 32 bytes"),
    ("nonce", |h| h.nonce = B64::repeat_byte(1), 1, "wrong nonce: expected 0"),
    ("base fee", |h| h.base_fee_per_gas = Some(7), 1, "wrong base fee per gas: expected 7000000000, found 7"),
    ("withdrawals root", |h| h.withdrawals_root = Some(HASH), 1, "wrong withdrawals root: expected 0x"),
    ("blob gas used", |h| h.blob_gas_used = Some(1 << 17), 1, "wrong blob gas used: expected 0, found 131072"),
    ("excess blob gas", |h| h.excess_blob_gas = Some(1), 1, "wrong excess blob gas: expected 0, found 1"),
    ("beacon root", |h| h.parent_beacon_block_root = Some(HASH), 1, "wrong state root: expected 0x"),
    ("requests hash", |h| h.requests_hash = Some(HASH), 1, "wrong requests hash: expected 0x"),
    ("requests hash, none", |h| h.requests_hash = None, 1, "header field requests hash must be present"),
];

#[test]
fn each_header_field_is_checked() {
    for (field, change, code, part) in FIELDS {
        eprintln!("{field}");
        check(|block| change(&mut block.block.header), code, &[part]);
    }
}

/// Randomness and extra data bind nothing that a block without a sidecar can be checked for; its hash does.
#[test]
fn any_other_header_contradicts_the_hash_beside_the_block() {
    let free: [fn(&mut Header); 2] = [|h| h.mix_hash = HASH, |h| h.extra_data = Bytes::new()];
    for change in free.into_iter().chain(FIELDS.map(|(_, change, ..)| change)) {
        let original = sample(SAMPLE);
        let mut block = original.clone();
        change(&mut block.block.header);
        let scratch = Scratch::new();
        scratch.write("x.json", original.to_sidecar());
        let path = scratch.write("x.rlp", block.encode());
        let ran = laminar([OsStr::new("replay"), path.as_os_str()]);
        ran.check(2, &["x.", "expected ", "found "]);
    }
}

/// The same transaction with another signature.
fn signed(tx: &laminar_fixtures::Transaction, signature: Signature) -> laminar_fixtures::Transaction {
    match tx.clone() {
        EthereumTxEnvelope::Eip1559(tx) => Signed::new_unhashed(tx.strip_signature(), signature).into(),
        EthereumTxEnvelope::Legacy(tx) => Signed::new_unhashed(tx.strip_signature(), signature).into(),
        other => panic!("unexpected type: {other:?}"),
    }
}

fn seal(block: &mut WitnessBlock) {
    block.block.header.transactions_root = calculate_transaction_root(&block.block.body.transactions);
}

#[test]
fn signature_that_recovers_nobody_is_refused_with_its_transaction() {
    let bad = |block: &mut WitnessBlock| {
        let tx = &mut block.block.body.transactions[5];
        let signature = *tx.signature();
        *tx = signed(tx, Signature::new(U256::ZERO, signature.s(), signature.v()));
    };
    check(bad, 1, &["wrong transactions root: expected 0x"]);
    let sealed = |block: &mut WitnessBlock| {
        bad(block);
        seal(block);
    };
    check(sealed, 1, &["invalid block at tx 5: signature is not valid"]);
}

#[test]
fn transaction_for_another_chain_is_refused() {
    let change = |block: &mut WitnessBlock| {
        let tx = &mut block.block.body.transactions[3];
        let signature = *tx.signature();
        let mut other = match tx.clone() {
            EthereumTxEnvelope::Eip1559(tx) => tx.strip_signature(),
            other => panic!("unexpected type: {other:?}"),
        };
        assert_eq!(other.chain_id(), Some(1337));
        other.chain_id = 7;
        *tx = Signed::new_unhashed(other, signature).into();
        seal(block);
    };
    check(change, 1, &["invalid block at tx 3: wrong chain id: expected 1337, found 7"]);
}

#[test]
fn swapped_transactions_are_refused() {
    let change = |block: &mut WitnessBlock| {
        // The first two transactions of one sender, whose turns come in order.
        let txs = &mut block.block.body.transactions;
        let later = (1..txs.len()).find(|at| txs[*at].nonce() > 0).unwrap();
        let tx = txs.remove(later);
        txs.insert(0, tx);
        seal(block);
    };
    check(change, 1, &["invalid block at tx 0: nonce too high: expected 0, found 1"]);
}

#[test]
fn left_out_withdrawal_is_refused() {
    let change = |block: &mut WitnessBlock| block.block.body.withdrawals.as_mut().unwrap().truncate(2);
    check(change, 1, &["wrong withdrawals root: expected 0x"]);
}
