//! A whole state against the accounts that a case expects.
//!
//! Place in the flow: after the last block or transaction of a case.
//! Invariant: both directions are compared; the first difference by address is reported.

use alloy_primitives::{Address, U256, keccak256};
use laminar_fixtures::{Prestate, PrestateAccount};
use laminar_state_db::{Account, MemoryState};
use std::collections::BTreeSet;

/// The first account, field or slot in which the state is not what is expected.
pub(crate) fn first_difference(expected: &Prestate, state: &MemoryState) -> Option<String> {
    let addresses: BTreeSet<Address> = expected.keys().chain(state.accounts().keys()).copied().collect();
    addresses.into_iter().find_map(|address| match (expected.get(&address), state.account(&address)) {
        (None, None) => None,
        (Some(_), None) => Some(format!("account {address}: expected it to exist, found nothing")),
        (None, Some(found)) => Some(format!("account {address}: expected nothing, found {found:?}")),
        (Some(expected), Some(found)) => {
            let difference = in_fields(expected, found).or_else(|| in_storage(expected, state, address));
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

fn in_storage(expected: &PrestateAccount, state: &MemoryState, address: Address) -> Option<String> {
    let found = state.storage(&address);
    let slots: BTreeSet<U256> =
        expected.storage.keys().chain(found.into_iter().flat_map(|slots| slots.keys())).copied().collect();
    slots.into_iter().find_map(|slot| {
        let expected = expected.storage.get(&slot).copied().unwrap_or_default();
        let found = state.slot(&address, &slot);
        (expected != found).then(|| format!("slot {slot:#x}: expected {expected:#x}, found {found:#x}"))
    })
}
