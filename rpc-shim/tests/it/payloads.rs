//! What goes into payloads and with them: blobs of the pool, in the form of the fork, and the best build until somebody asks.

use crate::{
    build::genesis,
    forge::{chain, chain_on, wallet},
    pool::blobs,
    server::Server,
};
use alloy_consensus::{SignableTransaction, TxEip4844};
use alloy_eips::{eip2718::Encodable2718, eip4844::kzg_to_versioned_hash, eip7594::BlobTransactionSidecarVariant};
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rpc_types_engine::{PayloadAttributes, PayloadId};
use laminar_rpc_shim::{
    build::Attributes,
    engine::{BuildPayload, BuildProcesses, BuilderSettings, BuiltPayload, Contents},
    error::RpcError,
    node::{BlockRecord, Node},
    pool::{LegacySidecars, Settings},
};
use serde_json::{Value, json};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
    mpsc,
};

const BEACON_ROOT: B256 = B256::repeat_byte(8);

/// A blob transaction as clients send it, and the hash behind each of its blobs.
fn blob_transaction(count: usize, cells: bool) -> (Bytes, B256) {
    let sidecar = blobs(count, cells);
    let hash = kzg_to_versioned_hash(sidecar.commitments()[0].as_slice());
    let tx = TxEip4844 {
        chain_id: 1,
        gas_limit: 21_000,
        max_fee_per_gas: 2_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000,
        max_fee_per_blob_gas: 10,
        to: Address::repeat_byte(0x77),
        blob_versioned_hashes: vec![hash; count],
        ..TxEip4844::default()
    };
    let signature = wallet().sign_hash(tx.signature_hash());
    (tx.with_sidecar(sidecar).into_signed(signature).encoded_2718().into(), hash)
}

/// A server on an empty chain, to which a consensus client speaks.
struct Client(Server);

impl Client {
    fn on(network: &str) -> Self {
        Self(Server::start(chain_on(network, genesis())))
    }

    fn converting(network: &str) -> Self {
        let settings = Settings { legacy_sidecars: LegacySidecars::AreConverted, ..Settings::default() };
        Self(Server::with(chain_on(network, genesis()), settings, BuilderSettings::default()))
    }

    fn get(&self, method: &str, params: Value) -> Value {
        self.0.call(method, params).unwrap_or_else(|code| panic!("{method}: {code}"))
    }

    /// Makes a block the head; the id of the payload on it.
    fn choose(&self, head: B256, timestamp: u64) -> Value {
        let state = json!({ "headBlockHash": head, "safeBlockHash": B256::ZERO, "finalizedBlockHash": B256::ZERO });
        let attributes = json!({
            "timestamp": format!("{timestamp:#x}"), "prevRandao": B256::ZERO, "withdrawals": [],
            "suggestedFeeRecipient": Address::ZERO, "parentBeaconBlockRoot": BEACON_ROOT,
        });
        self.get("engine_forkchoiceUpdatedV3", json!([state, attributes]))["payloadId"].clone()
    }

    /// The answer to a payload with these blobs; `requests` from Prague on.
    fn deliver(&self, built: &Value, hashes: &[B256]) -> Value {
        let mut params = vec![built["executionPayload"].clone(), json!(hashes), json!(BEACON_ROOT)];
        let requests = built.get("executionRequests").cloned();
        let method = if requests.is_some() { "engine_newPayloadV4" } else { "engine_newPayloadV3" };
        params.extend(requests);
        self.get(method, json!(params))
    }
}

fn lens(bundle: &Value) -> [usize; 3] {
    ["blobs", "commitments", "proofs"].map(|name| bundle[name].as_array().unwrap().len())
}

#[test]
fn blobs_of_the_pool_go_with_the_payload_and_stay_to_be_asked_for() {
    for (network, version, cells, proofs) in [("Cancun", 3, false, 2), ("Prague", 4, false, 2), ("Osaka", 5, true, 256)]
    {
        let client = Client::on(network);
        let (raw, hash) = blob_transaction(2, cells);
        client.get("eth_sendRawTransaction", json!([raw]));
        let id = client.choose(client.0.node.head().hash(), 12);
        let built = client.get(&format!("engine_getPayloadV{version}"), json!([id]));
        assert_eq!(lens(&built["blobsBundle"]), [2, 2, proofs], "{network}");
        let payload = &built["executionPayload"];
        assert_eq!(
            (&payload["blobGasUsed"], payload["transactions"].as_array().unwrap().len()),
            (&json!("0x40000"), 1)
        );
        assert!(payload["transactions"][0].as_str().unwrap().len() < 1000, "{network}: blobs stand beside it");
        for wrong in [&[][..], &[hash], &[hash, B256::ZERO], &[hash; 3]] {
            assert_eq!(client.deliver(&built, wrong)["status"], "INVALID", "{network}");
        }
        assert_eq!(client.deliver(&built, &[hash, hash])["status"], "VALID", "{network}");

        let unknown = B256::repeat_byte(1);
        // Of a waiting transaction, and of one in a block.
        for _ in 0..2 {
            let ask =
                |version: u8, hashes: &[B256]| client.0.call(&format!("engine_getBlobsV{version}"), json!([hashes]));
            if cells {
                assert_eq!(ask(1, &[hash]), Err(-38005));
                assert_eq!(ask(2, &[hash]).unwrap()[0]["proofs"].as_array().unwrap().len(), 128);
                assert_eq!(ask(2, &[hash, unknown]).unwrap(), Value::Null, "all or nothing");
                let found = ask(3, &[unknown, hash]).unwrap();
                assert_eq!((&found[0], &found[1]["blob"]), (&Value::Null, &built["blobsBundle"]["blobs"][0]));
            } else {
                let found = ask(1, &[unknown, hash]).unwrap();
                assert_eq!((&found[0], &found[1]["blob"]), (&Value::Null, &built["blobsBundle"]["blobs"][0]));
                assert_eq!(found[1]["proof"], built["blobsBundle"]["proofs"][0]);
                assert_eq!([ask(2, &[hash]), ask(3, &[hash])], [Err(-38005), Err(-38005)]);
            }
            assert_eq!(ask(if cells { 3 } else { 1 }, &[hash; 129]), Err(-38004));
            client.choose(serde_json::from_value(payload["blockHash"].clone()).unwrap(), 24);
        }
    }
}

#[test]
fn blobs_with_the_proofs_of_the_fork_before_are_not_offered() {
    let client = Client::on("PragueToOsakaAtTime15k");
    let (raw, hash) = blob_transaction(1, false);
    client.get("eth_sendRawTransaction", json!([raw]));
    let genesis = client.0.node.head().hash();
    let id = client.choose(genesis, 12);
    let before = client.get("engine_getPayloadV4", json!([id]));
    assert_eq!(lens(&before["blobsBundle"]), [1, 1, 1]);
    assert!(client.get("engine_getBlobsV1", json!([[hash]]))[0]["proof"].is_string());
    let id = client.choose(genesis, 15_000);
    let built = client.get("engine_getPayloadV5", json!([id]));
    assert_eq!((lens(&built["blobsBundle"]), &built["executionPayload"]["transactions"]), ([0, 0, 0], &json!([])));
    assert_eq!(client.deliver(&built, &[])["status"], "VALID");
    client.choose(serde_json::from_value(built["executionPayload"]["blockHash"].clone()).unwrap(), 15_012);
    assert_eq!(client.get("engine_getBlobsV2", json!([[hash]])), Value::Null);
    assert_eq!(client.get("engine_getBlobsV3", json!([[hash]])), json!([null]));
    let refused = client.0.call("eth_sendRawTransaction", json!([blob_transaction(2, false).0]));
    assert!(refused.is_err(), "{refused:?}");
    // It left the pool with the fork, so that it can come again with the proofs of now.
    client.get("eth_sendRawTransaction", json!([blob_transaction(1, true).0]));
    assert_eq!(client.get("engine_getBlobsV2", json!([[hash]]))[0]["proofs"].as_array().unwrap().len(), 128);
    let head = client.0.node.head().hash();
    let built = client.get("engine_getPayloadV5", json!([client.choose(head, 15_024)]));
    assert_eq!(lens(&built["blobsBundle"]), [1, 1, 128]);
}

#[test]
fn blobs_with_the_proofs_of_the_fork_before_are_converted_where_asked_for() {
    let client = Client::converting("Osaka");
    let (raw, hash) = blob_transaction(2, false);
    client.get("eth_sendRawTransaction", json!([raw]));
    let id = client.choose(client.0.node.head().hash(), 12);
    let built = client.get("engine_getPayloadV5", json!([id]));
    let expected = blobs(2, true);
    let BlobTransactionSidecarVariant::Eip7594(expected) = expected else { panic!("cell proofs were asked for") };
    assert_eq!(built["blobsBundle"]["proofs"], json!(expected.cell_proofs));
    assert_eq!(client.deliver(&built, &[hash, hash])["status"], "VALID");
    // Proofs that do not hold are not made to hold.
    let mut spoilt = blob_transaction(1, false).0.to_vec();
    *spoilt.last_mut().unwrap() ^= 1;
    assert!(client.0.call("eth_sendRawTransaction", json!([Bytes::from(spoilt)])).is_err());
    let before = Client::converting("Prague");
    before.get("eth_sendRawTransaction", json!([blob_transaction(1, false).0]));
    assert!(before.get("engine_getBlobsV1", json!([[hash]]))[0]["proof"].is_string(), "as they came");
}

/// Gives payloads of the values 1, 5, 3, and then of none, as there is always news; and tells when a build begins.
#[derive(Debug)]
struct Scripted {
    node: Arc<Node>,
    builds: AtomicUsize,
    begun: mpsc::Sender<usize>,
}

const VALUES: [u64; 3] = [1, 5, 3];

impl BuildPayload for Scripted {
    fn build(
        &self,
        parent: &BlockRecord,
        attributes: &PayloadAttributes,
        contents: Contents,
    ) -> Result<BuiltPayload, RpcError> {
        let attributes = Attributes::new(attributes.timestamp, 30_000_000);
        let built = self.node.build(parent, &attributes, Vec::new()).unwrap();
        let mut built = BuiltPayload::new(self.node.spec(), built);
        if contents == Contents::Pool {
            let number = self.builds.fetch_add(1, Ordering::SeqCst);
            built.value = U256::from(VALUES.get(number).copied().unwrap_or(0));
            // Nobody listens when the test is over.
            let _ = self.begun.send(number);
        }
        Ok(built)
    }

    fn watch(&self) -> Box<dyn FnMut() -> bool + Send> {
        Box::new(|| true)
    }
}

#[test]
fn a_payload_is_improved_until_somebody_asks() {
    let node = chain("Shanghai");
    let (begun, builds) = mpsc::channel();
    let builder = Scripted { node: Arc::clone(&node), builds: AtomicUsize::new(0), begun };
    let processes = BuildProcesses::new(Arc::new(builder));
    let attributes: PayloadAttributes = serde_json::from_value(json!({
        "timestamp": "0xc", "prevRandao": B256::ZERO, "suggestedFeeRecipient": Address::ZERO, "withdrawals": [],
    }))
    .unwrap();
    let id = PayloadId::new([1; 8]);
    processes.start(id, node.head(), attributes).unwrap();
    // When the third begins, the second was offered; the third is worth less.
    assert!((0..3).all(|number| builds.recv().unwrap() == number));
    let taken = processes.take(id).unwrap();
    assert_eq!(taken.value, U256::from(5));
    assert!(Arc::ptr_eq(&taken, &processes.take(id).unwrap()));
    assert!(processes.take(PayloadId::new([2; 8])).is_none());
}
