//! geth's own tracer fixtures, traced in process.

use crate::data::{files, first_difference};
use alloy_consensus::Header;
use alloy_genesis::Genesis;
use alloy_primitives::{Bytes, U256};
use alloy_rpc_types_trace::geth::GethDebugTracingOptions;
use laminar_executor::{
    TxIndex,
    chain_spec::ChainSpec,
    env::tx_env,
    recover::{decode_transaction, recover_senders},
};
use laminar_rpc_shim::{
    call::{CallState, Deadline, Environment, Machine, MovablePrecompiles},
    trace::trace_one,
};
use laminar_state_db::MemoryState;
use serde::Deserialize;
use serde_json::{Value, json};

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Fixture {
    genesis: Genesis,
    context: Context,
    input: Bytes,
    #[serde(default)]
    tracer_config: Value,
    result: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Context {
    number: Value,
    difficulty: Value,
    timestamp: Value,
    gas_limit: Value,
    miner: alloy_primitives::Address,
    #[serde(default)]
    base_fee_per_gas: Value,
}

/// A number, plain or as a string, decimal or hexadecimal.
fn number(value: &Value) -> U256 {
    match value {
        Value::String(text) => text.parse().unwrap(),
        Value::Number(number) => U256::from(number.as_u64().unwrap()),
        _ => U256::ZERO,
    }
}

fn header(context: &Context, genesis: &Genesis) -> Header {
    let base_fee = (!context.base_fee_per_gas.is_null()).then(|| number(&context.base_fee_per_gas).to());
    Header {
        number: number(&context.number).to(),
        difficulty: number(&context.difficulty),
        timestamp: number(&context.timestamp).to(),
        gas_limit: number(&context.gas_limit).to(),
        beneficiary: context.miner,
        base_fee_per_gas: base_fee,
        excess_blob_gas: genesis.excess_blob_gas,
        ..Header::default()
    }
}

fn parse(data: &[u8]) -> serde_json::Result<Fixture> {
    let mut value: Value = serde_json::from_slice(data)?;
    // One fixture repeats what its code says.
    for account in value["genesis"]["alloc"].as_object_mut().into_iter().flat_map(|accounts| accounts.values_mut()) {
        account.as_object_mut().map(|account| account.remove("codeHash"));
    }
    // A fixture is one block: the schedules are those of chains that we do not run, the rules at that block we do.
    let config = &mut value["genesis"]["config"];
    if config["eip158Block"].is_null() || config["eip158Block"].as_u64() > config["byzantiumBlock"].as_u64() {
        config["eip158Block"] = config["byzantiumBlock"].clone();
    }
    if config["homesteadBlock"].as_u64() > config["eip150Block"].as_u64() {
        config["homesteadBlock"] = config["eip150Block"].clone();
    }
    if let Some(config) = config.as_object_mut() {
        config.remove("clique");
        // Go reads names whatever their case.
        if let Some(block) = config.remove("IstanbulBlock") {
            config.insert("istanbulBlock".to_owned(), block);
        }
    }
    serde_json::from_value(value)
}

/// What geth's own comparison leaves out: where a flat trace stands, and the index of a log in older fixtures.
const LEFT_OUT: &[&str] = &["index", "blockHash", "blockNumber", "transactionHash", "transactionPosition"];

/// `found` without fields of these `names` where `expected` does not have them.
pub(crate) fn compared(mut found: Value, expected: &Value, names: &[&str]) -> Value {
    fn leave_out(found: &mut Value, expected: &Value, names: &[&str]) {
        match (found, expected) {
            (Value::Object(found), Value::Object(expected)) => {
                found.retain(|name, _| expected.contains_key(name) || !names.contains(&name.as_str()));
                found.iter_mut().for_each(|(name, found)| {
                    leave_out(found, &expected.get(name).cloned().unwrap_or_default(), names)
                });
            }
            (Value::Array(found), Value::Array(expected)) => {
                found.iter_mut().zip(expected).for_each(|(found, expected)| leave_out(found, expected, names));
            }
            _ => {}
        }
    }
    leave_out(&mut found, expected, names);
    found
}

/// geth reads flat traces into structures before it compares them, so that what is missing is equal to zero or empty.
fn without_nothing(traces: &mut Value) {
    const ZERO: &str = "0x0000000000000000000000000000000000000000";
    for trace in traces.as_array_mut().into_iter().flatten() {
        for part in ["action", "result"] {
            let fields = trace.get_mut(part).and_then(Value::as_object_mut);
            let Some(fields) = fields else { continue };
            fields.retain(|_, value| value.as_str().is_some_and(|text| !["", "0x", "0x0", ZERO].contains(&text)));
        }
        if trace["result"].as_object().is_none_or(serde_json::Map::is_empty) {
            trace.as_object_mut().map(|trace| trace.remove("result"));
        }
    }
}

fn without_place(mut expected: Value) -> Value {
    for trace in expected.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
        for name in ["blockHash", "blockNumber", "transactionHash", "transactionPosition"] {
            trace.remove(name);
        }
    }
    expected
}

fn trace(fixture: &Fixture, tracer: &str) -> Result<Value, String> {
    let spec = ChainSpec::from_genesis(&fixture.genesis).map_err(|error| error.to_string())?;
    let header = header(&fixture.context, &fixture.genesis);
    let environment = Environment::of_block(&spec, &header);
    let transaction = decode_transaction(&fixture.input).map_err(|rule| rule.to_string())?;
    let senders =
        recover_senders(std::slice::from_ref(&transaction), &environment.rules).map_err(|error| error.to_string())?;
    let tx = tx_env(&transaction, &senders, TxIndex(0));
    let state =
        CallState::new(MemoryState::from_alloc(fixture.genesis.alloc.iter().map(|(at, account)| (*at, account))));
    let precompiles = MovablePrecompiles::new(environment.cfg.spec);
    let machine = Machine::new(&environment, state, precompiles, Deadline::never());
    let options = json!({ "tracer": tracer, "tracerConfig": fixture.tracer_config });
    let options: GethDebugTracingOptions = serde_json::from_value(options).map_err(|error| error.to_string())?;
    let found = trace_one(machine, tx, &options).map_err(|error| error.to_string())?;
    Ok(serde_json::to_value(found).unwrap())
}

#[test]
fn all_geth_fixtures_are_equal() {
    let Some(files) = files("tracers") else { return };
    let (mut equal, mut different) = (0, Vec::new());
    for (name, data) in &files {
        let Some((folder, _)) = name.strip_prefix("geth/").and_then(|name| name.split_once('/')) else { continue };
        if !name.ends_with(".json") {
            continue;
        }
        let tracer = match folder {
            "call_tracer" | "call_tracer_withLog" => "callTracer",
            "call_tracer_flat" => "flatCallTracer",
            "prestate_tracer" | "prestate_tracer_with_diff_mode" => "prestateTracer",
            "erc7562_tracer" => "erc7562Tracer",
            // The traces of the old JavaScript tracers.
            _ => continue,
        };
        let fixture = parse(data).unwrap_or_else(|error| panic!("{name}: {error}"));
        match trace(&fixture, tracer) {
            Err(error) => different.push(format!("{name}: {error}")),
            Ok(found) => {
                let mut expected = without_place(fixture.result);
                let mut found = compared(found, &expected, LEFT_OUT);
                if tracer == "flatCallTracer" {
                    without_nothing(&mut expected);
                    without_nothing(&mut found);
                }
                match first_difference("", &expected, &found) {
                    Some(what) => different.push(format!("{name}: {what}")),
                    None => equal += 1,
                }
            }
        }
    }
    assert!(different.is_empty(), "{equal} equal, {} different:\n{}", different.len(), different.join("\n"));
}
