//! `laminar replay` on the sample blocks: everything verified, whatever the prediction and the number of threads.

use super::{
    command::{Ran, laminar, ran},
    samples::{self, Scratch},
};
use laminar_fixtures::workload::RECIPES;
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

fn replay(args: &[&str]) -> Ran {
    let folder = samples::folder();
    laminar(["replay", folder.to_str().unwrap()].iter().chain(args))
}

/// Checks that all sample blocks are verified and identical.
#[track_caller]
fn check_all(ran: &Ran, mode: &str) {
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let (blocks, summary) = ran.json();
    assert_eq!(blocks.len(), RECIPES.len());
    for block in &blocks {
        for field in ["gas", "receipts_root", "logs_bloom", "state_root", "requests_hash"] {
            assert_eq!(block["verified"][field], true, "{field}: {block}");
        }
        assert_eq!((&block["identical"], &block["mode"]), (&Value::Bool(true), &mode.into()), "{block}");
        assert!(block["incarnations"].as_u64().unwrap() + block["adopted"].as_u64().unwrap() > 0, "{block}");
        assert!(block["sequential_ms"].as_f64().unwrap() > 0.0 && block["path_ms"].as_f64().unwrap() > 0.0, "{block}");
    }
    assert_eq!(summary["identical"], blocks.len());
    assert!(summary["geometric_mean"].as_f64().unwrap() > 0.0);
}

#[test]
fn every_prediction_verifies_every_sample_in_parallel() {
    for predict in ["none", "presimulate", "ahead", "bal"] {
        for threads in ["1", "2", "3", "8"] {
            let flags = ["--json", "--executor", "parallel", "--predict", predict, "--threads", threads];
            check_all(&replay(&flags), "parallel");
        }
    }
}

#[test]
fn sequential_mode_verifies_every_sample() {
    check_all(&replay(&["--json", "--executor", "sequential"]), "sequential");
}

#[test]
fn repetitions_give_medians_and_ahead_reports_its_simulations_apart() {
    let (blocks, summary) = replay(&["--json", "--repeat", "3", "--predict", "ahead"]).json();
    assert!(blocks.iter().all(|block| block["simulate_ms"].as_f64().unwrap() > 0.0));
    assert!(summary["simulate_ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn table_has_a_row_for_each_block_and_totals() {
    let ran = replay(&[]);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
    let lines: Vec<_> = ran.out.lines().collect();
    assert_eq!(lines.iter().filter(|line| line.contains(" grbsq= ")).count(), RECIPES.len() + 1);
    for recipe in RECIPES {
        assert!(lines.iter().any(|line| line.starts_with(recipe.name)), "{}", recipe.name);
    }
    assert!(ran.out.contains(&format!("identical to sequential {0} of {0}", RECIPES.len())), "{}", ran.out);
    assert!(!ran.out.contains('\x1b'));
}

#[test]
fn trace_shows_every_transaction() {
    let scratch = Scratch::new();
    let trace = scratch.path().join("trace.json");
    let path = samples::path("erc20-transfers");
    let args = ["replay", path.to_str().unwrap(), "--executor", "parallel", "--trace", trace.to_str().unwrap()];
    assert_eq!(laminar(args).code, 0);
    let json: Value = serde_json::from_str(&std::fs::read_to_string(trace).unwrap()).unwrap();
    let events = json["traceEvents"].as_array().unwrap();
    let slices = events.iter().filter(|event| event["ph"] == "X" && event["args"]["incarnation"].is_u64());
    let mut txs: Vec<_> = slices.map(|slice| slice["args"]["tx"].as_u64().unwrap()).collect();
    txs.sort_unstable();
    txs.dedup();
    assert_eq!(txs.len(), samples::sample("erc20-transfers").block.body.transactions.len());
}

#[test]
fn reader_that_stops_reading_is_no_error() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_laminar"));
    command.arg("replay").arg(samples::folder()).arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.starts_with('{'));
    let ran = ran(child.wait_with_output().unwrap());
    assert_eq!((ran.code, ran.err.as_str()), (0, ""));
}

#[test]
fn chain_can_be_named_by_its_genesis() {
    let scratch = Scratch::new();
    let workload = laminar_fixtures::workload::by_name("hot-counter").unwrap();
    let genesis = scratch.write("genesis.json", serde_json::to_string(&workload.genesis).unwrap());
    let path = samples::path("hot-counter");
    let args = |chain: &str| ["replay", path.to_str().unwrap(), "--chain", chain].map(str::to_owned);
    assert_eq!(laminar(args(genesis.to_str().unwrap())).code, 0);
    assert_eq!(laminar(args("dev")).code, 0);
    laminar(args("mainnet")).check(1, &["block 1: invalid block: header field", "must be absent"]);
    laminar(args("no-such-chain")).check(2, &["no-such-chain: no such file or folder"]);
}
