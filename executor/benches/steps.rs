//! The steps of a block alone: recover, predict, partition, multi-version memory, merge.
//!
//! `cargo bench -p laminar-executor --bench steps`. All take seeded sample workloads: a mix, token transfers of which few meet, and
//! calls that all meet at one slot. Whole blocks against lean sequential revm are measured by `laminar bench`.
//! Only public functions are called, so merge shows as a block whose simulations are adopted: checks and folds, hardly a run.

#![expect(clippy::expect_used, reason = "a bench stops at what cannot be")]

use alloy_consensus::{BlockBody, Header};
use alloy_eips::eip4895::Withdrawals;
use criterion::{BatchSize, Bencher, Criterion, Throughput, criterion_group, criterion_main};
use laminar_executor::{
    Block, BlockExecutor, Config, Knowledge, Mode, Predict,
    chain_spec::ChainSpec,
    env::PreparedBlock,
    recover::{Senders, recover_senders},
    study::{self, Published},
};
use laminar_fixtures::workload::{Recipe, erc20, hot_counter, realistic_mix};
use laminar_state_db::MemoryState;
use std::{hint::black_box, num::NonZeroUsize};

const RECIPES: [&Recipe; 3] = [&realistic_mix::RECIPE, &erc20::RECIPE, &hot_counter::RECIPE];

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
    let executor = executor();
    each_sample(c, "partition", |b, Sample { prepared, state, .. }| {
        let simulations = executor.simulate(prepared, state);
        b.iter(|| study::plan(prepared, black_box(&simulations)));
    });
}

fn mv_memory(c: &mut Criterion) {
    let executor = executor();
    each_sample(c, "mv_memory/publish", |b, Sample { prepared, state, .. }| {
        let simulations = executor.simulate(prepared, state);
        b.iter(|| Published::new(black_box(&simulations)));
    });
    each_sample(c, "mv_memory/read", |b, Sample { prepared, state, .. }| {
        let simulations = executor.simulate(prepared, state);
        let published = Published::new(&simulations);
        b.iter(|| black_box(&published).read_all());
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
