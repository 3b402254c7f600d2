//! What parallel executors really shipped wrong, each as a test, and the edges of every relaxation that this one makes.

use crate::{
    check::{PREDICTIONS, WORKERS, executor, knowledge},
    program::{Step, assemble, contract, sender, subject},
    world::{BENEFICIARY, World},
};
use alloy_primitives::{Address, TxKind, U256};
use laminar_executor::{ExecuteError, Knowledge, TxIndex, rule::Rule};
use laminar_state_db::Account;
use revm::bytecode::Bytecode;

const RICH: u64 = 1_000_000_000;
const FRESH: Address = Address::repeat_byte(0xf1);

/// Four rich senders and contracts with the given programs.
fn world(programs: &[&[Step]]) -> World {
    let mut world = World::new();
    fill(&mut world, programs);
    world
}

fn fill(world: &mut World, programs: &[&[Step]]) {
    (0..4).for_each(|n| world.account(sender(n), 0, RICH));
    for (n, steps) in (0..).zip(programs) {
        world.contract(contract(n), &assemble(steps), 100);
    }
}

fn delegate(world: &mut World, authority: Address, to: Address) {
    let code = Bytecode::new_eip7702(to);
    let hash = world.state.insert_code(code.original_bytes());
    world.state.insert_account(authority, Account { nonce: 0, balance: U256::from(RICH), code_hash: hash });
}

#[test]
fn code_and_code_hash_of_an_account_delegated_meanwhile_agree() {
    // bor #2264, #2270: a writer lands between two reads of one account.
    let mut world = world(&[&[Step::Add(0, 1)], &[Step::Add(1, 2), Step::CodeHash(2, 4)]]);
    let authority = sender(0);
    for round in 0..6 {
        world.delegate(sender(1), authority, round, contract(u8::from(round % 2 == 0)));
        world.call(sender(2), authority, 1);
        world.call(sender(3), contract(1), 0);
    }
    world.check();
}

#[test]
fn nonce_of_a_delegated_sender_is_moved_by_others() {
    // bor #2383: a sender delegated before the block is called by others and creates.
    let mut world = world(&[&[Step::Create(4)]]);
    let delegated = sender(3);
    delegate(&mut world, delegated, contract(0));
    for _ in 0..3 {
        world.call(sender(0), delegated, 0);
    }
    let tx = world.call(delegated, FRESH, 1);
    tx.nonce = 3;
    world.check();
}

#[test]
fn nonce_of_a_sender_delegated_in_the_block_is_moved_by_others() {
    let mut world = world(&[&[Step::Create(4)]]);
    let authority = sender(3);
    world.delegate(sender(0), authority, 0, contract(0));
    world.call(sender(1), authority, 0);
    let tx = world.call(authority, FRESH, 1);
    tx.nonce = 2;
    world.check();
}

#[test]
fn existence_and_emptiness_are_reads() {
    // bor #2270: EIP-161 clearing, new-account gas and EXTCODEHASH depend on them even where the balance is a delta.
    for (number, timestamp) in
        [(1_200_000, 0), (2_700_000, 0), (13_000_000, 1_630_000_000), (24_000_000, 1_770_000_000)]
    {
        let mut world = World::at(number, timestamp);
        fill(&mut world, &[&[Step::Call(6, 1)], &[Step::CodeHash(0, 6), Step::Balance(1, 6)], &[Step::Call(6, 0)]]);
        for (from, to) in [(0, 2), (1, 1), (2, 0), (3, 1), (0, 0), (1, 2), (2, 1)] {
            world.call(sender(from), contract(to), 0);
        }
        world.call(sender(3), subject(6), 0);
        world.call(sender(0), subject(6), 5);
        world.check();
    }
}

#[test]
fn system_steps_follow_the_same_clearing_rule() {
    // gravity-reth #363: system calls saw another state-clear rule than transactions.
    let mut world = world(&[&[Step::Add(0, 1)]]);
    world.state.insert_account(FRESH, Account::default());
    world.call(sender(0), contract(0), 0);
    let (mut block, prepared) = world.prepare();
    let withdrawal =
        |address, amount| alloy_eips::eip4895::Withdrawal { index: 0, validator_index: 0, address, amount };
    let paid = vec![withdrawal(FRESH, 0), withdrawal(Address::repeat_byte(0xf2), 0), withdrawal(sender(1), 3)];
    block.body.withdrawals = Some(paid.into());
    let outcome = crate::check::check_prepared(&block, &prepared, &world.state, &WORKERS);
    let gone = outcome.changes.account(&FRESH).expect("an empty account that was touched");
    assert_eq!((gone.before, gone.after), (Some(Account::default()), None));
    assert!(outcome.changes.account(&Address::repeat_byte(0xf2)).is_none());
}

/// Every mode refuses the block with `rule` at `index`.
#[track_caller]
fn check_refused(world: &World, index: u32, matches: impl Fn(&Rule) -> bool) {
    let (block, prepared) = world.prepare();
    for predict in PREDICTIONS {
        for workers in WORKERS {
            let executor = executor(workers, predict);
            let known = match predict {
                laminar_executor::Predict::Ahead => knowledge(&executor, &block, &prepared, &world.state),
                _ => Knowledge::Nothing,
            };
            match executor.execute(&block, &prepared, &world.state, known) {
                Err(ExecuteError::InvalidBlock { index: Some(at), rule }) => {
                    assert_eq!(at, TxIndex(index), "{predict:?} x {workers}");
                    assert!(matches(&rule), "{predict:?} x {workers}: {rule}");
                }
                other => panic!("{predict:?} x {workers}: {other:?}"),
            }
        }
    }
}

#[test]
fn nonce_too_high_is_invalid_in_bounded_time() {
    // pevm #368: retried for ever.
    let mut world = world(&[&[Step::Add(0, 1)]]);
    world.call(sender(0), contract(0), 0);
    world.call(sender(1), contract(0), 0).nonce = 5;
    world.call(sender(2), contract(0), 0);
    check_refused(&world, 1, |rule| matches!(rule, Rule::NonceTooHigh { expected: 0, found: 5 }));
    world.txs[1].kind = TxKind::Call(sender(3));
    check_refused(&world, 1, |rule| matches!(rule, Rule::NonceTooHigh { expected: 0, found: 5 }));
}

#[test]
fn nonce_too_low_and_missing_funds_name_the_first_bad_transaction() {
    let mut world = world(&[&[Step::Add(0, 1)]]);
    world.call(sender(0), contract(0), 0);
    world.call(sender(0), contract(0), 0).nonce = 0;
    world.call(sender(1), sender(2), 2 * RICH);
    check_refused(&world, 1, |rule| matches!(rule, Rule::NonceTooLow { expected: 1, found: 0 }));
    world.txs.remove(1);
    check_refused(&world, 1, |rule| matches!(rule, Rule::InsufficientFunds { .. }));
}

#[test]
fn funds_that_suffice_for_either_of_two_transactions_do_not_pay_both() {
    let mut world = world(&[&[Step::Add(0, 1)], &[Step::Add(0, 1)]]);
    world.call(sender(0), contract(0), RICH / 2);
    world.call(sender(0), contract(1), RICH / 2);
    check_refused(&world, 1, |rule| matches!(rule, Rule::InsufficientFunds { .. }));
}

#[test]
fn gas_of_the_block_is_a_limit_in_every_mode() {
    let mut world = world(&[&[Step::Add(0, 1)]]);
    world.header.gas_limit = 440_000;
    world.call(sender(0), contract(0), 0);
    world.call(sender(1), contract(0), 0);
    check_refused(&world, 1, |rule| matches!(rule, Rule::GasAllowance { bounds: Some((_, 400_000)) }));
}

#[test]
fn changes_carry_their_own_reverts_of_the_right_size() {
    // grevm #109: the reverts had the wrong size. `check` compares `before` of every account; here the slots as well.
    let mut world = world(&[&[Step::Add(0, 1), Step::Add(1, 3)], &[Step::Copy(2, 2)]]);
    world.state.insert_slot(contract(0), U256::from(1), U256::from(40));
    for n in [0, 1, 2, 3, 0] {
        world.call(sender(n), contract(0), 0);
        world.call(sender(n), contract(1), 0);
    }
    let changes = world.check().changes;
    let slots = &changes.account(&contract(0)).unwrap().storage;
    let slot = |n: u64| (slots[&U256::from(n)].before, slots[&U256::from(n)].after);
    assert_eq!(slot(0), (U256::ZERO, U256::from(5)));
    assert_eq!(slot(1), (U256::from(40), U256::from(55)));
    assert_eq!(changes.slots_len(), 2);
    assert!(changes.account(&contract(1)).is_none());
}

#[test]
fn insufficient_balance_at_the_edge() {
    // Contract 0 pays 5 wei a call from its 100: the comparison flips within the block, and one deposit moves the edge.
    let mut world = world(&[&[Step::Call(6, 1)]]);
    for n in 0..24 {
        world.call(sender(n % 4), contract(0), u64::from(n == 7) * 3);
    }
    world.check();
}

#[test]
fn sender_that_is_emptied_and_funded_within_the_block() {
    let mut world = world(&[]);
    let poor = Address::repeat_byte(0xd0);
    world.call(sender(0), poor, 500_000 * 9);
    world.call(poor, sender(1), 7).gas_limit = 21_000;
    world.call(sender(1), poor, 1);
    world.call(poor, sender(2), 7).gas_limit = 21_000;
    world.check();
}

#[test]
fn transfers_to_oneself_the_beneficiary_and_precompiles() {
    let mut world = world(&[&[Step::Balance(0, 7)]]);
    for (from, to, wei) in [
        (0, sender(0), 5),
        (1, BENEFICIARY, 5),
        (2, Address::with_last_byte(4), 5),
        (3, contract(0), 0),
        (0, BENEFICIARY, 0),
        (1, Address::with_last_byte(1), 0),
        (2, contract(0), 1),
    ] {
        world.call(sender(from), to, wei);
    }
    world.check();
}

#[test]
fn beneficiary_that_is_a_contract_a_sender_or_read_by_others() {
    let mut world = world(&[&[Step::Balance(0, 7), Step::Call(7, 2)]]);
    world.contract(BENEFICIARY, &assemble(&[Step::SelfBalance(1), Step::Call(0, 1)]), 50);
    for n in [0, 1, 2, 3, 0, 1] {
        world.call(sender(n), contract(0), 0);
        world.call(sender(n), BENEFICIARY, 1);
    }
    world.check();

    let mut world = self::world(&[&[Step::Balance(0, 7)]]);
    world.account(BENEFICIARY, 0, RICH);
    for n in [0, 1, 2] {
        world.call(sender(n), contract(0), 0);
        world.call(BENEFICIARY, sender(3), 9).gas_limit = 21_000;
    }
    world.check();
}

#[test]
fn beneficiary_that_self_destructs_takes_its_fee_along() {
    for (number, timestamp) in [(1_200_000, 0), (13_000_000, 1_630_000_000)] {
        let mut world = World::at(number, timestamp);
        fill(&mut world, &[&[Step::Call(7, 0)]]);
        world.contract(BENEFICIARY, &assemble(&[Step::Add(1, 1), Step::SelfDestruct(6, 1)]), 50);
        for n in [0, 1, 2, 3] {
            world.call(sender(n), contract(0), 0);
        }
        world.check();
    }
}

#[test]
fn created_destroyed_and_created_again() {
    for (number, timestamp) in [(13_000_000, 1_630_000_000), (24_000_000, 1_770_000_000)] {
        let mut world = World::at(number, timestamp);
        // Children at two CREATE2 addresses; a call with value destroys, so creation succeeds again later.
        fill(&mut world, &[&[Step::Create2(4, 0), Step::Create2(1, 1)], &[Step::Create2(0, 0), Step::CodeHash(1, 0)]]);
        for n in 0..10 {
            world.call(sender(n % 4), contract(n % 2), 0);
        }
        world.check();
    }
}

#[test]
fn contract_that_destroys_itself_loses_its_storage_for_later_readers() {
    let mut world = World::at(13_000_000, 1_630_000_000);
    fill(
        &mut world,
        &[&[Step::Add(0, 2), Step::SelfDestruct(4, 1), Step::Add(1, 1)], &[Step::Call(0, 1), Step::CodeSize(0, 0)]],
    );
    world.state.insert_slot(contract(0), U256::from(2), U256::from(9));
    for n in 0..9 {
        world.call(sender(n % 4), contract(n % 2), 0);
    }
    world.check();
}

#[test]
fn one_hot_slot_and_one_long_chain() {
    let mut world = world(&[&[Step::Add(0, 1)]]);
    for n in 0..40 {
        world.call(sender(if n < 20 { n % 4 } else { 0 }), contract(0), 0);
    }
    let outcome = world.check();
    let slot = outcome.changes.account(&contract(0)).unwrap().storage[&U256::ZERO];
    assert_eq!(slot.after, U256::from(40));
}
