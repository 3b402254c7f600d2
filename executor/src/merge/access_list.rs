//! The block's access list (EIP-7928), collected while effects are folded.
//!
//! Place in the flow: merge tells it what each step of the block looked at and changed; the outcome carries the list.
//! Invariant: indices arrive in ascending order (0 before the transactions, i + 1 for transaction i, n + 1 after them), so the
//! list is sorted by construction; a value that a step leaves as it found it is an access, not a change.
//! It decides nothing about the block.

use alloy_eip7928::{
    AccountChanges, BalanceChange, BlockAccessIndex, BlockAccessList, CodeChange, NonceChange, SlotChanges,
    StorageChange,
};
use alloy_primitives::{Address, Bytes, U256};
use laminar_state_db::Account;
use std::collections::BTreeMap;

/// Changes of one value in ascending order of block access index.
#[derive(Debug, Default)]
struct History<T>(Vec<(u64, T, T)>);

impl<T: PartialEq + Clone> History<T> {
    /// Notes that step `index` found `before` and left `after`.
    fn note(&mut self, index: u64, before: T, after: T) {
        match self.0.last_mut() {
            Some((last, first, value)) if *last == index => {
                *value = after;
                if first == value {
                    self.0.pop();
                }
            }
            _ if before != after => self.0.push((index, before, after)),
            _ => {}
        }
    }

    fn into_changes<C>(self, change: impl Fn(BlockAccessIndex, T) -> C) -> Vec<C> {
        self.0.into_iter().map(|(index, _, after)| change(BlockAccessIndex::new(index), after)).collect()
    }
}

#[derive(Debug, Default)]
struct AccountHistory {
    balance: History<U256>,
    nonce: History<u64>,
    code: History<Bytes>,
    slots: BTreeMap<U256, History<U256>>,
}

/// A block access list in the making.
#[derive(Debug, Default)]
pub(super) struct AccessListBuilder {
    accounts: BTreeMap<Address, AccountHistory>,
}

impl AccessListBuilder {
    /// Notes that the account was looked at.
    pub(super) fn touch(&mut self, address: Address) {
        self.accounts.entry(address).or_default();
    }

    /// Notes balance and nonce around a step.
    pub(super) fn account(&mut self, index: u64, address: Address, before: Option<Account>, after: Option<Account>) {
        let history = self.accounts.entry(address).or_default();
        let (before, after) = (before.unwrap_or_default(), after.unwrap_or_default());
        history.balance.note(index, before.balance, after.balance);
        history.nonce.note(index, before.nonce, after.nonce);
    }

    /// Notes the code around a step that changed it.
    pub(super) fn code(&mut self, index: u64, address: Address, before: Bytes, after: Bytes) {
        self.accounts.entry(address).or_default().code.note(index, before, after);
    }

    /// Notes a slot around a step.
    pub(super) fn slot(&mut self, index: u64, address: Address, slot: U256, before: U256, after: U256) {
        self.accounts.entry(address).or_default().slots.entry(slot).or_default().note(index, before, after);
    }

    /// The finished list: accounts, slots and indices ascending.
    pub(super) fn finish(self) -> BlockAccessList {
        self.accounts.into_iter().map(|(address, history)| account_changes(address, history)).collect()
    }
}

fn account_changes(address: Address, history: AccountHistory) -> AccountChanges {
    let (written, read): (Vec<_>, Vec<_>) = history.slots.into_iter().partition(|(_, history)| !history.0.is_empty());
    AccountChanges {
        address,
        storage_changes: written
            .into_iter()
            .map(|(slot, history)| SlotChanges::new(slot, history.into_changes(StorageChange::new)))
            .collect(),
        storage_reads: read.into_iter().map(|(slot, _)| slot).collect(),
        balance_changes: history.balance.into_changes(BalanceChange::new),
        nonce_changes: history.nonce.into_changes(NonceChange::new),
        code_changes: history.code.into_changes(CodeChange::new),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_returns_within_a_step_is_no_change() {
        let mut history = History::default();
        history.note(0, 1, 2);
        history.note(0, 2, 1);
        history.note(3, 1, 1);
        history.note(4, 1, 5);
        history.note(4, 5, 6);
        assert_eq!(history.0, [(4, 1, 6)]);
    }

    #[test]
    fn slots_split_into_reads_and_changes_in_order() {
        let mut list = AccessListBuilder::default();
        let account = Address::with_last_byte(9);
        for (index, slot, before, after) in [(1, 8, 0, 1), (1, 2, 5, 5), (2, 8, 1, 3), (2, 1, 0, 4)] {
            list.slot(index, account, U256::from(slot), U256::from(before), U256::from(after));
        }
        list.touch(Address::with_last_byte(1));
        let list = list.finish();
        assert_eq!(list.len(), 2);
        assert_eq!(list[0].address, Address::with_last_byte(1));
        assert_eq!(list[1].storage_reads, [U256::from(2)]);
        let slots: Vec<_> = list[1].storage_changes.iter().map(|change| (change.slot, change.changes.len())).collect();
        assert_eq!(slots, [(U256::from(1), 1), (U256::from(8), 2)]);
    }
}
