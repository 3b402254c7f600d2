//! A block's changes as revm's bundle state, which hosts write to their databases.
//!
//! Place in the flow: after the block, for hosts that take the native way.
//! Invariant: revm itself makes the bundle and its reverts, from one transition an account. The status says what the block did
//! to an account as a whole; of one that could have no storage before the block, only that it is there after it.

use alloy_primitives::{U256, map::AddressMap};
use laminar_state_db::{Account, AccountChange, BlockChanges, SlotChange};
use revm::{
    bytecode::Bytecode,
    database::{
        AccountStatus, BundleState, TransitionAccount, TransitionState,
        states::{StorageSlot, bundle_state::BundleRetention},
    },
    state::AccountInfo,
};

/// The bundle state of one block with its reverts, as `State::take_bundle` gives it after the block.
pub fn bundle_state(changes: &BlockChanges) -> BundleState {
    let transitions: AddressMap<TransitionAccount> =
        changes.accounts.iter().map(|(address, change)| (*address, transition(change, changes))).collect();
    let mut bundle = BundleState::default();
    let transitions = TransitionState { transitions };
    bundle.apply_transitions_and_create_reverts(transitions, BundleRetention::Reverts);
    bundle
}

fn transition(change: &AccountChange, changes: &BlockChanges) -> TransitionAccount {
    let info = |account: Account| {
        // revm counts "no code" of a new account among the block's codes, so it must be there.
        let code =
            if account.has_code() { changes.contracts.get(&account.code_hash).cloned() } else { Some(Bytecode::new()) };
        AccountInfo { code, ..AccountInfo::from(account) }
    };
    let slot = |(slot, value): (&U256, &SlotChange)| (*slot, StorageSlot::new_changed(value.before, value.after));
    let status = status(change);
    TransitionAccount {
        info: change.after.map(info),
        status,
        previous_info: change.before.map(AccountInfo::from),
        previous_status: previous_status(change.before),
        storage: change.storage.iter().map(slot).collect(),
        storage_was_destroyed: status.was_destroyed(),
    }
}

fn previous_status(before: Option<Account>) -> AccountStatus {
    match before {
        None => AccountStatus::LoadedNotExisting,
        Some(account) if account.is_empty() => AccountStatus::LoadedEmptyEIP161,
        Some(_) => AccountStatus::Loaded,
    }
}

fn status(change: &AccountChange) -> AccountStatus {
    // An account that had neither nonce nor code had no storage either: all of it is known, and nothing of it was cleared.
    let had_storage = change.before.is_some_and(|before| before.nonce > 0 || before.has_code());
    match change.after {
        None => AccountStatus::Destroyed,
        Some(_) if !had_storage => AccountStatus::InMemoryChange,
        Some(_) if change.storage_cleared => AccountStatus::DestroyedChanged,
        Some(_) => AccountStatus::Changed,
    }
}
