//! Real blocks, from the archives that `LAMINAR_DATA` points to. Without them the test says so and passes; under `CI=true`
//! a missing archive is a failure.

use super::command::laminar;
use serde_json::Value;
use std::{env, path::PathBuf};

/// The path of an archive, if it is there.
pub(crate) fn archive(name: &str) -> Option<PathBuf> {
    let data = env::var_os("LAMINAR_DATA").map(PathBuf::from);
    let default = || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data"));
    let path = data.unwrap_or_else(default).join(name);
    if path.is_file() {
        return Some(path);
    }
    assert_ne!(env::var("CI").as_deref(), Ok("true"), "{} is missing", path.display());
    eprintln!("skipped: {} is missing", path.display());
    None
}

/// Replays an archive with every prediction and checks all blocks.
#[track_caller]
fn check(name: &str, blocks: usize, has_state_root: fn(&Value) -> bool) {
    let Some(path) = archive(name) else { return };
    for (predict, threads) in [("none", "1"), ("presimulate", "2"), ("ahead", "3"), ("bal", "8")] {
        let args = ["--json", "--executor", "parallel", "--predict", predict, "--threads", threads];
        let ran = laminar(["replay", path.to_str().unwrap()].iter().chain(&args));
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{predict}");
        let (lines, summary) = ran.json();
        assert_eq!((lines.len(), &summary["identical"]), (blocks, &blocks.into()), "{predict}");
        for block in lines {
            let verified = &block["verified"];
            assert_eq!((&verified["gas"], &verified["logs_bloom"]), (&true.into(), &true.into()), "{block}");
            let old = ["Frontier", "Homestead", "EIP150", "EIP158"].iter().any(|fork| block["fork"] == *fork);
            assert_eq!(verified["receipts_root"], if old { Value::Null } else { true.into() }, "{block}");
            let root = if has_state_root(&block) { true.into() } else { Value::Null };
            assert_eq!(verified["state_root"], root, "{block}");
        }
    }
}

#[test]
fn witness_blocks_are_proven_up_to_the_state_root() {
    // One of them is flat: plain accounts without a trie.
    check("mainnet-witness.tar.zst", 25, |block| !block["file"].as_str().unwrap().contains("flat/"));
}

#[test]
fn prestate_blocks_are_proven_up_to_the_receipts() {
    check("mainnet-prestate.tar.zst", 53, |_| false);
}
