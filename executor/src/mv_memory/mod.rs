//! Multi-version memory: what the transactions of the block have published so far, by location and transaction index.
//!
//! Place in the flow: a finished run publishes here, a later transaction's run reads here, both before anything is committed.
//! Invariant: a reader at index i sees only versions of indices below i, and of those the newest. What it sees is a hint that
//! merge validates; so a missing, early or late version costs a second run and never a wrong result.
//! It does not hold the parent's values, and it is not where merge reads.
//!
//! Not everything is published: the balance and nonce of an account without code are nearly always taken relatively
//! ([`crate::read_set`]), so the parent's values serve as well; the few exact readers run again in block order.

mod demand;
mod filter;
mod publish;
mod revoked;
mod table;
mod versions;

use crate::{
    sync::{AtomicBool, Mutex, Ordering},
    types::TxIndex,
};
use alloy_primitives::{
    Address, B256, U256,
    map::{B256Map, DefaultHashBuilder},
};
use demand::Demand;
pub(crate) use demand::Supply;
use filter::Filter;
use laminar_state_db::Account;
pub(crate) use publish::is_published;
use revm::bytecode::Bytecode;
pub(crate) use revoked::{Doubts, Revoked};
use std::hash::BuildHasher;
use table::Table;

/// Shards of the table; a power of two, well above any worker count.
const SHARDS: usize = 64;

/// Locations that a transaction is expected to publish.
const LOCATIONS_PER_TX: usize = 4;

/// An account as one transaction leaves it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct AccountVersion {
    account: Option<Account>,
    storage_cleared: bool,
}

#[derive(Debug, Default)]
struct Shard {
    accounts: Table<Address, AccountVersion>,
    slots: Table<(Address, U256), U256>,
}

/// Versions that transactions published, shared by all workers of a block.
///
/// Any method may run on any thread at any time; a lock is held only inside one call and never two at once.
pub(crate) struct MvMemory {
    hasher: DefaultHashBuilder,
    filter: Filter,
    shards: Box<[Mutex<Shard>]>,
    demand: Demand,
    codes: Mutex<B256Map<Bytecode>>,
    has_codes: AtomicBool,
    has_cleared: AtomicBool,
    /// No run begins any more.
    is_closed: AtomicBool,
}

impl std::fmt::Debug for MvMemory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MvMemory").finish_non_exhaustive()
    }
}

impl MvMemory {
    /// An empty memory for a block of `txs` transactions; for none, it is small.
    pub(crate) fn new(txs: usize) -> Self {
        Self {
            hasher: DefaultHashBuilder::default(),
            filter: Filter::new(txs * LOCATIONS_PER_TX),
            shards: (0..if txs == 0 { 1 } else { SHARDS }).map(|_| Mutex::default()).collect(),
            demand: Demand::default(),
            codes: Mutex::default(),
            has_codes: AtomicBool::new(false),
            has_cleared: AtomicBool::new(false),
            is_closed: AtomicBool::new(false),
        }
    }

    /// Says whether runs may still begin. Without, nothing more is worth publishing; what was is still taken back.
    pub(crate) fn set_closed(&self, is_closed: bool) {
        // ORDER: Relaxed. A hint: a version that is missing costs a second run.
        self.is_closed.store(is_closed, Ordering::Relaxed);
    }

    /// Forgets everything, for another block of `txs` transactions; the room stays.
    pub(crate) fn reset(&mut self, txs: usize) {
        self.filter.reset(txs * LOCATIONS_PER_TX);
        for shard in &mut self.shards {
            let shard = shard.get_mut();
            shard.accounts.clear();
            shard.slots.clear();
        }
        self.demand = Demand::default();
        self.codes.get_mut().clear();
        self.has_codes = AtomicBool::new(false);
        self.has_cleared = AtomicBool::new(false);
        self.is_closed = AtomicBool::new(false);
    }

    /// The account as the newest transaction below `reader` left it; `None` if none of them published it.
    pub(crate) fn account(&self, address: &Address, reader: TxIndex) -> Option<Option<Account>> {
        let hash = self.hasher.hash_one(address);
        if !self.filter.may_contain(hash) {
            return None;
        }
        let shard = self.shard(hash).lock();
        shard.accounts.get(hash, address)?.newest_below(reader).map(|(_, version)| version.account)
    }

    /// The slot as the newest transaction below `reader` left it; `None` if none of them published it.
    pub(crate) fn slot(&self, address: &Address, slot: &U256, reader: TxIndex) -> Option<U256> {
        let hash = self.hasher.hash_one((address, slot));
        // ORDER: Relaxed, as for the filter: a missed flag is an older value, and validation finds it.
        let cleared = if self.has_cleared.load(Ordering::Relaxed) { self.cleared_by(address, reader) } else { None };
        let written = self.filter.may_contain(hash).then(|| {
            let shard = self.shard(hash).lock();
            shard.slots.get(hash, &(*address, *slot))?.newest_below(reader).copied()
        });
        if written.is_some_and(|written| written.is_some()) {
            self.demand.note_read(address);
        }
        match (written.flatten(), cleared) {
            (Some((writer, value)), Some(clearer)) if writer >= clearer => Some(value),
            (_, Some(_)) => Some(U256::ZERO),
            (Some((_, value)), None) => Some(value),
            (None, None) => None,
        }
    }

    /// Code that a transaction of the block set.
    pub(crate) fn code(&self, hash: &B256) -> Option<Bytecode> {
        // ORDER: Relaxed, see `slot`. A code hash is read from a version under a shard's lock after its code was stored under
        // the codes' lock, and the flag was set in between: who holds the hash sees the flag.
        if !self.has_codes.load(Ordering::Relaxed) {
            return None;
        }
        self.codes.lock().get(hash).cloned()
    }

    /// Told that a run was thrown away because of a slot of the contract.
    pub(crate) fn note_missed(&self, contract: &Address) {
        self.demand.note_missed(contract);
    }

    /// Publishes an account as `index` leaves it. True if a version of `index` was replaced.
    pub(crate) fn set_account(&self, index: TxIndex, address: Address, account: Option<Account>) -> bool {
        self.set_version(index, address, AccountVersion { account, storage_cleared: false })
    }

    /// Publishes a slot as `index` leaves it. True if a version of `index` was replaced.
    pub(crate) fn set_slot(&self, index: TxIndex, address: Address, slot: U256, value: U256) -> bool {
        let hash = self.hasher.hash_one((&address, &slot));
        let replaced = {
            let mut shard = self.shard(hash).lock();
            shard.slots.get_or_insert(hash, (address, slot), |key| self.hasher.hash_one(key)).set(index, value)
        };
        self.filter.insert(hash);
        replaced
    }

    /// Keeps code for [`Self::code`].
    pub(crate) fn set_code(&self, hash: B256, code: Bytecode) {
        self.codes.lock().insert(hash, code);
        // ORDER: Relaxed, see `code`.
        self.has_codes.store(true, Ordering::Relaxed);
    }

    fn set_version(&self, index: TxIndex, address: Address, version: AccountVersion) -> bool {
        let hash = self.hasher.hash_one(address);
        let replaced = {
            let mut shard = self.shard(hash).lock();
            shard.accounts.get_or_insert(hash, address, |key| self.hasher.hash_one(key)).set(index, version)
        };
        if version.storage_cleared {
            // ORDER: Relaxed, see `slot`.
            self.has_cleared.store(true, Ordering::Relaxed);
        }
        self.filter.insert(hash);
        replaced
    }

    /// Takes back an account as `index` left it. True if it was published.
    pub(crate) fn remove_account(&self, index: TxIndex, address: &Address) -> bool {
        let hash = self.hasher.hash_one(address);
        let mut shard = self.shard(hash).lock();
        shard.accounts.get_mut(hash, address).is_some_and(|versions| versions.remove(index))
    }

    /// Takes back a slot as `index` left it. True if it was published.
    pub(crate) fn remove_slot(&self, index: TxIndex, address: &Address, slot: &U256) -> bool {
        let hash = self.hasher.hash_one((address, slot));
        let mut shard = self.shard(hash).lock();
        shard.slots.get_mut(hash, &(*address, *slot)).is_some_and(|versions| versions.remove(index))
    }

    /// Whether `index` is published to leave an account like this.
    pub(crate) fn has_account(&self, index: TxIndex, address: &Address, account: &Account) -> bool {
        let hash = self.hasher.hash_one(address);
        let shard = self.shard(hash).lock();
        shard.accounts.get(hash, address).is_some_and(|versions| {
            versions.iter().any(|(at, version)| *at == index && version.account.as_ref() == Some(account))
        })
    }

    /// The newest transaction below `reader` that emptied the account's storage.
    fn cleared_by(&self, address: &Address, reader: TxIndex) -> Option<TxIndex> {
        let hash = self.hasher.hash_one(address);
        if !self.filter.may_contain(hash) {
            return None;
        }
        let shard = self.shard(hash).lock();
        let versions = shard.accounts.get(hash, address)?;
        let newest = versions.iter().rev().find(|(index, version)| *index < reader && version.storage_cleared);
        newest.map(|(index, _)| *index)
    }

    fn shard(&self, hash: u64) -> &Mutex<Shard> {
        // The table uses the low bits and the top seven, the filter the low ones: take the shard from between.
        &self.shards[(hash >> 40) as usize & (self.shards.len() - 1)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(n: u8) -> Address {
        Address::with_last_byte(n)
    }

    #[test]
    fn a_reader_sees_the_newest_version_below_it() {
        let memory = MvMemory::new(4);
        let (account, slot) = (address(1), U256::from(7));
        for index in [5, 1, 3] {
            memory.set_slot(TxIndex(index), account, slot, U256::from(index * 10));
        }
        for (reader, want) in [(0, None), (1, None), (2, Some(10)), (3, Some(10)), (4, Some(30)), (9, Some(50))] {
            assert_eq!(memory.slot(&account, &slot, TxIndex(reader)), want.map(U256::from), "reader {reader}");
        }
        assert_eq!(memory.slot(&address(2), &slot, TxIndex(9)), None);
    }

    #[test]
    fn a_second_publication_replaces_the_first() {
        let memory = MvMemory::new(1);
        memory.set_slot(TxIndex(2), address(1), U256::ZERO, U256::from(1));
        memory.set_slot(TxIndex(2), address(1), U256::ZERO, U256::from(9));
        assert_eq!(memory.slot(&address(1), &U256::ZERO, TxIndex(3)), Some(U256::from(9)));
    }

    #[test]
    fn a_reset_memory_knows_nothing() {
        for txs in [1, 1000] {
            let mut memory = MvMemory::new(4);
            memory.set_slot(TxIndex(0), address(1), U256::ZERO, U256::from(1));
            memory.set_version(TxIndex(0), address(1), AccountVersion { account: None, storage_cleared: true });
            memory.set_code(B256::ZERO, Bytecode::default());
            memory.reset(txs);
            assert_eq!(memory.slot(&address(1), &U256::ZERO, TxIndex(9)), None);
            assert_eq!(memory.account(&address(1), TxIndex(9)), None);
            assert_eq!(memory.code(&B256::ZERO), None);
        }
    }

    #[test]
    fn destruction_hides_older_slots_and_shows_newer_ones() {
        let memory = MvMemory::new(4);
        let (account, slot) = (address(1), U256::from(7));
        memory.set_slot(TxIndex(1), account, slot, U256::from(10));
        memory.set_version(TxIndex(2), account, AccountVersion { account: None, storage_cleared: true });
        memory.set_slot(TxIndex(4), account, slot, U256::from(40));
        for (reader, want) in [(2, 10), (3, 0), (4, 0), (5, 40)] {
            assert_eq!(memory.slot(&account, &slot, TxIndex(reader)), Some(U256::from(want)), "reader {reader}");
        }
        assert_eq!(memory.slot(&account, &U256::from(8), TxIndex(3)), Some(U256::ZERO));
        assert_eq!(memory.account(&account, TxIndex(3)), Some(None));
    }
}
