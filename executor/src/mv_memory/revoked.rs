//! What was published and taken back: values that a run may have been told although the block never has them.
//!
//! Place in the flow: multi-version memory adds to it, it travels with the run that took something back, merge keeps the sum,
//! and validation asks it where the committed prefix has no value to compare with.
//! Invariant: a location of which a version was removed is in it. It is kept by location, because one slot taken back from a
//! busy token says nothing about the other slots.

use alloy_primitives::{
    Address, U256,
    map::{AddressMap, HashSet, hash_map::Entry},
};

/// Locations of which a published version was taken back.
#[derive(Clone, Debug, Default)]
pub(crate) struct Revoked(AddressMap<Doubts>);

/// What was taken back of one account.
#[derive(Clone, Debug, Default)]
pub(crate) struct Doubts {
    account: bool,
    storage: bool,
    slots: HashSet<U256>,
}

impl Revoked {
    /// Whether nothing was taken back.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What was taken back of an account.
    pub(crate) fn of(&self, address: &Address) -> Option<&Doubts> {
        // An empty map answers without hashing.
        self.0.get(address)
    }

    /// An account as a transaction left it.
    pub(crate) fn insert_account(&mut self, address: Address) {
        self.0.entry(address).or_default().account = true;
    }

    /// That a transaction emptied the account's storage.
    pub(crate) fn insert_storage(&mut self, address: Address) {
        self.0.entry(address).or_default().storage = true;
    }

    /// A slot as a transaction left it.
    pub(crate) fn insert_slot(&mut self, address: Address, slot: U256) {
        self.0.entry(address).or_default().slots.insert(slot);
    }

    /// Adds what `other` has.
    pub(crate) fn extend(&mut self, other: Self) {
        if other.is_empty() {
            return;
        }
        for (address, doubts) in other.0 {
            match self.0.entry(address) {
                Entry::Occupied(known) => known.into_mut().extend(doubts),
                Entry::Vacant(place) => drop(place.insert(doubts)),
            }
        }
    }
}

impl Doubts {
    /// Whether what a run was told of existence, code, nonce and balance may never have been.
    pub(crate) const fn account(&self) -> bool {
        self.account
    }

    /// Whether what a run was told of a slot may never have been.
    pub(crate) fn slot(&self, slot: &U256) -> bool {
        self.storage || self.slots.contains(slot)
    }

    fn extend(&mut self, other: Self) {
        self.account |= other.account;
        self.storage |= other.storage;
        self.slots.extend(other.slots);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: Address = Address::repeat_byte(1);

    #[test]
    fn doubts_are_of_the_location_that_was_taken_back() {
        let mut revoked = Revoked::default();
        assert!(revoked.is_empty() && revoked.of(&A).is_none());
        revoked.insert_slot(A, U256::from(1));
        let mut more = Revoked::default();
        more.insert_account(A);
        more.insert_storage(Address::ZERO);
        let of = |revoked: &Revoked, slot: u64| {
            revoked.of(&A).map(|doubts| (doubts.account(), doubts.slot(&U256::from(slot))))
        };
        assert_eq!((of(&revoked, 1), of(&revoked, 2)), (Some((false, true)), Some((false, false))));
        revoked.extend(more);
        assert_eq!((of(&revoked, 1), of(&revoked, 2)), (Some((true, true)), Some((true, false))));
        let emptied = revoked.of(&Address::ZERO).expect("just added");
        assert!(!emptied.account() && emptied.slot(&U256::from(9)));
    }
}
