//! Values by key, each with the moments at which it changed.
//!
//! Place in the flow: accounts, slots and canonical hashes of a store in memory.
//! Invariant: a moment's values never change; writes are at later moments than all before. So readers of a moment need no
//! snapshot, and wait at most for one key of the same shard being written.

use crate::store::Moment;
use alloy_primitives::map::{DefaultHashBuilder, HashMap};
use parking_lot::RwLock;
use std::{
    fmt,
    hash::{BuildHasher, Hash},
};

/// Keys are spread over so many locks.
const SHARDS_LEN: usize = 64;

/// A value's changes, oldest first.
#[derive(Clone, Debug)]
pub(super) struct Versions<T>(Vec<(Moment, T)>);

impl<T> Default for Versions<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: Copy + PartialEq> Versions<T> {
    /// The value at a moment; `None` if it was never written until then.
    pub(super) fn at(&self, moment: Moment) -> Option<T> {
        let end = self.0.partition_point(|(since, _)| *since <= moment);
        end.checked_sub(1).map(|last| self.0[last].1)
    }

    /// The value from a moment on.
    pub(super) fn set(&mut self, since: Moment, value: T) {
        match self.0.last_mut() {
            Some((_, last)) if *last == value => {}
            Some((moment, last)) if *moment == since => *last = value,
            newest => {
                debug_assert!(newest.is_none_or(|(moment, _)| *moment < since), "written at {since:?}, not the newest");
                self.0.push((since, value));
            }
        }
    }
}

/// A map behind several locks.
pub(super) struct Sharded<K, V> {
    shards: Vec<RwLock<HashMap<K, V>>>,
    hasher: DefaultHashBuilder,
}

impl<K, V> fmt::Debug for Sharded<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sharded")
            .field("keys", &self.shards.iter().map(|shard| shard.read().len()).sum::<usize>())
            .finish()
    }
}

impl<K: Hash + Eq, V: Default> Sharded<K, V> {
    pub(super) fn new() -> Self {
        let shards = (0..SHARDS_LEN).map(|_| RwLock::default()).collect();
        Self { shards, hasher: Default::default() }
    }

    /// Reads the entry of a key, if there is one.
    pub(super) fn read<T>(&self, key: &K, read: impl FnOnce(&V) -> T) -> Option<T> {
        self.shard(key).read().get(key).map(read)
    }

    /// Changes the entry of a key, which is made if there is none.
    pub(super) fn write<T>(&self, key: K, write: impl FnOnce(&mut V) -> T) -> T {
        write(self.shard(&key).write().entry(key).or_default())
    }

    /// The keys of the entries that fit.
    pub(super) fn keys<C: FromIterator<K>>(&self, fits: impl Fn(&V) -> bool) -> C
    where
        K: Copy,
    {
        let of_shard = |shard: &RwLock<HashMap<K, V>>| {
            let shard = shard.read();
            let fitting = shard.iter().filter(|(_, value)| fits(value));
            fitting.map(|(key, _)| *key).collect::<Vec<_>>()
        };
        self.shards.iter().flat_map(of_shard).collect()
    }

    fn shard(&self, key: &K) -> &RwLock<HashMap<K, V>> {
        // The upper bits, since the shard's map uses the lower ones.
        &self.shards[(self.hasher.hash_one(key) >> 32) as usize % SHARDS_LEN]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_sees_the_last_write_up_to_it() {
        let mut versions = Versions::default();
        for (since, value) in [(3, 'a'), (5, 'a'), (7, 'b'), (7, 'c')] {
            versions.set(Moment(since), value);
        }
        let seen: Vec<_> = (2..9).map(|moment| versions.at(Moment(moment))).collect();
        assert_eq!(seen, [None, Some('a'), Some('a'), Some('a'), Some('a'), Some('c'), Some('c')]);
    }
}
