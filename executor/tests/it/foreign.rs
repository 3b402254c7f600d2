//! Simulations that were made on another parent: those that saw what is so here are adopted, and no others, whatever fails
//! while they are checked.

use crate::{
    check::{WORKERS, executor, first_difference},
    faults::{Fault, Faulty},
    program::{Step, assemble, contract, sender},
    world::World,
};
use alloy_primitives::{B256, U256};
use laminar_executor::{BlockExecutor, ExecuteError, Knowledge, Predict, Simulations, sequential};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Four calls that have nothing in common; the last one creates.
fn world() -> World {
    let mut world = World::new();
    let programs: [&[Step]; 4] =
        [&[Step::Add(0, 1)], &[Step::Copy(1, 2)], &[Step::Balance(3, 2)], &[Step::Create(4), Step::Add(0, 1)]];
    for (n, steps) in (0..).zip(programs) {
        world.account(sender(n), 0, 1_000_000_000);
        world.contract(contract(n), &assemble(steps), 100);
        world.state.insert_slot(contract(n), U256::from(2), U256::from(n));
        world.call(sender(n), contract(n), 0);
    }
    world
}

/// Simulations of the same transactions on another parent, which `change` made different.
fn simulate(executor: &BlockExecutor, change: impl FnOnce(&mut World)) -> Simulations {
    let mut other = world();
    other.header.parent_hash = B256::repeat_byte(1);
    change(&mut other);
    executor.simulate(&other.prepare().1, &other.state)
}

/// Simulations on the parent that `change` made different give the right outcome, and `adopted` of them are adopted.
#[track_caller]
fn check(change: impl Fn(&mut World) + Copy, adopted: u64) {
    let world = world();
    let (block, prepared) = world.prepare();
    let mut want = sequential::execute(&block, &prepared, &world.state).unwrap();
    for workers in WORKERS {
        let executor = executor(workers, Predict::Ahead);
        let known = Knowledge::Simulations(simulate(&executor, change));
        let got = executor.execute(&block, &prepared, &world.state, known).unwrap();
        assert_eq!(first_difference(&mut want, &got, &world.state), None, "x {workers}");
        assert_eq!(got.stats.adopted, adopted, "x {workers}");
    }
}

#[test]
fn a_simulation_is_adopted_where_all_that_it_saw_is_so() {
    let slot =
        |n, slot: u64| move |world: &mut World| world.state.insert_slot(contract(n), U256::from(slot), U256::from(9));
    check(|_| (), 4);
    check(slot(0, 0), 3);
    check(slot(0, 1), 4);
    check(slot(1, 2), 3);
    check(slot(3, 0), 3);
    check(|world| world.contract(contract(2), &assemble(&[Step::Balance(3, 2)]), 101), 3);
    check(|world| world.contract(contract(1), &assemble(&[Step::Add(1, 5)]), 100), 3);
    check(|world| world.account(sender(0), 0, 999_999_999), 3);
    // The nonce of the transaction is assumed there.
    check(|world| world.account(sender(0), 5, 1_000_000_000), 3);
    check(|world| (0..4).for_each(|n| world.state.insert_slot(contract(n), U256::ZERO, U256::from(9))), 2);
}

#[test]
fn what_a_fault_leaves_unchecked_is_not_adopted() {
    let world = world();
    let (block, prepared) = world.prepare();
    let mut want = sequential::execute(&block, &prepared, &world.state).unwrap();
    // Whether the accounts differ or only their slots, none of these may be adopted.
    let accounts = |world: &mut World| {
        let code = assemble(&[Step::Add(1, 7), Step::Copy(0, 2)]);
        (0..4).for_each(|n| world.contract(contract(n), &code, 3));
    };
    let slots = |world: &mut World| {
        let all = (0..4).flat_map(|n| (0..4).map(move |slot| (contract(n), U256::from(slot))));
        all.for_each(|(address, slot)| world.state.insert_slot(address, slot, U256::from(9)));
    };
    let mut finished = 0;
    for workers in WORKERS {
        let executor = executor(workers, Predict::Ahead);
        for n in 0..30 {
            for (fault, slots_only) in
                [Fault::PanicsAt(n), Fault::FailsAt(n)].into_iter().flat_map(|fault| [(fault, false), (fault, true)])
            {
                let parent = Faulty::new(&world.state, fault);
                let known = Knowledge::Simulations(if slots_only {
                    simulate(&executor, slots)
                } else {
                    simulate(&executor, accounts)
                });
                // Reads outside the workers unwind into the caller: that is the host's panic.
                let run = || executor.execute(&block, &prepared, &parent, known);
                match catch_unwind(AssertUnwindSafe(run)) {
                    Ok(Ok(got)) => {
                        let difference = first_difference(&mut want, &got, &world.state);
                        assert_eq!(difference, None, "x {workers}, {fault:?}");
                        assert_eq!(got.stats.adopted, 0, "x {workers}, {fault:?}");
                        finished += 1;
                    }
                    Ok(Err(ExecuteError::Bug { .. } | ExecuteError::State { .. })) | Err(_) => {}
                    Ok(Err(other)) => panic!("x {workers}, {fault:?}: {other}"),
                }
            }
        }
    }
    assert!(finished > 10, "{finished}");
}
