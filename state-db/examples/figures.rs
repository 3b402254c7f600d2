//! Prints how long hashing, roots and witnesses take: `cargo run --release -p laminar-state-db --example figures [SECTION...] [BLOCK.rlp...]`.
//!
//! Sections: keccak, small, sorted, warm, big, storages; all without arguments. Each figure is the least of several runs.
#![expect(clippy::print_stdout, reason = "printing is what it is for")]

use alloy_primitives::{Address, B256, Bytes, U256, keccak256, map::B256Map};
use alloy_rlp::{Decodable, Header};
use alloy_trie::TrieAccount;
use laminar_state_db::{
    Account, AccountChange, BlockChanges, Dispatch, MemoryState, SlotChange, WitnessState, keccak256_batch_with,
    trie::{NoSource, StateTrie, Trie, sorted_root},
};
use std::{
    hint::black_box,
    time::{Duration, Instant},
};

/// The shortest of `runs` runs; `prepare` is not timed.
fn least<S, T>(runs: usize, mut prepare: impl FnMut() -> S, mut run: impl FnMut(S) -> T) -> Duration {
    let mut time = |input| {
        let start = Instant::now();
        let output = black_box(run(input));
        let time = start.elapsed();
        drop(output);
        time
    };
    (0..runs).map(|_| time(prepare())).min().unwrap_or_default()
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (files, sections): (Vec<_>, Vec<_>) = arguments.iter().partition(|argument| argument.ends_with(".rlp"));
    for (name, section) in [
        ("keccak", keccak as fn()),
        ("small", small_state),
        ("sorted", sorted_leaves),
        ("warm", warm_updates),
        ("big", big_states),
        ("storages", storages),
    ] {
        if arguments.is_empty() || sections.iter().any(|section| *section == name) {
            section();
        }
    }
    for path in files {
        witness(path);
    }
}

const RUNS: usize = 10;

fn keccak() {
    for len in [20, 32, 110, 532, 24_576] {
        let messages: Vec<Vec<u8>> = (0..256).map(|i| vec![i as u8; len]).collect();
        let mut out = Vec::new();
        for dispatch in Dispatch::ALL.into_iter().filter(|dispatch| dispatch.is_available()) {
            let time = least(200, || (), |()| keccak256_batch_with(dispatch, &messages, &mut out));
            println!("keccak {len:>5} bytes {dispatch:?}: {} ns a hash", time.as_nanos() / 256);
        }
    }
}

fn address(i: u64) -> Address {
    Address::from_word(keccak256(i.to_le_bytes()))
}

fn account(i: u64) -> Account {
    Account { nonce: i, balance: U256::from(i) << 64, ..Account::default() }
}

fn small_state() {
    let genesis = (0..8).map(|i| {
        let account = alloy_genesis::GenesisAccount {
            nonce: Some(i),
            balance: U256::from(i + 1),
            code: Some(vec![0x60; 40].into()),
            storage: Some((0..i % 4).map(|slot| (U256::from(slot).into(), B256::repeat_byte(7))).collect()),
            ..Default::default()
        };
        (address(i), account)
    });
    let genesis: Vec<_> = genesis.collect();
    let build = || MemoryState::from_alloc(genesis.iter().map(|(address, account)| (*address, account)));
    println!("state of 8 accounts with code: built in {:?}", least(1000, || (), |()| build()));
    println!("state of 8 accounts with code: first root in {:?}", least(1000, build, |mut state| state.state_root()));
    let built = || {
        let mut state = build();
        state.state_root();
        state
    };
    let changes = changes(8, 3);
    println!("state of 8 accounts with code: cloned in {:?}", least(1000, built, |state| (state.clone(), state)));
    let step = |mut state: MemoryState| {
        state.apply(&changes);
        (state.state_root(), state)
    };
    println!("state of 8 accounts with code: block of 3 accounts and root in {:?}", least(1000, built, step));
}

/// Changes of `len` accounts spread over the first `range`.
fn changes(range: u64, len: u64) -> BlockChanges {
    let change = |i: u64| {
        let number = i * (range / len);
        let after = Account { nonce: number + 1, ..account(number) };
        (address(number), AccountChange { before: Some(account(number)), after: Some(after), ..Default::default() })
    };
    BlockChanges { accounts: (0..len).map(change).collect(), contracts: Default::default() }
}

fn sorted_leaves() {
    let leaf = |i| TrieAccount { nonce: i, balance: U256::from(i) << 64, ..Default::default() };
    let mut leaves: Vec<_> = (0..100_000).map(|i| (keccak256(address(i)), leaf(i))).collect();
    leaves.sort_unstable_by_key(|(hash, _)| *hash);
    let alloy = least(5, || (), |()| alloy_trie::root::state_root(leaves.iter().copied()));
    let ours = least(20, || (), |()| sorted_root(&leaves));
    let trie = least(10, || (), |()| Trie::from_sorted(&leaves).root());
    println!("100000 sorted accounts: alloy-trie {alloy:?}, root alone {ours:?}, with the trie kept {trie:?}");
}

/// Other accounts in each round, all over the state.
fn warm_updates() {
    const ACCOUNTS: u64 = 1_000_000;
    let accounts = (0..ACCOUNTS).map(|i| (address(i), account(i))).collect();
    let mut tries = StateTrie::from_state(&accounts, &Default::default());
    tries.root();
    for len in [200, 2_000, 10_000] {
        let mut times = Vec::new();
        for round in 0..50u64 {
            let change = |i: u64| {
                let number = (i * 245_489 + round * 104_729) % ACCOUNTS;
                let after = Some(Account { nonce: ACCOUNTS + round, ..account(number) });
                (address(number), AccountChange { before: Some(account(number)), after, ..Default::default() })
            };
            let changes = BlockChanges { accounts: (0..len).map(change).collect(), contracts: Default::default() };
            let start = Instant::now();
            tries.apply(&changes, &NoSource).expect("all known");
            let apply = start.elapsed();
            tries.root();
            times.push((start.elapsed(), apply));
        }
        times.sort();
        let (median, apply) = times[times.len() / 2];
        let (least, _) = times[0];
        println!(
            "{ACCOUNTS} accounts, warm: {len} updates with root in {median:?} (of which {apply:?} to apply), least {least:?}"
        );
    }
}

fn big_states() {
    for len in [100_000, 1_000_000] {
        let accounts = (0..len).map(|i| (address(i), account(i))).collect();
        let storage = Default::default();
        let scratch = least(
            3,
            || (),
            |()| {
                let mut tries = StateTrie::from_state(&accounts, &storage);
                (tries.root(), tries)
            },
        );
        println!("{len} accounts: keys, tries and root from scratch in {scratch:?}");
        let mut leaves: Vec<_> =
            (0..len).map(|i| (keccak256(address(i)), TrieAccount { nonce: i, ..Default::default() })).collect();
        leaves.sort_unstable_by_key(|(hash, _)| *hash);
        let build = least(3, || (), |()| Trie::from_sorted(&leaves));
        let root = least(3, || Trie::from_sorted(&leaves), |mut trie| (trie.root(), trie));
        println!("{len} accounts: {build:?} to build from sorted leaves, {root:?} to hash");
        let mut tries = StateTrie::from_state(&accounts, &storage);
        tries.root();
        for updates in [200, 2_000, 10_000] {
            let changes = changes(len, updates);
            let update = |mut tries: StateTrie| {
                let start = Instant::now();
                tries.apply(&changes, &NoSource).expect("all known");
                let apply = start.elapsed();
                tries.root();
                (apply, start.elapsed(), tries)
            };
            let (apply, total, _) =
                (0..RUNS).map(|_| update(tries.clone())).min_by_key(|(_, total, _)| *total).expect("three");
            println!("{len} accounts: {updates} updates in {apply:?}, with root {total:?}");
        }
    }
}

/// 200 contracts of 1,000 slots, of which a block changes ten each.
fn storages() {
    let mut state = MemoryState::default();
    let mut changes = BlockChanges::default();
    for i in 0..200 {
        state.insert_account(address(i), account(i));
        for slot in 0..1000u64 {
            state.insert_slot(address(i), U256::from_be_bytes(keccak256(slot.to_be_bytes()).0), U256::from(slot + 1));
        }
        let slot = |slot: u64| {
            let change = SlotChange { before: U256::from(slot + 1), after: U256::from(slot + 2) };
            (U256::from_be_bytes(keccak256(slot.to_be_bytes()).0), change)
        };
        let storage = (0..10).map(slot).collect();
        let change =
            AccountChange { before: Some(account(i)), after: Some(account(i)), storage_cleared: false, storage };
        changes.accounts.insert(address(i), change);
    }
    let first = least(3, || state.clone(), |mut state| (state.state_root(), state));
    println!("200 contracts of 1000 slots: first root in {first:?}");
    state.state_root();
    let step = |mut state: MemoryState| {
        state.apply(&changes);
        (state.state_root(), state)
    };
    println!("200 contracts of 1000 slots: 10 slots of each and root in {:?}", least(5, || state.clone(), step));
}

/// Reads `[block, headers, codes, nodes]`; the state root is that of the first header.
fn witness(path: &str) {
    let content = std::fs::read(path).expect("a readable file");
    let mut items = Header::decode_bytes(&mut &*content, true).expect("a list");
    Header::decode_bytes(&mut items, true).expect("the block");
    let mut headers = Header::decode_bytes(&mut items, true).expect("headers");
    let Ok(mut parent) = Header::decode_bytes(&mut headers, true) else {
        return;
    };
    let fields: Vec<B256> = (0..4)
        .filter_map(|_| B256::try_from(Header::decode_bytes(&mut parent, false).expect("a field")).ok())
        .collect();
    let Some(root) = fields.last().copied() else { return };
    let codes = Vec::<Bytes>::decode(&mut items).expect("codes");
    let nodes = Vec::<Bytes>::decode(&mut items).expect("nodes");
    let read = || WitnessState::new(root, nodes.clone(), codes.clone(), []).expect("a complete witness");
    let state = read();
    println!("{path}: {} nodes and {} codes read in {:?}", nodes.len(), codes.len(), least(20, || (), |()| read()));
    let clone = least(20, || (), |()| state.clone());
    let map: B256Map<Bytes> = nodes.iter().map(|node| (keccak256(node), node.clone())).collect();
    let reveal = least(
        20,
        || Trie::<TrieAccount>::from_root(root),
        |mut trie| {
            trie.reveal_all(&map, map.len()).expect("well formed");
            trie
        },
    );
    println!("{path}: cloned in {clone:?}, account trie revealed in {reveal:?}");
}
