//! `laminar test` on official cases: counts, failures and exit codes.

use crate::command::laminar;
use serde_json::{Value, json};
use std::{fs, path::Path};

const SAMPLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/test/samples");

#[test]
fn samples_pass_and_the_summary_proves_the_parallel_path() {
    for predict in ["none", "presimulate", "ahead", "bal"] {
        let ran = laminar(["test", SAMPLES, "--json", "--predict", predict, "--jobs", "2"]);
        let (failures, summary) = ran.json();
        assert_eq!((ran.code, failures.len()), (0, 0), "{ran:?}");
        assert_eq!((&summary["passed"], &summary["failed"], &summary["skipped"]), (&json!(5), &json!(0), &json!(0)));
        assert_eq!((&summary["parallel_blocks"], &summary["sequential_blocks"]), (&json!(4), &json!(0)));
        assert_eq!(summary["by_fork"]["Amsterdam"]["passed"], json!(1));
        assert!(summary["incarnations"].as_u64().unwrap() + summary["adopted"].as_u64().unwrap() >= 4);
    }
    let (_, summary) = laminar(["test", SAMPLES, "--json", "--executor", "sequential"]).json();
    assert_eq!((&summary["parallel_blocks"], &summary["sequential_blocks"]), (&json!(0), &json!(4)));
}

#[test]
fn failing_case_is_named_with_its_reason_and_the_others_go_on() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["state.json", "blockchain.json"] {
        fs::copy(Path::new(SAMPLES).join(name), folder.path().join(name)).unwrap();
    }
    let spoilt = fs::read_to_string(Path::new(SAMPLES).join("state.json")).unwrap();
    fs::write(folder.path().join("tampered.json"), spoilt.replace("0x0de0b6b3a7640017", "0x0de0b6b3a7640018")).unwrap();
    fs::write(folder.path().join("malformed.json"), spoilt.replace("\"0x0a\"", "\"ten\"")).unwrap();
    let ran = laminar(["test", folder.path().to_str().unwrap(), "--json"]);
    let (mut failures, summary) = ran.json();
    ran.check(1, &["2 of 4 cases failed"]);
    assert_eq!((&summary["passed"], &summary["failed"]), (&json!(2), &json!(2)));
    failures.sort_by_key(|failure| failure["file"].to_string());
    let reason = |failure: &Value| failure["reason"].as_str().unwrap().to_owned();
    assert!(reason(&failures[0]).contains("ten") && failures[0]["file"] == json!("malformed.json"), "{failures:?}");
    assert!(reason(&failures[1]).contains("balance: expected 1000000000000000024 wei"), "{failures:?}");
    assert!(failures[1]["case"].as_str().unwrap().contains("log0_emptyMem"));
}

#[test]
fn nothing_to_run_is_bad_input() {
    laminar(["test", SAMPLES, "--filter", "no such case"]).check(2, &["expected cases to run, found none"]);
    laminar(["test", "no-such-path"]).check(2, &["no-such-path"]);
    let ran = laminar(["test", SAMPLES, "--kind", "engine", "--json"]);
    assert_eq!(ran.json().1["passed"], json!(1));
    let ran = laminar(["test", SAMPLES, "--filter", "refused|extra_logs", "--json"]);
    assert_eq!(ran.json().1["passed"], json!(3));
}
