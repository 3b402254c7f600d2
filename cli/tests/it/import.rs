//! `laminar import`: a generated chain of empty blocks, and the real chains of the archive.

use super::{
    chain::{BLOCKS, GENESIS, blocks, rlp},
    command::{Ran, laminar},
    data::archive,
    samples::Scratch,
};
use alloy_primitives::B256;
use serde_json::Value;
use std::{fs::File, path::Path};

fn import(file: &Path, dir: &Path, chain: &Path) -> Ran {
    let args = [file.as_os_str(), "--datadir".as_ref(), dir.as_os_str(), "--chain".as_ref(), chain.as_os_str()];
    laminar(["import", "--json"].iter().map(AsRef::as_ref).chain(args))
}

/// Checks the figures of a summary.
#[track_caller]
fn check(ran: &Ran, code: i32, blocks: usize, known: Option<usize>, tip: u64) {
    assert_eq!(ran.code, code, "{ran:?}");
    let (_, summary) = ran.json();
    let known = known.map_or(Value::Null, Value::from);
    assert_eq!((&summary["blocks"], &summary["known"]), (&blocks.into(), &known), "{summary}");
    assert_eq!(summary["tip"]["number"], tip, "{summary}");
}

#[track_caller]
fn verify(dir: &Path, blocks: usize) {
    let ran = laminar(["db", "verify", "--json", "--datadir", dir.to_str().unwrap()]);
    assert_eq!(ran.code, 0, "{ran:?}");
    let verified: Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((&verified["ok"], &verified["blocks"]), (&true.into(), &blocks.into()), "{verified}");
}

#[test]
fn a_bad_block_keeps_what_is_before_it_and_the_good_file_goes_on() {
    let scratch = Scratch::new();
    let (dir, genesis) = (scratch.path().join("store"), scratch.write("genesis.json", GENESIS));
    let mut blocks = blocks(&genesis);
    let good = scratch.write("good.rlp", rlp(&blocks));
    let at = BLOCKS / 2;
    blocks[at].header.state_root = B256::repeat_byte(1);
    let bad = scratch.write("bad.rlp", rlp(&blocks));

    let refused = import(&bad, &dir, &genesis);
    check(&refused, 1, at, None, at as u64);
    refused.check(1, &[&format!("block {}", at + 1), "state root"]);
    let (_, summary) = refused.json();
    assert_eq!(summary["refused"]["number"], at + 1, "{summary}");
    verify(&dir, at + 1);

    check(&import(&good, &dir, &genesis), 0, BLOCKS - at, Some(at), BLOCKS as u64);
    check(&import(&good, &dir, &genesis), 0, 0, Some(BLOCKS), BLOCKS as u64);
    verify(&dir, BLOCKS + 1);
}

#[test]
fn bad_input_is_named_and_keeps_what_is_before_it() {
    let scratch = Scratch::new();
    let (dir, genesis) = (scratch.path().join("store"), scratch.write("genesis.json", GENESIS));
    let blocks = blocks(&genesis);
    let bytes = rlp(&blocks);
    let missing = scratch.path().join("missing.rlp");
    import(&missing, &dir, &genesis).check(2, &["missing.rlp", "no such file"]);
    import(&genesis, &dir, &missing).check(2, &["missing.rlp", "no such file"]);
    let cut = scratch.write("cut.rlp", &bytes[..bytes.len() - 1]);
    import(&cut, &dir, Path::new("mainnet")).check(2, &["holds no store", "--chain"]);

    let ran = import(&cut, &dir, &genesis);
    check(&ran, 2, BLOCKS - 1, None, BLOCKS as u64 - 1);
    ran.check(2, &["cut.rlp", "byte"]);
    import(&genesis, &dir, &genesis).check(2, &["genesis.json", "expected blocks"]);
    let gap = scratch.write("empty.rlp", "");
    import(&gap, &dir, &genesis).check(2, &["empty.rlp", "empty file"]);

    let other = scratch.write("other.json", GENESIS.replace("0x5", "0x6"));
    let good = scratch.write("good.rlp", &bytes);
    for chain in [other.as_path(), Path::new("mainnet")] {
        import(&good, &dir, chain).check(2, &[dir.to_str().unwrap(), "holds another chain"]);
    }
    verify(&dir, BLOCKS);
}

#[test]
fn blocks_that_stand_nowhere_are_no_invalid_blocks() {
    let scratch = Scratch::new();
    let (dir, genesis) = (scratch.path().join("store"), scratch.write("genesis.json", GENESIS));
    let orphans = scratch.write("orphans.rlp", rlp(&blocks(&genesis)[5..]));
    import(&orphans, &dir, &genesis).check(2, &["block 6", "unknown parent"]);
    verify(&dir, 1);
}

#[test]
fn chains_of_the_archive_are_imported() {
    let Some(path) = archive("chains.tar.zst") else { return };
    let scratch = Scratch::new();
    let unpacked = zstd::Decoder::new(File::open(path).unwrap()).unwrap();
    tar::Archive::new(unpacked).unpack(scratch.path()).unwrap();
    let chains = [
        ("geth_devp2p_chain/chain.rlp", "geth_devp2p_chain/genesis.json", 600),
        ("mainnet_era1/mainnet-00000-5ec1ffb8.era1", "mainnet_era1/mainnet_genesis.json", 8191),
    ];
    for (file, genesis, blocks) in chains {
        let at = |name: &str| scratch.path().join("chains").join(name);
        let dir = scratch.path().join(genesis.replace('/', "-"));
        let ran = import(&at(file), &dir, &at(genesis));
        assert_eq!(ran.code, 0, "{ran:?}");
        let (_, summary) = ran.json();
        assert_eq!(summary["tip"]["number"], blocks, "{summary}");
        verify(&dir, blocks + 1);
        let (_, again) = import(&at(file), &dir, &at(genesis)).json();
        assert_eq!((&again["blocks"], &again["tip"]), (&0.into(), &summary["tip"]), "{again}");
    }
}
