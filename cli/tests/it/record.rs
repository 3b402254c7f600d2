//! `laminar record` against a node on this machine, by both ways, and against nodes that lie.

use super::{
    command::{Ran, laminar},
    node::Knows,
    samples::{Scratch, sample},
};
use crate::seal::seal;
use alloy_consensus::TxLegacy;
use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, B256, Bytes, U256, hex, keccak256};
use alloy_trie::Nibbles;
use laminar_fixtures::{wallet::Wallet, workload::Workload};
use std::{io::Write, net::TcpListener, thread};

fn record(url: &str, scratch: &Scratch, more: &[&str]) -> Ran {
    let out = scratch.path().to_str().unwrap();
    laminar(["record", "--rpc", url, "--out", out].iter().chain(more))
}

/// Records a sample block from a node and replays what was written.
#[track_caller]
fn check(node: Knows, source: &str) {
    let want = node.block.clone();
    let scratch = Scratch::new();
    let ran = record(&node.start(), &scratch, &["1", "--json"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let recorded: serde_json::Value = serde_json::from_str(ran.out.trim()).unwrap();
    assert_eq!((&recorded["source"], &recorded["block"]), (&source.into(), &1.into()));
    assert_eq!(recorded["txs"], want.block.body.transactions.len());
    assert_eq!(scratch.files(), 2);
    let path = scratch.path().join("1337-1.rlp");
    let replayed = laminar(["replay", "--json", path.to_str().unwrap()]);
    assert_eq!((replayed.code, replayed.err.as_str()), (0, ""));
    let (blocks, _) = replayed.json();
    assert_eq!(blocks[0]["verified"]["state_root"], true);
    assert_eq!(blocks[0]["chain_id"], 1337);
}

#[test]
fn execution_witness_is_enough() {
    check(Knows::sample("erc20-transfers"), "debug_executionWitness");
}

#[test]
fn proofs_of_what_the_tracer_names_are_completed() {
    for name in ["erc20-transfers", "create-destroy-redeploy", "system-requests", "set-code", "amm-swaps"] {
        check(Knows::sample(name).without(&["debug_executionWitness"]), "eth_getProof");
    }
}

/// The `nth` slot whose hash starts with these nibbles.
fn slot_below(start: &[u8], nth: usize) -> U256 {
    let start = Nibbles::from_nibbles(start);
    let fits = |slot: &U256| Nibbles::unpack(keccak256(B256::from(*slot))).starts_with(&start);
    (0..).map(U256::from).filter(fits).nth(nth).unwrap()
}

/// A block that deletes slots whose only neighbour in a branch nobody touches: a leaf, a branch, and an extension.
fn deleting_block() -> Workload {
    let mut workload = laminar_fixtures::workload::by_name("hot-counter").unwrap();
    let wallet = Wallet::derive(99, 0);
    let rich = GenesisAccount::default().with_balance(U256::from(10).pow(U256::from(18)));
    workload.genesis.alloc.insert(wallet.address(), rich);
    workload.transactions.clear();
    let neighbours = [
        vec![slot_below(&[2], 0)],
        vec![slot_below(&[2, 0], 0), slot_below(&[2, 1], 0)],
        vec![slot_below(&[2, 3, 0], 0), slot_below(&[2, 3, 1], 0)],
    ];
    let deleted = slot_below(&[1], 0);
    for (nonce, kept) in neighbours.into_iter().enumerate() {
        let to = Address::with_last_byte(0xa0 + nonce as u8);
        let slots = kept.into_iter().chain([deleted]);
        let storage = slots.map(|slot| (slot.into(), B256::repeat_byte(7))).collect();
        // Sets the slot that the input names to zero.
        let code = Bytes::from_static(&hex!("5f5f355500"));
        let contract = GenesisAccount::default().with_code(Some(code)).with_storage(Some(storage));
        workload.genesis.alloc.insert(to, contract);
        workload.transactions.push(wallet.sign(TxLegacy {
            chain_id: Some(1337),
            nonce: nonce as u64,
            gas_price: 8_000_000_000,
            gas_limit: 100_000,
            to: to.into(),
            value: U256::ZERO,
            input: B256::from(deleted).into(),
        }));
    }
    workload
}

#[test]
fn nodes_beside_deleted_keys_are_found() {
    let workload = deleting_block();
    let node = Knows::new(&workload.genesis, seal(&workload).unwrap()).without(&["debug_executionWitness"]);
    let scratch = Scratch::new();
    let ran = record(&node.start(), &scratch, &["1", "-vv"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.err.matches("beside a key that the block deletes").count(), 3, "{}", ran.err);
    let path = scratch.path().join("1337-1.rlp");
    assert_eq!(laminar(["replay", path.to_str().unwrap()]).code, 0);
}

#[test]
fn proofs_alone_are_enough() {
    let methods = ["debug_executionWitness", "debug_traceBlockByNumber", "debug_getRawBlock"];
    check(Knows::sample("one-sender-chain").without(&methods), "eth_getProof");
}

#[test]
fn witness_with_a_gap_is_completed() {
    let mut node = Knows::sample("hot-counter");
    node.block.nodes.truncate(40);
    node.block.codes.truncate(2);
    check(node, "debug_executionWitness");
}

#[test]
fn latest_block_is_recorded_by_its_number() {
    let scratch = Scratch::new();
    let ran = record(&Knows::sample("weth").start(), &scratch, &["latest"]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    assert!(ran.out.contains("1337-1.rlp: 300 txs"), "{}", ran.out);
}

/// Checks that nothing is written.
#[track_caller]
fn check_refused(node: Knows, blocks: &[&str], code: i32, parts: &[&str]) {
    let scratch = Scratch::new();
    record(&node.start(), &scratch, blocks).check(code, parts);
    assert_eq!(scratch.files(), 0);
}

#[test]
fn nodes_that_lie_are_found_out_and_nothing_is_written() {
    let node = || Knows::sample("hot-counter");
    let mut wrong = node();
    wrong.block.block.header.state_root = B256::repeat_byte(7);
    check_refused(wrong, &["1"], 1, &["block 1", "wrong state root: expected 0x"]);
    let mut wrong = node();
    wrong.block.headers[0].gas_limit += 1;
    check_refused(wrong, &["1"], 2, &["block 1", "hash of block 0: expected 0x"]);
    let mut wrong = node();
    wrong.chain_id = 424_242;
    check_refused(wrong, &["1"], 2, &["unknown chain id"]);
    check_refused(node(), &["99"], 2, &["block 99", "the node has no such block"]);
    check_refused(node(), &["0"], 2, &["block 0"]);
    let mut poor = node().without(&["eth_getProof"]);
    poor.block.nodes.truncate(40);
    check_refused(poor, &["1"], 2, &["eth_getProof", "-32601"]);
}

#[test]
fn what_is_no_node_is_told() {
    let scratch = Scratch::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let answering = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let page = "<html>not here</html>";
        let head = format!("HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", page.len());
        stream.write_all((head + page).as_bytes()).unwrap();
        let mut rest = Vec::new();
        let _ = std::io::Read::read_to_end(&mut stream, &mut rest);
    });
    record(&url, &scratch, &["1"]).check(2, &[&url, "eth_chainId", "expected http status 200, found 404"]);
    answering.join().unwrap();
    record(&url, &scratch, &["1"]).check(2, &[&url, "no answer to eth_chainId"]);
    record("https://127.0.0.1:1", &scratch, &["1"]).check(2, &["expected a url that starts with http://"]);
    assert_eq!(record(&url, &scratch, &["x"]).code, 2);
    assert_eq!(scratch.files(), 0);
}

#[test]
fn recorded_blocks_replace_older_ones_of_the_same_name() {
    let scratch = Scratch::new();
    scratch.write("1337-1.rlp", b"old");
    let ran = record(&Knows::sample("weth").start(), &scratch, &["0x1"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let written = std::fs::read(scratch.path().join("1337-1.rlp")).unwrap();
    assert_eq!(written.len(), sample("weth").encode().len());
}
