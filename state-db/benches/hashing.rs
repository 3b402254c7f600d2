//! Batched Keccak under each dispatch, and roots against alloy-trie: `cargo bench -p laminar-state-db --bench hashing`.
//!
//! Each group has its rival beside it: one message at a time for hashes, `HashBuilder` for the root of sorted accounts.

use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_trie::{HashBuilder, Nibbles, TrieAccount};
use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use laminar_state_db::{
    Account, AccountChange, BlockChanges, Dispatch, keccak256_batch_with,
    trie::{NoSource, StateTrie, Trie},
};

/// A hashed key, a leaf of an account, and a full branch.
const LENS: [usize; 3] = [32, 110, 532];
const MESSAGES: usize = 256;
const SORTED_ACCOUNTS: u64 = 100_000;
const STATE_ACCOUNTS: u64 = 1_000_000;
const UPDATES: u64 = 10_000;

fn keccak(c: &mut Criterion) {
    let mut group = c.benchmark_group("keccak");
    for len in LENS {
        let messages: Vec<Vec<u8>> = (0..MESSAGES).map(|i| vec![i as u8; len]).collect();
        let mut out = Vec::new();
        group.throughput(Throughput::Elements(MESSAGES as u64));
        for dispatch in Dispatch::ALL.into_iter().filter(|dispatch| dispatch.is_available()) {
            group.bench_function(BenchmarkId::new(format!("{dispatch:?}"), len), |b| {
                b.iter(|| keccak256_batch_with(dispatch, &messages, &mut out));
            });
        }
    }
    group.finish();
}

fn account(i: u64) -> Account {
    Account { nonce: i, balance: U256::from(i) << 64, ..Account::default() }
}

fn address(i: u64) -> Address {
    Address::from_word(keccak256(i.to_le_bytes()))
}

fn sorted_root(c: &mut Criterion) {
    let leaf = |i| TrieAccount { nonce: i, balance: U256::from(i) << 64, ..TrieAccount::default() };
    let mut leaves: Vec<(B256, TrieAccount)> = (0..SORTED_ACCOUNTS).map(|i| (keccak256(address(i)), leaf(i))).collect();
    leaves.sort_unstable_by_key(|(hash, _)| *hash);
    let mut group = c.benchmark_group("root of 100,000 sorted accounts");
    group.sample_size(20).throughput(Throughput::Elements(SORTED_ACCOUNTS));
    group.bench_function("laminar", |b| b.iter(|| Trie::from_sorted(&leaves).root()));
    group.bench_function("alloy-trie", |b| {
        b.iter(|| {
            let mut builder = HashBuilder::default();
            for (hash, account) in &leaves {
                builder.add_leaf(Nibbles::unpack(hash), &alloy_rlp::encode(account));
            }
            builder.root()
        });
    });
    group.finish();
}

/// Changes of accounts all over the state, others in each round.
fn updates(round: u64) -> BlockChanges {
    let change = |i: u64| {
        let number = (i * 245_489 + round * 104_729) % STATE_ACCOUNTS;
        let after = Some(Account { nonce: round, ..account(number) });
        (address(number), AccountChange { before: Some(account(number)), after, ..AccountChange::default() })
    };
    BlockChanges { accounts: (0..UPDATES).map(change).collect(), ..BlockChanges::default() }
}

fn warm_updates(c: &mut Criterion) {
    let accounts = (0..STATE_ACCOUNTS).map(|i| (address(i), account(i))).collect();
    let mut tries = StateTrie::from_state(&accounts, &Default::default());
    tries.root();
    let mut round = STATE_ACCOUNTS;
    let mut next = || {
        round += 1;
        updates(round)
    };
    let mut group = c.benchmark_group("10,000 updates in 1,000,000 accounts");
    group.sample_size(20).throughput(Throughput::Elements(UPDATES));
    group.bench_function("laminar", |b| {
        b.iter_batched(
            &mut next,
            |changes| {
                tries.apply(&changes, &NoSource).expect("all nodes are known");
                tries.root()
            },
            BatchSize::LargeInput,
        );
    });
    group.finish();
}

criterion_group!(benches, keccak, sorted_root, warm_updates);
criterion_main!(benches);
