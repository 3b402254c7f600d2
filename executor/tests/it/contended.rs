//! Blocks in which running ahead does not pay: by choice they are committed in stretches, and stay exact.

use crate::{
    check::{PREDICTIONS, first_difference, knowledge},
    program::{Step, assemble, contract, sender},
    world::World,
};
use alloy_primitives::B256;
use laminar_executor::{BlockExecutor, Config, Knowledge, Mode, Path, Predict, sequential};
use revm::bytecode::opcode as op;
use std::{num::NonZeroUsize, ops::Range};

fn executor(workers: usize, predict: Predict) -> BlockExecutor {
    let threads = NonZeroUsize::new(workers).unwrap();
    BlockExecutor::new(Config { threads, mode: Mode::Auto, predict, ..Config::default() }).unwrap()
}

/// A hot slot, then transfers and independent work, then creations and destructions on hot accounts.
fn world() -> World {
    let mut world = World::new();
    (0..4).for_each(|n| world.account(sender(n), 0, 10_000_000_000));
    world.contract(contract(0), &assemble(&[Step::Add(0, 1), Step::Copy(1, 0)]), 100);
    world.contract(contract(1), &assemble(&[Step::Balance(0, 0), Step::Call(0, 2)]), 0);
    world.contract(contract(2), &assemble(&[Step::Create2(4, 0), Step::CodeHash(2, 2)]), 50);
    world.header.gas_used = 30_000_000;
    for n in 0..330u32 {
        let from = sender(u8::try_from(n % 4).unwrap());
        match n {
            0..150 => world.call(from, contract(0), 0),
            150..180 => {
                let tx = world.call(from, sender(0), 1);
                tx.gas_limit = 21_000;
                tx
            }
            180..260 => world.call(from, contract(1), 1),
            _ => world.call(from, contract(2), 0),
        };
    }
    world.header.gas_limit = 1_000_000_000;
    world
}

/// Multiplies a point of BN254 (EIP-196) by the caller with `gas` for it, and adds what comes out to slot 0.
fn verifier(gas: u16) -> Vec<u8> {
    let mut code = vec![op::PUSH1, 1, op::PUSH0, op::MSTORE, op::PUSH1, 2, op::PUSH1, 32, op::MSTORE];
    code.extend([op::CALLER, op::PUSH1, 64, op::MSTORE]);
    code.extend([op::PUSH1, 64, op::PUSH1, 96, op::PUSH1, 96, op::PUSH0, op::PUSH1, 7, op::PUSH2]);
    code.extend(gas.to_be_bytes());
    code.extend([op::STATICCALL, op::PUSH1, 96, op::MLOAD, op::ADD]);
    code.extend([op::PUSH0, op::SLOAD, op::ADD, op::PUSH0, op::SSTORE, op::STOP]);
    code
}

/// Proofs that all add to one slot: each is run again after the one before it, and asks precompiles the same.
fn proofs() -> World {
    let mut world = World::new();
    (0..4).for_each(|n| world.account(sender(n), 0, 10_000_000_000));
    world.contract(contract(0), &verifier(6_000), 0);
    // What it asks is known from the others, and has its price all the same.
    world.contract(contract(1), &verifier(5_999), 0);
    world.header.gas_used = 30_000_000;
    world.header.gas_limit = 1_000_000_000;
    for n in 0..120u8 {
        world.call(sender(n % 4), contract(u8::from(n % 5 == 4)), 0);
    }
    world
}

/// Adds one to the slot of the first word of its input, and what that gives to the slot of the second.
fn adder() -> Vec<u8> {
    let mut code = vec![op::PUSH1, 1, op::PUSH0, op::CALLDATALOAD, op::SLOAD, op::ADD];
    code.extend([op::DUP1, op::PUSH0, op::CALLDATALOAD, op::SSTORE]);
    code.extend([op::PUSH1, 32, op::CALLDATALOAD, op::SLOAD, op::ADD]);
    code.extend([op::PUSH1, 32, op::CALLDATALOAD, op::SSTORE, op::STOP]);
    code
}

/// Calls of one contract, each with slots of its own but for those in `chain`, of which each needs what the one before it wrote.
fn one_contract(chain: Range<u32>) -> World {
    let mut world = World::new();
    (0..4).for_each(|n| world.account(sender(n), 0, 100_000_000_000));
    world.contract(contract(0), &adder(), 0);
    world.header.gas_used = 300_000_000;
    world.header.gas_limit = 10_000_000_000;
    for n in 0..3_500u32 {
        let (first, second) = if chain.contains(&n) { (n, n + 1) } else { (2 * n + 10_000, 2 * n + 10_001) };
        let tx = world.call(sender(u8::try_from(n % 4).unwrap()), contract(0), 0);
        tx.data = [first, second].map(|slot| B256::left_padding_from(&slot.to_be_bytes())).concat().into();
    }
    world
}

#[test]
fn contended_blocks_stay_exact() {
    check(&world());
    check(&proofs());
}

#[test]
fn a_chain_that_begins_where_nobody_read_what_others_wrote_stays_exact() {
    check(&one_contract(2_500..2_700));
}

#[test]
fn a_chain_that_a_block_of_one_contract_begins_with_stays_exact() {
    check(&one_contract(0..400));
}

#[track_caller]
fn check(world: &World) {
    let (block, prepared) = world.prepare();
    let mut want = sequential::execute(&block, &prepared, &world.state).unwrap();
    for predict in PREDICTIONS {
        for workers in [2, 3, 8] {
            let executor = executor(workers, predict);
            for _ in 0..3 {
                let known = match predict {
                    Predict::Ahead => Knowledge::Simulations(executor.simulate(&prepared, &world.state)),
                    _ => knowledge(&executor, &block, &prepared, &world.state),
                };
                let got = executor.execute(&block, &prepared, &world.state, known).unwrap();
                let case = format!("{predict:?} x {workers}");
                assert_eq!(first_difference(&mut want, &got, &world.state), None, "{case}");
                assert_eq!((got.stats.path, got.stats.fallback), (Path::Parallel, None), "{case}");
            }
        }
    }
}
