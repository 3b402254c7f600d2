//! From revm's journal to a [`Simulation`]: what a run saw, what it left, and which rules its result depends on.
//!
//! Place in the flow: the end of every run through the interpreter.
//! Invariant: every account and slot that the run asked for is captured, also those of reverted frames; each rule is at least
//! as strong as what the run depended on. The journal's map is left empty with its capacity kept.

use super::view::Notes;
use crate::{
    effects::{AccountAccess, Fate, Simulation, SlotAccess},
    read_set::{BalanceRule, NonceRule, RELATIVE_BALANCE_MAX},
};
use alloy_primitives::{Address, U256};
use laminar_state_db::Account;
use revm::state::{Account as JournalAccount, EvmState};

/// What the capture must know of the transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sender {
    pub(super) address: Address,
    /// The least balance with which the transaction is valid; zero for system calls.
    pub(super) required: U256,
    /// The transaction carries EIP-7702 authorizations, which look at the nonces of accounts without code.
    pub(super) authorizes: bool,
}

/// Drains `state` into `run`, which is empty but for its result and fee.
pub(super) fn capture(run: &mut Simulation, state: &mut EvmState, notes: &Notes, sender: Sender) {
    run.environment = notes.environment;
    run.accounts.reserve(state.len());
    for (address, account) in state.iter_mut() {
        push(run, *address, account, notes, sender);
    }
    state.clear();
}

fn push(run: &mut Simulation, address: Address, account: &mut JournalAccount, notes: &Notes, sender: Sender) {
    let fate = fate(account);
    let after = Account::from(&account.info);
    let seen = if account.is_loaded_as_not_existing() {
        None
    } else if account.is_changed() {
        Some(Account::from(&account.original_info()))
    } else {
        Some(after)
    };
    let before = seen.unwrap_or_default();

    let slots = account.storage.iter();
    run.slots.extend(slots.map(|(slot, value)| SlotAccess {
        slot: *slot,
        seen: value.original_value(),
        after: value.present_value(),
    }));
    if after.code_hash != before.code_hash
        && let Some(code) = account.info.code.take().filter(|_| fate != Fate::Destroyed && after.has_code())
    {
        run.codes.push((after.code_hash, code));
    }
    // Nobody else looks at a nonce, or moves one: the sender's check, creations, authorizations.
    let exact_nonce = notes.creates || sender.authorizes || address == sender.address;
    run.accounts.push(AccountAccess {
        address,
        seen,
        after,
        fate,
        balance: balance_rule(address, before, after, fate, notes, sender),
        nonce: match exact_nonce {
            true if address == sender.address && notes.nonce_assumed => NonceRule::Assumed,
            true => NonceRule::Exact,
            false => NonceRule::Free,
        },
        slots_end: u32::try_from(run.slots.len()).expect("gas bounds the slots of a transaction below 2^32"),
    });
}

fn fate(account: &JournalAccount) -> Fate {
    if account.is_selfdestructed() {
        Fate::Destroyed
    } else if account.is_created() {
        Fate::Created
    } else if account.is_touched() {
        Fate::Touched
    } else {
        Fate::Read
    }
}

fn balance_rule(
    address: Address,
    before: Account,
    after: Account,
    fate: Fate,
    notes: &Notes,
    sender: Sender,
) -> BalanceRule {
    let absolute = matches!(fate, Fate::Created | Fate::Destroyed);
    if absolute || before.balance >= RELATIVE_BALANCE_MAX || after.balance >= RELATIVE_BALANCE_MAX {
        return BalanceRule::Exact;
    }
    let mut rule = BalanceRule::default();
    if address == sender.address {
        rule.strengthen(BalanceRule::AtLeast(sender.required));
    }
    if !notes.balances.is_empty()
        && let Some(noted) = notes.balances.get(&address)
    {
        rule.strengthen(*noted);
    }
    rule
}

#[cfg(test)]
mod tests {
    use super::*;

    const SENDER: Sender =
        Sender { address: Address::repeat_byte(1), required: U256::from_limbs([9, 0, 0, 0]), authorizes: false };
    const NOTED: Address = Address::repeat_byte(2);

    #[track_caller]
    fn check(address: Address, before: U256, after: U256, fate: Fate, want: BalanceRule) {
        let mut notes = Notes::default();
        notes.balances.insert(NOTED, BalanceRule::AtLeast(U256::from(4)));
        let account = |balance| Account { balance, ..Account::default() };
        assert_eq!(balance_rule(address, account(before), account(after), fate, &notes, SENDER), want);
    }

    #[test]
    fn a_balance_is_relative_unless_it_is_huge_or_the_account_comes_or_goes() {
        let (few, huge, other) = (U256::from(50), RELATIVE_BALANCE_MAX, Address::repeat_byte(3));
        let least = |wei: u64| BalanceRule::AtLeast(U256::from(wei));
        for fate in [Fate::Read, Fate::Touched] {
            check(other, few, few, fate, least(0));
            check(NOTED, few, few, fate, least(4));
            check(SENDER.address, few, few, fate, least(9));
            check(other, huge - U256::from(1), few, fate, least(0));
            check(other, few, huge - U256::from(1), fate, least(0));
            check(other, huge, few, fate, BalanceRule::Exact);
            check(other, few, huge, fate, BalanceRule::Exact);
        }
        for fate in [Fate::Created, Fate::Destroyed] {
            check(NOTED, few, few, fate, BalanceRule::Exact);
        }
    }
}
