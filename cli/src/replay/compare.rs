//! Whether the parallel result is the sequential one: receipts, gas, requests, every account and every slot.
//!
//! Place in the flow: after each candidate run.
//! Invariant: both directions are compared. Whatever either run knows of is looked up in the other, and where the candidate
//! is silent, in the parent; so what one run changed and the other forgot is found, and so is a wrong value before the block.

use alloy_primitives::{Address, U256, keccak256};
use laminar_executor::{Outcome, Receipt, sequential::LeanOutcome};
use laminar_state_db::{Account, AccountChange, BlockChanges};
use revm::{database_interface::DatabaseRef, primitives::KECCAK_EMPTY};
use std::{error::Error, fmt};

/// The first thing in which two results differ.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("parallel differs from sequential in {place}: expected {expected}, found {found}")]
pub(crate) struct Difference {
    /// What differs.
    pub(crate) place: String,
    /// The sequential value.
    pub(crate) expected: String,
    /// The parallel value.
    pub(crate) found: String,
}

/// Why two results are not the same.
type Unequal = Box<dyn Error + Send + Sync>;

fn same<T: PartialEq + fmt::Debug>(place: impl FnOnce() -> String, expected: &T, found: &T) -> Result<(), Unequal> {
    if expected == found {
        return Ok(());
    }
    let (expected, found) = (format!("{expected:?}"), format!("{found:?}"));
    Err(Box::new(Difference { place: place(), expected, found }))
}

/// Compares a candidate with the sequential run on the same parent.
///
/// # Errors
/// The first difference, or a read of the parent that fails.
pub(crate) fn compare<DB: DatabaseRef>(
    lean: &mut LeanOutcome<'_, DB>,
    found: &Outcome,
    parent: &DB,
) -> Result<(), Unequal> {
    compare_receipts(&lean.receipts, &found.receipts)?;
    same(|| "gas used".to_owned(), &lean.gas_used, &found.gas_used)?;
    same(|| "requests".to_owned(), &lean.requests, &found.requests)?;
    let view = View { changes: &found.changes, parent };
    for (address, account, slots) in lean.state.entries() {
        same(|| format!("account {address}"), &account, &view.account(address)?)?;
        for (slot, value) in slots {
            same(|| format!("slot {slot:#x} of {address}"), &value, &view.slot(address, slot)?)?;
        }
    }
    for (address, change) in &found.changes.accounts {
        compare_change(lean, *address, change, parent)?;
        compare_code(&found.changes, *address, change)?;
    }
    Ok(())
}

fn compare_receipts(expected: &[Receipt], found: &[Receipt]) -> Result<(), Unequal> {
    same(|| "number of receipts".to_owned(), &expected.len(), &found.len())?;
    for (index, (expected, found)) in expected.iter().zip(found).enumerate() {
        let place = |what: &str| format!("receipt {index}, {what}");
        same(|| place("type"), &expected.tx_type, &found.tx_type)?;
        same(|| place("status"), &expected.success, &found.success)?;
        same(|| place("cumulative gas used"), &expected.cumulative_gas_used, &found.cumulative_gas_used)?;
        same(|| place("number of logs"), &expected.logs.len(), &found.logs.len())?;
        for (at, (expected, found)) in expected.logs.iter().zip(&found.logs).enumerate() {
            same(|| place(&format!("log {at}")), expected, found)?;
        }
    }
    Ok(())
}

/// The candidate's state after the block.
struct View<'a, DB> {
    changes: &'a BlockChanges,
    parent: &'a DB,
}

impl<DB: DatabaseRef> View<'_, DB> {
    fn account(&self, address: Address) -> Result<Option<Account>, DB::Error> {
        match self.changes.account(&address) {
            Some(change) => Ok(change.after),
            None => parent_account(self.parent, address),
        }
    }

    fn slot(&self, address: Address, slot: U256) -> Result<U256, DB::Error> {
        let Some(change) = self.changes.account(&address) else { return self.parent.storage_ref(address, slot) };
        match change.storage.get(&slot) {
            Some(value) if change.after.is_some() => Ok(value.after),
            None if change.after.is_some() && !change.storage_cleared => self.parent.storage_ref(address, slot),
            Some(_) | None => Ok(U256::ZERO),
        }
    }
}

fn parent_account<DB: DatabaseRef>(parent: &DB, address: Address) -> Result<Option<Account>, DB::Error> {
    Ok(parent.basic_ref(address)?.as_ref().map(Account::from))
}

fn compare_change<DB: DatabaseRef>(
    lean: &mut LeanOutcome<'_, DB>,
    address: Address,
    change: &AccountChange,
    parent: &DB,
) -> Result<(), Unequal> {
    same(|| format!("account {address}"), &lean.state.account(address)?, &change.after)?;
    same(|| format!("account {address} before the block"), &parent_account(parent, address)?, &change.before)?;
    for (slot, value) in &change.storage {
        // Where the storage was cleared, undoing the block puts all of the parent's slots back at once.
        if !change.storage_cleared {
            let before = parent.storage_ref(address, *slot)?;
            same(|| format!("slot {slot:#x} of {address} before the block"), &before, &value.before)?;
        }
        same(|| format!("slot {slot:#x} of {address}"), &lean.state.slot(address, *slot)?, &value.after)?;
    }
    Ok(())
}

/// Code that an account has only since this block is among the contracts, under its own hash.
fn compare_code(changes: &BlockChanges, address: Address, change: &AccountChange) -> Result<(), Unequal> {
    let Some(hash) = change.after.map(|account| account.code_hash) else { return Ok(()) };
    if hash == KECCAK_EMPTY || change.before.is_some_and(|account| account.code_hash == hash) {
        return Ok(());
    }
    let found = changes.contracts.get(&hash).map(|code| keccak256(code.original_byte_slice()));
    same(|| format!("hash of the new code of {address}"), &Some(hash), &found)
}
