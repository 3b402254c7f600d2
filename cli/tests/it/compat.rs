//! The execution-apis suite as it is run against clients: `laminar import`, a node on the folder, the fork choice, then every case over HTTP.
//!
//! Messages of errors may differ, codes and data count. What the cases ask in process is in `rpc-shim/tests/it/compat.rs`.

use super::{command::laminar, data::archive};
use alloy_rpc_types_engine::{Claims, JwtSecret};
use serde_json::{Value, json};
use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

/// A node on an imported chain; it is killed with this value.
struct Node {
    process: Child,
    engine: String,
    public: String,
}

impl Node {
    fn start(chain: &Path, data: &Path) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_laminar"));
        command.args(["node", "--authrpc.port", "0", "--ipcdisable", "--threads", "2", "--http", "--http.port", "0"]);
        command.args(["--http.api", "eth,net,debug,txpool,testing", "--chain"]).arg(chain).arg("--datadir").arg(data);
        let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
        let mut address = |mark| loop {
            let line = lines.next().expect("the node goes on").unwrap();
            if let Some(address) = line.strip_prefix(mark) {
                break format!("http://{address}");
            }
        };
        let (engine, public) = (address("Engine API on "), address("Listening on "));
        Self { process, engine, public }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn post(url: &str, token: &str, body: &str) -> Value {
    let agent = ureq::Agent::config_builder().http_status_as_error(false).proxy(None).build().new_agent();
    let request = agent.post(url).content_type("application/json").header("authorization", token);
    serde_json::from_str(&request.send(body).unwrap().body_mut().read_to_string().unwrap()).unwrap()
}

/// Result or error, without what the error says.
fn bare(answer: &Value) -> Value {
    match answer.get("error") {
        Some(error) => json!({ "code": error["code"], "data": error["data"] }),
        None => json!({ "result": answer["result"] }),
    }
}

fn unpack(path: PathBuf, folder: &Path) {
    let reader = zstd::Decoder::new(fs::File::open(path).unwrap()).unwrap();
    tar::Archive::new(reader).unpack(folder).unwrap();
}

/// The cases of a file that are answered otherwise, and how many are not.
fn differences(file: &Path, url: &str) -> (usize, Vec<String>) {
    let text = fs::read_to_string(file).unwrap();
    // The suite itself compares only the kind of such an answer.
    let kind_only = text.lines().any(|line| line.starts_with("// speconly:"));
    let lines = |mark| text.lines().filter_map(move |line| line.strip_prefix(mark));
    let (mut equal, mut different) = (0, Vec::new());
    for (request, response) in lines(">> ").zip(lines("<< ")) {
        let (expected, found) = (bare(&serde_json::from_str(response).unwrap()), bare(&post(url, "", request)));
        let is_equal = match kind_only {
            true => expected.get("result").is_some() == found.get("result").is_some(),
            false => expected == found,
        };
        match is_equal {
            true => equal += 1,
            false => different.push(format!("{}: expected {expected:.300}, found {found:.300}", file.display())),
        }
    }
    (equal, different)
}

#[test]
fn every_case_of_the_execution_apis_is_answered_after_an_import() {
    let Some(path) = archive("rpc-compat.tar.zst") else { return };
    let folder = tempfile::tempdir().unwrap();
    unpack(path, folder.path());
    let suite = folder.path().join("rpc-compat");
    let (chain, data) = (suite.join("genesis.json"), folder.path().join("data"));
    let text = |path: &Path| path.to_str().unwrap().to_owned();
    let args = ["import".to_owned(), text(&suite.join("chain.rlp")), "--chain".to_owned(), text(&chain)];
    assert_eq!(laminar(args.into_iter().chain(["--datadir".to_owned(), text(&data)])).code, 0);

    let node = Node::start(&chain, &data);
    let secret = JwtSecret::from_hex(fs::read_to_string(data.join("jwt.hex")).unwrap()).unwrap();
    let token = format!("Bearer {}", secret.encode(&Claims::with_current_timestamp()).unwrap());
    let chosen = post(&node.engine, &token, &fs::read_to_string(suite.join("headfcu.json")).unwrap());
    assert_eq!(chosen["result"]["payloadStatus"]["status"], "VALID", "{chosen}");

    let (mut equal, mut different) = (0, Vec::new());
    for method in fs::read_dir(&suite).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir()) {
        for case in fs::read_dir(method).unwrap() {
            let (ours, theirs) = differences(&case.unwrap().path(), &node.public);
            equal += ours;
            different.extend(theirs);
        }
    }
    assert!(different.is_empty(), "{equal} equal, {} different:\n{}", different.len(), different.join("\n"));
    assert_eq!(equal, 184);
}
