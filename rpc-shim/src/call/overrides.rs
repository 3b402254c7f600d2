//! State overrides: what a caller pretends of accounts.
//!
//! Place in the flow: applied to a fresh [`CallState`] before anything runs on it.
//! Invariant: accounts are overridden in ascending order of address, so that equal requests have equal effects. An overridden
//! account exists, even if it is empty afterwards.

use super::{CallError, CallState, MovablePrecompiles};
use alloy_primitives::{Address, B256, U256};
use alloy_rpc_types_eth::state::{AccountOverride, StateOverride};
use revm::{
    Database,
    bytecode::Bytecode,
    database_interface::{DBErrorMarker, DatabaseRef},
};

/// Makes the overrides on `state` and `precompiles`.
///
/// # Errors
/// [`CallError::Request`] if they contradict each other, or the state cannot be read.
pub fn override_state<DB: DatabaseRef>(
    state: &mut CallState<DB>,
    precompiles: &mut MovablePrecompiles,
    overrides: &StateOverride,
) -> Result<(), CallError>
where
    DB::Error: DBErrorMarker,
{
    let mut accounts: Vec<_> = overrides.iter().collect();
    accounts.sort_unstable_by_key(|(address, _)| **address);
    for (address, account) in accounts {
        if let Some(to) = account.move_precompile_to {
            if !precompiles.is_active(address) {
                return Err(CallError::request(format_args!("account {address} is not a precompile")));
            }
            if overrides.contains_key(&to) {
                return Err(CallError::request(format_args!("account {to} is already overridden")));
            }
            precompiles.shift(*address, to);
        } else if precompiles.is_active(address) {
            precompiles.remove(*address);
        }
        override_account(state, *address, account)?;
    }
    Ok(())
}

fn override_account<DB: DatabaseRef>(
    state: &mut CallState<DB>,
    address: Address,
    account: &AccountOverride,
) -> Result<(), CallError>
where
    DB::Error: DBErrorMarker,
{
    if account.state.is_some() && account.state_diff.is_some() {
        return Err(CallError::request(format_args!("account {address} has both 'state' and 'stateDiff'")));
    }
    let mut info = state.basic(address).map_err(CallError::state)?.unwrap_or_default();
    info.nonce = account.nonce.unwrap_or(info.nonce);
    info.balance = account.balance.unwrap_or(info.balance);
    if let Some(code) = &account.code {
        let code = Bytecode::new_raw_checked(code.clone())
            .map_err(|error| CallError::request(format_args!("account {address} has invalid code: {error}")))?;
        info.set_code(code);
    }
    state.insert_account_info(address, info);
    let word = |value: &B256| U256::from_be_bytes(value.0);
    if let Some(slots) = &account.state {
        let slots = slots.iter().map(|(slot, value)| (word(slot), word(value))).collect();
        state.replace_account_storage(address, slots).map_err(CallError::state)?;
    }
    for (slot, value) in account.state_diff.iter().flatten() {
        state.insert_account_storage(address, word(slot), word(value)).map_err(CallError::state)?;
    }
    Ok(())
}
