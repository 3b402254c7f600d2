//! A commit that dies before its write n, for every n: the store holds the block before, refuses to go on, and opens again.

use super::{
    Access, DiskBackend, Maintenance, StoreOptions,
    table::{Meta, MetaKey},
};
use crate::{
    changes::{Account, AccountChange, BlockChanges, SlotChange},
    memory::MemoryState,
    store::{BlockData, BlockRef, Store, StoreError},
};
use alloy_primitives::{Address, B256, U256};
use revm::bytecode::Bytecode;
use std::{path::Path, sync::Arc};
use tempfile::TempDir;

fn options() -> StoreOptions {
    StoreOptions { size_max: 16 << 20, cache_size_max: 1 << 20, ..StoreOptions::default() }
}

fn address(number: u8) -> Address {
    Address::repeat_byte(number)
}

fn account(nonce: u64) -> Account {
    Account { nonce, balance: U256::from(nonce), ..Account::default() }
}

fn block(number: u8) -> BlockData {
    let id = BlockRef { number: number.into(), hash: B256::repeat_byte(number) };
    let parent = B256::repeat_byte(number.wrapping_sub(1));
    BlockData { id, parent, transactions: vec![B256::repeat_byte(0x80 | number)], ..BlockData::default() }
}

fn genesis() -> MemoryState {
    let mut state = MemoryState::default();
    for number in 1..4 {
        state.insert_account(address(number), account(1));
        for slot in 0..5u64 {
            state.insert_slot(address(number), U256::from(slot), U256::from(slot + 1));
        }
    }
    state
}

/// Block 1 writes, wipes, deletes, makes and deploys; block 2 makes again what was deleted.
fn changes(number: u8) -> Arc<BlockChanges> {
    let slot = |before: u64, after: u64| SlotChange { before: U256::from(before), after: U256::from(after) };
    let mut changes = BlockChanges::default();
    let mut add =
        |number, before: Option<Account>, after: Option<Account>, storage_cleared, slots: &[(u64, SlotChange)]| {
            let storage = slots.iter().map(|(slot, change)| (U256::from(*slot), *change)).collect();
            changes.accounts.insert(address(number), AccountChange { before, after, storage_cleared, storage });
        };
    if number == 1 {
        add(1, Some(account(1)), Some(account(2)), false, &[(0, slot(1, 9)), (1, slot(2, 0)), (7, slot(0, 7))]);
        add(2, Some(account(1)), Some(account(2)), true, &[(0, slot(0, 1)), (8, slot(0, 8))]);
        add(3, Some(account(1)), None, true, &[]);
        add(4, None, Some(Account { code_hash: B256::repeat_byte(0xc0), ..account(1) }), false, &[]);
        let code = Bytecode::new_legacy(vec![0].into());
        changes.contracts.insert(B256::repeat_byte(0xc0), code);
    } else {
        add(3, None, Some(account(3)), false, &[(1, slot(0, 1))]);
    }
    Arc::new(changes)
}

/// The store with block 1 and 2 staged, whose backend is to fail.
fn staged(dir: &Path) -> (Store, Arc<DiskBackend>) {
    let backend = Arc::new(DiskBackend::open(dir, options()).expect("opens"));
    let store = Store::new(backend.clone()).expect("opens");
    for number in store.tip().number as u8 + 1..=2 {
        store.stage(block(number), changes(number)).expect("stages");
    }
    (store, backend)
}

/// Runs `act` with every write failing in turn; `before` and `after` are the tips.
fn check_every_write(dir: &Path, act: fn(&Store) -> Result<(), StoreError>, before: u8, after: u8) -> u64 {
    for n in 0.. {
        let (store, backend) = staged(dir);
        assert_eq!(store.tip(), block(before).id);
        let root = store.view_at(&block(before).id.hash).expect("kept").state_root();
        *backend.fails_before.lock() = Some(n);
        let done = act(&store);
        *backend.fails_before.lock() = None;
        if done.is_ok() {
            assert_eq!(store.tip(), block(after).id);
            return n;
        }
        assert!(matches!(done, Err(StoreError::Database { .. })), "write {n}: {done:?}");
        assert!(matches!(act(&store), Err(StoreError::Failed)), "write {n}");
        assert_eq!(store.tip(), block(before).id, "write {n}");
        let view = store.view_at(&block(before).id.hash).expect("kept");
        assert_eq!(view.state_root(), root);
        view.proof(&address(2), &[U256::ZERO]).expect("readable");
        drop((store, backend, view));
        let maintenance = Maintenance::open(dir, Access::ReadOnly).expect("opens");
        assert_eq!(maintenance.verify().expect("fits together").state_root, root, "write {n}");
    }
    unreachable!("some number of writes is enough")
}

#[test]
fn a_commit_that_dies_at_any_write_leaves_the_block_before() {
    let dir = tempfile::tempdir().expect("a folder");
    drop(Store::create(dir.path(), options(), genesis(), block(0)).expect("creates"));
    // The code's hash is made up, so block 1 does not pass `verify`; it is checked by the roots of the tries instead.
    let writes = check_every_write(dir.path(), |store| store.commit(&block(1).id.hash), 0, 1);
    assert!(writes > 30, "{writes} writes");
}

/// A folder with blocks 1 and 2 committed, but for the code, whose hash is made up.
fn two_blocks() -> TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    let store = Store::create(dir.path(), options(), genesis(), block(0)).expect("creates");
    let mut plain = (*changes(1)).clone();
    plain.accounts.swap_remove(&address(4));
    plain.contracts.clear();
    store.stage(block(1), Arc::new(plain)).expect("stages");
    store.stage(block(2), changes(2)).expect("stages");
    store.commit(&block(2).id.hash).expect("commits");
    dir
}

#[test]
fn an_unwind_that_dies_at_any_write_leaves_the_tip() {
    for act in [|store: &Store| store.unwind(&block(0).id.hash), |store: &Store| store.cut(&block(0).id.hash)] {
        let dir = two_blocks();
        let writes = check_every_write(dir.path(), act, 2, 0);
        assert!(writes > 30, "{writes} writes");
        let maintenance = Maintenance::open(dir.path(), Access::ReadOnly).expect("opens");
        assert_eq!(maintenance.verify().expect("fits together").state_root, genesis().state_root());
    }
}

/// Writes, wipes and makes accounts on the state after block 2.
fn amendment() -> BlockChanges {
    let slot = |before: u64, after: u64| SlotChange { before: U256::from(before), after: U256::from(after) };
    let mut changes = BlockChanges::default();
    let storage = [(U256::ZERO, slot(9, 4)), (U256::from(9), slot(0, 5))].into_iter().collect();
    let change = |before, after| AccountChange {
        before: Some(account(before)),
        after: Some(account(after)),
        ..Default::default()
    };
    changes.accounts.insert(address(1), AccountChange { storage, ..change(2, 7) });
    changes.accounts.insert(address(2), AccountChange { storage_cleared: true, ..change(2, 8) });
    changes.accounts.insert(address(5), AccountChange { before: None, ..change(0, 9) });
    changes
}

#[test]
fn an_amendment_that_dies_at_any_write_leaves_the_state_before() {
    let dir = two_blocks();
    let root_after = || {
        let store = Store::open(dir.path(), StoreOptions { access: Access::ReadOnly, ..options() }).expect("opens");
        store.view_at(&block(2).id.hash).expect("kept").root_after(&amendment()).expect("readable")
    };
    let amended = root_after();
    let writes = check_every_write(dir.path(), |store| store.amend(&amendment()), 2, 2);
    assert!(writes > 15, "{writes} writes");
    let maintenance = Maintenance::open(dir.path(), Access::ReadOnly).expect("opens");
    assert_eq!(maintenance.verify().expect("fits together").state_root, amended);
}

#[test]
fn a_store_whose_first_commit_died_is_made_again() {
    let dir = tempfile::tempdir().expect("a folder");
    let env = super::env::Env::create(dir.path(), &options()).expect("makes the tables");
    drop(env);
    let read_only = StoreOptions { access: Access::ReadOnly, ..options() };
    for options in [read_only, options()] {
        assert!(matches!(Store::open(dir.path(), options), Err(StoreError::NotFound { .. })));
        // A file without its first page is no more than one without tables.
        std::fs::write(dir.path().join("mdbx.dat"), []).expect("writes");
        assert!(matches!(Store::open(dir.path(), options), Err(StoreError::NotFound { .. })));
    }
    Store::create(dir.path(), options(), genesis(), block(0)).expect("creates");
}

#[test]
fn a_newer_format_is_refused_and_kept() {
    let dir = tempfile::tempdir().expect("a folder");
    drop(Store::create(dir.path(), options(), genesis(), block(0)).expect("creates"));
    let write_format = |format: u32| {
        let backend = DiskBackend::open(dir.path(), options()).expect("opens");
        backend.write(|rows| rows.put::<Meta>(&MetaKey::Format, &format.to_be_bytes().into())).expect("writes");
    };
    write_format(2);
    for access in [Access::ReadWrite, Access::ReadOnly] {
        let error = Store::open(dir.path(), StoreOptions { access, ..options() }).expect_err("a newer format");
        let dir = dir.path().display();
        assert_eq!(error.to_string(), format!("{dir}: newer format: expected version 1, found 2"));
    }
    let error = Store::create(dir.path(), options(), genesis(), block(0)).expect_err("holds a store");
    assert!(matches!(error, StoreError::Exists { .. }), "{error}");
}
