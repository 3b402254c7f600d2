//! A whole mainnet block, traced by every tracer that the archive has answers of, in the order of its transactions.
//!
//! The state before the block is what the transactions saw first: each location from the first trace that names it.

use crate::{
    data::{files, first_difference},
    tracers::compared,
};
use alloy_genesis::GenesisAccount;
use alloy_primitives::{Address, map::AddressMap};
use alloy_rpc_types_eth::Block;
use alloy_rpc_types_trace::geth::{AccountState, GethDebugTracingOptions};
use laminar_executor::chain_spec::ChainSpec;
use laminar_rpc_shim::{
    call::Deadline,
    trace::{ReplayBlock, trace_transactions},
};
use laminar_state_db::MemoryState;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const BLOCK: &str = "mainnet_block/22244135";

/// The state before the first of the transactions whose prestates these are.
fn before(prestates: &Value) -> MemoryState {
    let mut accounts: AddressMap<GenesisAccount> = AddressMap::default();
    for prestate in prestates.as_array().unwrap() {
        let seen: BTreeMap<Address, AccountState> = serde_json::from_value(prestate["result"].clone()).unwrap();
        for (address, seen) in seen {
            let account = accounts.entry(address).or_insert_with(|| GenesisAccount {
                balance: seen.balance.unwrap_or_default(),
                nonce: seen.nonce,
                code: seen.code.clone(),
                ..GenesisAccount::default()
            });
            let slots = account.storage.get_or_insert_default();
            for (slot, value) in seen.storage {
                slots.entry(slot).or_insert(value);
            }
        }
    }
    MemoryState::from_alloc(accounts.iter().map(|(address, account)| (*address, account)))
}

/// geth's answers without what it names no more: accounts that were empty before the transaction.
fn without_empty(mut prestates: Value) -> Value {
    for prestate in prestates.as_array_mut().unwrap() {
        let result = &mut prestate["result"];
        let seen = if result["pre"].is_object() { &mut result["pre"] } else { result };
        seen.as_object_mut().unwrap().retain(|_, account| *account != json!({ "balance": "0x0" }));
    }
    prestates
}

#[test]
fn every_transaction_of_a_mainnet_block_is_traced_as_geth_does() {
    let Some(files) = files("tracers") else { return };
    let answer = |name: &str| -> Value {
        let answer: Value = serde_json::from_slice(&files[&format!("{BLOCK}/{name}.json")]).unwrap();
        answer["result"].clone()
    };
    let block: Block = serde_json::from_value(answer("block")).unwrap();
    let (hash, senders) =
        (block.header.hash, block.transactions.txns().map(|tx| tx.inner.signer()).collect::<Vec<_>>());
    let block = block.into_consensus().map_transactions(|tx| tx.inner.into_inner().into());
    let spec = ChainSpec::mainnet();
    let target = ReplayBlock { spec: &spec, block: &block, hash, senders: &senders };
    let (prestates, state) = (answer("prestatetrace"), before(&answer("prestatetrace")));
    for (tracer, config, expected) in [
        ("callTracer", json!({}), answer("calltrace")),
        ("prestateTracer", json!({}), without_empty(prestates)),
        ("prestateTracer", json!({ "diffMode": true }), without_empty(answer("difftrace"))),
    ] {
        let options = json!({ "tracer": tracer, "tracerConfig": config });
        let options: GethDebugTracingOptions = serde_json::from_value(options).unwrap();
        let found = trace_transactions(&target, &state, &options, Deadline::never()).unwrap();
        assert_eq!(found.len(), 125);
        // The geth that answered named no hashes of code yet.
        let found = compared(serde_json::to_value(found).unwrap(), &expected, &["codeHash"]);
        assert_eq!(first_difference("", &expected, &found), None, "{tracer} {config}");
    }
}
