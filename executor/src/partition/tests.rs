//! Conflict graph and plan: which predicted effects make an edge, and what the scheduler is told.
//!
//! Plans never change a result, so no other test notices a wrong one.

use super::{ConflictGraph, GraphBuilder, Plan};
use crate::{
    effects::{AccountAccess, Attempt, Fate, Simulation, SlotAccess, TxResult},
    read_set::{BalanceRule, NonceRule},
    types::TxIndex,
};
use alloy_primitives::{Address, B256, U256};
use laminar_state_db::Account;

const SUBJECT: Address = Address::repeat_byte(7);

fn account(nonce: u64, balance: u64) -> Account {
    Account { nonce, balance: U256::from(balance), ..Account::default() }
}

/// A run that looks at one account, which stays as it is, and at no slot.
fn look() -> Simulation {
    let seen = account(1, 50);
    let access = AccountAccess {
        address: SUBJECT,
        seen: Some(seen),
        after: seen,
        fate: Fate::Read,
        balance: BalanceRule::default(),
        nonce: NonceRule::Free,
        slots_end: 0,
    };
    Simulation { accounts: vec![access], ..Simulation::default() }
}

fn with(change: impl FnOnce(&mut AccountAccess)) -> Simulation {
    let mut run = look();
    change(&mut run.accounts[0]);
    run
}

fn with_slot(mut run: Simulation, slot: u64, after: u64) -> Simulation {
    run.slots.push(SlotAccess { slot: U256::from(slot), seen: U256::from(5), after: U256::from(after) });
    run.accounts[0].slots_end = 1;
    run
}

fn touched(after: Account) -> Simulation {
    with(|access| (access.fate, access.after) = (Fate::Touched, after))
}

fn graph(runs: &[Simulation]) -> ConflictGraph {
    let mut builder = GraphBuilder::default();
    runs.iter().for_each(|run| builder.push(run));
    builder.finish()
}

#[test]
fn an_edge_is_a_predicted_read_of_a_predicted_write() {
    let readers = [
        look(),
        with(|access| access.balance = BalanceRule::AtLeast(U256::from(9))),
        with(|access| access.balance = BalanceRule::Exact),
        with(|access| access.nonce = NonceRule::Exact),
        with(|access| access.nonce = NonceRule::Assumed),
        with_slot(look(), 3, 5),
        with_slot(look(), 4, 5),
        with_slot(with(|access| access.fate = Fate::Created), 3, 5),
    ];
    let all = [true; 8];
    let none = [false; 8];
    let balance = [false, false, true, false, false, false, false, false];
    let nonce = [false, false, false, true, false, false, false, false];
    let slot = [false, false, false, false, false, true, false, false];
    for (name, writer, want) in [
        ("reads", with_slot(look(), 3, 5), none),
        ("touches", touched(account(1, 50)), none),
        ("moves ether", touched(account(1, 60)), balance),
        ("sends", touched(account(2, 50)), nonce),
        ("sets code", touched(Account { code_hash: B256::repeat_byte(1), ..account(1, 50) }), all),
        ("empties", touched(account(0, 0)), all),
        ("destroys", with(|access| access.fate = Fate::Destroyed), all),
        ("writes a slot", with_slot(touched(account(1, 50)), 3, 6), slot),
        ("looks, and what it left differs", with(|access| access.after = account(9, 9)), none),
    ] {
        for (reader, want) in readers.iter().zip(want) {
            let graph = graph(&[writer.clone(), reader.clone()]);
            assert_eq!(graph.predecessors(1) == [TxIndex(0)], want, "{name}, then {reader:?}");
            assert!(graph.predecessors(0).is_empty());
        }
    }
}

#[test]
fn the_last_writer_is_the_one_to_wait_for() {
    let write = || with_slot(touched(account(1, 50)), 3, 6);
    let graph = graph(&[write(), write(), look(), with_slot(look(), 3, 5)]);
    assert_eq!(graph.predecessors(3), [TxIndex(1)]);
}

/// Transactions 0 → 1 → 2 through one slot and 3 alone, with gas 10, 20, 30 and 45.
fn chain_and_loner() -> ConflictGraph {
    let gas = |run: Simulation, gas_used| Simulation { result: TxResult { gas_used, ..TxResult::default() }, ..run };
    let write = || with_slot(touched(account(1, 50)), 3, 6);
    let mut builder = GraphBuilder::default();
    [10, 20, 30].into_iter().for_each(|used| builder.push(&gas(write(), used)));
    builder.push_independent(45);
    builder.finish()
}

#[test]
fn levels_and_longest_path_of_a_graph() {
    let graph = chain_and_loner();
    assert_eq!((graph.len(), graph.levels()), (4, 3));
    assert_eq!(graph.path_gas(), [60, 50, 30, 45]);
    assert_eq!(graph.critical_path_gas(), 60);
    let empty = ConflictGraph::default();
    assert_eq!((empty.len(), empty.levels(), empty.critical_path_gas()), (0, 0, 0));
}

#[test]
fn a_plan_runs_what_must_run_longest_path_first() {
    let txs = |indices: &[u32]| indices.iter().map(|index| TxIndex(*index)).collect::<Vec<_>>();
    let attempt = || Some(Attempt::Simulation(Box::default()));

    let plan = Plan::from_graph(&chain_and_loner(), &[None, None, None, None]);
    assert_eq!((plan.ready(), plan.tasks(), plan.has_dependencies()), (txs(&[0, 3]).as_slice(), 4, true));
    assert_eq!(plan.predecessors(), [0, 1, 1, 0]);
    assert_eq!((plan.successors(TxIndex(0)), plan.successors(TxIndex(2))), (txs(&[1]).as_slice(), [].as_slice()));
    assert_eq!((plan.priority(TxIndex(1)), plan.batches(), plan.critical_path_gas()), (50, 3, 60));
    assert_eq!(plan.task_gas(), 105);

    // What has an attempt and waits for nobody is not run; who waits for it need not.
    let plan = Plan::from_graph(&chain_and_loner(), &[attempt(), attempt(), attempt(), attempt()]);
    assert_eq!((plan.ready(), plan.tasks(), plan.has_dependencies()), (txs(&[1]).as_slice(), 2, true));
    assert_eq!((plan.predecessors(), plan.task_gas()), ([0, 0, 1, 0].as_slice(), 50));
    assert!(plan.successors(TxIndex(0)).is_empty());

    let plan = Plan::in_block_order(3);
    assert_eq!((plan.ready(), plan.tasks(), plan.has_dependencies()), (txs(&[0, 1, 2]).as_slice(), 3, false));
    assert!(plan.predecessors().is_empty() && plan.successors(TxIndex(1)).is_empty());
    assert_eq!((plan.priority(TxIndex(1)), plan.batches(), plan.critical_path_gas()), (0, 0, 0));
}
