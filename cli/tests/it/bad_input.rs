//! Bad input: one line that names file and place, exit code 2, nothing written, bounded memory.

use super::{
    command::{Ran, laminar, ran},
    samples::{self, Scratch, rlp, sample},
};
use laminar_fixtures::WitnessBlock;
use std::{fs::File, io::Write, path::Path, process::Command};

const SAMPLE: &str = "hot-counter";

fn replay(path: &Path) -> Ran {
    laminar(["replay", path.to_str().unwrap()])
}

#[track_caller]
fn check_bytes(name: &str, bytes: impl AsRef<[u8]>, parts: &[&str]) {
    let scratch = Scratch::new();
    let path = scratch.write(name, bytes);
    let ran = replay(&path);
    ran.check(2, parts);
    ran.check(2, &[path.to_str().unwrap()]);
    assert_eq!((ran.out.as_str(), scratch.files()), ("", 1));
}

#[track_caller]
fn check_block(change: impl FnOnce(&mut WitnessBlock), parts: &[&str]) {
    let mut block = sample(SAMPLE);
    change(&mut block);
    let scratch = Scratch::new();
    replay(&scratch.block(&block)).check(2, parts);
}

/// An archive of three samples.
fn archive() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for name in ["hot-counter", "one-sender-chain", "weth"] {
        for ending in ["rlp", "json"] {
            let file = format!("{name}.{ending}");
            tar.append_path_with_name(samples::folder().join(&file), format!("blocks/{file}")).unwrap();
        }
    }
    zstd::encode_all(&tar.into_inner().unwrap()[..], 3).unwrap()
}

#[test]
fn whole_archive_is_replayed() {
    let scratch = Scratch::new();
    let path = scratch.write("a.tar.zst", archive());
    let ran = laminar(["replay", "--json", path.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.json().1["verified"]["state_root"]["true"], 3);
}

#[test]
fn truncated_archive_names_file_and_offset() {
    let whole = archive();
    let scratch = Scratch::new();
    let path = scratch.write("a.tar.zst", &whole[..whole.len() / 2]);
    let ran = replay(&path);
    ran.check(2, &["a.tar.zst", "truncated zstd", "byte "]);
    check_bytes("b.tar.zst", &whole[..10], &["truncated"]);
}

#[test]
fn corrupt_archive_is_refused() {
    let mut bytes = archive();
    let middle = bytes.len() / 2;
    bytes[middle..middle + 64].fill(0xff);
    let scratch = Scratch::new();
    let ran = replay(&scratch.write("a.tar.zst", &bytes));
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("a.tar.zst"), "{}", ran.err);
    check_bytes("c.json.gz", b"\x1f\x8b\x08 this is no gzip", &["gzip"]);
}

#[test]
fn wrong_rlp_names_the_field_and_its_offset() {
    let whole = rlp(SAMPLE);
    check_bytes("x.rlp", &whole[..whole.len() - 1], &["x.rlp: wrong rlp in witness", "at byte 0"]);
    let mut block = sample(SAMPLE);
    block.block.body.transactions.truncate(1);
    let mut bytes = block.encode();
    let tx = alloy_rlp::encode(&block.block.body.transactions[0]);
    let at = bytes.windows(tx.len()).position(|window| window == tx).unwrap();
    bytes[at + 5] = 0xb8;
    check_bytes("y.rlp", &bytes, &["wrong rlp in transaction 0 at byte "]);
}

#[test]
fn bytes_that_are_nothing_are_refused() {
    check_bytes("x.rlp", b"", &["expected a fixture, found an empty file"]);
    check_bytes("x.json", b"{\"a\": 1", &["x.json"]);
    check_bytes("x.json", b"{}", &["x.json"]);
    check_bytes("x.rlp", b"hello", &["x.rlp"]);
    check_bytes("x.txt", b"hello", &["x.txt"]);
}

#[test]
fn path_that_is_not_there_is_named() {
    replay(Path::new("no/such/block.rlp")).check(2, &["no/such/block.rlp: no such file or folder"]);
}

#[test]
fn folder_without_blocks_is_named() {
    let scratch = Scratch::new();
    replay(scratch.path()).check(2, &["expected blocks, found none"]);
    scratch.write("genesis.json", serde_json::to_string(&laminar_fixtures::workload::all()[0].genesis).unwrap());
    replay(scratch.path()).check(2, &["genesis.json", "found a genesis"]);
}

#[test]
fn missing_node_or_code_says_what_is_missing() {
    check_block(|block| block.codes.clear(), &["missing code with hash 0x"]);
    check_block(|block| block.nodes.clear(), &["missing node at path", "with hash 0x"]);
    for position in [0, 7, 100] {
        let mut block = sample(SAMPLE);
        block.nodes.remove(position);
        let scratch = Scratch::new();
        let ran = replay(&scratch.block(&block));
        ran.check(2, &["missing node at path", "with hash 0x"]);
    }
    let garbage = |block: &mut WitnessBlock| block.nodes = vec![vec![0xc1; 40].into()];
    check_block(garbage, &["missing node at path"]);
}

#[test]
fn parent_that_does_not_fit_is_refused() {
    check_block(|block| block.headers[0].gas_used += 1, &["hash of header 0: expected 0x"]);
    check_block(|block| block.headers.clear(), &["expected its sibling", "block.json"]);
}

#[test]
fn unknown_chain_is_refused() {
    let mut block = sample(SAMPLE);
    block.chain_id = 424_242;
    let scratch = Scratch::new();
    scratch.write("x.json", block.to_sidecar());
    let path = scratch.write("x.rlp", block.encode());
    replay(&path).check(2, &["unknown chain id: expected", "found 424242"]);
    block.chain_id = 11_155_111;
    scratch.write("x.json", block.to_sidecar());
    replay(&path).check(1, &["wrong chain id: expected 11155111, found 1337"]);
}

#[test]
fn one_broken_file_does_not_hide_the_others() {
    let scratch = Scratch::new();
    scratch.write("a.rlp", b"nonsense");
    scratch.write("b.rlp", rlp("weth"));
    let mut wrong = sample(SAMPLE);
    wrong.block.header.gas_used -= 1;
    scratch.write("c.rlp", wrong.encode());
    let ran = laminar(["replay", "--json", scratch.path().to_str().unwrap()]);
    assert_eq!(ran.code, 2);
    let (blocks, summary) = ran.json();
    assert_eq!((blocks.len(), &summary["refused"], &summary["unreadable"]), (2, &1.into(), &1.into()));
    assert_eq!(ran.err.lines().count(), 2, "{}", ran.err);
    assert!(blocks[1]["error"].as_str().unwrap().contains("wrong gas used"), "{}", blocks[1]);
    assert_eq!(blocks[1]["verified"]["gas"], false);
}

/// Two gigabytes of nothing, under names of every kind, within three gigabytes of address space.
#[test]
#[cfg(target_os = "linux")]
fn huge_file_is_refused_within_bounded_memory() {
    let scratch = Scratch::new();
    let magic: [(&str, &[u8]); 5] = [
        ("x.rlp", b"\xfb\xff\xff\xff\xff"),
        ("y.rlp", b""),
        ("x.tar.zst", b"\x28\xb5\x2f\xfd"),
        ("x.json", b"{"),
        ("x.json.gz", b"\x1f\x8b\x08"),
    ];
    for (name, start) in magic {
        let path = scratch.path().join(name);
        let mut file = File::create(&path).unwrap();
        file.write_all(start).unwrap();
        file.set_len(2 << 30).unwrap();
        let script = format!("ulimit -v 3000000; exec {} replay {}", env!("CARGO_BIN_EXE_laminar"), path.display());
        let ran = ran(Command::new("sh").arg("-c").arg(script).output().unwrap());
        ran.check(2, &[name]);
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn wrong_usage_is_told_with_exit_code_two() {
    for args in [
        &["replay"][..],
        &["replay", "x", "--threads", "0"],
        &["replay", "x", "--threads", "4096"],
        &["replay", "x", "--predict", "magic"],
        &["replay", "x", "--repeat", "0"],
        &["replay", "x", "--no-such-flag"],
        &["no-such-command"],
    ] {
        let ran = laminar(args);
        assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{args:?}");
    }
    let scratch = Scratch::new();
    let path = scratch.path().join("no/such/trace.json");
    let sample = samples::path(SAMPLE);
    laminar(["replay", sample.to_str().unwrap(), "--trace", path.to_str().unwrap()]).check(2, &["no/such/trace.json"]);
}
