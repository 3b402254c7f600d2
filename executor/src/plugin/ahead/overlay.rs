//! What transactions that ran ahead did, for those that run ahead after them.
//!
//! Place in the flow: a finished run is published here; [`super::view`] reads it before the parent.
//! Invariant: what stands here decides only whether a run is thrown away, never what is committed. So a value that a rerun no
//! longer writes may stay.
//! It is [`crate::mv_memory`] for states that a foreign EVM gives: whole accounts, no conditions.

use super::Version;
use crate::sync::Mutex;
use alloy_primitives::{
    Address, U256,
    map::{AddressMap, HashMap},
};
use revm::state::{Account, AccountInfo, EvmState};

/// Maps that accounts are spread over, so that workers seldom meet at a lock.
const SHARDS: usize = 64;

/// Values of one thing by the version that wrote them, ascending.
#[derive(Debug)]
struct History<T>(Vec<(Version, T)>);

impl<T> Default for History<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> History<T> {
    fn put(&mut self, version: Version, value: T) {
        match self.0.binary_search_by_key(&version, |(at, _)| *at) {
            Ok(at) => self.0[at].1 = value,
            Err(at) => self.0.insert(at, (version, value)),
        }
    }

    /// The last value that was written below `end`.
    fn latest(&self, end: Version) -> Option<&(Version, T)> {
        self.0[..self.0.partition_point(|(at, _)| *at < end)].last()
    }
}

#[derive(Debug, Default)]
struct Entry {
    infos: History<Option<AccountInfo>>,
    slots: HashMap<U256, History<U256>>,
    /// When the storage was emptied.
    wiped: History<()>,
}

/// Published accounts and slots by version.
#[derive(Debug)]
pub(crate) struct Overlay {
    shards: Vec<Mutex<AddressMap<Entry>>>,
}

impl Overlay {
    pub(crate) fn new() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }

    /// Publishes what a run changed, `left_out` aside: those are left to the parent.
    pub(crate) fn publish(&self, version: Version, state: &EvmState, left_out: impl Fn(&Address) -> bool) {
        let wanted = |(address, account): &(&Address, &Account)| account.is_touched() && !left_out(address);
        for (address, account) in state.iter().filter(wanted) {
            let gone = account.is_selfdestructed() || account.is_empty();
            let mut shard = self.shard(address).lock();
            let entry = shard.entry(*address).or_default();
            entry.infos.put(version, (!gone).then(|| account.info.clone()));
            if gone || account.is_created() {
                entry.wiped.put(version, ());
            }
            for (slot, value) in account.changed_storage_slots().filter(|_| !gone) {
                entry.slots.entry(*slot).or_default().put(version, value.present_value);
            }
        }
    }

    /// The account as the versions below `end` left it; `None` if they did not touch it.
    pub(crate) fn account(&self, address: &Address, end: Version) -> Option<Option<AccountInfo>> {
        let shard = self.shard(address).lock();
        shard.get(address)?.infos.latest(end).map(|(_, info)| info.clone())
    }

    /// The slot as the versions below `end` left it; `None` if they did not touch it.
    pub(crate) fn slot(&self, address: &Address, slot: &U256, end: Version) -> Option<U256> {
        let shard = self.shard(address).lock();
        let entry = shard.get(address)?;
        let written = entry.slots.get(slot).and_then(|history| history.latest(end));
        match (written, entry.wiped.latest(end)) {
            (Some((at, value)), Some((wiped, ()))) => Some(if at >= wiped { *value } else { U256::ZERO }),
            (Some((_, value)), None) => Some(*value),
            (None, Some(_)) => Some(U256::ZERO),
            (None, None) => None,
        }
    }

    fn shard(&self, address: &Address) -> &Mutex<AddressMap<Entry>> {
        &self.shards[usize::from(address.0[19]) % SHARDS]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use revm::state::EvmStorageSlot;

    const SUBJECT: Address = Address::repeat_byte(7);
    const SLOT: U256 = U256::ONE;

    fn written(balance: u64, slot: u64) -> Account {
        let info = AccountInfo { balance: U256::from(balance), nonce: 1, ..AccountInfo::default() };
        let value = EvmStorageSlot::new_changed(U256::ZERO, U256::from(slot), Default::default());
        Account::default().with_info(info).with_storage([(SLOT, value)].into_iter()).with_touched_mark()
    }

    fn publish(overlay: &Overlay, version: u32, account: Account) {
        overlay.publish(Version(version), &[(SUBJECT, account)].into_iter().collect(), |_| false);
    }

    #[test]
    fn reader_sees_the_latest_version_before_its_own() {
        let overlay = Overlay::new();
        publish(&overlay, 5, written(50, 5));
        publish(&overlay, 2, written(20, 2));
        let seen = |end| {
            let balance = overlay.account(&SUBJECT, Version(end)).map(|info| info.unwrap().balance);
            (balance, overlay.slot(&SUBJECT, &SLOT, Version(end)))
        };
        let both = |balance: u64, slot: u64| (Some(U256::from(balance)), Some(U256::from(slot)));
        assert_eq!(seen(2), (None, None));
        assert_eq!(seen(3), both(20, 2));
        assert_eq!(seen(5), both(20, 2));
        assert_eq!(seen(6), both(50, 5));
    }

    #[test]
    fn destroyed_account_reads_as_nothing_until_it_is_written_again() {
        let overlay = Overlay::new();
        publish(&overlay, 1, written(10, 1));
        publish(&overlay, 2, written(10, 2).with_selfdestruct_mark());
        assert_eq!(overlay.account(&SUBJECT, Version(3)), Some(None));
        assert_eq!(overlay.slot(&SUBJECT, &SLOT, Version(3)), Some(U256::ZERO));
        publish(&overlay, 3, written(10, 3).with_created_mark());
        assert_eq!(overlay.slot(&SUBJECT, &SLOT, Version(4)), Some(U256::from(3)));
        assert_eq!(overlay.slot(&SUBJECT, &U256::from(9), Version(4)), Some(U256::ZERO));
    }

    #[test]
    fn accounts_left_out_are_left_to_the_parent() {
        let overlay = Overlay::new();
        overlay.publish(Version(1), &[(SUBJECT, written(1, 1))].into_iter().collect(), |address| *address == SUBJECT);
        assert_eq!(overlay.account(&SUBJECT, Version(2)), None);
    }
}
