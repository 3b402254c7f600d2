//! Whatever a client sends, the node answers, and goes on answering: nothing panics, nothing hangs.

use crate::dev::{dev, node_with};
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
use tokio::runtime::Runtime;

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

/// An answer has a result, or an error with a code that is not that of a panic.
fn check(method: &str, params: &Value, answer: &Value) {
    let error = &answer["error"];
    assert!(error.is_object() != answer.get("result").is_some(), "{method} {params}: {answer}");
    if error.is_object() {
        assert!(error["code"].is_i64(), "{method} {params}: {answer}");
        let message = error["message"].as_str().unwrap();
        // What a call that panicked is answered with.
        assert_ne!(message, "the call ended without an answer", "{method} {params}");
    }
}

/// Asks in process; an answer comes in time.
fn answer(runtime: &Runtime, methods: &RpcModule<Context>, method: &str, params: &Value) {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let asked = methods.raw_json_request(&request, 1);
    let answered = runtime.block_on(async { tokio::time::timeout(Duration::from_secs(30), asked).await });
    let (answer, _) = answered.unwrap_or_else(|_| panic!("{method} {params}: no answer")).unwrap();
    check(method, params, &serde_json::from_str(answer.get()).unwrap());
}

/// Methods with one answer: not subscriptions, and not what sends a transaction and waits up to a minute for its block.
fn names(methods: &RpcModule<Context>) -> Vec<&'static str> {
    methods.method_names().filter(|name| !name.ends_with("subscribe") && !name.ends_with("Sync")).collect()
}

#[test]
fn every_method_answers_whatever_its_parameters_are() {
    let runtime = Runtime::new().unwrap();
    let methods = methods();
    let params = prop::collection::vec(value(), 0..5).prop_map(Value::from);
    let mut runner = TestRunner::deterministic();
    for name in names(&methods) {
        for _ in 0..24 {
            answer(&runtime, &methods, name, &params.new_tree(&mut runner).unwrap().current());
        }
    }
}

/// What the fuzz target begins with (`fuzz/fuzz_targets/request.rs`): each file is a method and its parameters.
#[test]
fn every_method_answers_to_the_parameters_of_every_other() {
    let runtime = Runtime::new().unwrap();
    let methods = methods();
    let names = names(&methods);
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/requests");
    for file in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        let (method, params) = text.split_once('\n').unwrap();
        assert!(method.is_empty() || names.contains(&method), "{method} is a method");
        let params = serde_json::from_str(params).unwrap();
        for name in &names {
            answer(&runtime, &methods, name, &params);
        }
    }
}

/// Code that never ends: `JUMPDEST`, `PUSH0`, `JUMP`.
const ENDLESS: &str = "0x5b5f56";

#[test]
fn calls_and_queries_without_end_are_stopped() {
    let runtime = Runtime::new().unwrap();
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
        answer(&runtime, &methods, name, &params);
    }
}

/// `JUMPDEST`, 40 times `PUSH0`, `POP` as often, and again: each step with a stack.
fn deep_stack() -> String {
    format!("0x5b{}{}5f56", "5f".repeat(40), "50".repeat(40))
}

#[test]
fn traces_end_where_they_would_take_too_much_memory() {
    let runtime = Runtime::new().unwrap();
    let dev = dev(Mining::Manual);
    let limits = Limits { call_timeout: Duration::from_secs(120), gas_cap: 0, ..Limits::default() };
    let methods = module(Context::new(Arc::clone(dev.node()), limits).with_dev(dev));
    // `CALL` to nobody with a megabyte of input, and again.
    let inputs = "0x5b5f5f620fffff5f5f5f5af1505f56";
    let table = [
        ("debug_traceCall", json!([{ "data": deep_stack(), "gas": "0xffffffffff" }, "latest", {}])),
        ("debug_traceCall", json!([{ "data": inputs, "gas": "0xffffffffff" }, "latest", { "enableMemory": true }])),
        ("debug_traceCall", json!([{ "data": inputs, "gas": "0xffffffffff" }, "latest", { "tracer": "callTracer" }])),
        ("trace_call", json!([{ "data": deep_stack(), "gas": "0xffffffffff" }, ["vmTrace"], "latest"])),
        ("trace_call", json!([{ "data": inputs, "gas": "0xffffffffff" }, ["trace"], "latest"])),
    ];
    for (name, params) in table {
        let request = json!({ "jsonrpc": "2.0", "id": 1, "method": name, "params": params }).to_string();
        let (answer, _) = runtime.block_on(methods.raw_json_request(&request, 1)).unwrap();
        let answer: Value = serde_json::from_str(answer.get()).unwrap();
        let message = answer["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains("trace too long"), "{name} {params:.200}: {answer:.300}");
    }
}

#[test]
fn controls_take_absurd_values_and_the_chain_goes_on() {
    let runtime = Runtime::new().unwrap();
    let dev = dev(Mining::Auto);
    dev.start().unwrap();
    let limits = Limits { call_timeout: Duration::from_secs(2), ..Limits::default() };
    let methods = module(Context::new(Arc::clone(dev.node()), limits).with_dev(Arc::clone(&dev)));
    let (alice, bob) = ("0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266", "0x70997970c51812dc3a010c7d01b50e0d17dc79c8");
    let (long, most) = (u64::MAX, format!("0x{}", "f".repeat(64)));
    let table = [
        ("evm_increaseTime", json!([long])),
        ("evm_increaseTime", json!([most])),
        ("evm_setTime", json!([long])),
        ("evm_setTime", json!([0])),
        ("evm_setNextBlockTimestamp", json!([0])),
        ("evm_setNextBlockTimestamp", json!([long])),
        ("anvil_setBlockTimestampInterval", json!([long])),
        ("evm_mine", json!([{ "timestamp": long, "blocks": long }])),
        ("anvil_mine", json!([most, most])),
        ("anvil_mine", json!([2, long])),
        ("evm_setIntervalMining", json!([long])),
        ("evm_setIntervalMining", json!([0])),
        ("evm_setBlockGasLimit", json!([0])),
        ("evm_setBlockGasLimit", json!([most])),
        ("anvil_setNextBlockBaseFeePerGas", json!([most])),
        ("anvil_setPrevRandao", json!([most])),
        ("anvil_setBalance", json!([alice, most])),
        ("anvil_addBalance", json!([alice, most])),
        ("anvil_setNonce", json!([bob, long])),
        ("anvil_setCode", json!([bob, format!("0x{}", "fe".repeat(1 << 20))])),
        ("hardhat_setStorageAt", json!([bob, most, most])),
        ("hardhat_setStorageAt", json!([bob, "0x0", "0x1"])),
        ("anvil_rollback", json!([most])),
        ("evm_revert", json!([most])),
        ("debug_setHead", json!(["0xffffffffffffffff"])),
        ("eth_sendTransaction", json!([{ "from": bob, "to": alice }])),
        ("eth_sendTransaction", json!([{ "from": alice, "to": bob, "gas": most, "gasPrice": most, "value": most }])),
        ("eth_simulateV1", json!([{ "blockStateCalls": vec![json!({}); 1000] }, "latest"])),
        ("eth_simulateV1", json!([{ "blockStateCalls": [{ "blockOverrides": { "number": most, "time": most } }] }])),
        ("eth_feeHistory", json!([long, "latest", vec![50.0; 10_000]])),
        ("eth_getProof", json!([alice, vec!["0x1"; 20_000], "latest"])),
    ];
    for (name, params) in table {
        answer(&runtime, &methods, name, &params);
        answer(&runtime, &methods, "evm_mine", &json!([]));
    }
    // A gas limit and a base fee that a transaction can meet.
    let mut heads = dev.node().subscribe_heads();
    dev.set_gas_limit(30_000_000).unwrap();
    dev.set_next_base_fee(7).unwrap();
    dev.set_mining(Mining::Auto);
    answer(&runtime, &methods, "eth_sendTransaction", &json!([{ "from": alice, "to": alice, "gas": "0x5208" }]));
    while heads.blocking_recv().unwrap().added.iter().all(|block| block.body.transactions.is_empty()) {}
}

#[test]
fn the_server_answers_whatever_bytes_come() {
    let runtime = Runtime::new().unwrap();
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
