//! Whether a finished run is right on the committed prefix: its reads hold, by value and by condition.
//!
//! Place in the flow: merge asks this for every run that was not made on the committed prefix itself.
//! Invariant: if [`Verdict::Holds`], running the transaction on the committed prefix would give the same result, the same
//! effects up to the balances that are relative, and the same fee.
//!
//! Proof sketch. A run is a function of the values that it was told. Code, slots, exact nonces and exact balances are compared
//! by value, so every branch on them is the same. A balance that is not exact was only compared with amounts, and the rule
//! says for which balances those comparisons come out the same ([`crate::read_set`]). Existence and emptiness decide gas
//! (EIP-161, EIP-150) and are compared always. What is absent from the committed prefix is the parent's, which is what the
//! run was told too, unless it was told something that was published and later taken back: those locations are in `revoked`.

use crate::{
    block_state::{BlockState, SlotNow, slot_now},
    effects::{AccountAccess, Fate, Simulation, SlotAccess},
    location::Location,
    mv_memory::{Doubts, MvMemory, Revoked},
    read_set::NonceRule,
    types::TxIndex,
};
use laminar_state_db::{Account, AccountChange};

/// The answer of [`validate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Everything that the run depended on holds.
    Holds,
    /// The first location found whose value the run must see anew.
    Stale(Location),
}

/// Checks `run` against the committed prefix. `revoked` are locations of which some published version was taken back; `None` for
/// a run that saw the parent alone.
pub(crate) fn validate(run: &Simulation, state: &BlockState, revoked: Option<&Revoked>) -> Verdict {
    for (access, slots) in run.iter() {
        let doubts = revoked.and_then(|revoked| revoked.of(&access.address));
        let stale = match state.change(&access.address) {
            None => unchanged_is_stale(access, slots, doubts),
            Some(change) => {
                account_is_stale(access, change.after).or_else(|| slot_is_stale(access, slots, change, doubts))
            }
        };
        if let Some(location) = stale {
            return Verdict::Stale(location);
        }
    }
    Verdict::Holds
}

/// An account that the block has not written so far.
fn unchanged_is_stale(access: &AccountAccess, slots: &[SlotAccess], doubts: Option<&Doubts>) -> Option<Location> {
    if access.nonce == NonceRule::Assumed {
        // The state did not have the nonce of the transaction, and nobody changed it since.
        return Some(Location::Nonce(access.address));
    }
    let doubts = doubts?;
    if doubts.account() {
        return Some(Location::Code(access.address));
    }
    let stale = slots.iter().find(|access| doubts.slot(&access.slot));
    stale.map(|slot| Location::Slot(access.address, slot.slot))
}

fn account_is_stale(access: &AccountAccess, now: Option<Account>) -> Option<Location> {
    let address = access.address;
    let seen = access.seen_or_empty();
    let current = now.unwrap_or_default();
    let same_identity = access.seen.is_some() == now.is_some()
        && seen.code_hash == current.code_hash
        && seen.is_empty() == current.is_empty();
    if !same_identity {
        return Some(Location::Code(address));
    }
    if access.nonce != NonceRule::Free && seen.nonce != current.nonce {
        return Some(Location::Nonce(address));
    }
    (!access.balance.holds(seen.balance, current.balance)).then_some(Location::Balance(address))
}

fn slot_is_stale(
    access: &AccountAccess,
    slots: &[SlotAccess],
    change: &AccountChange,
    doubts: Option<&Doubts>,
) -> Option<Location> {
    if access.fate == Fate::Created {
        // A created account starts with empty storage; its slots were never read from the state.
        return None;
    }
    let stale = slots.iter().find(|access| match slot_now(change, &access.slot) {
        SlotNow::Value(value) => value != access.seen,
        SlotNow::Parent => doubts.is_some_and(|doubts| doubts.slot(&access.slot)),
    });
    stale.map(|slot| Location::Slot(access.address, slot.slot))
}

/// Whether something that was published below `index` since `run` was made speaks against it. A hint: what was taken back
/// is not noticed, and what was published may still change.
pub(crate) fn is_outdated(run: &Simulation, memory: &MvMemory, index: TxIndex) -> bool {
    run.iter().any(|(access, slots)| {
        let account = memory.account(&access.address, index);
        account.is_some_and(|now| account_is_stale(access, now).is_some())
            || access.fate != Fate::Created
                && slots
                    .iter()
                    .any(|slot| memory.slot(&access.address, &slot.slot, index).is_some_and(|value| value != slot.seen))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{block_state::write_slot, read_set::BalanceRule};
    use alloy_primitives::{Address, U256};

    const SUBJECT: Address = Address::repeat_byte(7);

    fn account(nonce: u64, balance: u64) -> Account {
        Account { nonce, balance: U256::from(balance), ..Account::default() }
    }

    fn read(seen: Option<Account>) -> AccountAccess {
        AccountAccess {
            address: SUBJECT,
            seen,
            after: seen.unwrap_or_default(),
            fate: Fate::Read,
            balance: BalanceRule::default(),
            nonce: NonceRule::Free,
            slots_end: 0,
        }
    }

    /// Validates one access with one slot seen as 5 against an account that is `now` and a slot written to `slot_now`.
    #[track_caller]
    fn check(access: AccountAccess, now: Option<Account>, slot: Option<u64>, want: Option<Location>) {
        let mut state = BlockState::default();
        let change = state.entry(SUBJECT, Some(account(1, 1)));
        change.after = now;
        if let Some(value) = slot {
            write_slot(change, U256::from(3), U256::ZERO, U256::from(value));
        }
        let five = U256::from(5);
        let slots = vec![SlotAccess { slot: U256::from(3), seen: five, after: five }];
        let run =
            Simulation { accounts: vec![AccountAccess { slots_end: 1, ..access }], slots, ..Simulation::default() };
        let want = want.map_or(Verdict::Holds, Verdict::Stale);
        assert_eq!(validate(&run, &state, Some(&Revoked::default())), want);
    }

    #[test]
    fn each_rule_finds_its_own_location() {
        let seen = read(Some(account(1, 50)));
        let exact = AccountAccess { balance: BalanceRule::Exact, ..seen };
        let least = AccountAccess { balance: BalanceRule::AtLeast(U256::from(40)), ..seen };
        let nonce = AccountAccess { nonce: NonceRule::Exact, ..seen };
        let coded = Account { code_hash: alloy_primitives::B256::repeat_byte(1), ..account(1, 50) };
        check(seen.clone(), Some(account(9, 7)), None, None);
        check(seen.clone(), None, None, Some(Location::Code(SUBJECT)));
        check(seen.clone(), Some(coded), None, Some(Location::Code(SUBJECT)));
        check(seen.clone(), Some(account(0, 0)), None, Some(Location::Code(SUBJECT)));
        check(exact.clone(), Some(account(1, 50)), None, None);
        check(exact, Some(account(1, 51)), None, Some(Location::Balance(SUBJECT)));
        check(least.clone(), Some(account(1, 40)), None, None);
        check(least, Some(account(1, 39)), None, Some(Location::Balance(SUBJECT)));
        check(nonce.clone(), Some(account(1, 9)), None, None);
        check(nonce, Some(account(2, 50)), None, Some(Location::Nonce(SUBJECT)));
        check(seen.clone(), Some(account(1, 50)), Some(5), None);
        check(seen.clone(), Some(account(1, 50)), Some(6), Some(Location::Slot(SUBJECT, U256::from(3))));
        check(AccountAccess { fate: Fate::Created, ..seen }, Some(account(1, 50)), Some(6), None);
        check(read(None), Some(account(0, 1)), None, Some(Location::Code(SUBJECT)));
    }

    #[test]
    fn untouched_accounts_hold_unless_assumed_or_revoked() {
        let state = BlockState::default();
        let run = |access| Simulation { accounts: vec![access], ..Simulation::default() };
        let seen = read(Some(account(1, 50)));
        let none = Revoked::default();
        let mut revoked = Revoked::default();
        revoked.insert_account(SUBJECT);
        assert_eq!(validate(&run(seen.clone()), &state, Some(&none)), Verdict::Holds);
        assert_eq!(validate(&run(seen.clone()), &state, Some(&revoked)), Verdict::Stale(Location::Code(SUBJECT)));
        assert_eq!(validate(&run(seen.clone()), &state, None), Verdict::Holds);
        let assumed = AccountAccess { nonce: NonceRule::Assumed, ..seen };
        assert_eq!(validate(&run(assumed), &state, Some(&none)), Verdict::Stale(Location::Nonce(SUBJECT)));
    }

    #[test]
    fn cleared_storage_is_zero_for_those_who_read_it() {
        let mut state = BlockState::default();
        let parent = Some(account(1, 1));
        let change = state.entry(SUBJECT, parent);
        crate::block_state::clear_storage(change);
        let slots = vec![SlotAccess { slot: U256::from(3), seen: U256::from(5), after: U256::from(5) }];
        let access = AccountAccess { slots_end: 1, ..read(parent) };
        let run = Simulation { accounts: vec![access], slots, ..Simulation::default() };
        let want = Verdict::Stale(Location::Slot(SUBJECT, U256::from(3)));
        assert_eq!(validate(&run, &state, Some(&Revoked::default())), want);
    }
}
