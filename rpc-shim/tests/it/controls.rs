//! The methods of a development chain that need more than one call to be told right from wrong.

use crate::dev::node_with;
use jsonrpsee::RpcModule;
use laminar_executor::Predict;
use laminar_rpc_shim::{
    api::{Context, Limits, module},
    dev::{Dev, Mining, Options},
};
use serde_json::{Value, json};
use std::sync::Arc;

const FIRST: &str = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
const SECOND: &str = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";
const CONTRACT: &str = "0x00000000000000000000000000000000000c0de0";

/// The methods of a development chain.
pub(crate) struct Chain(RpcModule<Context>);

impl Chain {
    pub(crate) fn new(mining: Mining) -> Self {
        let node = node_with(Predict::None);
        let dev = Arc::new(Dev::new(Arc::clone(&node), Options { mining, ..Options::default() }).unwrap());
        dev.start().unwrap();
        Self(module(Context::new(node, Limits::default()).with_dev(dev)))
    }

    pub(crate) async fn try_ask(&self, method: &str, params: Value) -> Result<Value, Value> {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let (answer, _) = self.0.raw_json_request(&request.to_string(), 1).await.unwrap();
        let mut answer: Value = serde_json::from_str(answer.get()).unwrap();
        if answer["error"].is_object() { Err(answer["error"].take()) } else { Ok(answer["result"].take()) }
    }

    pub(crate) async fn ask(&self, method: &str, params: Value) -> Value {
        self.try_ask(method, params).await.unwrap_or_else(|error| panic!("{method}: {error}"))
    }

    async fn send(&self, from: &str, to: &str, wei: &str) -> Value {
        self.ask("eth_sendTransactionSync", json!([{ "from": from, "to": to, "value": wei }])).await
    }

    async fn balance(&self, address: &str) -> Value {
        self.ask("eth_getBalance", json!([address, "latest"])).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn impersonated_contracts_send_and_their_blocks_can_be_traced() {
    let chain = Chain::new(Mining::Auto);
    chain.ask("anvil_setCode", json!([CONTRACT, "0x00"])).await;
    chain.ask("anvil_setBalance", json!([CONTRACT, "0xde0b6b3a7640000"])).await;
    let request = json!([{ "from": CONTRACT, "to": SECOND, "value": "0x1" }]);
    assert_eq!(chain.try_ask("eth_sendTransactionSync", request).await.unwrap_err()["code"], -32602);
    chain.ask("anvil_impersonateAccount", json!([CONTRACT])).await;
    let receipt = chain.send(CONTRACT, SECOND, "0x1").await;
    assert_eq!((&receipt["status"], &receipt["from"]), (&json!("0x1"), &json!(CONTRACT)));
    let trace =
        chain.ask("debug_traceTransaction", json!([receipt["transactionHash"], { "tracer": "callTracer" }])).await;
    assert_eq!(trace["from"], CONTRACT);
}

/// The fields of a dump; anvil 1.7 reads none that lacks one of its own.
fn fields(dump: &Value) -> Vec<String> {
    let packed = alloy_primitives::hex::decode(dump.as_str().unwrap()).unwrap();
    let dump: Value = serde_json::from_reader(flate2::read::GzDecoder::new(packed.as_slice())).unwrap();
    let mut names: Vec<_> = dump.as_object().unwrap().keys().cloned().collect();
    names.sort_unstable();
    names
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reorganisation_replaces_blocks_and_a_dump_brings_accounts_back() {
    let chain = Chain::new(Mining::Auto);
    let before = chain.send(FIRST, CONTRACT, "0x1").await;
    chain.send(FIRST, CONTRACT, "0x2").await;
    let dump = chain.ask("anvil_dumpState", json!([])).await;
    assert_eq!(fields(&dump), ["accounts", "best_block_number", "block", "blocks", "transactions"]);
    let pairs = json!([[{ "from": FIRST, "to": CONTRACT, "value": "0x10" }, 0]]);
    chain.ask("anvil_reorg", json!([2, pairs])).await;
    assert_eq!(chain.ask("eth_blockNumber", json!([])).await, "0x2");
    assert_eq!(chain.balance(CONTRACT).await, "0x10");
    let gone = chain.ask("eth_getTransactionReceipt", json!([before["transactionHash"]])).await;
    assert_eq!(gone, Value::Null);
    chain.ask("anvil_loadState", json!([dump])).await;
    assert_eq!(chain.balance(CONTRACT).await, "0x3");
    assert_eq!(chain.ask("eth_getTransactionCount", json!([FIRST, "latest"])).await, "0x2");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_is_told_and_what_waits_too_long_has_a_code() {
    let chain = Chain::new(Mining::Manual);
    let filter = chain.ask("eth_newPendingTransactionFilter", json!([])).await;
    let error =
        chain.try_ask("eth_sendTransactionSync", json!([{ "from": FIRST, "to": SECOND }, 50])).await.unwrap_err();
    assert_eq!(error["code"], 4);
    let hash = &error["data"];
    assert_eq!(chain.ask("eth_getFilterChanges", json!([filter])).await, json!([hash]));
    assert_eq!(chain.ask("eth_getFilterChanges", json!([filter])).await, json!([]));
    let by_nonce = chain.ask("eth_getTransactionBySenderAndNonce", json!([FIRST, "0x0"])).await;
    assert_eq!((&by_nonce["hash"], &by_nonce["blockHash"]), (hash, &Value::Null));
    chain.ask("evm_mine", json!([])).await;
    let by_nonce = chain.ask("eth_getTransactionBySenderAndNonce", json!([FIRST, "0x0"])).await;
    assert_eq!((&by_nonce["hash"], &by_nonce["blockNumber"]), (hash, &json!("0x1")));
    assert_eq!(chain.ask("ots_getTransactionBySenderAndNonce", json!([FIRST, 0])).await, *hash);
    let found = chain.ask("ots_searchTransactionsBefore", json!([SECOND, 0, 10])).await;
    assert_eq!((&found["txs"][0]["hash"], &found["firstPage"], &found["lastPage"]), (hash, &json!(true), &json!(true)));
}

/// The example of EIP-712, signed by the key of the first account; checked against ethers 6.
#[tokio::test(flavor = "multi_thread")]
async fn typed_data_is_signed_as_wallets_do() {
    let chain = Chain::new(Mining::Manual);
    let person = json!([{ "name": "name", "type": "string" }, { "name": "wallet", "type": "address" }]);
    let data = json!({
        "types": {
            "EIP712Domain": [{ "name": "name", "type": "string" }, { "name": "chainId", "type": "uint256" }],
            "Person": person,
            "Mail": [{ "name": "to", "type": "Person" }, { "name": "contents", "type": "string" }],
        },
        "primaryType": "Mail",
        "domain": { "name": "Ether Mail", "chainId": 31337 },
        "message": { "to": { "name": "Bob", "wallet": SECOND }, "contents": "Hello, Bob!" },
    });
    let signed = chain.ask("eth_signTypedData_v4", json!([FIRST, data])).await;
    let as_text = chain.ask("eth_signTypedData_v4", json!([FIRST, data.to_string()])).await;
    assert_eq!(signed, as_text);
    assert_eq!(signed, TYPED_DATA_SIGNATURE);
}

const TYPED_DATA_SIGNATURE: &str = "0x6f080d640db970b32c3a9de929c97e19d9457f6138a217a122d98090e8d1135e168d28fa85e6a33cec3f6f9bb50b3d087f9d2fe3453c245242c88c76e6a118211c";

#[tokio::test(flavor = "multi_thread")]
async fn a_block_trace_has_every_transaction_and_its_dependencies() {
    let chain = Chain::new(Mining::Manual);
    for (from, to) in [(FIRST, SECOND), (FIRST, CONTRACT), (SECOND, CONTRACT)] {
        chain.ask("eth_sendTransaction", json!([{ "from": from, "to": to, "value": "0x1", "gas": "0x5208" }])).await;
    }
    chain.ask("evm_mine", json!([])).await;
    let trace = chain.ask("laminar_getBlockTrace", json!(["latest"])).await;
    let transactions = trace["transactions"].as_array().unwrap();
    assert_eq!(transactions.len(), 3);
    let mut on: Vec<_> = transactions.iter().map(|tx| tx["dependsOn"].as_array().unwrap().len()).collect();
    on.sort_unstable();
    assert!(on[0] == 0 && on[2] >= 1, "{trace}");
    assert_eq!(trace["bound"]["gasUsed"], 63_000);
    assert!(trace["spans"].as_array().unwrap().len() >= 3, "{trace}");
    assert_eq!(trace["traced"]["path"], "parallel");
}

#[tokio::test(flavor = "multi_thread")]
async fn any_block_has_an_access_list_and_its_accounts_can_be_dumped() {
    let chain = Chain::new(Mining::Auto);
    // Stores the call's value in slot 1.
    chain.ask("anvil_setCode", json!([CONTRACT, "0x34600155"])).await;
    chain.ask("anvil_impersonateAccount", json!([CONTRACT])).await;
    chain.send(FIRST, CONTRACT, "0x7").await;
    chain.ask("anvil_setBalance", json!([CONTRACT, "0xde0b6b3a7640000"])).await;
    chain.send(CONTRACT, SECOND, "0x1").await;

    let list = chain.ask("eth_getBlockAccessList", json!(["0x1"])).await;
    let of = |list: &Value, address: &str| {
        list.as_array().unwrap().iter().find(|entry| entry["address"] == address).cloned().unwrap_or_default()
    };
    let slot = &of(&list, CONTRACT)["storageChanges"][0];
    assert!(slot.to_string().contains("0x7"), "{list}");
    assert!(of(&list, FIRST)["nonceChanges"].is_array(), "{list}");
    let sent_by_contract = chain.ask("eth_getBlockAccessList", json!(["latest"])).await;
    assert!(of(&sent_by_contract, SECOND)["balanceChanges"].is_array(), "{sent_by_contract}");
    assert!(chain.ask("debug_getRawBlockAccessList", json!(["0x1"])).await.as_str().unwrap().len() > 2);
    assert_eq!(chain.try_ask("eth_getBlockAccessList", json!(["0x0"])).await.unwrap_err()["code"], -32001);
    assert_eq!(chain.ask("eth_getBlockAccessList", json!(["0x63"])).await, Value::Null);

    let dump = chain.ask("debug_dumpBlock", json!(["0x1"])).await;
    let contract = &dump["accounts"][CONTRACT];
    // An edit stands on the block that was the head.
    assert_eq!((&contract["balance"], &contract["code"]), (&json!("1000000000000000000"), &json!("0x34600155")));
    assert_eq!(contract["storage"][format!("0x{:064x}", 1)], "07");
    let block = chain.ask("eth_getBlockByNumber", json!(["0x1", false])).await;
    assert_eq!(format!("0x{}", dump["root"].as_str().unwrap()), block["stateRoot"].as_str().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn tokens_say_what_they_were_told_to_say() {
    let chain = Chain::new(Mining::Auto);
    // Says what the slot holds that its first argument names.
    chain.ask("anvil_setCode", json!([CONTRACT, "0x6004355460005260206000f3"])).await;
    chain.ask("anvil_dealERC20", json!([FIRST, CONTRACT, "0x7b"])).await;
    chain.ask("anvil_setERC20Allowance", json!([SECOND, FIRST, CONTRACT, "500"])).await;
    for (selector, account, amount) in [("70a08231", FIRST, 123), ("dd62ed3e", SECOND, 500)] {
        let input = format!("0x{selector}{:0>64}", &account[2..]);
        let said = chain.ask("eth_call", json!([{ "to": CONTRACT, "input": input }])).await;
        assert_eq!(said, format!("0x{amount:064x}"));
    }
    // Says the number of the block, which no slot decides.
    chain.ask("anvil_setCode", json!([CONTRACT, "0x4360005260206000f3"])).await;
    let error = chain.try_ask("hardhat_dealERC20", json!([FIRST, CONTRACT, "0x7b"])).await.unwrap_err();
    assert_eq!(
        (&error["code"], &error["message"]),
        (&json!(-32603), &json!("Unable to set ERC20 balance, no slot found"))
    );
    assert_eq!(chain.try_ask("anvil_setRpcUrl", json!(["http://127.0.0.1:1"])).await.unwrap_err()["code"], -32602);
}

#[tokio::test(flavor = "multi_thread")]
async fn mining_in_detail_tells_what_transactions_gave_back() {
    let chain = Chain::new(Mining::Manual);
    // Reverts with its input.
    chain.ask("anvil_setCode", json!([CONTRACT, "0x366000600037366000fd"])).await;
    let reason = format!("0x08c379a0{:064x}{:064x}{:0<64}", 32, 6, "6e6f20776179");
    let request = json!([{ "from": FIRST, "to": CONTRACT, "gas": "0x186a0", "input": reason }]);
    chain.ask("eth_sendTransaction", request).await;
    chain.ask("eth_sendTransaction", json!([{ "from": FIRST, "to": SECOND, "value": "0x1" }])).await;
    let blocks = chain.ask("evm_mine_detailed", json!([{ "timestamp": null, "blocks": 2 }])).await;
    let blocks = blocks.as_array().unwrap();
    assert_eq!((blocks.len(), &blocks[0]["number"], &blocks[1]["number"]), (2, &json!("0x1"), &json!("0x2")));
    let [reverted, sent] = blocks[0]["transactions"].as_array().unwrap().as_slice() else { panic!("{blocks:?}") };
    assert_eq!((&reverted["revertReason"], &reverted["output"]), (&json!("no way"), &json!(reason)));
    assert_eq!((&sent["revertReason"], &sent["output"]), (&Value::Null, &json!("0x")));
    assert_eq!(blocks[1]["transactions"], json!([]));
}

/// What a client sends one after the other is in one block each, and mined when the answer comes.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_waits_for_the_answer_finds_the_receipt() {
    let chain = Chain::new(Mining::Auto);
    for block in 1..=50 {
        let hash = chain.ask("eth_sendTransaction", json!([{ "from": FIRST, "to": SECOND, "value": "0x1" }])).await;
        let receipt = chain.ask("eth_getTransactionReceipt", json!([hash])).await;
        assert_eq!(receipt["blockNumber"], format!("{block:#x}"));
    }
    // What cannot be mined yet is answered all the same.
    chain.ask("eth_sendTransaction", json!([{ "from": FIRST, "to": SECOND, "nonce": "0x40" }])).await;
}

/// As on anvil: an epoch below the head, and two.
#[tokio::test(flavor = "multi_thread")]
async fn safe_and_finalised_blocks_go_by_depth() {
    let chain = Chain::new(Mining::Manual);
    for (blocks, safe, finalized) in [(0, "0x0", "0x0"), (40, "0x8", "0x0"), (60, "0x44", "0x24")] {
        chain.ask("anvil_mine", json!([blocks])).await;
        for (tag, number) in [("safe", safe), ("finalized", finalized)] {
            assert_eq!(chain.ask("eth_getBlockByNumber", json!([tag, false])).await["number"], number, "{tag}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mining_at_intervals_is_as_each_tool_has_it() {
    let chain = Chain::new(Mining::Manual);
    for (method, seconds) in [("anvil_mine", 30), ("hardhat_mine", 20)] {
        chain.ask("evm_mine", json!([])).await;
        let before = chain.ask("eth_getBlockByNumber", json!(["latest", false])).await["timestamp"].clone();
        let before = u64::from_str_radix(&before.as_str().unwrap()[2..], 16).unwrap();
        // So that no second passes meanwhile.
        chain.ask("evm_setNextBlockTimestamp", json!([before])).await;
        chain.ask("evm_mine", json!([])).await;
        chain.ask("evm_setTime", json!([0])).await;
        chain.ask(method, json!([3, 10])).await;
        let after = chain.ask("eth_getBlockByNumber", json!(["latest", false])).await["timestamp"].clone();
        assert_eq!(after, format!("{:#x}", before + seconds), "{method}");
    }
    let earlier = chain.try_ask("evm_setNextBlockTimestamp", json!([1])).await.unwrap_err();
    assert_eq!(earlier["code"], -32602);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_of_another_node_is_not_found_and_none_runs_backwards() {
    let chain = Chain::new(Mining::Manual);
    let backwards = json!([{ "fromBlock": "0x5", "toBlock": "0x3" }]);
    assert_eq!(chain.try_ask("eth_newFilter", backwards).await.unwrap_err()["code"], -32602);
    for id in ["0x6f326f624f5933496c395a64754a696f", "0x0", "0x7", "zz", ""] {
        let error = chain.try_ask("eth_getFilterChanges", json!([id])).await.unwrap_err();
        assert_eq!((&error["code"], &error["message"]), (&json!(-32000), &json!("filter not found")), "{id:?}");
        assert_eq!(chain.ask("eth_uninstallFilter", json!([id])).await, false, "{id:?}");
    }
}
