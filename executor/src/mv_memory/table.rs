//! A table of locations with their versions, close together.
//!
//! Place in the flow: what a shard of [`super::MvMemory`] holds; the shard's lock guards it.
//! Invariant: a place, once in the table, names its entry until the table is cleared; nothing is removed before.
//! A block writes tens of thousands of locations that it never reads again, so what counts is fresh memory touched for each:
//! entries are appended to a list, and only their numbers, four bytes each, lie scattered.

use super::versions::Versions;
use hashbrown::{HashTable, hash_table::Entry as Place};

#[derive(Debug)]
pub(super) struct Table<K, T> {
    places: HashTable<u32>,
    entries: Vec<Entry<K, T>>,
}

#[derive(Debug)]
struct Entry<K, T> {
    key: K,
    versions: Versions<T>,
}

impl<K, T> Default for Table<K, T> {
    fn default() -> Self {
        Self { places: HashTable::new(), entries: Vec::new() }
    }
}

impl<K: Eq, T> Table<K, T> {
    /// The versions at `key`, whose hash is `hash`; here and below.
    pub(super) fn get(&self, hash: u64, key: &K) -> Option<&Versions<T>> {
        let at = *self.places.find(hash, |at| self.entries[*at as usize].key == *key)?;
        Some(&self.entries[at as usize].versions)
    }

    pub(super) fn get_mut(&mut self, hash: u64, key: &K) -> Option<&mut Versions<T>> {
        let at = *self.places.find(hash, |at| self.entries[*at as usize].key == *key)?;
        Some(&mut self.entries[at as usize].versions)
    }

    /// The versions at `key`, none if they are new. `rehash` gives any key's hash.
    pub(super) fn get_or_insert(&mut self, hash: u64, key: K, rehash: impl Fn(&K) -> u64) -> &mut Versions<T> {
        let Self { places, entries } = self;
        let place = places.entry(hash, |at| entries[*at as usize].key == key, |at| rehash(&entries[*at as usize].key));
        let at = match place {
            Place::Occupied(place) => *place.get() as usize,
            Place::Vacant(place) => {
                let at = entries.len();
                place.insert(u32::try_from(at).expect("a block's gas bounds its locations below 2^32"));
                entries.push(Entry { key, versions: Versions::default() });
                at
            }
        };
        &mut entries[at].versions
    }

    /// Forgets everything; the room stays.
    pub(super) fn clear(&mut self) {
        self.places.clear();
        self.entries.clear();
    }
}
