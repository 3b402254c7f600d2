//! Whatever a client sends, the node answers, and goes on answering: nothing panics, nothing hangs.

use crate::dev::node_with;
use jsonrpsee::RpcModule;
use laminar_executor::Predict;
use laminar_rpc_shim::{
    api::{Context, Limits, module},
    dev::{Dev, Mining, Options},
    server::{Settings, serve},
};
use proptest::{prelude::*, strategy::ValueTree, test_runner::TestRunner};
use serde_json::{Value, json};
use std::{sync::Arc, time::Duration};

fn methods() -> RpcModule<Context> {
    let node = node_with(Predict::None);
    let dev = Dev::new(Arc::clone(&node), Options { mining: Mining::Manual, ..Options::default() }).unwrap();
    dev.mine().unwrap();
    // Short, so that a call that would run for ever ends soon.
    let limits = Limits { call_timeout: Duration::from_millis(300), ..Limits::default() };
    module(Context::new(node, limits).with_dev(Arc::new(dev)))
}

/// Values that parameters have, should not have, and almost have.
fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just("latest".to_owned()),
        Just("pending".to_owned()),
        Just("0x".to_owned()),
        Just("0x0".to_owned()),
        Just("-0x1".to_owned()),
        Just("0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266".to_owned()),
        Just("0x01".repeat(40)),
        Just("9".repeat(400)),
        "0x[0-9a-f]{0,70}",
        ".{0,12}",
        (1_usize..5000).prop_map(|len| format!("0x{}", "f".repeat(len))),
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        text.prop_map(Value::from),
    ];
    let keys =
        ["from", "to", "gas", "data", "value", "fromBlock", "toBlock", "address", "topics", "tracer", "blockHash", "x"];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::vec((prop::sample::select(keys.to_vec()), inner), 0..5)
                .prop_map(|fields| fields.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

/// An answer has a result, or an error with a code and words that are not those of a panic.
fn check(method: &str, params: &Value, answer: &Value) {
    let error = &answer["error"];
    assert!(error.is_object() != answer.get("result").is_some(), "{method} {params}: {answer}");
    if error.is_object() {
        assert!(error["code"].is_i64(), "{method} {params}: {answer}");
        let message = error["message"].as_str().unwrap();
        assert!(!message.contains("panic"), "{method} {params}: {answer}");
    }
}

#[test]
fn every_method_answers_whatever_its_parameters_are() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let methods = methods();
    // Subscriptions have no one answer, and what sends and waits for a block waits up to a minute.
    let is_asked = |name: &&str| !name.ends_with("subscribe") && !name.ends_with("Sync");
    let names: Vec<&str> = methods.method_names().filter(is_asked).collect();
    let params = prop::collection::vec(value(), 0..5).prop_map(Value::from);
    let mut runner = TestRunner::deterministic();
    for name in &names {
        for _ in 0..24 {
            let params = params.new_tree(&mut runner).unwrap().current();
            let request = json!({ "jsonrpc": "2.0", "id": 1, "method": name, "params": params });
            let request = request.to_string();
            let asked = methods.raw_json_request(&request, 1);
            let answered = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), asked).await });
            let (answer, _) = answered.unwrap_or_else(|_| panic!("{name} {params}: no answer")).unwrap();
            check(name, &params, &serde_json::from_str(answer.get()).unwrap());
        }
    }
}

/// Code that never ends: `JUMPDEST`, `PUSH0`, `JUMP`.
const ENDLESS: &str = "0x5b5f56";

#[test]
fn calls_and_queries_without_end_are_stopped() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let methods = methods();
    let endless = json!({ "data": ENDLESS, "gas": "0xffffffffffffffff" });
    let many: Vec<Value> = vec![endless.clone(); 200];
    let table = [
        ("eth_call", json!([endless, "latest"])),
        ("eth_estimateGas", json!([endless, "latest"])),
        ("eth_createAccessList", json!([endless, "latest"])),
        ("debug_traceCall", json!([endless, "latest", { "tracer": "callTracer" }])),
        ("eth_callMany", json!([[{ "transactions": many }]])),
        ("eth_simulateV1", json!([{ "blockStateCalls": [{ "calls": many }] }, "latest"])),
        ("eth_getLogs", json!([{ "fromBlock": "0x0", "toBlock": "0xffffffffffffffff" }])),
        ("eth_feeHistory", json!(["0xffffffffffffffff", "latest", []])),
        ("trace_filter", json!([{ "fromBlock": "0x0", "toBlock": "0xffffffffffffffff" }])),
        ("anvil_mine", json!(["0xffffffffffffffff", "0xffffffffffffffff"])),
        ("ots_searchTransactionsBefore", json!(["0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266", 0, u64::MAX])),
        ("anvil_reorg", json!(["0xffffffffffffffff", []])),
    ];
    for (name, params) in table {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": name, "params": params });
        let request = request.to_string();
        let asked = methods.raw_json_request(&request, 1);
        let answered = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), asked).await });
        let (answer, _) = answered.unwrap_or_else(|_| panic!("{name}: no answer")).unwrap();
        check(name, &Value::Null, &serde_json::from_str(answer.get()).unwrap());
    }
}

#[test]
fn the_server_answers_whatever_bytes_come() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let settings = Settings::on(([127, 0, 0, 1], 0).into());
    let (handle, address) = runtime.block_on(serve(&settings, methods().into())).unwrap();
    let agent = ureq::Agent::config_builder().http_status_as_error(false).timeout_global(Some(Duration::from_secs(30)));
    let agent = agent.build().new_agent();
    let url = format!("http://{address}");
    let post = |body: &[u8]| {
        let mut response = agent.post(&url).content_type("application/json").send(body).unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    };
    let code = |body: &[u8]| {
        let (_, answer) = post(body);
        serde_json::from_str::<Value>(&answer).unwrap_or_default()["error"]["code"].as_i64()
    };
    let call = |method: &str| json!({ "jsonrpc": "2.0", "id": 1, "method": method }).to_string();
    assert_eq!(code(b"{"), Some(-32700));
    assert_eq!(code(b"\xff\xfe\x00"), Some(-32700));
    assert_eq!(code("[".repeat(100_000).as_bytes()), Some(-32700));
    assert_eq!(code(call("eth_noSuchMethod").as_bytes()), Some(-32601));
    let deep = format!("{}{}", "[".repeat(120), "]".repeat(120));
    let nested = format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_call\",\"params\":[{deep}]}}");
    assert_eq!(code(nested.as_bytes()), Some(-32602));
    let batch = |len| format!("[{}]", vec![call("eth_chainId"); len].join(","));
    assert_eq!(post(batch(1000).as_bytes()).1.matches("0x7a69").count(), 1000);
    assert!(!post(batch(1001).as_bytes()).1.contains("0x7a69"));
    let long =
        format!("{{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_getBalance\",\"params\":[{}]}}", "9".repeat(1 << 20));
    assert!(matches!(code(long.as_bytes()), Some(-32602 | -32700)));
    // Refused before it is read to its end, so that sending it may fail.
    let too_long = vec![b' '; settings.request_len_max as usize + 1];
    let refused = agent.post(&url).content_type("application/json").send(&too_long);
    assert!(refused.is_err() || refused.is_ok_and(|response| response.status() == 413));
    let mut runner = TestRunner::deterministic();
    for _ in 0..200 {
        let bytes = prop::collection::vec(any::<u8>(), 0..300).new_tree(&mut runner).unwrap().current();
        post(&bytes);
    }
    assert!(post(call("eth_chainId").as_bytes()).1.contains("0x7a69"), "still there");
    let _ = handle.stop();
}
