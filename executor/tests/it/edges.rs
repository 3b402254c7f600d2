//! The edges of what a run may leave open: each case is the one for which a rule of the run, or a step of merge, is there.

use crate::{
    check::WORKERS,
    program::{Step, assemble, contract, sender},
    world::{BENEFICIARY, World},
};
use alloy_eips::eip7702::{Authorization, RecoveredAuthority, RecoveredAuthorization};
use alloy_primitives::{Address, B256, TxKind, U256};
use laminar_state_db::Account;
use revm::{bytecode::opcode as op, context_interface::either::Either};

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
    let inner = Authorization { chain_id: U256::ZERO, address: contract(0), nonce: 1 };
    let tx = world.call(sender(1), contract(0), 0);
    (tx.tx_type, tx.chain_id, tx.gas_priority_fee) = (4, Some(1), Some(1));
    let authority = RecoveredAuthority::Valid(sender(0));
    tx.authorization_list = vec![Either::Right(RecoveredAuthorization::new_unchecked(inner, authority))];
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
