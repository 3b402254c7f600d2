//! The edges of what a run may leave open: each case is the one for which a rule of the run, or a step of merge, is there.

use crate::{
    check::{WORKERS, executor},
    program::{Step, assemble, contract, sender, subject},
    world::{BENEFICIARY, World},
};
use alloy_evm::eth::dao_fork::{DAO_HARDFORK_ACCOUNTS, DAO_HARDFORK_BENEFICIARY};
use alloy_primitives::{Address, B256, TxKind, U256};
use laminar_executor::{ExecuteError, Knowledge, Outcome, Predict, rule::Rule};
use laminar_state_db::Account;
use revm::bytecode::{Bytecode, opcode as op};

/// Four senders with funds.
fn world() -> World {
    let mut world = World::new();
    (0..4).for_each(|n| world.account(sender(n), 0, 1_000_000_000));
    world
}

/// Transactions whose whole price is the base fee, which is burnt: the beneficiary is touched and earns nothing.
fn unpaid(world: &mut World) {
    for n in 0..3 {
        world.call(sender(n), contract(n), 0).gas_price = 7;
    }
    let tx = world.call(sender(3), Address::repeat_byte(0x55), 1);
    (tx.gas_price, tx.gas_limit) = (7, 21_000);
}

#[test]
fn a_fee_of_zero_removes_an_empty_beneficiary_and_leaves_any_other() {
    let mut empty = world();
    unpaid(&mut empty);
    empty.state.insert_account(BENEFICIARY, Account::default());
    let outcome = empty.check();
    let gone = outcome.changes.account(&BENEFICIARY).expect("an empty account that was touched");
    assert_eq!((gone.before, gone.after), (Some(Account::default()), None));

    for wei in [None, Some(5)] {
        let mut world = world();
        unpaid(&mut world);
        if let Some(wei) = wei {
            world.account(BENEFICIARY, 0, wei);
        }
        assert!(world.check().changes.account(&BENEFICIARY).is_none());
    }
}

/// Init code that reverts unless it is given ether, and otherwise leaves an account without code.
const REVERTS_UNPAID: [u8; 9] =
    [op::CALLVALUE, op::PUSH1, 7, op::JUMPI, op::PUSH0, op::PUSH0, op::REVERT, op::JUMPDEST, op::STOP];

#[test]
fn the_nonce_of_an_account_without_code_matters_to_who_would_create_there() {
    // The creation reverts cheaply while the nonce is zero, and burns its gas once the account has sent something.
    let mut creator = vec![op::PUSH9];
    creator.extend(REVERTS_UNPAID);
    creator.extend([op::PUSH0, op::MSTORE, op::PUSH0, op::PUSH1, 9, op::PUSH1, 23, op::PUSH0, op::CREATE2, op::STOP]);
    let by_opcode = contract(0).create2_from_code(B256::ZERO, REVERTS_UNPAID);
    let by_transaction = sender(1).create(0);
    for target in [by_opcode, by_transaction] {
        let mut world = world();
        world.contract(contract(0), &creator, 0);
        world.account(target, 0, 1_000_000_000);
        world.call(target, sender(3), 1).gas_limit = 21_000;
        world.call(sender(0), contract(0), 0);
        let create = world.call(sender(1), Address::ZERO, 0);
        (create.kind, create.data) = (TxKind::Create, REVERTS_UNPAID.into());
        let gas_used: Vec<_> = world.check().receipts.iter().map(|receipt| receipt.cumulative_gas_used).collect();
        let burnt = [gas_used[1] - gas_used[0] > 390_000, gas_used[2] - gas_used[1] > 390_000];
        assert_eq!(burnt, [target == by_opcode, target == by_transaction]);
    }
}

#[test]
fn the_nonce_of_an_authority_decides_whether_its_authorization_counts() {
    let mut world = world();
    world.contract(contract(0), &assemble(&[Step::Add(0, 1)]), 0);
    // Not yet the nonce of the authority, until it has sent something.
    world.call(sender(0), sender(3), 1).gas_limit = 21_000;
    world.delegate(sender(1), sender(0), 1, contract(0));
    let changes = world.check().changes;
    assert!(changes.account(&sender(0)).unwrap().after.unwrap().has_code());
}

#[test]
fn a_system_call_has_thirty_million_gas() {
    // EIP-4788, EIP-2935: `GAS` costs 2, and nothing is charged before it.
    let mut world = world();
    let history = alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS;
    for address in [alloy_eips::eip4788::BEACON_ROOTS_ADDRESS, history] {
        world.contract(address, &[op::GAS, op::PUSH0, op::SSTORE, op::STOP], 0);
    }
    let (block, prepared) = world.prepare();
    let outcome = crate::check::check_prepared(&block, &prepared, &world.state, &WORKERS);
    for address in [alloy_eips::eip4788::BEACON_ROOTS_ADDRESS, history] {
        let slot = &outcome.changes.account(&address).unwrap().storage[&U256::ZERO];
        assert_eq!(slot.after, U256::from(30_000_000 - 2));
    }
}

#[test]
fn an_account_that_has_storage_only_is_created_at_like_one_with_a_nonce() {
    // EIP-7610. The oracle is the same block where the account has a nonce.
    let init = [op::STOP];
    let in_memory = contract(0).create2_from_code(B256::ZERO, init);
    let by_transaction = sender(1).create(0);
    // Creates with twice the value of the call, then looks at the target: warm if the creation got as far as that.
    let mut creator = vec![op::PUSH0, op::PUSH1, 1, op::PUSH0, op::CALLVALUE, op::CALLVALUE, op::ADD];
    creator.extend([op::CREATE2, op::PUSH20]);
    creator.extend(in_memory);
    creator.extend([op::BALANCE, op::ADD, op::PUSH0, op::SSTORE, op::STOP]);
    let world = |nonce| {
        let mut world = world();
        world.contract(contract(0), &creator, 0);
        for target in [in_memory, by_transaction] {
            world.account(target, nonce, 3);
            world.state.insert_slot(target, U256::from(1), U256::from(1));
        }
        world.call(sender(0), contract(0), 0).gas_limit = 4_000_000;
        let create = world.call(sender(1), Address::ZERO, 0);
        (create.kind, create.data) = (TxKind::Create, init.into());
        world.call(sender(2), contract(0), 4).gas_limit = 4_000_000;
        world
    };
    let want = world(1).check();
    let world = world(0);
    let (block, prepared) = world.prepare();
    for workers in WORKERS {
        let got =
            executor(workers, Predict::None).execute(&block, &prepared, &world.state, Knowledge::Nothing).unwrap();
        assert_eq!(got.receipts, want.receipts, "x {workers}");
        let slot = |outcome: &Outcome| outcome.changes.account(&contract(0)).unwrap().storage[&U256::ZERO];
        assert_eq!(slot(&got), slot(&want), "x {workers}");
        assert!(got.changes.account(&in_memory).is_none() && got.changes.account(&by_transaction).is_none());
    }
}

#[test]
fn what_a_creation_hands_over_must_still_be_there() {
    // Pays 50 wei, and with call data gives 60 to a child.
    const CODE: [u8; 22] = [
        op::CALLDATASIZE,
        op::PUSH1,
        15,
        op::JUMPI,
        op::PUSH0,
        op::PUSH0,
        op::PUSH0,
        op::PUSH0,
        op::PUSH1,
        50,
        op::PUSH1,
        0xee,
        op::GAS,
        op::CALL,
        op::STOP,
        op::JUMPDEST,
        op::PUSH0,
        op::PUSH0,
        op::PUSH1,
        60,
        op::CREATE,
        op::STOP,
    ];
    let mut world = world();
    world.contract(contract(0), &CODE, 100);
    world.account(Address::with_last_byte(0xee), 0, 1);
    world.call(sender(0), contract(0), 0);
    world.call(sender(1), contract(0), 0).data = vec![1].into();
    let changes = world.check().changes;
    assert_eq!(changes.account(&contract(0)).unwrap().after.unwrap().balance, U256::from(50));
}

#[test]
fn the_last_wei_may_be_spent_whatever_else_comes_in() {
    // Takes what it is given, and with call data pays 60 wei.
    const CODE: [u8; 17] = [
        op::CALLDATASIZE,
        op::PUSH1,
        5,
        op::JUMPI,
        op::STOP,
        op::JUMPDEST,
        op::PUSH0,
        op::PUSH0,
        op::PUSH0,
        op::PUSH0,
        op::PUSH1,
        60,
        op::PUSH1,
        0xee,
        op::GAS,
        op::CALL,
        op::STOP,
    ];
    let mut world = world();
    world.contract(contract(0), &CODE, 60);
    world.account(Address::with_last_byte(0xee), 0, 1);
    world.call(sender(0), contract(0), 3);
    world.call(sender(1), contract(0), 0).data = vec![1].into();
    let (block, prepared) = world.prepare();
    let executor = executor(2, Predict::Ahead);
    let known = Knowledge::Simulations(executor.simulate(&prepared, &world.state));
    let stats = executor.execute(&block, &prepared, &world.state, known).unwrap().stats;
    assert_eq!((stats.adopted, stats.aborted), (2, 0));
    world.check();
}

#[test]
fn only_the_sender_is_taken_to_have_the_nonce_of_its_transaction() {
    let mut world = world();
    let other = subject(4);
    world.contract(contract(0), &assemble(&[Step::Call(4, 1)]), 100);
    world.contract(contract(1), &assemble(&[Step::Add(0, 1)]), 0);
    for n in 0..3 {
        world.call(sender(3), contract(1), 0);
        world.call(sender(3), contract(0), n);
    }
    let change = world.check().changes;
    assert_eq!(change.account(&other).unwrap().before, world.state.account(&other).copied());
}

#[test]
fn blockhash_gives_the_hash_that_the_parent_state_names() {
    let mut world = world();
    let number = world.header.number - 1;
    world.state.insert_block_hash(number, B256::repeat_byte(0x4a));
    let code = [op::PUSH1, 1, op::NUMBER, op::SUB, op::BLOCKHASH, op::PUSH0, op::SSTORE, op::STOP];
    world.contract(contract(0), &code, 0);
    world.call(sender(0), contract(0), 0);
    let changes = world.check().changes;
    let slot = changes.account(&contract(0)).unwrap().storage[&U256::ZERO];
    assert_eq!(slot.after, U256::from_be_bytes([0x4a; 32]));
}

#[test]
fn a_delegation_that_is_cleared_leaves_no_code() {
    let mut world = world();
    world.contract(contract(0), &assemble(&[Step::Add(0, 1)]), 0);
    for (nonce, to) in [(0, contract(0)), (1, Address::ZERO)] {
        world.delegate(sender(1), sender(0), nonce, to);
    }
    let changes = world.check().changes;
    let designator = Bytecode::new_eip7702(contract(0)).hash_slow();
    assert_eq!(changes.contracts.keys().copied().collect::<Vec<_>>(), [designator]);
}

#[test]
fn a_block_of_prague_needs_the_contracts_that_answer_for_its_requests() {
    for missing in [
        alloy_eips::eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
        alloy_eips::eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
    ] {
        let mut world = world();
        world.call(sender(0), sender(1), 1);
        world.account(missing, 1, 5);
        let (block, prepared) = world.prepare();
        for workers in WORKERS {
            let known = Knowledge::Nothing;
            let refused = executor(workers, Predict::None).execute(&block, &prepared, &world.state, known);
            let Err(ExecuteError::InvalidBlock { index: None, rule }) = refused else { panic!("{refused:?}") };
            assert_eq!(rule, Rule::SystemContractEmpty { address: missing });
        }
    }
}

#[test]
fn the_dao_fork_moves_all_ether_of_its_accounts_and_leaves_them() {
    let mut world = World::at(1_920_000, 1_469_020_840);
    world.account(sender(0), 0, 1_000_000_000);
    world.header.base_fee_per_gas = None;
    world.account(DAO_HARDFORK_ACCOUNTS[0], 3, 70);
    world.contract(DAO_HARDFORK_ACCOUNTS[1], &[op::STOP], 8);
    world.account(DAO_HARDFORK_BENEFICIARY, 1, 100);
    world.call(sender(0), DAO_HARDFORK_ACCOUNTS[1], 2);
    let changes = world.check().changes;
    let after = |address| changes.account(&address).and_then(|change| change.after).map(|account| account.balance);
    let [first, second, ..] = DAO_HARDFORK_ACCOUNTS;
    let want = [0, 2, 178].map(|wei: u64| Some(U256::from(wei)));
    assert_eq!([first, second, DAO_HARDFORK_BENEFICIARY].map(after), want);
}
