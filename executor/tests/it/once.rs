//! Blocks in which nothing needs to run twice, counted: what only costs time is seen by no other test.

use crate::{
    check::{WORKERS, executor},
    program::{Step, assemble, contract, sender},
    world::{BENEFICIARY, World},
};
use alloy_primitives::Address;
use laminar_executor::{Knowledge, Predict};

/// Four senders with funds.
fn world() -> World {
    let mut world = World::new();
    (0..4).for_each(|n| world.account(sender(n), 0, 1_000_000_000));
    world
}

/// Every transaction runs once; `transfers` of them are plain transfers.
#[track_caller]
fn check(world: &World, workers: &[usize], transfers: u64) {
    let (block, prepared) = world.prepare();
    let txs = world.txs.len() as u64;
    for workers in workers.iter().copied() {
        let executor = executor(workers, Predict::None);
        let stats = executor.execute(&block, &prepared, &world.state, Knowledge::Nothing).unwrap().stats;
        assert_eq!((stats.transfers, stats.incarnations, stats.aborted), (transfers, txs, 0), "x {workers}");
    }
}

#[test]
fn transfers_that_nobody_disturbs() {
    let mut world = world();
    for n in 0..4 {
        world.call(sender(n), Address::repeat_byte(0x50 + n), 1).gas_limit = 21_000;
    }
    check(&world, &WORKERS, 4);
}

#[test]
fn the_beneficiary_spends_what_it_just_earned() {
    let mut world = world();
    world.account(BENEFICIARY, 0, 1);
    for from in [sender(0), BENEFICIARY] {
        let tx = world.call(from, sender(3), 1);
        (tx.gas_limit, tx.gas_price) = (21_000, if from == BENEFICIARY { 9 } else { 1_000 });
    }
    world.check();
    check(&world, &WORKERS, 2);
}

#[test]
fn one_worker_sees_what_stands_before_each_transaction() {
    let mut world = world();
    world.contract(contract(0), &assemble(&[Step::Add(0, 1)]), 0);
    for n in 0..12 {
        world.call(sender(n % 4), contract(0), 0);
    }
    check(&world, &[1], 0);
}
