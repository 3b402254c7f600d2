//! Figures of a store on disk: point reads beside raw MDBX, and commits. `docs/storage.md` quotes them.
//!
//! `cargo run --release -p laminar-state-db --example store_figures [ACCOUNTS]`

#![expect(clippy::print_stdout, reason = "an example that prints a table")]

use alloy_primitives::{Address, B256, U256, keccak256};
use laminar_state_db::{Account, AccountChange, BlockChanges, BlockData, BlockRef, MemoryState, Store, StoreOptions};
use signet_libmdbx::{Environment, EnvironmentFlags, Mode};
use std::{hint::black_box, path::Path, sync::Arc, time::Instant};

const READS: u64 = 200_000;
const BLOCKS: u64 = 200;
const CHANGES: u64 = 200;

fn address(number: u64) -> Address {
    Address::from_word(keccak256(number.to_be_bytes()))
}

fn account(nonce: u64) -> Account {
    Account { nonce, balance: U256::from(nonce) << 40, ..Account::default() }
}

/// A scattered order over `len` numbers.
fn scattered(i: u64, len: u64) -> u64 {
    (i.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20) % len
}

fn main() {
    let accounts: u64 = std::env::args().nth(1).map_or(1_000_000, |text| text.parse().expect("a number of accounts"));
    let dir = tempfile::tempdir().expect("a folder");
    let mut genesis = MemoryState::default();
    (0..accounts).for_each(|number| genesis.insert_account(address(number), account(number + 1)));
    let id = BlockRef { number: 0, hash: B256::repeat_byte(1) };
    let start = Instant::now();
    let options = StoreOptions { cache_size_max: 0, ..StoreOptions::default() };
    let store = Store::create(dir.path(), options, genesis, BlockData { id, ..BlockData::default() }).expect("creates");
    println!("genesis of {accounts} accounts, with all nodes: {:.1} s", start.elapsed().as_secs_f64());
    reads(&store, accounts);
    commits(&store, accounts);
    drop(store);
    raw_reads(dir.path(), accounts);
}

fn reads(store: &Store, accounts: u64) {
    let addresses: Vec<_> = (0..READS).map(|i| address(scattered(i, accounts))).collect();
    let view = store.view_at(&store.tip().hash).expect("kept");
    for pass in ["first", "second"] {
        let start = Instant::now();
        for address in &addresses {
            black_box(view.account(address).expect("readable"));
        }
        println!("point read of a view, {pass} pass: {:.0} ns", start.elapsed().as_nanos() as f64 / READS as f64);
    }
}

fn raw_reads(dir: &Path, accounts: u64) {
    let addresses: Vec<_> = (0..READS).map(|i| address(scattered(i, accounts))).collect();
    let mut builder = Environment::builder();
    builder.set_max_dbs(64).set_flags(EnvironmentFlags {
        mode: Mode::ReadOnly,
        no_rdahead: true,
        ..Default::default()
    });
    let env = builder.open(dir).expect("opens");
    let tx = env.begin_ro_unsync().expect("begins");
    let table = tx.open_db(Some("Accounts")).expect("a table").dbi();
    for pass in ["first", "second"] {
        let start = Instant::now();
        for address in &addresses {
            black_box(tx.get::<Vec<u8>>(table, address.as_slice()).expect("readable"));
        }
        println!("raw MDBX get, {pass} pass: {:.0} ns", start.elapsed().as_nanos() as f64 / READS as f64);
    }
}

fn commits(store: &Store, accounts: u64) {
    let (mut staging, mut committing) = (0.0, 0.0);
    for number in 1..=BLOCKS {
        let tip = store.tip();
        let view = store.view_at(&tip.hash).expect("kept");
        let mut changes = BlockChanges::default();
        for i in 0..CHANGES {
            let address = address(scattered(number * CHANGES + i, accounts));
            let before = view.account(&address).expect("readable");
            let after = before.map(|account| Account { nonce: account.nonce + 1, ..account });
            changes.accounts.insert(address, AccountChange { before, after, ..Default::default() });
        }
        drop(view);
        let id = BlockRef { number, hash: keccak256(number.to_le_bytes()) };
        let start = Instant::now();
        store.stage(BlockData { id, parent: tip.hash, ..BlockData::default() }, Arc::new(changes)).expect("stages");
        staging += start.elapsed().as_secs_f64();
        let start = Instant::now();
        store.commit(&id.hash).expect("commits");
        committing += start.elapsed().as_secs_f64();
    }
    let ms = |seconds: f64| 1e3 * seconds / BLOCKS as f64;
    println!(
        "block of {CHANGES} changed accounts: root {:.2} ms, durable commit {:.2} ms",
        ms(staging),
        ms(committing)
    );
}
