//! A bounded cache of the newest state, shared by all views.
//!
//! Place in the flow: a snapshot of the newest block asks it before the file; a commit tells it what changed.
//!
//! Each entry has the commit since which it is the newest value. So a reader at an older commit never takes a value that is
//! too new for it, and one at a newer commit may take any entry, since a commit replaces the entries it changes.
//! Overlap: readers and one writer. Pairing: the writer announces its commit ([`Cache::advance`]) before it replaces entries;
//! a reader adds what it read only while no later commit is announced, looking under the shard's lock. Either it looks before
//! the writer comes to that shard, and the writer replaces the entry, or it sees the announcement and adds nothing.
//!
//! Bound: a shard keeps two generations of entries; when the younger is full, the older is dropped and the younger takes its
//! place. So all together hold at most the entries they were sized for, and what is asked for again stays.

use crate::changes::Account;
use alloy_primitives::{
    Address, B256, U256,
    map::{DefaultHashBuilder, HashMap},
};
use parking_lot::Mutex;
use revm::bytecode::Bytecode;
use std::{
    fmt,
    hash::{BuildHasher, Hash},
    sync::atomic::{AtomicU64, Ordering},
};

const SHARDS_LEN: usize = 64;
/// Bytes of an entry with its place in a hash map that is seven eighths full after it grew to twice its size.
const ENTRY_SIZE: usize = 256;
/// Share of the bytes for analysed code: a fourth.
const CODE_SHARE: usize = 4;
/// Bytes of analysed code beside its bytes: jump table, counts, map entry.
const CODE_OVERHEAD: usize = 256;

/// The newest commit of a store, in its own count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct CommitId(pub(super) u64);

/// Values by key, each with the commit since which it is the newest.
type Shards<K, V> = Vec<Mutex<Generations<K, (CommitId, V)>>>;

/// Accounts, slots and code.
pub(super) struct Cache {
    newest: AtomicU64,
    accounts: Shards<Address, Option<Account>>,
    slots: Shards<(Address, U256), U256>,
    codes: Mutex<Generations<B256, Bytecode>>,
    hasher: DefaultHashBuilder,
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("newest", &self.newest).finish_non_exhaustive()
    }
}

impl Cache {
    /// A cache of at most about so many bytes.
    pub(super) fn new(size_max: usize) -> Self {
        let entries = (size_max - size_max / CODE_SHARE) / ENTRY_SIZE / SHARDS_LEN;
        // Two generations; an account for every three slots.
        let (accounts, slots) = (entries / 8, entries * 3 / 8);
        Self {
            newest: AtomicU64::new(0),
            accounts: (0..SHARDS_LEN).map(|_| Mutex::new(Generations::new(accounts))).collect(),
            slots: (0..SHARDS_LEN).map(|_| Mutex::new(Generations::new(slots))).collect(),
            codes: Mutex::new(Generations::new(size_max / CODE_SHARE / 2)),
            hasher: DefaultHashBuilder::default(),
        }
    }

    /// The account at a commit, read if it is not known.
    pub(super) fn account<E>(
        &self,
        at: CommitId,
        address: &Address,
        read: impl FnOnce() -> Result<Option<Account>, E>,
    ) -> Result<Option<Account>, E> {
        self.value(&self.accounts, at, *address, read)
    }

    /// The slot at a commit, read if it is not known.
    pub(super) fn slot<E>(
        &self,
        at: CommitId,
        address: &Address,
        slot: &U256,
        read: impl FnOnce() -> Result<U256, E>,
    ) -> Result<U256, E> {
        self.value(&self.slots, at, (*address, *slot), read)
    }

    /// The code with a hash, read if it is not known.
    pub(super) fn code<E>(
        &self,
        hash: &B256,
        read: impl FnOnce() -> Result<Option<Bytecode>, E>,
    ) -> Result<Option<Bytecode>, E> {
        if let Some(code) = self.codes.lock().get(hash) {
            return Ok(Some(code));
        }
        let code = read()?;
        if let Some(code) = &code {
            self.codes.lock().insert(*hash, code.clone(), code.bytecode().len() + CODE_OVERHEAD);
        }
        Ok(code)
    }

    /// Announces a commit that is done and that no reader has seen yet.
    pub(super) fn advance(&self, to: CommitId) {
        // ORDER: SeqCst, pairs with the load in `value`; the shards' locks order the rest, see the module.
        self.newest.store(to.0, Ordering::SeqCst);
    }

    /// Replaces an account that the announced commit changed.
    pub(super) fn set_account(&self, since: CommitId, address: Address, account: Option<Account>) {
        self.shard(&self.accounts, &address).lock().insert(address, (since, account), 1);
    }

    /// Replaces a slot that the announced commit changed.
    pub(super) fn set_slot(&self, since: CommitId, address: Address, slot: U256, value: U256) {
        let key = (address, slot);
        self.shard(&self.slots, &key).lock().insert(key, (since, value), 1);
    }

    fn value<K: Hash + Eq + Copy, V: Copy, E>(
        &self,
        shards: &Shards<K, V>,
        at: CommitId,
        key: K,
        read: impl FnOnce() -> Result<V, E>,
    ) -> Result<V, E> {
        let shard = self.shard(shards, &key);
        if let Some((since, value)) = shard.lock().get(&key)
            && since <= at
        {
            return Ok(value);
        }
        let value = read()?;
        let mut shard = shard.lock();
        // ORDER: SeqCst, pairs with the store in `advance`.
        if self.newest.load(Ordering::SeqCst) == at.0 {
            shard.insert(key, (at, value), 1);
        }
        Ok(value)
    }

    fn shard<'a, K: Hash, V>(&self, shards: &'a [Mutex<V>], key: &K) -> &'a Mutex<V> {
        // The upper bits, since the shard's maps use the lower ones.
        &shards[(self.hasher.hash_one(key) >> 32) as usize % shards.len()]
    }
}

/// Two maps of limited weight; values with their weight.
struct Generations<K, V> {
    young: HashMap<K, (V, usize)>,
    old: HashMap<K, (V, usize)>,
    /// Weight of `young`.
    weight: usize,
    /// Of each.
    weight_max: usize,
}

impl<K: Hash + Eq + Copy, V: Clone> Generations<K, V> {
    fn new(weight_max: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), weight: 0, weight_max }
    }

    fn get(&mut self, key: &K) -> Option<V> {
        if let Some((value, _)) = self.young.get(key) {
            return Some(value.clone());
        }
        let (value, weight) = self.old.remove(key)?;
        self.insert(*key, value.clone(), weight);
        Some(value)
    }

    fn insert(&mut self, key: K, value: V, weight: usize) {
        if self.weight + weight > self.weight_max {
            if let Some((_, weight)) = self.young.remove(&key) {
                self.weight -= weight;
            }
            if weight > self.weight_max {
                self.old.remove(&key);
                return;
            }
            if self.weight + weight > self.weight_max {
                self.old = std::mem::take(&mut self.young);
                self.weight = 0;
            }
        }
        // PERF: a commit replaces all that it changed; mostly there is no older generation, and one way through one map is all.
        match self.young.insert(key, (value, weight)) {
            Some((_, replaced)) => self.weight -= replaced,
            None if self.old.is_empty() => {}
            None => drop(self.old.remove(&key)),
        }
        self.weight += weight;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::convert::Infallible;

    fn read(cache: &Cache, at: u64, stored: u64) -> u64 {
        let slot = cache.slot(CommitId(at), &Address::ZERO, &U256::ZERO, || Ok::<_, Infallible>(U256::from(stored)));
        slot.expect("infallible").to()
    }

    #[test]
    fn readers_take_nothing_newer_than_their_commit_and_add_nothing_older_than_the_newest() {
        let cache = Cache::new(1 << 20);
        assert_eq!((read(&cache, 0, 10), read(&cache, 0, 99)), (10, 10), "the second one is cached");
        cache.advance(CommitId(1));
        cache.set_slot(CommitId(1), Address::ZERO, U256::ZERO, U256::from(11));
        assert_eq!(read(&cache, 1, 99), 11);
        assert_eq!(read(&cache, 0, 10), 10, "an older reader reads for itself");
        assert_eq!(read(&cache, 1, 99), 11, "and spoils nothing");
        cache.advance(CommitId(2));
        assert_eq!(read(&cache, 2, 99), 11, "not changed since");
    }

    #[test]
    fn a_reader_that_is_overtaken_adds_nothing() {
        let cache = Cache::new(1 << 20);
        let seen = cache.slot(CommitId(0), &Address::ZERO, &U256::ZERO, || {
            cache.advance(CommitId(1));
            Ok::<_, Infallible>(U256::from(10))
        });
        assert_eq!(seen, Ok(U256::from(10)));
        assert_eq!(read(&cache, 1, 11), 11);
    }

    #[test]
    fn generations_keep_to_their_weight() {
        let mut cache = Generations::new(10);
        for key in 0..1_000u64 {
            cache.insert(key, key, 1);
            assert!(cache.young.len() + cache.old.len() <= 20);
            assert_eq!(cache.get(&key), Some(key));
        }
        cache.insert(7, 7, 11);
        assert_eq!(cache.get(&7), None, "too heavy to keep");
    }
}
