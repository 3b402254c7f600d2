//! A running node as operators meet it: flags from a file, IPC, metrics, the log, and clients that mean harm.

use crate::command::laminar;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Child, ChildStderr, Command, Stdio},
};

/// A development node; it is killed with this value.
struct Node {
    process: Child,
    address: SocketAddr,
    log: BufReader<ChildStderr>,
}

impl Node {
    fn start(args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_laminar"));
        command.args(["node", "--http.port", "0", "--threads", "1"]).args(args).stderr(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let address = loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "the node ended: {args:?}");
            if let Some(address) = line.trim_end().strip_prefix("Listening on ") {
                break address.parse().unwrap();
            }
        };
        Self { process, address, log }
    }

    fn dev(args: &[&str]) -> Self {
        Self::start(&[&["--dev", "--ipcdisable"], args].concat())
    }

    /// Status and body of what raw bytes are answered with, up to where the server ends the connection.
    fn raw(&self, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    fn post(&self, headers: &str, body: &str) -> (u16, String) {
        let len = body.len();
        self.raw(&format!(
            "POST / HTTP/1.1\r\ncontent-type: application/json\r\ncontent-length: {len}\r\nconnection: close\r\n{headers}\r\n{body}"
        ))
    }

    fn call(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
        let (status, body) = self.post("host: localhost\r\n", &body);
        assert_eq!(status, 200, "{body}");
        let mut answer: Value = serde_json::from_str(&body).unwrap();
        assert!(answer["error"].is_null(), "{answer}");
        answer["result"].take()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn file(folder: &Path, text: &str) -> String {
    let path = folder.join("node.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

#[test]
fn flags_come_from_a_file_and_the_command_line_wins() {
    let folder = tempfile::tempdir().unwrap();
    let config = file(folder.path(), "dev = true\nipcdisable = true\nchain-id = 99\n\"http.port\" = 1\n");
    assert_eq!(Node::start(&["--config", &config]).call("eth_chainId", json!([])), "0x63");
    assert_eq!(Node::start(&["--config", &config, "--chain-id", "7"]).call("eth_chainId", json!([])), "0x7");
    let config = file(folder.path(), "dev = true\nnonsense = 1\n");
    laminar(["node", "--config", &config]).check(2, &["node.toml", "nonsense"]);
    laminar(["node", "--config", "/nowhere.toml"]).check(2, &["/nowhere.toml"]);
}

#[test]
fn a_development_chain_starts_as_told_and_keeps_its_accounts_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("state.json");
    let state = path.to_str().unwrap();
    let args = ["--state", state, "--balance", "7", "--accounts", "1", "--hardfork", "cancun", "--timestamp", "5000"];
    let mut node = Node::dev(&[&args[..], &["--base-fee", "100", "--auto-impersonate"]].concat());
    let to = "0x00000000000000000000000000000000000000aa";
    let ether = |count: u64| json!(format!("{:#x}", u128::from(count) * 1_000_000_000_000_000_000));
    let accounts = node.call("eth_accounts", json!([]));
    assert_eq!(accounts.as_array().unwrap().len(), 1);
    assert_eq!(node.call("eth_getBalance", json!([accounts[0], "latest"])), ether(7));
    let genesis = node.call("eth_getBlockByNumber", json!(["0x0", false]));
    assert_eq!((&genesis["timestamp"], &genesis["baseFeePerGas"]), (&json!("0x1388"), &json!("0x64")));
    assert!(genesis["parentBeaconBlockRoot"].is_string() && genesis["requestsHash"].is_null(), "Cancun: {genesis}");
    node.call("anvil_setBalance", json!([to, ether(5)]));
    let sent = node.call("eth_sendTransaction", json!([{ "from": to, "to": accounts[0], "value": ether(1) }]));
    while node.call("eth_getTransactionReceipt", json!([sent])).is_null() {}
    let head = node.call("eth_getBlockByNumber", json!(["latest", false]));
    let time = u64::from_str_radix(&head["timestamp"].as_str().unwrap()[2..], 16).unwrap();
    assert!((5000..6000).contains(&time), "{time}");

    assert!(Command::new("kill").arg(node.process.id().to_string()).status().unwrap().success());
    assert!(node.process.wait().unwrap().success());
    let again = Node::dev(&["--state", state]);
    assert_eq!(again.call("eth_getBalance", json!([accounts[0], "latest"])), ether(8));
    let wrong = file(folder.path(), "[]");
    let refused = ["node", "--dev", "--ipcdisable", "--http.port", "0", "--load-state", &wrong];
    laminar(refused).check(2, &["node.toml", "invalid state"]);
}

#[test]
fn what_cannot_be_started_says_what_to_do() {
    laminar(["node"]).check(2, &["--dev", "--chain", "--datadir"]);
    let node = Node::dev(&[]);
    let port = node.address.port().to_string();
    laminar(["node", "--dev", "--ipcdisable", "-p", &port]).check(2, &["--http.port", &port]);
    let folder = tempfile::tempdir().unwrap();
    for (genesis, what) in
        [("{", "EOF"), ("{}", "gasLimit"), (r#"{"config":{"chainId":1},"alloc":{"zz":{}}}"#, "line 1")]
    {
        let path = file(folder.path(), genesis);
        laminar(["node", "--chain", &path]).check(2, &["node.toml", "genesis", what]);
    }
    laminar(["node", "--chain", "/no/such.json"]).check(2, &["/no/such.json", "no such file"]);
}

#[test]
fn metrics_tell_of_blocks_calls_and_pool() {
    let port = free_port();
    let node = Node::dev(&["--metrics", &format!("127.0.0.1:{port}")]);
    node.call("evm_mine", json!([]));
    let from = node.call("eth_accounts", json!([]))[0].clone();
    let sent = node.call("eth_sendTransaction", json!([{ "from": from, "to": from, "value": "0x1" }]));
    while node.call("eth_getTransactionReceipt", json!([sent])).is_null() {}
    let scrape = || {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
        stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    };
    let lines = [
        "laminar_head_number 2",
        "laminar_transactions_executed_total 1",
        "laminar_block_stage_seconds_count{stage=\"build\"} 2",
        "laminar_rpc_call_seconds_count{method=\"evm_mine\"} 1",
        "laminar_pool_transactions{state=\"pending\"} 0",
    ];
    // The pool, and the thread that follows the head, may be a moment behind.
    let told = |text: &String| lines.iter().all(|line| text.contains(line));
    let text = std::iter::repeat_with(scrape).take(10_000).find(told).unwrap_or_else(scrape);
    for line in lines {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    // What happens once in a while: a reorganisation, a call that fails.
    node.call("anvil_reorg", json!([1, []]));
    node.post("host: localhost\r\n", r#"{"jsonrpc":"2.0","id":1,"method":"eth_nonsense"}"#);
    let dashboard = include_str!("../../../docs/grafana/laminar.json");
    let is_name = |part: &str| part.starts_with("laminar_") && part.len() > "laminar_".len();
    let names = dashboard.split(|at: char| !at.is_ascii_alphanumeric() && at != '_').filter(|part| is_name(part));
    let names: std::collections::BTreeSet<_> = names.collect();
    assert!(names.len() > 10, "{names:?}");
    let lacks = |text: &String| names.iter().copied().filter(|name| !text.contains(name)).collect::<Vec<_>>();
    let text = std::iter::repeat_with(scrape).take(10_000).find(|text| lacks(text).is_empty()).unwrap_or_else(scrape);
    assert_eq!(lacks(&text), [""; 0], "each metric of the dashboard is there");
    let taken =
        laminar(["node", "--dev", "--ipcdisable", "--http.port", "0", "--metrics", &format!("127.0.0.1:{port}")]);
    taken.check(2, &["metrics", &port.to_string()]);
}

#[test]
fn the_log_is_lines_of_json_if_asked_for() {
    let mut node = Node::dev(&["-v", "--log.format", "json"]);
    node.call("evm_mine", json!([]));
    let mut line = String::new();
    while !line.contains("new block") {
        line.clear();
        assert!(node.log.read_line(&mut line).unwrap() > 0);
    }
    let event: Value = serde_json::from_str(&line).unwrap();
    assert_eq!(
        (&event["level"], &event["message"], &event["number"]),
        (&json!("INFO"), &json!("new block"), &json!(1))
    );
}

#[cfg(unix)]
#[test]
fn ipc_is_served_where_asked_and_gone_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("node.ipc");
    let mut node = Node::start(&["--dev", "--ipcpath", path.to_str().unwrap()]);
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    stream.write_all(br#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#).unwrap();
    let mut answer = String::new();
    BufReader::new(&stream).read_line(&mut answer).unwrap();
    assert!(answer.contains("0x7a69"), "{answer}");
    let second = laminar(["node", "--dev", "--http.port", "0", "--ipcpath", path.to_str().unwrap()]);
    second.check(2, &["IPC", "another process"]);
    assert!(Command::new("kill").arg(node.process.id().to_string()).status().unwrap().success());
    assert!(node.process.wait().unwrap().success());
    assert!(!path.exists());
}

#[test]
fn a_node_full_of_idle_and_broken_clients_keeps_answering() {
    let node = Node::dev(&["--rpc.max-connections", "1200", "--rpc.max-request-size", "1"]);
    let mut held = Vec::new();
    for at in 0..800 {
        let mut stream = TcpStream::connect(node.address).unwrap();
        // Nothing; half a header; a header and half a body; a body that trickles.
        let sent = ["", "POST / HT", "POST / HTTP/1.1\r\ncontent-length: 100\r\n\r\n{", "\0\0\0\0"][at % 4];
        // The server may hang up on what is no HTTP.
        let _ = stream.write_all(sent.as_bytes());
        held.push(stream);
    }
    let call = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId"}"#;
    let host = "host: localhost\r\n";
    for (headers, body, status) in [
        (host, call.to_owned(), 200),
        ("host: evil.example\r\n", call.to_owned(), 403),
        (host, "[".repeat(500_000), 200),
        (host, "{".to_owned(), 200),
        (host, format!("[{}]", [call; 1001].join(",")), 200),
    ] {
        let (found, answer) = node.post(headers, &body);
        assert_eq!(found, status, "{} bytes: {answer}", body.len());
        assert_eq!(answer.contains("0x7a69"), status == 200 && body == call, "{answer}");
    }
    // What is too long is refused by its header: who sends all of it may be hung up on before it has read the answer.
    let long = "POST / HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: 2097152\r\nconnection: close\r\n\r\n";
    assert_eq!(node.raw(long).0, 413);
    let upgrade = "GET / HTTP/1.1\r\nhost: localhost\r\nupgrade: websocket\r\nconnection: upgrade, close\r\n\
        sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\norigin: https://evil.example\r\n\r\n";
    let closed = Node::dev(&["--http.corsdomain", "https://good.example"]);
    assert_eq!(closed.raw(upgrade).0, 403);
    for _ in 0..20 {
        node.call("evm_mine", json!([]));
    }
    assert_eq!(node.call("eth_blockNumber", json!([])), "0x14");
    drop(held);
    assert_eq!(node.call("eth_chainId", json!([])), "0x7a69");
}

#[test]
fn shells_and_readers_are_told_of_every_flag() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = laminar(["completions", shell]);
        assert!(ran.code == 0 && ran.out.contains("rpc.max-connections"), "{shell}");
    }
    assert!(laminar(["man"]).out.starts_with(".ie"));
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(laminar(["man", "--out", folder.path().to_str().unwrap()]).code, 0);
    assert!(std::fs::read_to_string(folder.path().join("laminar-node.1")).unwrap().contains("gascap"));
}
