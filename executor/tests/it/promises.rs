//! Access lists that promise what never happens: whoever believed them runs again, and nothing of them stays.

use crate::{
    check::{WORKERS, executor, first_difference},
    program::{Step, assemble, contract, sender},
    world::World,
};
use alloy_eip7928::{
    AccountChanges, BalanceChange, BlockAccessIndex, BlockAccessList, CodeChange, NonceChange, SlotChanges,
    StorageChange,
};
use alloy_primitives::{Address, B256, Bytes, U256};
use laminar_executor::{ExecuteError, Knowledge, Predict, TxIndex, rule::Rule, sequential};
use laminar_state_db::MemoryState;
use revm::{DatabaseRef, bytecode::Bytecode, state::AccountInfo};
use std::sync::atomic::{AtomicBool, Ordering};

const PHANTOM: Address = Address::repeat_byte(0xf7);

fn world() -> World {
    let mut world = World::new();
    (0..4).for_each(|n| world.account(sender(n), 0, 1_000_000_000));
    world.contract(contract(0), &assemble(&[Step::Add(0, 1)]), 100);
    world.contract(contract(1), &assemble(&[Step::Copy(1, 2), Step::Balance(3, 2), Step::Call(2, 1)]), 7);
    world.contract(contract(2), &assemble(&[Step::Add(1, 1)]), 50);
    world.call(sender(0), contract(0), 0);
    world.call(sender(1), contract(1), 0);
    world.call(sender(2), PHANTOM, 5).gas_limit = 21_000;
    world.call(sender(3), contract(1), 0);
    world
}

/// A list that promises one thing of the first transaction.
fn promise(address: Address, change: impl FnOnce(&mut AccountChanges, BlockAccessIndex)) -> BlockAccessList {
    let mut changes = AccountChanges::new(address);
    change(&mut changes, BlockAccessIndex::new(1));
    vec![changes].into_iter().collect()
}

fn slot(address: Address, slot: u64, value: u64) -> BlockAccessList {
    promise(address, |changes, index| {
        let change = StorageChange::new(index, U256::from(value));
        changes.storage_changes.push(SlotChanges::new(U256::from(slot), vec![change]));
    })
}

fn balance(address: Address, wei: u64) -> BlockAccessList {
    promise(address, |changes, index| changes.balance_changes.push(BalanceChange::new(index, U256::from(wei))))
}

fn code(address: Address, code: Bytes) -> BlockAccessList {
    promise(address, |changes, index| changes.code_changes.push(CodeChange::new(index, code)))
}

fn nonce(address: Address, nonce: u64) -> BlockAccessList {
    promise(address, |changes, index| changes.nonce_changes.push(NonceChange::new(index, nonce)))
}

#[test]
fn what_a_list_promises_and_nobody_does_is_not_believed() {
    let world = world();
    let (block, prepared) = world.prepare();
    let mut want = sequential::execute(&block, &prepared, &world.state).unwrap();
    let writer = assemble(&[Step::Add(2, 9)]);
    for workers in WORKERS {
        let executor = executor(workers, Predict::BlockAccessList);
        for (case, list) in [
            slot(contract(1), 2, 99),
            slot(contract(2), 1, 99),
            slot(contract(0), 0, 99),
            balance(contract(2), 9_999),
            balance(PHANTOM, 9_999),
            code(contract(2), writer.clone()),
            code(PHANTOM, writer.clone()),
            code(sender(2), writer.clone()),
            nonce(contract(1), 77),
            nonce(sender(3), 5),
            code(contract(2), Bytes::from_static(&[0xef, 0x01, 0x00, 0x01])),
        ]
        .into_iter()
        .enumerate()
        {
            let known = Knowledge::BlockAccessList(list);
            let got = executor.execute(&block, &prepared, &world.state, known).unwrap();
            assert_eq!(first_difference(&mut want, &got, &world.state), None, "promise {case} x {workers}");
        }
    }
}

#[test]
fn promised_funds_do_not_make_a_transfer_valid() {
    let mut world = world();
    world.call(PHANTOM, sender(0), 1_000).gas_limit = 21_000;
    world.txs.swap_remove(2);
    let (block, prepared) = world.prepare();
    for workers in WORKERS {
        let executor = executor(workers, Predict::BlockAccessList);
        let known = Knowledge::BlockAccessList(balance(PHANTOM, 1_000_000_000));
        match executor.execute(&block, &prepared, &world.state, known) {
            Err(ExecuteError::InvalidBlock { index: Some(TxIndex(2)), rule: Rule::InsufficientFunds { .. } }) => {}
            other => panic!("x {workers}: {other:?}"),
        }
    }
}

/// A parent that lets the first transaction wait at slot 0 of contract 0 until somebody has looked at `trigger`: so the second
/// transaction runs on a promise of the first that is still standing.
struct Held<'a> {
    state: &'a MemoryState,
    trigger: Address,
    open: AtomicBool,
}

impl DatabaseRef for Held<'_> {
    type Error = <MemoryState as DatabaseRef>::Error;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, Self::Error> {
        if address == self.trigger {
            self.open.store(true, Ordering::SeqCst);
        }
        self.state.basic_ref(address)
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, Self::Error> {
        self.state.code_by_hash_ref(hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, Self::Error> {
        if address == contract(0) && slot.is_zero() {
            // Bounded: where nobody else runs, the promise is taken back before it is looked at, and the case proves less.
            (0..2_000_000).take_while(|_| !self.open.load(Ordering::SeqCst)).for_each(|_| std::thread::yield_now());
        }
        self.state.storage_ref(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, Self::Error> {
        self.state.block_hash_ref(number)
    }
}

fn held(state: &MemoryState, trigger: Address) -> Held<'_> {
    Held { state, trigger, open: AtomicBool::new(false) }
}

#[test]
fn a_promise_that_was_believed_before_it_was_taken_back_is_found() {
    let mut world = world();
    world.txs.truncate(2);
    let (block, prepared) = world.prepare();
    let mut want = sequential::execute(&block, &prepared, &world.state).unwrap();
    let executor = executor(2, Predict::BlockAccessList);
    for (promise, trigger) in
        [(slot(contract(1), 2, 99), contract(2)), (code(contract(2), assemble(&[Step::Add(2, 9)])), contract(2))]
    {
        let parent = held(&world.state, trigger);
        let got = executor.execute(&block, &prepared, &parent, Knowledge::BlockAccessList(promise)).unwrap();
        assert_eq!(first_difference(&mut want, &got, &world.state), None);
    }
}

#[test]
fn a_transfer_of_promised_funds_is_refused_whenever_it_ran() {
    let mut world = world();
    world.txs.truncate(1);
    world.call(PHANTOM, sender(1), 1_000).gas_limit = 21_000;
    let (block, prepared) = world.prepare();
    let executor = executor(2, Predict::BlockAccessList);
    let parent = held(&world.state, sender(1));
    let known = Knowledge::BlockAccessList(balance(PHANTOM, 1_000_000_000));
    let refused = executor.execute(&block, &prepared, &parent, known);
    let Err(ExecuteError::InvalidBlock { index: Some(TxIndex(1)), rule: Rule::InsufficientFunds { .. } }) = refused
    else {
        panic!("{refused:?}")
    };
}

#[test]
fn withdrawals_stand_after_the_transactions_in_the_list() {
    let world = world();
    let (mut block, prepared) = world.prepare();
    let withdrawal = alloy_eips::eip4895::Withdrawal {
        index: 0,
        validator_index: 0,
        address: Address::repeat_byte(0x55),
        amount: 3,
    };
    block.body.withdrawals = Some(vec![withdrawal].into());
    let outcome = executor(1, Predict::None).execute(&block, &prepared, &world.state, Knowledge::Nothing).unwrap();
    let list = outcome.block_access_list.unwrap();
    let entry = list.iter().find(|entry| entry.address == withdrawal.address).unwrap();
    assert_eq!(entry.balance_changes, [BalanceChange::new(BlockAccessIndex::new(5), U256::from(3_000_000_000u64))]);
}

#[test]
fn gas_and_blobs_fill_a_block_to_the_last_unit() {
    let mut world = World::new();
    (0..4).for_each(|n| world.account(sender(n), 0, 100_000_000_000_000_000));
    world.header.gas_limit = 63_000;
    for n in 0..3 {
        world.call(sender(n), sender(3), 1).gas_limit = 21_000;
    }
    let outcome = world.check();
    assert_eq!((outcome.gas_used, outcome.stats.transfers), (63_000, 3));

    // Osaka with BPO2: 21 blobs a block, 6 a transaction.
    let mut world = World::new();
    (0..4).for_each(|n| world.account(sender(n), 0, 100_000_000_000_000_000));
    for blobs in [6, 6, 6, 3] {
        let from = sender(u8::try_from(world.txs.len()).unwrap());
        let tx = world.call(from, sender(3), 0);
        (tx.tx_type, tx.chain_id, tx.gas_priority_fee, tx.max_fee_per_blob_gas) = (3, Some(1), Some(1), 1_000);
        tx.blob_hashes = vec![B256::with_last_byte(1) | B256::from(U256::from(1) << 248); blobs];
    }
    assert_eq!(world.check().blob_gas_used, 21 << 17);
    let hash = world.txs[3].blob_hashes[0];
    world.txs[3].blob_hashes.push(hash);
    let (block, prepared) = world.prepare();
    for workers in WORKERS {
        let refused = executor(workers, Predict::None).execute(&block, &prepared, &world.state, Knowledge::Nothing);
        let Err(ExecuteError::InvalidBlock { index: Some(TxIndex(3)), rule }) = refused else { panic!("{refused:?}") };
        assert_eq!(rule, Rule::BlobGasAllowance { expected: 21 << 17, found: 22 << 17 });
    }
}
