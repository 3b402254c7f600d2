//! What a store on disk survives and what it refuses: each time a committed block or a clear error, and nothing lost.

use super::{
    chain::{create, grow, small},
    check::{check_store, check_view},
};
use alloy_primitives::{B256, Bytes, keccak256};
use laminar_state_db::{Access, BlockChanges, Maintenance, Store, StoreError, StoreOptions};
use revm::bytecode::Bytecode;
use std::{fs, path::Path, sync::Arc};

#[test]
fn committed_blocks_are_there_after_reopening_and_fit_together() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, mut model) = create(dir.path(), small());
    grow(&store, &mut model, 40);
    drop(store);
    let store = Store::open(dir.path(), small()).expect("opens");
    check_store(&store, &model);
    drop(store);
    let maintenance = Maintenance::open(dir.path(), Access::ReadOnly).expect("opens");
    let verified = maintenance.verify().expect("fits together");
    assert_eq!((verified.blocks, verified.history), (41, 40));
    assert_eq!(verified.state_root, model.blocks[&model.tip].2);
    let stats = maintenance.stats().expect("readable");
    let entries = |name| stats.tables.iter().find(|table| table.name == name).expect("a table").entries;
    assert_eq!((entries("Blocks"), entries("Accounts")), (41, verified.accounts));
}

#[test]
fn only_so_many_blocks_are_written_behind() {
    let dir = tempfile::tempdir().expect("a folder");
    let options = StoreOptions { write_behind_max: 3, ..small() };
    let (store, mut model) = create(dir.path(), options);
    for number in 1..10 {
        grow(&store, &mut model, 1);
        assert_eq!(store.tip().number, number);
        assert_eq!(store.durable().number, number / 4 * 4, "after block {number}");
        check_store(&store, &model);
    }
    store.flush().expect("writes");
    assert_eq!(store.durable(), store.tip());
}

#[test]
fn pruned_states_are_refused_and_the_others_stay() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, mut model) = create(dir.path(), StoreOptions { history_len: Some(6), ..small() });
    grow(&store, &mut model, 20);
    let check = |store: &Store, oldest: u64| {
        for (block, state, root) in model.blocks.values() {
            match store.view_at(&block.id.hash) {
                Ok(view) if block.id.number >= oldest => check_view(&view, state, *root),
                Err(StoreError::Pruned { oldest: found, .. }) if block.id.number < oldest => assert_eq!(found, oldest),
                other => panic!("block {}: {other:?}", block.id.number),
            }
            assert_eq!(store.header(&block.id.hash).expect("kept").as_ref(), Some(&block.header));
        }
        let first = store.canonical_hash(0).expect("kept").expect("committed");
        assert!(matches!(store.unwind(&first), Err(StoreError::Pruned { .. })));
    };
    check(&store, 14);
    drop(store);
    let maintenance = Maintenance::open(dir.path(), Access::ReadWrite).expect("opens");
    assert_eq!(maintenance.prune(2).expect("prunes"), 4);
    maintenance.verify().expect("fits together");
    drop(maintenance);
    check(&Store::open(dir.path(), small()).expect("opens"), 18);
}

#[test]
fn a_store_in_use_is_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, mut model) = create(dir.path(), small());
    let refused = Store::open(dir.path(), small()).expect_err("in use");
    assert!(matches!(refused, StoreError::Locked { .. }), "{refused}");
    let refused = Store::create(dir.path(), small(), Default::default(), Default::default()).expect_err("in use");
    assert!(matches!(refused, StoreError::Locked { .. }), "{refused}");
    grow(&store, &mut model, 1);
    check_store(&store, &model);
}

#[test]
fn folders_without_a_store_and_with_another_are_told_apart() {
    let dir = tempfile::tempdir().expect("a folder");
    let missing = Store::open(&dir.path().join("nowhere"), small()).expect_err("nothing there");
    assert!(matches!(missing, StoreError::NotFound { .. }), "{missing}");
    fs::write(dir.path().join("mdbx.dat"), vec![7; 100_000]).expect("writes");
    let foreign = Store::open(dir.path(), small()).expect_err("another file");
    assert!(matches!(foreign, StoreError::Database { .. }), "{foreign}");
    let unwritable = Path::new("/proc/laminar");
    let error = Store::create(unwritable, small(), Default::default(), Default::default()).expect_err("no folder");
    assert!(matches!(error, StoreError::Io { .. }), "{error}");
}

#[test]
fn a_store_that_is_open_for_reading_refuses_to_write() {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, mut model) = create(dir.path(), small());
    grow(&store, &mut model, 5);
    drop(store);
    let store = Store::open(dir.path(), StoreOptions { access: Access::ReadOnly, ..small() }).expect("opens");
    check_store(&store, &model);
    let next = super::naive::block(store.tip(), 9);
    store.stage(next.clone(), Arc::default()).expect("stages");
    assert!(matches!(store.commit(&next.id.hash), Err(StoreError::ReadOnly)));
    let first = store.canonical_hash(0).expect("kept").expect("committed");
    assert!(matches!(store.unwind(&first), Err(StoreError::ReadOnly)));
    store.discard(&next.id.hash).expect("staged");
    check_store(&store, &model);
}

#[test]
fn a_full_disk_refuses_a_block_and_keeps_those_before() {
    let dir = tempfile::tempdir().expect("a folder");
    let tiny = StoreOptions { size_max: 1 << 20, ..small() };
    let (store, mut model) = create(dir.path(), tiny);
    grow(&store, &mut model, 3);
    let code = Bytes::from(vec![0; 2 << 20]);
    let hash = keccak256(&code);
    let mut changes = BlockChanges::default();
    changes.contracts.insert(hash, Bytecode::new_legacy(code));
    let big = super::naive::block(store.tip(), 1);
    store.stage(big.clone(), Arc::new(changes)).expect("stages");
    let full = store.commit(&big.id.hash).expect_err("larger than the file may be");
    assert!(matches!(full, StoreError::Full), "{full}");
    assert!(matches!(store.commit(&big.id.hash), Err(StoreError::Failed)));
    store.discard(&big.id.hash).expect("staged");
    check_store(&store, &model);
    drop(store);
    let store = Store::open(dir.path(), small()).expect("opens with more room");
    check_store(&store, &model);
    grow(&store, &mut model, 3);
    check_store(&store, &model);
}

/// The bytes of a store with some blocks, and the roots that it ever had.
fn damaged_source() -> (Vec<u8>, Vec<B256>) {
    let dir = tempfile::tempdir().expect("a folder");
    let (store, mut model) = create(dir.path(), StoreOptions { size_max: 1 << 20, ..small() });
    grow(&store, &mut model, 12);
    drop(store);
    let roots = model.blocks.values().map(|(_, _, root)| *root).collect();
    (fs::read(dir.path().join("mdbx.dat")).expect("reads"), roots)
}

/// Opens a store with these bytes: a block that was committed, in full, or an error. Returns whether it opened.
fn check_damaged(bytes: &[u8], roots: &[B256], what: &str) -> bool {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("mdbx.dat"), bytes).expect("writes");
    let opened = Maintenance::open(dir.path(), Access::ReadWrite).and_then(|maintenance| maintenance.verify());
    let is_whole = opened.is_ok();
    match opened {
        Ok(verified) => assert!(roots.contains(&verified.state_root), "{what}: an unknown root"),
        Err(error) => assert!(
            matches!(
                error,
                StoreError::Corrupt { .. }
                    | StoreError::Database { .. }
                    | StoreError::Trie(_)
                    | StoreError::NotFound { .. }
            ),
            "{what}: {error:?}"
        ),
    }
    is_whole
}

#[test]
fn a_file_that_was_cut_gives_a_committed_block_or_an_error() {
    let (bytes, roots) = damaged_source();
    assert!(check_damaged(&bytes, &roots, "whole"));
    let mut opened = 0;
    for tenth in 0..10 {
        for extra in [0, 1, 2_048] {
            let len = (bytes.len() * tenth / 10 + extra).min(bytes.len() - 1);
            opened += usize::from(check_damaged(&bytes[..len], &roots, &format!("cut to {len} bytes")));
        }
    }
    assert!(opened < 30, "a cut file is not whole");
}

#[test]
fn a_page_of_zeros_gives_a_committed_block_or_an_error() {
    let (bytes, roots) = damaged_source();
    let page = 4_096;
    let mut refused = 0;
    for place in 0..bytes.len() / page {
        let mut damaged = bytes.clone();
        damaged[place * page..(place + 1) * page].fill(0);
        refused += usize::from(!check_damaged(&damaged, &roots, &format!("page {place} zeroed")));
    }
    assert!(refused > 5, "only {refused} pages matter");
}

#[test]
fn a_commit_that_is_torn_at_any_page_leaves_the_block_before_or_after() {
    const PAGE: usize = 4_096;
    /// Bytes of a torn page that are new.
    const TORN_LEN: usize = 1_536;
    /// Pages that say which commit counts; MDBX writes one of them when all others are on disk.
    const METAS: usize = 3;
    let dir = tempfile::tempdir().expect("a folder");
    let (store, mut model) = create(dir.path(), StoreOptions { size_max: 1 << 20, ..small() });
    grow(&store, &mut model, 12);
    let read = || fs::read(dir.path().join("mdbx.dat")).expect("reads");
    let (mut file, before) = (read(), model.blocks[&model.tip].2);
    grow(&store, &mut model, 1);
    let (new, after) = (read(), model.blocks[&model.tip].2);
    drop(store);
    file.resize(new.len(), 0);
    let pages = || (METAS..new.len() / PAGE).chain(0..METAS).map(|place| place * PAGE..(place + 1) * PAGE);
    let changed: Vec<_> = pages().filter(|page| file[page.clone()] != new[page.clone()]).collect();
    let metas = changed.iter().filter(|page| page.start < METAS * PAGE).count();
    assert!(metas > 0 && changed.len() - metas > 10, "{} pages of a commit, {metas} metas", changed.len());
    let root = |bytes: &[u8], what: &str| {
        let folder = tempfile::tempdir().expect("a folder");
        fs::write(folder.path().join("mdbx.dat"), bytes).expect("writes");
        let opened = Maintenance::open(folder.path(), Access::ReadWrite).and_then(|maintenance| maintenance.verify());
        opened.unwrap_or_else(|error| panic!("{what}: {error}")).state_root
    };
    for page in changed {
        let is_meta = page.start < METAS * PAGE;
        for end in [page.start + TORN_LEN, page.end] {
            file[page.start..end].copy_from_slice(&new[page.start..end]);
            let found = root(&file, &format!("written up to byte {end}"));
            assert!(found == before || is_meta && found == after, "byte {end}: neither block");
        }
    }
    assert_eq!(root(&file, "whole"), after);
}
