//! What `pending` means: the block that would be next, and the state after it.

use crate::controls::Chain;
use laminar_rpc_shim::dev::Mining;
use serde_json::{Value, json};

const FIRST: &str = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
const RECIPIENT: &str = "0x00000000000000000000000000000000000000aa";
/// Creates a contract that gives back 42.
const CREATION: &str = "0x600a600c600039600a6000f3602a60005260206000f3";

/// Each method with its parameters and its answer.
async fn check(chain: &Chain, table: &[(&str, Value, Value)]) {
    for (method, params, expected) in table {
        assert_eq!(chain.ask(method, params.clone()).await, *expected, "{method} {params}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pending_is_the_block_that_would_be_next() {
    let chain = Chain::new(Mining::Manual);
    let empty = chain.ask("eth_getBlockByNumber", json!(["pending", false])).await;
    assert_eq!((&empty["number"], &empty["transactions"]), (&json!("0x1"), &json!([])));
    let paid = chain.ask("eth_sendTransaction", json!([{ "from": FIRST, "to": RECIPIENT, "value": "0x5" }])).await;
    let created = chain.ask("eth_sendTransaction", json!([{ "from": FIRST, "data": CREATION }])).await;
    let receipts = chain.ask("eth_getBlockReceipts", json!(["pending"])).await;
    let contract = receipts[1]["contractAddress"].clone();
    let (call, value) = (json!({ "to": contract }), json!(format!("0x{:064x}", 42)));
    check(
        &chain,
        &[
            ("eth_blockNumber", json!([]), json!("0x0")),
            ("eth_getBlockTransactionCountByNumber", json!(["pending"]), json!("0x2")),
            ("eth_getBlockTransactionCountByNumber", json!(["latest"]), json!("0x0")),
            ("eth_getBalance", json!([RECIPIENT, "pending"]), json!("0x5")),
            ("eth_getBalance", json!([RECIPIENT, "latest"]), json!("0x0")),
            ("eth_getTransactionCount", json!([FIRST, "pending"]), json!("0x2")),
            ("eth_getTransactionCount", json!([FIRST, "latest"]), json!("0x0")),
            ("eth_getCode", json!([contract, "pending"]), json!("0x602a60005260206000f3")),
            ("eth_getCode", json!([contract, "latest"]), json!("0x")),
            ("eth_call", json!([call, "pending"]), value.clone()),
            ("eth_call", json!([call, "latest"]), json!("0x")),
        ],
    )
    .await;
    let block = chain.ask("eth_getBlockByNumber", json!(["pending", false])).await;
    assert_eq!((&block["number"], &block["transactions"]), (&json!("0x1"), &json!([paid, created])));
    // An edit of the head's state is under the pending one.
    chain.ask("anvil_setBalance", json!([RECIPIENT, "0x10"])).await;
    check(&chain, &[("eth_getBalance", json!([RECIPIENT, "pending"]), json!("0x15"))]).await;
    chain.ask("evm_mine", json!([])).await;
    let mined = chain.ask("eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!(mined["transactions"], block["transactions"]);
    check(
        &chain,
        &[
            ("eth_getBlockReceipts", json!(["pending"]), json!([])),
            ("eth_call", json!([call, "pending"]), value.clone()),
            ("eth_call", json!([call, "latest"]), value),
        ],
    )
    .await;
}

/// A call of a contract that is not there yet takes more gas than a transfer to nobody.
#[tokio::test(flavor = "multi_thread")]
async fn gas_is_estimated_after_what_waits() {
    let chain = Chain::new(Mining::Manual);
    chain.ask("eth_sendTransaction", json!([{ "from": FIRST, "data": CREATION }])).await;
    let contract = chain.ask("eth_getBlockReceipts", json!(["pending"])).await[0]["contractAddress"].clone();
    let hash = chain.ask("eth_sendTransaction", json!([{ "from": FIRST, "to": contract }])).await;
    let gas = chain.ask("eth_getTransactionByHash", json!([hash])).await["gas"].clone();
    chain.ask("evm_mine", json!([])).await;
    let receipt = chain.ask("eth_getTransactionReceipt", json!([hash])).await;
    let number = |quantity: &Value| u64::from_str_radix(&quantity.as_str().unwrap()[2..], 16).unwrap();
    let (gas, used) = (number(&gas), number(&receipt["gasUsed"]));
    assert_eq!(receipt["status"], "0x1");
    // An estimate is at most 1.5 % above what is used, as geth's.
    assert!(21_000 < used && used <= gas && gas < used + used / 50, "{used} {gas}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_contradicts_itself_is_not_filled_in() {
    let chain = Chain::new(Mining::Manual);
    let request = json!([{ "from": FIRST, "to": RECIPIENT, "data": "0x12", "input": "0x34" }]);
    let error = chain.try_ask("eth_sendTransaction", request).await.unwrap_err();
    assert!(error["message"].as_str().unwrap().starts_with("both \"data\" and \"input\" are set"), "{error}");
}
