//! A development chain: nothing sent stays behind, edits reach the next root, going back goes back, methods answer.

use alloy_consensus::{Transaction as _, TxEip1559};
use alloy_eips::{BlockId, eip2718::Encodable2718};
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use laminar_executor::{BlockExecutor, Config, Predict, Transaction};
use laminar_rpc_shim::{
    api::{Context, Limits, module},
    dev::{ACCOUNTS, BALANCE_WEI, CHAIN_ID, Dev, Edit, Keys, MNEMONIC, Mining, Options, genesis},
    node::Node,
};
use serde_json::{Value, json};
use std::{num::NonZeroUsize, sync::Arc};

const RECIPIENT: Address = Address::repeat_byte(0x77);

fn keys() -> Keys {
    Keys::of_mnemonic(MNEMONIC, ACCOUNTS)
}

fn node() -> Arc<Node> {
    node_with(Predict::None)
}

/// A node at the genesis of a development chain.
pub(crate) fn node_with(predict: Predict) -> Arc<Node> {
    let config = Config { threads: NonZeroUsize::new(2).unwrap(), predict, ..Config::default() };
    let genesis = genesis(CHAIN_ID, keys().addresses(), U256::from(BALANCE_WEI));
    Arc::new(Node::from_genesis(&genesis, Arc::new(BlockExecutor::new(config).unwrap())).unwrap())
}

pub(crate) fn dev(mining: Mining) -> Arc<Dev> {
    Arc::new(Dev::new(node(), Options { mining, ..Options::default() }).unwrap())
}

fn transfer(keys: &Keys, from: Address, nonce: u64, wei: u64) -> Transaction {
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 4_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(RECIPIENT),
        value: U256::from(wei),
        ..TxEip1559::default()
    };
    keys.sign(&from, tx).unwrap()
}

fn send(dev: &Dev, from: usize, nonce: u64, wei: u64) -> B256 {
    let from = keys().addresses().nth(from).unwrap();
    dev.send_raw(&transfer(dev.keys(), from, nonce, wei).encoded_2718()).unwrap().hash
}

fn balance(dev: &Dev, address: Address) -> U256 {
    let state = dev.node().state_at(BlockId::latest()).unwrap();
    state.account(&address).unwrap().unwrap_or_default().balance
}

#[test]
fn everything_that_is_sent_is_mined_in_whatever_order_it_comes() {
    let dev = dev(Mining::Auto);
    let mut heads = dev.node().subscribe_heads();
    dev.start().unwrap();
    let (senders, each) = (8, 25);
    // Each sender's nonces come in another order: 7 is prime to 25.
    let mut sent = std::collections::BTreeSet::new();
    for position in 0..each {
        for from in 0..senders {
            sent.insert(send(&dev, from, (position * 7 + from as u64) % each, 1));
        }
    }
    while !sent.is_empty() {
        for block in &heads.blocking_recv().unwrap().added {
            for hash in block.transaction_hashes() {
                assert!(sent.remove(&hash), "mined once");
            }
        }
    }
    assert_eq!(dev.pool().status(), (0, 0));
    assert_eq!(balance(&dev, RECIPIENT), U256::from(senders as u64 * each));
    assert!(dev.node().head().header.number <= senders as u64 * each);
}

#[test]
fn manual_mining_waits_and_takes_all() {
    let dev = dev(Mining::Manual);
    dev.start().unwrap();
    let hashes = [send(&dev, 0, 1, 1), send(&dev, 0, 0, 1), send(&dev, 1, 0, 1)];
    assert_eq!((dev.node().head().header.number, dev.pool().status()), (0, (3, 0)));
    let block = dev.mine().unwrap();
    assert_eq!(block.body.transactions.len(), 3);
    assert!(hashes.iter().all(|hash| dev.node().transaction(hash).is_some()));
    assert!(dev.mine().unwrap().body.transactions.is_empty());
}

#[test]
fn a_transaction_that_lost_its_funds_leaves_the_pool_and_blocks_nobody() {
    let dev = dev(Mining::Manual);
    let lost = send(&dev, 0, 0, 5);
    let kept = send(&dev, 1, 0, 5);
    let poor = keys().addresses().next().unwrap();
    dev.edit(poor, Edit::Balance(U256::from(7))).unwrap();
    let block = dev.mine().unwrap();
    assert_eq!(block.transaction_hashes().collect::<Vec<_>>(), [kept]);
    assert!(dev.pool().get(&lost).is_none());
}

#[test]
fn edits_are_seen_at_once_and_stand_under_the_next_root() {
    let (edited, born) = (dev(Mining::Manual), {
        // The oracle: a chain that has in its genesis what the other one edits.
        let mut genesis = genesis(CHAIN_ID, keys().addresses(), U256::from(BALANCE_WEI));
        let account = genesis.alloc.entry(RECIPIENT).or_default();
        account.balance = U256::from(41);
        account.nonce = Some(3);
        account.code = Some(Bytes::from_static(&[0x60, 1, 0x60, 2, 0x55]));
        account.storage = Some([(B256::with_last_byte(9), B256::with_last_byte(8))].into());
        let executor = Arc::new(BlockExecutor::new(Config::default()).unwrap());
        let node = Arc::new(Node::from_genesis(&genesis, executor).unwrap());
        Arc::new(Dev::new(node, Options { mining: Mining::Manual, ..Options::default() }).unwrap())
    });
    for edit in [
        Edit::Balance(U256::from(40)),
        Edit::AddBalance(U256::from(1)),
        Edit::Nonce(3),
        Edit::Code(Bytes::from_static(&[0x60, 1, 0x60, 2, 0x55])),
        Edit::Slot(U256::from(9), U256::from(8)),
    ] {
        edited.edit(RECIPIENT, edit).unwrap();
    }
    assert_eq!(balance(&edited, RECIPIENT), U256::from(41));
    let state = edited.node().state_at(BlockId::latest()).unwrap();
    assert_eq!(state.slot(&RECIPIENT, U256::from(9)).unwrap(), U256::from(8));
    for dev in [&edited, &born] {
        dev.set_next_timestamp(1_000).unwrap();
        dev.set_prev_randao(B256::ZERO);
        let from = keys().addresses().next().unwrap();
        let tx = TxEip1559 { gas_limit: 60_000, ..unsigned(&transfer(dev.keys(), from, 0, 5)) };
        dev.send_raw(&dev.keys().sign(&from, tx).unwrap().encoded_2718()).unwrap();
        assert!(dev.mine().unwrap().receipts[0].success);
    }
    // The parent's hash is in the state (EIP-2935), so compare what the edits reach.
    for dev in [&edited, &born] {
        assert_eq!(balance(dev, RECIPIENT), U256::from(46));
        let state = dev.node().state_at(BlockId::latest()).unwrap();
        assert_eq!(state.slot(&RECIPIENT, U256::from(2)).unwrap(), U256::from(1));
        assert_eq!(state.slot(&RECIPIENT, U256::from(9)).unwrap(), U256::from(8));
    }
    let number = |dev: &Dev| dev.node().head().header.gas_used;
    assert_eq!(number(&edited), number(&born));
}

fn unsigned(tx: &Transaction) -> TxEip1559 {
    tx.as_eip1559().unwrap().tx().clone()
}

#[test]
fn going_back_takes_back_blocks_edits_and_time() {
    let dev = dev(Mining::Manual);
    dev.edit(RECIPIENT, Edit::Balance(U256::from(1))).unwrap();
    dev.mine().unwrap();
    let head = dev.node().head().hash();
    let id = dev.snapshot();
    dev.increase_time(5_000);
    dev.edit(RECIPIENT, Edit::Balance(U256::from(2))).unwrap();
    send(&dev, 0, 0, 10);
    dev.mine().unwrap();
    dev.edit(RECIPIENT, Edit::Balance(U256::from(3))).unwrap();
    let later = dev.snapshot();
    assert_eq!(balance(&dev, RECIPIENT), U256::from(3));
    assert!(dev.revert(id).unwrap());
    assert_eq!((dev.node().head().hash(), balance(&dev, RECIPIENT)), (head, U256::from(1)));
    assert!(!dev.revert(id).unwrap() && !dev.revert(later).unwrap());
    send(&dev, 0, 0, 10);
    let block = dev.mine().unwrap();
    assert_eq!((block.body.transactions.len(), balance(&dev, RECIPIENT)), (1, U256::from(11)));
    dev.reset().unwrap();
    assert_eq!((dev.node().head().header.number, balance(&dev, RECIPIENT)), (0, U256::ZERO));
    let after = dev.mine().unwrap();
    assert_eq!(after.header.number, 1);
    assert!(!dev.rollback(9).unwrap() && dev.rollback(1).unwrap());
    assert_eq!(dev.node().head().header.number, 0);
}

/// Asks as a client does; the result or the error's code and message.
fn ask(dev: &Arc<Dev>) -> impl Fn(&str, Value) -> Result<Value, (i64, String)> + use<> {
    let module = module(Context::new(Arc::clone(dev.node()), Limits::default()).with_dev(Arc::clone(dev)));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    move |method, params| {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let (answer, _) = runtime.block_on(module.raw_json_request(&request, 1)).unwrap();
        let answer: Value = serde_json::from_str(answer.get()).unwrap();
        match answer.get("error") {
            None => Ok(answer["result"].clone()),
            Some(error) => {
                Err((error["code"].as_i64().unwrap(), error["message"].as_str().unwrap_or_default().to_owned()))
            }
        }
    }
}

#[test]
fn controls_answer_under_every_name() {
    let dev = dev(Mining::Manual);
    let ask = ask(&dev);
    let accounts = ask("eth_accounts", json!([])).unwrap();
    let first = accounts[0].clone();
    assert_eq!(first, json!("0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"));
    for prefix in ["anvil", "hardhat"] {
        assert_eq!(ask(&format!("{prefix}_setBalance"), json!([RECIPIENT, "0x64"])), Ok(json!(true)));
        assert_eq!(ask("eth_getBalance", json!([RECIPIENT, "latest"])), Ok(json!("0x64")));
        assert_eq!(ask(&format!("{prefix}_setNonce"), json!([RECIPIENT, 5])), Ok(json!(true)));
        assert_eq!(ask("eth_getTransactionCount", json!([RECIPIENT, "latest"])), Ok(json!("0x5")));
        assert_eq!(ask(&format!("{prefix}_setCode"), json!([RECIPIENT, "0x6001"])), Ok(json!(true)));
        assert_eq!(ask("eth_getCode", json!([RECIPIENT, "latest"])), Ok(json!("0x6001")));
        assert_eq!(ask(&format!("{prefix}_mine"), json!(["0x3", "0xa"])), Ok(Value::Null));
    }
    let head = dev.node().head();
    assert_eq!(head.header.number, 6);
    let parent = dev.node().block_by_number(5).unwrap();
    assert_eq!(head.header.timestamp - parent.header.timestamp, 10);
    assert_eq!(ask("evm_setAutomine", json!([false])), Ok(json!(true)));
    assert_eq!(ask("anvil_getAutomine", json!([])), Ok(json!(false)));
    let late = ask("evm_setNextBlockTimestamp", json!([1])).unwrap_err();
    assert_eq!(late.0, -32602, "{late:?}");
    assert_eq!(ask("anvil_setMinGasPrice", json!(["0x1"])).unwrap_err().0, -32602);
    assert_eq!(ask("anvil_nodeInfo", json!([])).unwrap()["hardFork"], json!("Osaka"));
    assert_eq!(ask("hardhat_metadata", json!([])).unwrap()["chainId"], json!(CHAIN_ID));
    assert_eq!(ask("anvil_setBalance", json!([RECIPIENT, "-1"])).unwrap_err().0, -32602);
}

#[test]
fn transactions_are_sent_signed_and_shown_by_the_node() {
    let dev = dev(Mining::Manual);
    let ask = ask(&dev);
    let from = keys().addresses().next().unwrap();
    let request = json!({ "from": from, "to": RECIPIENT, "value": "0x5" });
    let hash = ask("eth_sendTransaction", json!([request])).unwrap();
    assert_eq!(ask("eth_getTransactionCount", json!([from, "pending"])), Ok(json!("0x1")));
    assert_eq!(ask("txpool_status", json!([])), Ok(json!({ "pending": "0x1", "queued": "0x0" })));
    let content = ask("txpool_contentFrom", json!([from])).unwrap();
    assert_eq!(content["pending"]["0"]["hash"], hash);
    assert!(ask("txpool_inspect", json!([])).unwrap()["pending"].is_object());
    let raw = ask("eth_signTransaction", json!([{ "from": from, "to": RECIPIENT, "nonce": "0x1" }])).unwrap();
    assert!(ask("eth_sendRawTransaction", json!([raw])).is_ok());
    let known = ask("eth_sendRawTransaction", json!([raw])).unwrap_err();
    assert_eq!(known, (-32000, "already known".to_owned()));
    let stranger = ask("eth_sendTransaction", json!([{ "from": RECIPIENT, "to": from }])).unwrap_err();
    assert_eq!(stranger.1, "No Signer available");

    assert_eq!(ask("anvil_setBalance", json!([RECIPIENT, "0xde0b6b3a7640000"])), Ok(json!(true)));
    assert_eq!(ask("anvil_impersonateAccount", json!([RECIPIENT])), Ok(json!(true)));
    let theirs = ask("eth_sendTransaction", json!([{ "from": RECIPIENT, "to": from, "value": "0x7" }])).unwrap();
    let block = dev.mine().unwrap();
    assert_eq!(block.body.transactions.len(), 3);
    let position = block.transaction_hashes().position(|own| json!(own) == theirs).unwrap();
    assert_eq!(block.senders[position], RECIPIENT);
    assert_eq!(block.body.transactions[position].value(), U256::from(7));
    let signature = ask("personal_sign", json!([format!("0x{}", hex::encode("hi")), from])).unwrap();
    let signature: alloy_primitives::Signature = signature.as_str().unwrap().parse().unwrap();
    assert_eq!(signature.recover_address_from_msg("hi").unwrap(), from);
}
