//! Applying effects to the committed prefix: deltas folded, empty accounts cleared, the access list noted.
//!
//! Place in the flow: the inner half of merge; called in block order, once per step.
//! Invariant: what is folded was found to hold, or was run on this very prefix; so a relative balance stays within its rule.

use super::access_list::AccessListBuilder;
use crate::{
    block_state::{BlockState, Place, clear_storage, make_room, write_slot},
    effects::{AccountAccess, Fate, Simulation, SlotAccess, Transfer},
    execute::Amounts,
};
use alloy_primitives::{Address, Bytes, TxKind, U256};
use laminar_state_db::Account;
use revm::{bytecode::Bytecode, context::TxEnv};

/// The committed prefix with what folding into it needs.
#[derive(Debug)]
pub(super) struct Ledger {
    pub(super) state: BlockState,
    pub(super) access_list: Option<AccessListBuilder>,
    /// EIP-161 is active: an account that is touched and empty does not exist.
    pub(super) clears_empty: bool,
    /// Steps that the block has, about.
    pub(super) steps: u64,
}

impl Ledger {
    /// Folds a run that is step `step` of the block (a block access index).
    pub(super) fn fold(&mut self, step: u64, run: &Simulation) {
        for (access, slots) in run.iter() {
            self.note_code(step, access, run);
            self.fold_account(step, access, slots);
        }
        for (hash, code) in &run.codes {
            self.state.add_code(*hash, code.clone());
        }
    }

    fn fold_account(&mut self, step: u64, access: &AccountAccess, slots: &[SlotAccess]) {
        if let Some(list) = &mut self.access_list {
            list.touch(access.address);
            for slot in slots {
                let after = if access.fate == Fate::Destroyed { U256::ZERO } else { slot.after };
                list.slot(step, access.address, slot.slot, slot.seen, after);
            }
        }
        let written = |slot: &&SlotAccess| slot.after != slot.seen;
        let idle = match access.fate {
            Fate::Read => true,
            // A touched account that stays as it is matters only if it is empty: EIP-161 clears it, older rules create it.
            Fate::Touched => {
                access.seen == Some(access.after)
                    && !access.after.is_empty()
                    && !slots.iter().any(|slot| written(&slot))
            }
            Fate::Created | Fate::Destroyed => false,
        };
        if idle {
            return;
        }
        let change = self.state.entry(access.address, access.seen);
        let before = change.after;
        if matches!(access.fate, Fate::Created | Fate::Destroyed) {
            clear_storage(change);
        }
        if access.fate == Fate::Destroyed {
            change.after = None;
        } else {
            let after = rebase(access, before.unwrap_or_default());
            change.after = (!self.clears_empty || !after.is_empty()).then_some(after);
            make_room(change, slots.len(), step, self.steps);
            for slot in slots.iter().filter(written) {
                write_slot(change, slot.slot, slot.seen, slot.after);
            }
        }
        let after = change.after;
        if let Some(list) = &mut self.access_list {
            list.account(step, access.address, before, after);
        }
    }

    /// Folds a plain transfer if it stands between its ends as they are; false if it does not, and then nothing changed.
    pub(super) fn try_fold_transfer(&mut self, step: u64, tx: &TxEnv, transfer: &Transfer, amounts: &Amounts) -> bool {
        let TxKind::Call(recipient) = tx.kind else { return false };
        let (from, change) = self.state.place(tx.caller, || Some(transfer.sender.into()));
        let Some(before) = change.after.filter(|sender| amounts.are_paid_by(tx, sender)) else { return false };
        let (to, change) = self.state.place(recipient, || transfer.recipient.map(Account::from));
        if change.after.is_some_and(|account| account.has_code()) {
            return false;
        }
        let sender = Account { nonce: before.nonce + 1, balance: before.balance - tx.value - amounts.charge, ..before };
        self.state.at(from).after = Some(sender);
        if let Some(list) = &mut self.access_list {
            list.account(step, tx.caller, Some(before), Some(sender));
        }
        self.credit_at(step, to, recipient, tx.value);
        true
    }

    /// Adds `wei` to an account, which counts as touching it. `parent` is used if the block has not written it yet.
    pub(super) fn credit(&mut self, step: u64, address: Address, parent: Option<Account>, wei: U256) {
        let (place, _) = self.state.place(address, || parent);
        self.credit_at(step, place, address, wei);
    }

    fn credit_at(&mut self, step: u64, place: Place, address: Address, wei: U256) {
        let change = self.state.at(place);
        let before = change.after;
        let mut account = before.unwrap_or_default();
        account.balance = account.balance.saturating_add(wei);
        change.after = (!self.clears_empty || !account.is_empty()).then_some(account);
        let after = change.after;
        if let Some(list) = &mut self.access_list {
            list.account(step, address, before, after);
        }
    }

    fn note_code(&mut self, step: u64, access: &AccountAccess, run: &Simulation) {
        if self.access_list.is_none() || !access.changes_code() || matches!(access.fate, Fate::Read | Fate::Destroyed) {
            return;
        }
        // An access list names code by its bytes. The old code only matters as "different from the new": its hash serves.
        let before = Bytes::copy_from_slice(access.seen_or_empty().code_hash.as_slice());
        let after = run.codes.iter().find(|(hash, _)| *hash == access.after.code_hash);
        let after = after.map(|(_, code)| Bytecode::original_bytes(code)).unwrap_or_default();
        if let Some(list) = &mut self.access_list {
            list.code(step, access.address, before, after);
        }
    }
}

/// The account after a run, moved from what the run saw to what is committed now.
fn rebase(access: &AccountAccess, now: Account) -> Account {
    let (seen, after) = (access.seen_or_empty(), access.after);
    Account {
        nonce: if after.nonce == seen.nonce { now.nonce } else { after.nonce },
        // Wrapping on both sides gives the exact sum: the rule excludes that the true result leaves the range.
        balance: now.balance.wrapping_add(after.balance).wrapping_sub(seen.balance),
        code_hash: after.code_hash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        effects::TxResult,
        read_set::{BalanceRule, NonceRule},
    };

    const SUBJECT: Address = Address::repeat_byte(7);

    fn account(nonce: u64, balance: u64) -> Account {
        Account { nonce, balance: U256::from(balance), ..Account::default() }
    }

    fn ledger(clears_empty: bool) -> Ledger {
        Ledger { state: BlockState::default(), access_list: Some(AccessListBuilder::default()), clears_empty, steps: 1 }
    }

    fn run(seen: Option<Account>, after: Account, fate: Fate, slots: &[(u64, u64, u64)]) -> Simulation {
        let access = AccountAccess {
            address: SUBJECT,
            seen,
            after,
            fate,
            balance: BalanceRule::default(),
            nonce: NonceRule::Free,
            slots_end: u32::try_from(slots.len()).unwrap(),
        };
        let slot = |&(slot, seen, after): &(u64, u64, u64)| SlotAccess {
            slot: U256::from(slot),
            seen: U256::from(seen),
            after: U256::from(after),
        };
        Simulation {
            accounts: vec![access],
            slots: slots.iter().map(slot).collect(),
            result: TxResult::default(),
            ..Simulation::default()
        }
    }

    #[test]
    fn deltas_add_up_whatever_the_runs_saw() {
        let mut ledger = ledger(true);
        let parent = Some(account(1, 100));
        ledger.fold(1, &run(parent, account(1, 130), Fate::Touched, &[]));
        ledger.fold(2, &run(parent, account(1, 60), Fate::Touched, &[]));
        ledger.fold(3, &run(parent, account(2, 100), Fate::Touched, &[]));
        assert_eq!(ledger.state.account(&SUBJECT), Some(Some(account(2, 90))));
    }

    #[test]
    fn touched_and_empty_depends_on_the_fork() {
        for (clears_empty, want) in [(true, None), (false, Some(Account::default()))] {
            let mut ledger = ledger(clears_empty);
            ledger.fold(1, &run(None, Account::default(), Fate::Touched, &[]));
            assert_eq!(ledger.state.account(&SUBJECT), Some(want));
            ledger.credit(2, SUBJECT, None, U256::ZERO);
            assert_eq!(ledger.state.account(&SUBJECT), Some(want));
        }
    }

    #[test]
    fn destruction_zeroes_slots_and_recreation_starts_empty() {
        let mut ledger = ledger(true);
        let parent = Some(account(1, 10));
        ledger.fold(1, &run(parent, account(1, 10), Fate::Touched, &[(1, 5, 6), (2, 0, 7)]));
        ledger.fold(2, &run(parent, Account::default(), Fate::Destroyed, &[(1, 6, 9)]));
        ledger.fold(3, &run(None, account(1, 0), Fate::Created, &[(2, 0, 8)]));
        let changes = ledger.state.clone().into_changes();
        let change = changes.account(&SUBJECT).unwrap();
        assert!(change.storage_cleared);
        assert_eq!((change.before, change.after), (parent, Some(account(1, 0))));
        let after = |slot: u64| change.storage[&U256::from(slot)].after;
        assert_eq!((after(1), after(2)), (U256::ZERO, U256::from(8)));
    }

    #[test]
    fn reads_leave_no_entry() {
        let mut ledger = ledger(true);
        ledger.fold(1, &run(Some(account(1, 1)), account(1, 1), Fate::Read, &[(1, 5, 5)]));
        ledger.fold(2, &run(Some(account(1, 1)), account(1, 1), Fate::Touched, &[(1, 5, 5)]));
        assert_eq!(ledger.state.account(&SUBJECT), None);
        assert!(ledger.state.into_changes().accounts.is_empty());
    }
}
