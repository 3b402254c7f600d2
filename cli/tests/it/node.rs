//! A node on this machine that answers the few methods that `record` calls, from a sample block and its genesis.

use super::samples::sample;
use alloy_consensus::Header;
use alloy_eips::{
    eip2935::HISTORY_STORAGE_ADDRESS, eip4788::BEACON_ROOTS_ADDRESS,
    eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS as WITHDRAWAL_REQUESTS,
    eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS as CONSOLIDATION_REQUESTS,
};
use alloy_genesis::Genesis;
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use alloy_rlp::Encodable;
use laminar_executor::{
    BlockExecutor, Config, Knowledge, Mode, chain_spec::ChainSpec, env::PreparedBlock, recover::recover_senders,
};
use laminar_fixtures::{WitnessBlock, workload};
use laminar_state_db::{BlockChanges, MemoryState, TouchedKeys};
use revm::database_interface::DatabaseRef;
use serde_json::{Value, json};
use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    sync::Arc,
    thread,
};

/// What the node knows. Tests change it before they start the node.
#[derive(Clone)]
pub(crate) struct Knows {
    pub(crate) block: WitnessBlock,
    pub(crate) chain_id: u64,
    /// Methods that it does not offer.
    pub(crate) lacks: Vec<&'static str>,
    before: MemoryState,
    after: MemoryState,
    /// What transactions touch; system calls are not in it.
    traced: TouchedKeys,
}

impl Knows {
    /// A node that has just imported a sample block.
    pub(crate) fn sample(name: &str) -> Self {
        Self::new(&workload::by_name(name).unwrap().genesis, sample(name))
    }

    /// A node that has just imported block 1 of a chain.
    pub(crate) fn new(genesis: &Genesis, block: WitnessBlock) -> Self {
        let mut before = MemoryState::from_genesis(genesis);
        before.insert_block_hash(0, block.block.header.parent_hash);
        let rules = ChainSpec::from_genesis(genesis).unwrap().rules_for(&block.block.header);
        let senders = recover_senders(&block.block.body.transactions, &rules).unwrap();
        let prepared = PreparedBlock::new(rules, &block.block, &senders).unwrap();
        let config = Config { mode: Mode::Sequential, block_access_list: true, ..Config::default() };
        let executor = BlockExecutor::new(config).unwrap();
        let outcome = executor.execute(&block.block, &prepared, &before, Knowledge::Nothing).unwrap();
        let mut after = before.clone();
        after.apply(&outcome.changes);
        let traced = outcome.block_access_list.unwrap().into_iter().map(|account| {
            let reads = account.storage_reads.iter().map(|slot| U256::from(*slot));
            let writes = account.storage_changes.iter().map(|change| U256::from(change.slot));
            (account.address, reads.chain(writes).collect())
        });
        let system = [BEACON_ROOTS_ADDRESS, HISTORY_STORAGE_ADDRESS, WITHDRAWAL_REQUESTS, CONSOLIDATION_REQUESTS];
        let traced = traced.filter(|(address, _)| !system.contains(address)).collect();
        Self { chain_id: block.chain_id, block, lacks: Vec::new(), before, after, traced }
    }

    /// The same node without some methods.
    pub(crate) fn without(mut self, methods: &[&'static str]) -> Self {
        self.lacks.extend(methods);
        self
    }

    /// Starts answering; gives the URL. The thread ends with the test.
    pub(crate) fn start(self) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let knows = Arc::new(self);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let knows = Arc::clone(&knows);
                thread::spawn(move || knows.serve(stream.unwrap()));
            }
        });
        url
    }

    fn serve(&self, stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        while let Some(body) = read_request(&mut reader) {
            let request: Value = serde_json::from_slice(&body).unwrap();
            let answer = self.answer(request["method"].as_str().unwrap(), &request["params"]);
            let answer = match answer {
                Ok(result) => json!({ "jsonrpc": "2.0", "id": request["id"], "result": result }),
                Err(what) => {
                    json!({ "jsonrpc": "2.0", "id": request["id"], "error": { "code": -32601, "message": what } })
                }
            };
            let answer = answer.to_string();
            let head = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n",
                answer.len()
            );
            let mut stream = &stream;
            if stream.write_all((head + &answer).as_bytes()).is_err() {
                return;
            }
        }
    }

    fn answer(&self, method: &str, params: &Value) -> Result<Value, String> {
        if self.lacks.contains(&method) {
            return Err(format!("the method {method} does not exist/is not available"));
        }
        let header = &self.block.block.header;
        match method {
            "eth_chainId" => Ok(json!(format!("{:#x}", self.chain_id))),
            "eth_getBlockByNumber" => Ok(match params[0].as_str().unwrap() {
                "latest" => self.block_json(),
                id if number(id) == header.number => self.block_json(),
                id => self.ancestor(number(id)).map_or(Value::Null, header_json),
            }),
            "debug_getRawBlock" => Ok(json!(Bytes::from(alloy_rlp::encode(&self.block.block)))),
            "debug_executionWitness" => Ok(json!({
                "state": self.block.nodes, "codes": self.block.codes, "keys": [],
                "headers": self.block.headers.iter().map(|header| Bytes::from(alloy_rlp::encode(header))).collect::<Vec<_>>(),
            })),
            "debug_traceBlockByNumber" => Ok(self.trace()),
            "eth_getProof" => Ok(self.proof(params)),
            "eth_getCode" => Ok(json!(self.code(params[0].as_str().unwrap().parse().unwrap()))),
            other => Err(format!("method not found: {other}")),
        }
    }

    fn ancestor(&self, number: u64) -> Option<&Header> {
        self.block.headers.iter().find(|header| header.number == number)
    }

    fn block_json(&self) -> Value {
        let mut json = header_json(&self.block.block.header);
        let body = &self.block.block.body;
        json["transactions"] = serde_json::to_value(&body.transactions).unwrap();
        json["withdrawals"] = serde_json::to_value(&body.withdrawals).unwrap();
        json
    }

    /// As geth's prestate tracer: one result a transaction.
    fn trace(&self) -> Value {
        let results = self.traced.iter().map(|(address, slots)| {
            let slots: serde_json::Map<_, _> =
                slots.iter().map(|slot| (B256::from(*slot).to_string(), json!(B256::ZERO))).collect();
            json!({ "txHash": B256::ZERO, "result": { address.to_string(): { "balance": "0x0", "storage": slots } } })
        });
        results.collect()
    }

    fn proof(&self, params: &Value) -> Value {
        let address: Address = params[0].as_str().unwrap().parse().unwrap();
        let keys: Vec<B256> = serde_json::from_value(params[1].clone()).unwrap();
        let is_after = number(params[2].as_str().unwrap()) == self.block.block.header.number;
        let mut state = if is_after { self.after.clone() } else { self.before.clone() };
        let mut nodes = |slots: Vec<U256>| {
            let touched = TouchedKeys::from_iter([(address, slots)]);
            state.witness(&touched, &BlockChanges::default())
        };
        let account = nodes(vec![]);
        let storage = keys.iter().map(|key| {
            let slot: U256 = (*key).into();
            let proof: Vec<_> = nodes(vec![slot]).into_iter().filter(|node| !account.contains(node)).collect();
            json!({ "key": key, "value": "0x0", "proof": proof })
        });
        let storage: Vec<_> = storage.collect();
        let code_hash = self.before.account(&address).map_or(B256::ZERO, |account| account.code_hash);
        json!({ "address": address, "accountProof": account, "storageProof": storage, "codeHash": code_hash })
    }

    fn code(&self, address: Address) -> Bytes {
        let Some(account) = self.before.account(&address).filter(|account| account.has_code()) else {
            return Bytes::new();
        };
        self.before.code_by_hash_ref(account.code_hash).unwrap().original_bytes()
    }
}

fn header_json(header: &Header) -> Value {
    let mut json = serde_json::to_value(header).unwrap();
    json["hash"] = json!(header.hash_slow());
    json["size"] = json!(format!("{:#x}", header.length()));
    json["transactions"] = json!([]);
    json
}

fn number(id: &str) -> u64 {
    u64::from_str_radix(id.strip_prefix("0x").unwrap(), 16).unwrap()
}

/// The body of the next request; none when the connection ends.
fn read_request(reader: &mut impl BufRead) -> Option<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim().to_ascii_lowercase();
        if let Some(value) = line.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    assert!(!body.is_empty(), "a request without a length: {}", hex::encode(&body));
    Some(body)
}
