//! A followed node as a consensus client meets it: tokens, a block that is built and delivered, slow ones and refused ones.

use crate::command::laminar;
use alloy_consensus::TxEip1559;
use alloy_eips::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256};
use alloy_rpc_types_engine::{Claims, ExecutionPayloadV1, ExecutionPayloadV3, JwtSecret};
use laminar_fixtures::{Transaction, wallet::Wallet};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStderr, Command, Stdio},
};
use tempfile::TempDir;

const CHAIN_ID: u64 = 4711;
const BEACON_ROOT: B256 = B256::repeat_byte(8);

fn wallet() -> Wallet {
    Wallet::derive(5, 0)
}

/// A chain on which Cancun is active from genesis on.
fn genesis() -> Value {
    json!({
        "config": {
            "chainId": CHAIN_ID, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0, "byzantiumBlock": 0,
            "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0, "berlinBlock": 0, "londonBlock": 0,
            "terminalTotalDifficulty": 0, "shanghaiTime": 0, "cancunTime": 0,
            "blobSchedule": { "cancun": { "target": 3, "max": 6, "baseFeeUpdateFraction": 3_338_477 } },
        },
        "difficulty": "0x0", "gasLimit": "0x1c9c380", "baseFeePerGas": "0x7", "timestamp": "0x0", "extraData": "0x",
        "alloc": { wallet().address().to_string(): { "balance": "0xde0b6b3a7640000" } },
    })
}

fn transfer(nonce: u64) -> Transaction {
    wallet().sign(TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 1_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        to: TxKind::Call(Address::repeat_byte(0x77)),
        value: U256::from(5),
        ..TxEip1559::default()
    })
}

/// A node with its folder; it is killed with this value.
struct Node {
    process: Child,
    url: String,
    /// None if nobody reads it any more.
    log: Option<BufReader<ChildStderr>>,
    folder: TempDir,
}

impl Node {
    fn start(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("genesis.json"), genesis().to_string()).unwrap();
        let (process, url, log) = spawn(folder.path(), args);
        Self { process, url, log: Some(log), folder }
    }

    /// Kills it without a warning and starts it again on its folder.
    fn restart(&mut self, args: &[&str]) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        let (process, url, log) = spawn(self.folder.path(), args);
        (self.process, self.url, self.log) = (process, url, Some(log));
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn secret(&self) -> JwtSecret {
        JwtSecret::from_hex(fs::read_to_string(self.path("data/jwt.hex")).unwrap()).unwrap()
    }

    /// Status and body of the answer.
    fn post(&self, token: Option<&str>, body: &str) -> (u16, String) {
        let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().new_agent();
        let mut request = agent.post(&self.url).content_type("application/json");
        if let Some(token) = token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let mut response = request.send(body).unwrap();
        (response.status().as_u16(), response.body_mut().read_to_string().unwrap())
    }

    fn call(&self, method: &str, params: Value) -> Value {
        let token = self.secret().encode(&Claims::with_current_timestamp()).unwrap();
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let (status, body) = self.post(Some(&token), &body);
        let mut answer: Value = serde_json::from_str(&body).unwrap();
        assert!(status == 200 && answer["error"].is_null(), "{method}: {answer}");
        answer["result"].take()
    }

    /// Makes a block the head; the id of the payload that is built on it.
    fn choose(&self, head: &Value, timestamp: u64) -> Value {
        let state = json!({ "headBlockHash": head, "safeBlockHash": B256::ZERO, "finalizedBlockHash": B256::ZERO });
        let attributes = json!({
            "timestamp": format!("{timestamp:#x}"), "prevRandao": B256::repeat_byte(9), "withdrawals": [],
            "suggestedFeeRecipient": Address::repeat_byte(0xfe), "parentBeaconBlockRoot": BEACON_ROOT,
        });
        let updated = self.call("engine_forkchoiceUpdatedV3", json!([state, attributes]));
        assert_eq!(updated["payloadStatus"]["status"], "VALID");
        updated["payloadId"].clone()
    }

    /// A payload with one transfer on the genesis.
    fn build(&self) -> Value {
        let sent = Bytes::from(transfer(0).encoded_2718());
        self.call("eth_sendRawTransaction", json!([sent]));
        let genesis = self.call("eth_getBlockByNumber", json!(["0x0", false]));
        let id = self.choose(&genesis["hash"], 12);
        let built = self.call("engine_getPayloadV3", json!([id]));
        assert_eq!(built["executionPayload"]["transactions"], json!([sent]));
        built["executionPayload"].clone()
    }

    fn deliver(&self, payload: &Value) -> Value {
        self.call("engine_newPayloadV3", json!([payload, [], BEACON_ROOT]))
    }

    /// The next line of the log that holds `part`.
    fn line(&mut self, part: &str) -> String {
        let mut line = String::new();
        while !line.contains(part) {
            line.clear();
            let log = self.log.as_mut().expect("somebody reads the log");
            assert!(log.read_line(&mut line).unwrap() > 0, "the log ended");
        }
        line
    }
}

fn spawn(folder: &Path, args: &[&str]) -> (Child, String, BufReader<ChildStderr>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_laminar"));
    command.args(["node", "--authrpc.port", "0", "--ipcdisable", "--threads", "2", "--log.format", "json", "--chain"]);
    command.arg(folder.join("genesis.json")).arg("--datadir").arg(folder.join("data"));
    let mut process = command.args(args).stderr(Stdio::piped()).spawn().unwrap();
    let mut log = BufReader::new(process.stderr.take().unwrap());
    let address = loop {
        let mut line = String::new();
        assert!(log.read_line(&mut line).unwrap() > 0, "the node ended: {args:?}");
        if let Some(address) = line.trim_end().strip_prefix("Engine API on ") {
            break address.to_owned();
        }
    };
    (process, format!("http://{address}"), log)
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn whoever_does_not_know_the_secret_gets_401_and_nothing_else() {
    let node = Node::start(&[]);
    let file = node.path("data/jwt.hex");
    assert_eq!(fs::read_to_string(&file).unwrap().trim().len(), 64);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    }
    let now = Claims::with_current_timestamp();
    let old = Claims { iat: now.iat - 120, exp: None };
    let (stranger, late) = (JwtSecret::random().encode(&now), node.secret().encode(&old));
    let tokens = [None, Some("x".to_owned()), Some(stranger.unwrap()), Some(late.unwrap())];
    let body = r#"{"jsonrpc":"2.0","id":1,"method":"engine_exchangeCapabilities","params":[[]]}"#;
    for token in tokens {
        assert_eq!(node.post(token.as_deref(), body), (401, String::new()), "{token:?}");
    }
    let names = node.call("engine_exchangeCapabilities", json!([["engine_newPayloadV4"]]));
    assert!(names.as_array().unwrap().contains(&json!("engine_newPayloadV4")), "{names}");
}

#[test]
fn a_block_is_built_delivered_chosen_and_there_after_a_kill() {
    let mut node = Node::start(&["--engine.slow-block-threshold", "0"]);
    let payload = node.build();
    let hash = payload["blockHash"].clone();
    assert_eq!(node.deliver(&payload)["status"], "VALID");
    let event: Value = serde_json::from_str(&node.line("Slow block")).unwrap();
    let line: Value = serde_json::from_str(event["message"].as_str().unwrap()).unwrap();
    assert_eq!((&event["level"], &line["level"], &line["msg"]), (&json!("WARN"), &json!("warn"), &json!("Slow block")));
    let block = json!({ "number": 1, "hash": hash, "gas_used": 21_000, "tx_count": 1 });
    assert_eq!(line["block"], block);
    assert_eq!((&line["state_writes"]["accounts"], &line["state_writes"]["code"]), (&json!(3), &json!(0)), "{line}");
    assert_eq!(line["parallel"]["adopted"], 1, "simulated in the pool: {line}");
    for (group, name) in [
        ("timing", "execution_ms"),
        ("timing", "state_read_ms"),
        ("timing", "state_hash_ms"),
        ("timing", "commit_ms"),
        ("timing", "total_ms"),
        ("throughput", "mgas_per_sec"),
        ("state_reads", "code_bytes"),
        ("state_writes", "eip7702_delegations_cleared"),
    ] {
        assert!(line[group][name].is_number(), "{group}.{name}: {line}");
    }
    node.choose(&hash, 24);
    assert_eq!(node.call("eth_blockNumber", json!([])), "0x1");
    node.restart(&[]);
    assert_eq!(node.call("eth_getBlockByNumber", json!(["latest", false]))["hash"], hash);
    assert_eq!(node.deliver(&payload)["status"], "VALID");
}

/// What is changed in a payload.
type Change = fn(&mut ExecutionPayloadV3);

#[test]
fn refused_payloads_are_kept_and_replay_refuses_them_for_the_same_reason() {
    let folder = tempfile::tempdir().unwrap();
    let dumps = folder.path().join("made/if/missing");
    let node = Node::start(&["--debug.invalid-blocks", dumps.to_str().unwrap()]);
    let elsewhere = Node::start(&[]);
    let payload: ExecutionPayloadV3 = serde_json::from_value(node.build()).unwrap();
    let cases: [(Change, &str); 5] = [
        (|payload| first(payload).state_root = B256::ZERO, "BlockException.INVALID_STATE_ROOT"),
        (|payload| first(payload).gas_used += 1, "BlockException.INVALID_GAS_USED"),
        (|payload| first(payload).gas_limit *= 2, "BlockException.INVALID_GASLIMIT"),
        (|payload| first(payload).receipts_root = B256::ZERO, "BlockException.INVALID_RECEIPTS_ROOT"),
        (
            |payload| first(payload).transactions.push(transfer(7).encoded_2718().into()),
            "TransactionException.NONCE_MISMATCH_TOO_HIGH",
        ),
    ];
    for (number, (change, rule)) in cases.into_iter().enumerate() {
        let mut payload = payload.clone();
        change(&mut payload);
        seal(&mut payload);
        let hash = first(&mut payload).block_hash;
        let status = node.deliver(&serde_json::to_value(&payload).unwrap());
        assert_eq!(status["status"], "INVALID", "{rule}: {status}");
        assert_eq!(fs::read_dir(&dumps).unwrap().count(), number + 1, "{rule}");
        let dump = dumps.join(format!("1-{hash}"));
        let why: Value = serde_json::from_str(&fs::read_to_string(dump.join("why.txt")).unwrap()).unwrap();
        assert_eq!((&why["rule"], &why["error"]), (&json!(rule), &status["validationError"]));
        let genesis = node.path("genesis.json");
        let replayed = laminar(["replay".as_ref(), "--chain".as_ref(), genesis.as_os_str(), dump.as_os_str()]);
        let (_, reason) = why["error"].as_str().unwrap().split_once(": ").unwrap();
        replayed.check(1, &[reason]);
    }
    // What was delivered once more is not kept once more, and a payload with another hash than it says is no block.
    let mut again = payload.clone();
    first(&mut again).state_root = B256::ZERO;
    assert_eq!(node.deliver(&serde_json::to_value(&again).unwrap())["status"], "INVALID");
    seal(&mut again);
    assert_eq!(node.deliver(&serde_json::to_value(&again).unwrap())["status"], "INVALID");
    assert_eq!(fs::read_dir(&dumps).unwrap().count(), 5);
    assert_eq!(node.deliver(&serde_json::to_value(&payload).unwrap())["status"], "VALID");
    // A node that is told no folder keeps them in its own.
    assert_eq!(elsewhere.deliver(&serde_json::to_value(&again).unwrap())["status"], "INVALID");
    let dump = format!("data/invalid-blocks/1-{}", first(&mut again).block_hash);
    assert!(elsewhere.path(&dump).join("why.txt").is_file());
}

fn first(payload: &mut ExecutionPayloadV3) -> &mut ExecutionPayloadV1 {
    &mut payload.payload_inner.payload_inner
}

/// Gives the payload the hash of its block.
fn seal(payload: &mut ExecutionPayloadV3) {
    let mut header = payload.clone().into_block_raw().unwrap().header;
    header.parent_beacon_block_root = Some(BEACON_ROOT);
    first(payload).block_hash = header.hash_slow();
}

#[test]
fn nobody_has_to_read_the_log() {
    // What a pipe holds is written after a few calls at this level.
    let mut node = Node::start(&["-vv"]);
    let payload = node.build();
    assert_eq!(node.deliver(&payload)["status"], "VALID");
    let follow = |node: &Node| {
        for _ in 0..300 {
            assert_eq!(node.deliver(&payload)["status"], "VALID");
            node.choose(&payload["blockHash"], 24);
        }
    };
    follow(&node);
    node.log = None;
    follow(&node);
    assert!(node.process.try_wait().unwrap().is_none(), "it runs on");
}

/// What every thread of the name does when others want its core: 0 shares (`SCHED_OTHER`), 5 gives way (`SCHED_IDLE`).
#[cfg(target_os = "linux")]
fn policies(node: &Node, name: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{}/task", node.process.id())).unwrap();
    let stats = threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("stat")).unwrap());
    // proc(5): the second field is the name in brackets, the forty-first the policy.
    stats
        .filter(|stat| stat.contains(&format!("({name})")))
        .map(|stat| stat[stat.rfind(')').unwrap()..].split(' ').nth(39).unwrap().to_owned())
        .collect()
}

#[cfg(target_os = "linux")]
#[test]
fn threads_of_public_ports_give_way_and_those_that_follow_the_chain_do_not() {
    let node = Node::start(&["--http", "--http.port", "0"]);
    // Its thread starts with the first call, whoever makes that.
    node.call("eth_call", json!([{ "to": Address::ZERO }, "latest"]));
    for (name, policy) in
        [("laminar-rpc", "5"), ("laminar-call", "5"), ("laminar-authrpc", "0"), ("laminar-engine", "0")]
    {
        let found = policies(&node, name);
        assert!(!found.is_empty() && found.iter().all(|found| found == policy), "{name}: {found:?}");
    }
}
