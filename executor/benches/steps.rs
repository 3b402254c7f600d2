//! The steps of a block alone: recover, predict, partition, multi-version memory, merge.
//!
//! `cargo bench -p laminar-executor --bench steps`. Recover, predict and merge take seeded sample workloads; partition and
//! multi-version memory take made-up effects of the size of a swap, of which none, a tenth or all meet at one slot. Whole blocks
//! against lean sequential revm are measured by `laminar bench`.
//! Only public functions are called, so merge shows as a block whose simulations are adopted: checks and folds, hardly a run.

#![expect(clippy::expect_used, reason = "a bench stops at what cannot be")]

use alloy_consensus::{BlockBody, Header};
use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::{Address, U256, keccak256};
use criterion::{BatchSize, Bencher, Criterion, Throughput, criterion_group, criterion_main};
use laminar_executor::{
    Block, BlockExecutor, Config, Knowledge, Mode, Predict, TxIndex,
    chain_spec::ChainSpec,
    effects::{AccountAccess, Fate, Simulation, SlotAccess},
    env::PreparedBlock,
    mv_memory::MvMemory,
    partition::{GraphBuilder, Plan},
    read_set::{BalanceRule, NonceRule},
    recover::{Senders, recover_senders},
};
use laminar_fixtures::workload::{Recipe, erc20, hot_counter, realistic_mix};
use laminar_state_db::{Account, MemoryState};
use std::{hint::black_box, num::NonZeroUsize};

const RECIPES: [&Recipe; 3] = [&realistic_mix::RECIPE, &erc20::RECIPE, &hot_counter::RECIPE];

/// Transactions of made-up blocks.
const EFFECTS: usize = 1_000;

/// A sample workload, ready to run.
struct Sample {
    name: &'static str,
    block: Block,
    prepared: PreparedBlock,
    state: MemoryState,
}

/// One worker that adopts.
fn executor() -> BlockExecutor {
    let config =
        Config { threads: NonZeroUsize::MIN, mode: Mode::Parallel, predict: Predict::Ahead, ..Config::default() };
    BlockExecutor::new(config).expect("threads")
}

impl Sample {
    fn of(recipe: &Recipe) -> Self {
        let workload = recipe.build(&recipe.sample);
        let spec = ChainSpec::from_genesis(&workload.genesis).expect("a known chain");
        let state = MemoryState::from_genesis(&workload.genesis);
        let header = Header {
            beneficiary: workload.beneficiary,
            number: 1,
            gas_limit: workload.gas_limit,
            timestamp: workload.timestamp,
            base_fee_per_gas: Some(workload.base_fee),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(workload.parent_beacon_block_root),
            ..Header::default()
        };
        let withdrawals = Some(Withdrawals::new(workload.withdrawals));
        let block =
            Block::new(header, BlockBody { transactions: workload.transactions, ommers: Vec::new(), withdrawals });
        let senders = Senders::from_addresses(workload.senders);
        let prepared = PreparedBlock::new(spec.rules_for(&block.header), &block, &senders).expect("one sender each");
        Self { name: recipe.name, block, prepared, state }
    }
}

/// Effects of transactions that each look at four accounts and twelve slots of theirs and write two slots of each; `hot_percent`
/// of them also write one slot that all share.
fn effects(hot_percent: usize) -> Vec<Simulation> {
    let tx = |at: usize| {
        let mut run = Simulation::default();
        for nth in 0..4 {
            let address = Address::from_word(keccak256((at * 4 + nth).to_be_bytes()));
            push_account(&mut run, address, (0..3).map(|slot| (U256::from(slot), slot < 2)));
        }
        if at % 100 < hot_percent {
            push_account(&mut run, Address::repeat_byte(0xaa), std::iter::once((U256::ZERO, true)));
        }
        run
    };
    (0..EFFECTS).map(tx).collect()
}

fn push_account(run: &mut Simulation, address: Address, slots: impl Iterator<Item = (U256, bool)>) {
    run.slots.extend(slots.map(|(slot, writes)| {
        let seen = U256::from(5);
        SlotAccess { slot, seen, after: if writes { U256::from(6) } else { seen } }
    }));
    let account = Account { nonce: 1, balance: U256::from(7), ..Account::default() };
    run.accounts.push(AccountAccess {
        address,
        seen: Some(account),
        after: account,
        fate: Fate::Touched,
        balance: BalanceRule::default(),
        nonce: NonceRule::Free,
        slots_end: u32::try_from(run.slots.len()).expect("few slots"),
    });
}

fn published(effects: &[Simulation]) -> MvMemory {
    let memory = MvMemory::new(effects.len());
    for (at, run) in effects.iter().enumerate() {
        memory.publish(TxIndex::from_usize(at), run);
    }
    memory
}

fn each_share(c: &mut Criterion, step: &str, mut bench: impl FnMut(&mut Bencher<'_>, &[Simulation])) {
    let mut group = c.benchmark_group(step);
    for hot_percent in [0, 10, 100] {
        let effects = effects(hot_percent);
        group.throughput(Throughput::Elements(effects.len() as u64));
        group.bench_function(format!("{hot_percent} % conflict"), |b| bench(b, &effects));
    }
    group.finish();
}

fn each_sample(c: &mut Criterion, step: &str, mut bench: impl FnMut(&mut Bencher<'_>, &Sample)) {
    let mut group = c.benchmark_group(step);
    for recipe in RECIPES {
        let sample = Sample::of(recipe);
        group.throughput(Throughput::Elements(sample.prepared.len() as u64));
        group.bench_function(sample.name, |b| bench(b, &sample));
    }
    group.finish();
}

fn recover(c: &mut Criterion) {
    each_sample(c, "recover", |b, sample| {
        let (txs, rules) = (&sample.block.body.transactions, &sample.prepared.rules);
        b.iter(|| recover_senders(black_box(txs), rules));
    });
}

fn predict(c: &mut Criterion) {
    let executor = executor();
    each_sample(c, "predict/simulate", |b, sample| b.iter(|| executor.simulate(&sample.prepared, &sample.state)));
}

fn partition(c: &mut Criterion) {
    each_share(c, "partition", |b, effects| {
        b.iter(|| {
            let mut graph = GraphBuilder::default();
            effects.iter().for_each(|run| graph.push(run));
            let attempts: Vec<_> = effects.iter().map(|_| None).collect();
            Plan::from_graph(&graph.finish(), &attempts)
        });
    });
}

fn mv_memory(c: &mut Criterion) {
    each_share(c, "mv_memory/publish", |b, effects| b.iter(|| published(effects)));
    each_share(c, "mv_memory/read", |b, effects| {
        let memory = published(effects);
        b.iter(|| {
            for (at, run) in effects.iter().enumerate() {
                let reader = TxIndex::from_usize(at);
                for (access, slots) in run.iter() {
                    black_box(memory.account(&access.address, reader));
                    for slot in slots {
                        black_box(memory.slot(&access.address, &slot.slot, reader));
                    }
                }
            }
        });
    });
}

fn merge(c: &mut Criterion) {
    let executor = executor();
    each_sample(c, "merge", |b, sample| {
        let Sample { block, prepared, state, .. } = sample;
        let known = || Knowledge::Simulations(executor.simulate(prepared, state));
        b.iter_batched(known, |known| executor.execute(block, prepared, state, known), BatchSize::LargeInput);
    });
}

criterion_group!(steps, recover, predict, partition, mv_memory, merge);
criterion_main!(steps);
