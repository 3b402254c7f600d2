//! Calls and traces against the execution-apis suite, through the methods.

use crate::data::{files, first_difference};
use alloy_genesis::Genesis;
use jsonrpsee::RpcModule;
use laminar_executor::{BlockExecutor, Config};
use laminar_fixtures::ChainReader;
use laminar_rpc_shim::{
    api::{Context, Limits, module},
    node::{Delivered, ForkChoice, Node},
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc};

/// The methods on the chain of the suite.
pub(crate) fn suite(files: &BTreeMap<String, Vec<u8>>) -> RpcModule<Context> {
    let genesis: Genesis = serde_json::from_slice(&files["genesis.json"]).unwrap();
    let executor = BlockExecutor::new(Config::default()).unwrap();
    let node = Node::from_genesis(&genesis, Arc::new(executor)).unwrap();
    for block in ChainReader::new("chain.rlp", files["chain.rlp"].as_slice()) {
        let head = node.import(Delivered::new(block.unwrap())).unwrap().hash();
        node.choose(ForkChoice { head, safe: Some(head), finalized: Some(head) }).unwrap();
    }
    module(Context::new(Arc::new(node), Limits::default()))
}

/// What a method answers, without the envelope.
pub(crate) async fn ask(methods: &RpcModule<Context>, method: &str, params: &Value) -> Value {
    let request = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let (answer, _) = methods.raw_json_request(&request.to_string(), 1).await.unwrap();
    bare(&serde_json::from_str(answer.get()).unwrap())
}

/// Result or error, without what error messages say: clients differ in that.
pub(crate) fn bare(answer: &Value) -> Value {
    match answer.get("error") {
        Some(error) => json!({ "error": { "code": error["code"], "data": error["data"] } }),
        None => json!({ "result": answer["result"] }),
    }
}

#[tokio::test]
async fn execution_apis_cases_of_calls_and_traces_are_equal() {
    let Some(files) = files("rpc-compat") else { return };
    let methods = suite(&files);
    let (mut passed, mut failed) = (0, Vec::new());
    for (name, data) in &files {
        let method = name.split('/').next().unwrap();
        let ours = ["eth_call", "eth_estimateGas", "eth_createAccessList", "eth_simulateV1"].contains(&method);
        if !ours && !method.starts_with("debug_") {
            continue;
        }
        let text = String::from_utf8_lossy(data);
        let lines = |prefix| text.lines().filter_map(move |line| line.strip_prefix(prefix));
        for (request, response) in lines(">> ").zip(lines("<< ")) {
            let request: Value = serde_json::from_str(request).unwrap();
            let expected = bare(&serde_json::from_str(response).unwrap());
            let found = ask(&methods, method, &request["params"]).await;
            match first_difference("", &expected, &found) {
                None => passed += 1,
                Some(what) => failed.push(format!("{name}: {what}")),
            }
        }
    }
    assert!(failed.is_empty(), "{passed} passed, {} failed:\n{}", failed.len(), failed.join("\n"));
    assert_eq!(passed, 102);
}
