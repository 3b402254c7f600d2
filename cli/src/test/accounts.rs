//! A whole state against the accounts that a case expects.
//!
//! Place in the flow: after the last block or transaction of a case.
//! Invariant: both directions are compared; the first difference by address is reported.

use alloy_primitives::{Address, U256, keccak256};
use laminar_fixtures::{Prestate, PrestateAccount};
use laminar_state_db::{Account, BlockChanges, MemoryState, SlotMap, StateView};
use std::collections::BTreeSet;

/// A state that can be compared.
pub(crate) trait Accounts {
    /// The account, if it exists.
    fn account(&self, address: &Address) -> Option<Account>;
    /// Its slots that are not zero.
    fn slots(&self, address: &Address) -> SlotMap<U256>;
    /// Accounts that exist, as far as the state can list them.
    fn addresses(&self) -> Vec<Address>;
}

/// The state after a block that was not kept.
#[derive(Debug)]
pub(crate) struct After<'a> {
    /// The state before it.
    pub(crate) parent: &'a StateView,
    /// What it changed.
    pub(crate) changes: &'a BlockChanges,
}

impl Accounts for MemoryState {
    fn account(&self, address: &Address) -> Option<Account> {
        self.account(address).copied()
    }

    fn slots(&self, address: &Address) -> SlotMap<U256> {
        self.storage(address).cloned().unwrap_or_default()
    }

    fn addresses(&self) -> Vec<Address> {
        self.accounts().keys().copied().collect()
    }
}

/// A view lists no accounts: whoever compares one compares the roots as well.
impl Accounts for StateView {
    fn account(&self, address: &Address) -> Option<Account> {
        self.account(address).expect("a state in memory answers")
    }

    fn slots(&self, address: &Address) -> SlotMap<U256> {
        self.slots(address).expect("a state in memory answers")
    }

    fn addresses(&self) -> Vec<Address> {
        Vec::new()
    }
}

impl Accounts for After<'_> {
    fn account(&self, address: &Address) -> Option<Account> {
        match self.changes.account(address) {
            Some(change) => change.after,
            None => Accounts::account(self.parent, address),
        }
    }

    fn slots(&self, address: &Address) -> SlotMap<U256> {
        let Some(change) = self.changes.account(address) else { return Accounts::slots(self.parent, address) };
        let mut slots = if change.wipes_storage() { SlotMap::default() } else { Accounts::slots(self.parent, address) };
        slots.extend(change.storage.iter().map(|(slot, value)| (*slot, value.after)));
        slots.retain(|_, value| !value.is_zero());
        slots
    }

    fn addresses(&self) -> Vec<Address> {
        self.changes.accounts.keys().filter(|address| self.account(address).is_some()).copied().collect()
    }
}

/// The first account, field or slot in which the state is not what is expected.
pub(crate) fn first_difference(expected: &Prestate, state: &impl Accounts) -> Option<String> {
    let addresses: BTreeSet<Address> = expected.keys().copied().chain(state.addresses()).collect();
    addresses.into_iter().find_map(|address| match (expected.get(&address), state.account(&address)) {
        (None, None) => None,
        (Some(_), None) => Some(format!("account {address}: expected it to exist, found nothing")),
        (None, Some(found)) => Some(format!("account {address}: expected nothing, found {found:?}")),
        (Some(expected), Some(found)) => {
            let difference = in_fields(expected, &found).or_else(|| in_storage(expected, &state.slots(&address)));
            difference.map(|difference| format!("account {address}: {difference}"))
        }
    })
}

fn in_fields(expected: &PrestateAccount, found: &Account) -> Option<String> {
    if expected.nonce != found.nonce {
        return Some(format!("nonce: expected {}, found {}", expected.nonce, found.nonce));
    }
    if expected.balance != found.balance {
        return Some(format!("balance: expected {} wei, found {} wei", expected.balance, found.balance));
    }
    let code_hash = keccak256(&expected.code);
    (code_hash != found.code_hash).then(|| format!("code hash: expected {code_hash}, found {}", found.code_hash))
}

fn in_storage(expected: &PrestateAccount, found: &SlotMap<U256>) -> Option<String> {
    let slots: BTreeSet<U256> = expected.storage.keys().chain(found.keys()).copied().collect();
    slots.into_iter().find_map(|slot| {
        let expected = expected.storage.get(&slot).copied().unwrap_or_default();
        let found = found.get(&slot).copied().unwrap_or_default();
        (expected != found).then(|| format!("slot {slot:#x}: expected {expected:#x}, found {found:#x}"))
    })
}
