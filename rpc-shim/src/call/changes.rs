//! What a state that was called on changed.
//!
//! Place in the flow: between the last call of a simulated block, or a transaction that ran again, and the state root.
//! Invariant: `before` is the view's value, so the changes of a later block hold those of the blocks before it.

use crate::call::{CallError, CallState};
use alloy_primitives::U256;
use laminar_state_db::{Account, AccountChange, BlockChanges, SlotChange, SlotMap};
use revm::{
    database::{AccountState, DbAccount},
    database_interface::DatabaseRef,
};

/// Everything on `state` that differs from the view below it. With `clears_empty`, empty accounts count as missing (EIP-161).
pub(crate) fn changes_of<DB: DatabaseRef>(state: &CallState<DB>, clears_empty: bool) -> Result<BlockChanges, CallError>
where
    DB::Error: std::error::Error + Send + Sync + 'static,
{
    let mut changes = BlockChanges::default();
    for (address, cached) in &state.cache.accounts {
        let before = state.db.basic_ref(*address).map_err(CallError::state)?.map(|info| Account::from(&info));
        let after =
            cached.info().map(|info| Account::from(&info)).filter(|account| !clears_empty || !account.is_empty());
        let cleared = cached.account_state == AccountState::StorageCleared && before.is_some();
        let storage = changed_slots(cached, cleared || before.is_none(), |slot| {
            state.db.storage_ref(*address, slot).map_err(CallError::state)
        })?;
        if before != after || cleared || !storage.is_empty() {
            let change = AccountChange { before, after, storage_cleared: cleared, storage };
            changes.accounts.insert(*address, change);
        }
    }
    changes.contracts.extend(state.cache.contracts.iter().map(|(hash, code)| (*hash, code.clone())));
    Ok(changes)
}

fn changed_slots(
    cached: &DbAccount,
    from_nothing: bool,
    before: impl Fn(U256) -> Result<U256, CallError>,
) -> Result<SlotMap<SlotChange>, CallError> {
    let mut slots = SlotMap::default();
    for (slot, after) in &cached.storage {
        let before = if from_nothing { U256::ZERO } else { before(*slot)? };
        if before != *after {
            slots.insert(*slot, SlotChange { before, after: *after });
        }
    }
    Ok(slots)
}
