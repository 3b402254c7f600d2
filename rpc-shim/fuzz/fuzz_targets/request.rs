//! Any bytes as a JSON-RPC request to a node: it answers, with a result or an error of its own, and never panics (on whatever thread:
//! the fuzzer's hook ends the process).
//!
//! `cargo +nightly fuzz run request fuzz/corpus/request tests/requests` in `rpc-shim/`. The first line names a method, so that the
//! fuzzer gets past the envelope, and what follows are its parameters; where that line is empty, what follows is the whole request.

#![no_main]

use alloy_primitives::U256;
use jsonrpsee::RpcModule;
use laminar_executor::{BlockExecutor, Config};
use laminar_rpc_shim::{
    api::{Context, Limits, module},
    dev::{self, Dev, Keys, Mining, Options},
    node::Node,
};
use serde_json::Value;
use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};
use tokio::runtime::{Builder, Runtime};

/// Names of methods in order, methods, and what drives them.
struct Target {
    names: Vec<&'static str>,
    methods: RpcModule<Context>,
    runtime: Runtime,
}

/// Methods that wait for what does not come, give more than one answer, or write for as long as they are told to.
fn is_left_out(name: &str) -> bool {
    name.ends_with("subscribe") || name.ends_with("Sync") || name.contains("mine") || name.contains("reorg")
}

impl Target {
    fn new() -> Self {
        let keys = Keys::of_mnemonic(dev::MNEMONIC, 3);
        let genesis = dev::genesis(dev::CHAIN_ID, keys.addresses(), U256::from(dev::BALANCE_WEI));
        let executor = BlockExecutor::new(Config::default()).expect("threads can be started");
        let node = Arc::new(Node::from_genesis(&genesis, Arc::new(executor)).expect("the genesis is a chain"));
        let options = Options { mining: Mining::Manual, accounts: 3, ..Options::default() };
        let dev = Arc::new(Dev::new(Arc::clone(&node), options).expect("the node has its head"));
        dev.start().expect("threads can be started");
        dev.mine().expect("an empty block can be mined");
        // Short, so that a call that would run for ever ends soon.
        let limits = Limits { call_timeout: Duration::from_millis(100), gas_cap: 1_000_000, ..Limits::default() };
        let methods = module(Context::new(node, limits).with_dev(dev));
        let mut names: Vec<_> = methods.method_names().filter(|name| !is_left_out(name)).collect();
        names.sort_unstable();
        Self { names, methods, runtime: Builder::new_current_thread().enable_all().build().expect("a runtime") }
    }

    /// The method of a line; a line that names none stands for some method, so that a changed byte chooses another.
    fn name(&self, line: &str) -> &'static str {
        let some = line.bytes().fold(0_usize, |sum, byte| sum.wrapping_mul(31).wrapping_add(usize::from(byte)));
        let at = self.names.binary_search(&line).unwrap_or(some % self.names.len());
        self.names[at]
    }

    /// The request that an input means, if it may be asked.
    fn request(&self, input: &str) -> Option<String> {
        let (line, rest) = input.split_once('\n')?;
        if line.is_empty() {
            let request: Value = serde_json::from_str(rest).unwrap_or_default();
            return (!is_left_out(request["method"].as_str().unwrap_or_default())).then(|| rest.to_owned());
        }
        Some(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{}","params":{rest}}}"#, self.name(line)))
    }
}

libfuzzer_sys::fuzz_target!(|input: &str| {
    static TARGET: OnceLock<Target> = OnceLock::new();
    let target = TARGET.get_or_init(Target::new);
    let Some(request) = target.request(input) else { return };
    let asked = target.methods.raw_json_request(&request, 1);
    let answered = target.runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), asked).await });
    let Ok((answer, _)) = answered.expect("an answer comes in time") else { return };
    let answer: Value = serde_json::from_str(answer.get()).expect("an answer is JSON");
    assert!(answer["error"].is_object() != answer.get("result").is_some(), "{request}: {answer}");
});
