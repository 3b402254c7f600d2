//! Building a block: what is left out, with which rule, and that the rest is the block that executing it gives.

use crate::{
    check::{PREDICTIONS, WORKERS, executor, knowledge},
    world::World,
};
use alloy_primitives::{Address, B256, Bytes, U256};
use laminar_executor::{
    BlockExecutor, Config, Drafted, Knowledge, Mode, Predict, TxIndex, env::PreparedBlock, rule::Rule,
};
use proptest::prelude::*;
use revm::bytecode::opcode;

/// Adds one to slot 0 and pays a wei to whoever stands at 0xdd.
const COUNTER: [u8; 22] = [
    opcode::PUSH0,
    opcode::SLOAD,
    opcode::PUSH1,
    1,
    opcode::ADD,
    opcode::PUSH0,
    opcode::SSTORE,
    opcode::PUSH0,
    opcode::PUSH0,
    opcode::PUSH0,
    opcode::PUSH0,
    opcode::PUSH1,
    1,
    opcode::PUSH1,
    0xdd,
    opcode::PUSH1,
    0xff,
    opcode::CALL,
    opcode::POP,
    opcode::STOP,
    opcode::STOP,
    opcode::STOP,
];

fn sender(seed: u8) -> Address {
    Address::repeat_byte(seed)
}

/// The candidates that a builder takes that tries one after the other, each on all that it took before: the oracle.
fn one_by_one(world: &World) -> (Vec<usize>, Vec<(usize, Rule)>) {
    let executor = BlockExecutor::new(Config { mode: Mode::Sequential, ..Config::default() }).unwrap();
    let (block, all) = world.prepare();
    let (mut taken, mut left_out) = (Vec::new(), Vec::new());
    for at in 0..all.txs.len() {
        taken.push(at);
        let txs = taken.iter().map(|at| all.txs[*at].clone()).collect();
        let prepared = PreparedBlock { txs, ..all.clone() };
        if let Err(error) = executor.execute(&block, &prepared, &world.state, Knowledge::Nothing) {
            let laminar_executor::ExecuteError::InvalidBlock { index, rule } = error else { panic!("{error}") };
            assert_eq!(index.map(TxIndex::as_usize), Some(taken.len() - 1));
            taken.pop();
            left_out.push((at, rule));
        }
    }
    (taken, left_out)
}

/// Builds in every way and compares with the oracle, and the outcome with that of executing what was taken.
#[track_caller]
fn check(world: &World) -> Drafted {
    let (taken, left_out) = one_by_one(world);
    let (block, candidates) = world.prepare();
    let chosen = taken.iter().map(|at| candidates.txs[*at].clone()).collect();
    let chosen = PreparedBlock { txs: chosen, ..candidates.clone() };
    let mut last = None;
    for predict in PREDICTIONS.into_iter().filter(|predict| *predict != Predict::BlockAccessList) {
        for workers in WORKERS {
            let executor = executor(workers, predict);
            let known = || knowledge(&executor, &block, &candidates, &world.state);
            let built = executor.build(&block, &candidates, &world.state, known()).unwrap();
            let case = format!("{predict:?} x {workers}");
            let found: Vec<_> = built.left_out.iter().map(|(at, rule)| (at.as_usize(), rule.clone())).collect();
            assert_eq!(found, left_out, "{case}");
            let want = executor.execute(&block, &chosen, &world.state, Knowledge::Nothing).unwrap();
            assert_eq!(built.outcome.receipts, want.receipts, "{case}");
            assert_eq!(built.outcome.changes, want.changes, "{case}");
            assert_eq!(built.outcome.requests, want.requests, "{case}");
            assert_eq!(built.outcome.block_access_list, want.block_access_list, "{case}");
            let gas = |built: &laminar_executor::Outcome| (built.gas_used, built.blob_gas_used);
            assert_eq!(gas(&built.outcome), gas(&want), "{case}");
            last = Some(built);
        }
    }
    last.unwrap()
}

fn world() -> World {
    let mut world = World::new();
    for seed in 1..5 {
        world.account(sender(seed), 0, 100_000_000);
    }
    world.contract(Address::repeat_byte(0xcc), &COUNTER, 1_000);
    world.account(Address::with_last_byte(0xdd), 0, 1);
    world
}

#[test]
fn candidates_that_are_all_valid_are_all_taken() {
    let mut world = world();
    for round in 0..3_u8 {
        for seed in 1..5 {
            let to = if round == 1 { sender(9) } else { Address::repeat_byte(0xcc) };
            world.call(sender(seed), to, 0).gas_limit = 60_000;
        }
    }
    let built = check(&world);
    assert!(built.left_out.is_empty());
    assert_eq!(built.outcome.receipts.len(), 12);
}

#[test]
fn an_invalid_candidate_takes_its_effects_with_it_and_blocks_nobody_else() {
    let mut world = world();
    let counter = Address::repeat_byte(0xcc);
    world.call(sender(1), counter, 0).gas_limit = 60_000;
    // The nonce is gone, yet a run ahead of its turn takes the nonce from the transaction and counts.
    let late = world.call(sender(2), counter, 0);
    (late.nonce, late.gas_limit) = (5, 60_000);
    // More than the sender has.
    world.call(sender(3), counter, 200_000_000).gas_limit = 60_000;
    // Follows a candidate that was left out.
    world.call(sender(3), counter, 0).gas_limit = 60_000;
    world.call(sender(4), counter, 0).gas_limit = 60_000;
    let built = check(&world);
    let rules: Vec<_> = built.left_out.iter().map(|(at, rule)| (at.0, rule.exception())).collect();
    assert_eq!(rules.iter().map(|(at, _)| *at).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!(rules[0].1, "TransactionException.NONCE_MISMATCH_TOO_HIGH");
    assert_eq!(rules[1].1, "TransactionException.INSUFFICIENT_ACCOUNT_FUNDS");
    assert_eq!(rules[2].1, "TransactionException.NONCE_MISMATCH_TOO_HIGH");
    let count = &built.outcome.changes.account(&counter).unwrap().storage[&U256::ZERO];
    assert_eq!(count.after, U256::from(2));
}

#[test]
fn gas_and_blob_gas_of_the_block_are_limits() {
    let mut world = world();
    world.header.gas_limit = 100_000;
    for seed in 1..5 {
        world.call(sender(seed), sender(9), 1).gas_limit = 60_000;
    }
    // Does not fit behind the first two by its limit; the last one does.
    world.call(sender(1), sender(9), 1).gas_limit = 21_000;
    let built = check(&world);
    assert_eq!(built.left_out.iter().map(|(at, _)| at.0).collect::<Vec<_>>(), [2, 3]);

    let mut world = self::world();
    let most = world.rules().blob_params.unwrap().max_blob_count;
    let hash = |n: u8| {
        let mut hash = B256::repeat_byte(n);
        hash[0] = 1;
        hash
    };
    for seed in 1..5 {
        let tx = world.call(sender(seed), sender(9), 1);
        (tx.tx_type, tx.gas_priority_fee, tx.max_fee_per_blob_gas, tx.gas_limit) = (3, Some(1), 10, 21_000);
        tx.blob_hashes = vec![hash(seed); 6];
        tx.chain_id = Some(1);
    }
    let built = check(&world);
    let fit = usize::try_from(most / 6).unwrap();
    assert_eq!(built.outcome.receipts.len(), fit.min(4));
}

#[test]
fn nothing_to_choose_from_makes_an_empty_block() {
    let (block, candidates) = World::new().prepare();
    let executor = executor(2, Predict::None);
    let built = executor.build(&block, &candidates, &World::new().state, Knowledge::Nothing).unwrap();
    assert!(built.outcome.receipts.is_empty() && built.left_out.is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_offered_the_block_is_the_one_made_one_by_one(
        offers in prop::collection::vec((1_u8..5, 0_u64..4, 0_u64..3, any::<bool>()), 1..14),
    ) {
        let mut world = world();
        world.header.gas_limit = 500_000;
        for (seed, nonce, wei, counts) in offers {
            let to = if counts { Address::repeat_byte(0xcc) } else { sender(1 + seed % 4) };
            let tx = world.call(sender(seed), to, wei * 40_000_000);
            (tx.nonce, tx.gas_limit, tx.data) = (nonce, 60_000, Bytes::new());
        }
        check(&world);
    }
}
