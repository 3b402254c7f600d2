//! A process that commits and unwinds is killed (`SIGKILL`) at a random instant, again and again: each time the store opens at
//! a block that was committed, its tables fit together, and the next process goes on from there.
//!
//! `LAMINAR_CRASHES=300 cargo test -p laminar-state-db --test it crash -- --nocapture` prints the counts of the long run.

use super::chain::small;
use alloy_primitives::{Address, B256, U256, keccak256};
use laminar_state_db::{
    Access, Account, AccountChange, BlockChanges, BlockData, BlockRef, Maintenance, MemoryState, SlotChange, StateView,
    Store, StoreOptions,
};
use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

const FOLDER: &str = "LAMINAR_CRASH_FOLDER";
const CRASHES: &str = "LAMINAR_CRASHES";
const CRASHES_DEFAULT: u64 = 12;

fn options(write_behind_max: u64) -> StoreOptions {
    StoreOptions { size_max: 256 << 20, history_len: Some(64), write_behind_max, ..small() }
}

/// A hash that names a number.
fn hash(number: u64) -> B256 {
    keccak256(number.to_be_bytes())
}

fn genesis() -> (MemoryState, BlockData) {
    let id = BlockRef { number: 0, hash: hash(0) };
    (MemoryState::default(), BlockData { id, ..BlockData::default() })
}

/// The one block with this number, on the state before it: some accounts with slots, sometimes one that ends.
fn block(number: u64, before: &StateView) -> (BlockData, BlockChanges) {
    let mut changes = BlockChanges::default();
    for i in 0..20 {
        let seed = u64::from_be_bytes(hash(number << 8 | i)[..8].try_into().expect("eight bytes"));
        let address = Address::with_last_byte(seed as u8);
        let account = before.account(&address).expect("readable");
        let (ends, wipes) = (seed >> 8 & 15 == 0, seed >> 12 & 15 == 0);
        let mut change = AccountChange { before: account, storage_cleared: ends || wipes, ..Default::default() };
        if !ends {
            change.after = Some(Account { nonce: number, balance: U256::from(seed), ..Account::default() });
            for j in 0..4u64 {
                let slot = U256::from(seed >> (16 + 4 * j) & 31);
                let was = if wipes { U256::ZERO } else { before.slot(&address, slot).expect("readable") };
                change.storage.insert(slot, SlotChange { before: was, after: U256::from(seed >> j & 3) });
            }
        }
        changes.accounts.insert(address, change);
    }
    let id = BlockRef { number, hash: hash(number) };
    let body = hash(number).to_vec().repeat(30).into();
    let transactions = vec![hash(number << 20)];
    (BlockData { id, parent: hash(number - 1), body, transactions, ..BlockData::default() }, changes)
}

/// Stages and commits the next block.
fn step(store: &Store) {
    let tip = store.tip();
    let (data, changes) = block(tip.number + 1, &store.view_at(&tip.hash).expect("kept"));
    let hash = data.id.hash;
    store.stage(data, Arc::new(changes)).expect("stages");
    store.commit(&hash).expect("commits");
}

/// The process that is killed; does nothing when it is run as a test.
#[test]
fn child_of_the_crash_loop() {
    let Ok(folder) = std::env::var(FOLDER) else { return };
    let folder = Path::new(&folder);
    // Odd processes write behind.
    let store = Store::open(folder, options(u64::from(std::process::id() % 2) * 5)).expect("opens");
    loop {
        step(&store);
        let tip = store.tip();
        if tip.number.is_multiple_of(7) {
            store.unwind(&hash(tip.number - 3)).expect("unwinds");
            (0..3).for_each(|_| step(&store));
        }
        eprintln!("durable {}", store.durable().number);
    }
}

#[test]
fn killed_at_any_instant_a_store_opens_at_a_committed_block() {
    let crashes = std::env::var(CRASHES).map_or(CRASHES_DEFAULT, |text| text.parse().expect("a number"));
    let dir = tempfile::tempdir().expect("a folder");
    let (state, data) = genesis();
    drop(Store::create(dir.path(), options(0), state.clone(), data.clone()).expect("creates"));
    let model = Store::memory(state, data).expect("in memory");
    let mut tips = BTreeMap::<u64, u64>::new();
    for crash in 0..crashes {
        let seed = u64::from_be_bytes(hash(crash)[..8].try_into().expect("eight bytes"));
        let durable = run_and_kill(dir.path(), seed);
        let maintenance = Maintenance::open(dir.path(), Access::ReadOnly).expect("opens");
        let (verified, stats) = (maintenance.verify().expect("fits together"), maintenance.stats().expect("readable"));
        drop(maintenance);
        while model.tip().number < stats.tip.number {
            step(&model);
        }
        let expected = model.view_at(&hash(stats.tip.number)).expect("committed").state_root();
        assert_eq!((stats.tip.hash, verified.state_root), (hash(stats.tip.number), expected), "crash {crash}");
        // The process may have been unwinding three blocks when it was killed.
        assert!(stats.tip.number + 4 > durable, "crash {crash}: {} of {durable} durable blocks", stats.tip.number);
        *tips.entry(stats.tip.number).or_default() += 1;
    }
    let last = tips.keys().last().copied().unwrap_or_default();
    println!("{crashes} crashes: {} different tips up to block {last}, all verified", tips.len());
    // The next process goes on.
    let store = Store::open(dir.path(), options(0)).expect("opens");
    step(&store);
}

/// Kills a process that writes after it said some number of blocks and some microseconds more; returns the last durable one.
fn run_and_kill(dir: &Path, seed: u64) -> u64 {
    let test = "store::crash::child_of_the_crash_loop";
    let exe = std::env::current_exe().expect("this test");
    let mut child = Command::new(exe)
        .args(["--exact", test, "--nocapture"])
        .env(FOLDER, dir)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("runs");
    let lines = BufReader::new(child.stderr.take().expect("piped")).lines().map_while(Result::ok);
    let mut numbers = lines.filter_map(|line| line.strip_prefix("durable ")?.parse().ok());
    let mut durable = 0;
    for _ in 0..seed % 12 {
        durable = numbers.next().expect("goes on until it is killed");
    }
    let until = Instant::now() + Duration::from_micros(seed >> 32 & 0x3fff);
    while Instant::now() < until {
        std::hint::spin_loop();
    }
    child.kill().expect("is running");
    child.wait().expect("was killed");
    numbers.last().unwrap_or(durable)
}
