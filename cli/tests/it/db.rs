//! `laminar db` on stores that the library and `import` made.

use super::{
    command::laminar,
    samples::{Scratch, sample},
};
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, U256};
use laminar_executor::pipeline::genesis_data;
use laminar_fixtures::workload::RECIPES;
use laminar_state_db::{Account, AccountChange, BlockChanges, MemoryState, Store, StoreOptions};
use serde_json::Value;
use std::{path::Path, sync::Arc};
use tempfile::TempDir;

const BLOCKS: u8 = 5;

/// A store with a genesis and some blocks.
fn store() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let block = |number: u8, parent_hash: B256| {
        let header = Header { number: number.into(), parent_hash, ..Header::default() };
        genesis_data(&header, header.hash_slow())
    };
    let options = StoreOptions { size_max: 64 << 20, ..StoreOptions::default() };
    let store = Store::create(dir.path(), options, MemoryState::default(), block(0, B256::ZERO)).unwrap();
    for number in 1..=BLOCKS {
        let after = Some(Account { balance: U256::from(number), ..Account::default() });
        let change = AccountChange { after, ..AccountChange::default() };
        let mut changes = BlockChanges::default();
        changes.accounts.insert(Address::repeat_byte(number), change);
        let block = block(number, store.tip().hash);
        let hash = block.id.hash;
        store.stage(block, Arc::new(changes)).unwrap();
        store.commit(&hash).unwrap();
    }
    dir
}

fn db(command: &[&str], dir: &Path) -> super::command::Ran {
    laminar(["db"].iter().chain(command).chain(&["--datadir", dir.to_str().unwrap()]))
}

fn json(command: &[&str], dir: &Path) -> Value {
    let ran = db(&[command, &["--json"]].concat(), dir);
    assert_eq!(ran.code, 0, "{}", ran.err);
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn sizes_integrity_and_history_are_told() {
    let dir = store();
    let stats = json(&["stats"], dir.path());
    assert_eq!((&stats["tip"]["number"], &stats["oldest_state"]), (&5.into(), &0.into()));
    let accounts = stats["tables"].as_array().unwrap().iter().find(|table| table["name"] == "Accounts").unwrap();
    assert_eq!(accounts["entries"], 5);
    let verified = json(&["verify"], dir.path());
    assert_eq!((&verified["ok"], &verified["blocks"], &verified["history"]), (&true.into(), &6.into(), &5.into()));
    assert_eq!(json(&["prune", "--keep", "2"], dir.path())["pruned"], 3);
    assert_eq!(json(&["verify"], dir.path())["history"], 2);
    assert!(db(&["stats"], dir.path()).out.contains("oldest state 3"));
}

#[test]
fn folders_without_a_store_and_stores_in_use_are_named() {
    let dir = tempfile::tempdir().unwrap();
    let name = dir.path().to_str().unwrap();
    for command in [&["stats"][..], &["verify"], &["prune", "--keep", "1"]] {
        db(command, dir.path()).check(2, &[name, "holds no store"]);
    }
    let dir = store();
    let _open = Store::open(dir.path(), StoreOptions::default()).unwrap();
    db(&["prune", "--keep", "1"], dir.path()).check(2, &[dir.path().to_str().unwrap(), "in use"]);
    assert_eq!(json(&["verify"], dir.path())["ok"], true);
}

#[test]
fn damage_is_found() {
    let dir = store();
    let path = dir.path().join("mdbx.dat");
    let mut bytes = std::fs::read(&path).unwrap();
    // The number of the account's balance stands in its row and in its leaf; one of them is changed.
    let row = [&Address::repeat_byte(3)[..], &[0, 1, 3]].concat();
    let places: Vec<_> = bytes.windows(row.len()).enumerate().filter(|(_, window)| *window == row).collect();
    assert!(!places.is_empty(), "the row is in the file");
    let places: Vec<_> = places.into_iter().map(|(place, _)| place).collect();
    for place in places {
        bytes[place + row.len() - 1] = 9;
    }
    std::fs::write(&path, bytes).unwrap();
    db(&["verify"], dir.path()).check(1, &["corrupt table Accounts", "state root"]);
}

#[test]
fn witness_of_a_kept_block_is_the_sample_and_is_replayed() {
    let (scratch, name) = (Scratch::new(), "erc20-transfers");
    let recipe = RECIPES.iter().find(|recipe| recipe.name == name).unwrap();
    let genesis = serde_json::to_vec(&recipe.build(&recipe.sample).genesis).unwrap();
    let genesis = scratch.write("genesis.json", genesis).display().to_string();
    let block = scratch.write("block.rlp", alloy_rlp::encode(&sample(name).block)).display().to_string();
    let [dir, out] = ["store", "out"].map(|name| scratch.path().join(name).display().to_string());
    let imported = laminar(["import", &block, "--datadir", &dir, "--chain", &genesis]);
    assert_eq!(imported.code, 0, "{imported:?}");

    let made =
        laminar(["db", "witness", "--json", "--datadir", &dir, "--chain", &genesis, "--block", "1", "--out", &out]);
    assert_eq!(made.code, 0, "{made:?}");
    let made: Value = serde_json::from_str(&made.out).unwrap();
    assert_eq!(made["nodes"], sample(name).nodes.len(), "{made}");
    let replayed = laminar(["replay", "--json", &out]);
    assert_eq!(replayed.code, 0, "{replayed:?}");
    assert_eq!(replayed.json().0[0]["verified"]["state_root"], true, "{replayed:?}");

    for (number, why) in [("0", "block 0"), ("2", "up to 1")] {
        laminar(["db", "witness", "--datadir", &dir, "--chain", &genesis, "--block", number, "--out", &out])
            .check(2, &[&dir, why]);
    }
}
