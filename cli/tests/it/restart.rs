//! A development chain in a folder, whose process is killed while it mines.

use super::{command::laminar, samples::Scratch};
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

/// The first two of the accounts that every development chain has.
const ALICE: &str = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
const BOB: &str = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";

/// A node that is killed when the test ends.
pub(crate) struct Running {
    process: Child,
    address: String,
}

impl Running {
    /// Starts a node that mines when it is told to, and waits until it listens.
    pub(crate) fn start(dir: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_laminar"));
        command.args(["node", "--dev", "--no-mining", "--http.port", "0", "--threads", "2", "--datadir"]).arg(dir);
        let mut process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut said = String::new();
        let address = loop {
            let line = lines.next().unwrap_or_else(|| panic!("it ended: {said}")).unwrap();
            if let Some(address) = line.strip_prefix("Listening on ") {
                break address.to_owned();
            }
            said.push_str(&line);
        };
        thread::spawn(move || lines.for_each(drop));
        Self { process, address }
    }

    /// Mines so many blocks.
    pub(crate) fn mine(&self, blocks: usize) {
        (0..blocks).for_each(|_| drop(call(&self.address, "evm_mine", json!([])).unwrap()));
    }

    /// Ends it as a power cut would.
    fn kill(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One call on a connection of its own; `None` if the node is gone.
fn call(address: &str, method: &str, params: Value) -> Option<Value> {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let mut stream = TcpStream::connect(address).ok()?;
    let head = format!(
        "POST / HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (_, body) = answer.split_once("\r\n\r\n")?;
    let answer: Value = serde_json::from_str(body).ok()?;
    assert!(answer.get("error").is_none(), "{method}: {answer}");
    Some(answer["result"].clone())
}

/// Sends and mines until the node is gone; the hash of each block that it said it mined.
fn mine(address: &str, mined: &mpsc::Sender<String>) -> Option<()> {
    loop {
        for (from, to) in [(ALICE, BOB), (BOB, ALICE)] {
            call(address, "eth_sendTransaction", json!([{ "from": from, "to": to, "value": "0x1" }]))?;
        }
        call(address, "evm_mine", json!([]))?;
        let block = call(address, "eth_getBlockByNumber", json!(["latest", false]))?;
        mined.send(block["hash"].as_str()?.to_owned()).ok()?;
    }
}

#[test]
fn a_killed_node_goes_on_with_every_block_that_it_told_of() {
    let scratch = Scratch::new();
    let dir = scratch.path().join("chain");
    let mut told: Vec<String> = Vec::new();
    for round in 0..4 {
        let mut node = Running::start(&dir);
        let (address, (sender, mined)) = (node.address.clone(), mpsc::channel());
        for (number, hash) in (1..).zip(&told) {
            let block = call(&address, "eth_getBlockByNumber", json!([format!("{number:#x}"), false])).unwrap();
            assert_eq!((&block["hash"], block["transactions"].as_array().unwrap().len()), (&json!(hash), 2));
            let receipt = call(&address, "eth_getTransactionReceipt", json!([block["transactions"][0]])).unwrap();
            assert_eq!(receipt["blockHash"], json!(hash));
        }
        // A block that was mined and not told of may be there.
        let head = call(&address, "eth_getBlockByNumber", json!(["latest", false])).unwrap();
        let number = u64::from_str_radix(head["number"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap();
        assert!(number as usize == told.len() || number as usize == told.len() + 1, "{number} after {}", told.len());
        if number as usize > told.len() {
            told.push(head["hash"].as_str().unwrap().to_owned());
        }
        let miner = thread::spawn(move || {
            let _ = mine(&address, &sender);
        });
        told.extend((0..3 + round).map(|_| mined.recv().unwrap()));
        node.kill();
        miner.join().unwrap();
        told.extend(mined.try_iter());
        let verified = laminar(["db", "verify", "--datadir", dir.to_str().unwrap()]);
        assert_eq!(verified.code, 0, "{verified:?}");
    }
}
