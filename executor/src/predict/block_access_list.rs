//! A block access list (EIP-7928) as the effects that it promises, one simulation a transaction.
//!
//! Place in the flow: `Predict::BlockAccessList`; the effects are published before the first transaction runs, so that every
//! run sees the values of its own index and no two runs wait for each other.
//! Invariant: what the list promises and a run does not do is taken back, and whoever may have read it is run again.

use crate::{
    effects::{AccountAccess, Fate, Simulation, SlotAccess},
    error::ExecuteError,
    execute::parent_account,
    read_set::{BalanceRule, NonceRule},
};
use alloy_eip7928::{AccountChanges, BlockAccessList};
use alloy_primitives::{Bytes, U256};
use laminar_state_db::Account;
use revm::{DatabaseRef, bytecode::Bytecode, primitives::KECCAK_EMPTY};
use std::collections::BTreeMap;

/// The effects of transactions 0 to `txs` - 1 by `list`. Indices outside (system calls, withdrawals) are left out, and what
/// cannot be code is not predicted.
///
/// # Errors
/// Reading an account of the list from the parent failed.
pub(crate) fn effects_of_list<DB: DatabaseRef>(
    list: &BlockAccessList,
    txs: usize,
    parent: &DB,
) -> Result<Vec<Simulation>, ExecuteError> {
    let mut effects: Vec<Simulation> = (0..txs).map(|_| Simulation::default()).collect();
    for changes in list {
        let written = !changes.balance_changes.is_empty()
            || !changes.nonce_changes.is_empty()
            || !changes.code_changes.is_empty()
            || !changes.storage_changes.is_empty();
        if written {
            push_account(&mut effects, changes, parent_account(parent, changes.address)?);
        }
    }
    Ok(effects)
}

/// What one step does to one account.
#[derive(Default)]
struct Step {
    balance: Option<U256>,
    nonce: Option<u64>,
    code: Option<Bytes>,
    slots: Vec<SlotAccess>,
}

fn push_account(effects: &mut [Simulation], changes: &AccountChanges, parent: Option<Account>) {
    let mut steps: BTreeMap<u64, Step> = BTreeMap::new();
    for change in &changes.balance_changes {
        steps.entry(change.block_access_index.get()).or_default().balance = Some(change.post_balance);
    }
    for change in &changes.nonce_changes {
        steps.entry(change.block_access_index.get()).or_default().nonce = Some(change.new_nonce);
    }
    for change in &changes.code_changes {
        steps.entry(change.block_access_index.get()).or_default().code = Some(change.new_code.clone());
    }
    for slot in &changes.storage_changes {
        for change in &slot.changes {
            let after = change.new_value;
            // Published is what differs from `seen`; the true value before is not known and not needed.
            let access = SlotAccess { slot: slot.slot, seen: !after, after };
            steps.entry(change.block_access_index.get()).or_default().slots.push(access);
        }
    }
    let mut seen = parent;
    for (index, step) in steps {
        let after = apply(seen.unwrap_or_default(), &step);
        let Some((after, code)) = after else { return };
        if let Some(run) = index.checked_sub(1).and_then(|at| effects.get_mut(usize::try_from(at).ok()?)) {
            run.slots.extend(step.slots);
            run.codes.extend(code);
            run.accounts.push(AccountAccess {
                address: changes.address,
                seen,
                after,
                fate: Fate::Touched,
                balance: BalanceRule::default(),
                nonce: NonceRule::Free,
                slots_end: u32::try_from(run.slots.len()).unwrap_or(u32::MAX),
            });
        }
        seen = Some(after);
    }
}

/// The account after a step, with the code that the step set; `None` if the promised code is not valid.
fn apply(before: Account, step: &Step) -> Option<(Account, Option<(alloy_primitives::B256, Bytecode)>)> {
    let mut after = before;
    after.balance = step.balance.unwrap_or(before.balance);
    after.nonce = step.nonce.unwrap_or(before.nonce);
    let Some(bytes) = &step.code else { return Some((after, None)) };
    if bytes.is_empty() {
        after.code_hash = KECCAK_EMPTY;
        return Some((after, None));
    }
    let code = Bytecode::new_raw_checked(bytes.clone()).ok()?;
    after.code_hash = code.hash_slow();
    Some((after, Some((after.code_hash, code))))
}
