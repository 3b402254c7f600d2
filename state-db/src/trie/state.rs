//! The tries of the whole state.
//!
//! Place in the flow: stores keep them; `apply` puts a block's changes in, the state root comes out.
//! Invariant: the storage root in an account's leaf is the root of its storage trie.

use super::{
    apply::{UpdatedStorage, apply_changes},
    error::{StateTrieError, TrieOwner},
    hash::hash_tries,
    share::in_pool,
    source::{InTrie, StateNodeSource},
    sparse::Trie,
    updates::{StorageUpdates, TrieUpdates, note_storage, note_wiped},
};
use crate::{
    changes::{Account, BlockChanges, SlotMap},
    keccak::keccak256_batch,
};
use alloy_primitives::{
    Address, B256, U256, keccak256,
    map::{AddressMap, B256Map},
};
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};
use rayon::prelude::*;

/// Keys from which sorting is worth several threads.
const PARALLEL_SORT_MIN: usize = 16_384;

/// The account trie and the storage tries of a state, as far as they are known.
#[derive(Clone, Debug, Default)]
pub struct StateTrie {
    pub(crate) accounts: Trie<TrieAccount>,
    /// By hashed address. An account with storage that is not there has a trie of which only the root is known.
    pub(crate) storages: B256Map<Trie<U256>>,
    /// Bytes of memory of all storage tries.
    pub(super) storages_bytes: usize,
    /// What happened to storage tries since the updates were last taken; `None` if the tries are not tracked.
    storage_updates: Option<B256Map<StorageUpdates>>,
    /// Blocks applied.
    pub(super) epoch: u32,
    /// What was last used before this epoch is forgotten already.
    pub(super) oldest: u32,
}

impl StateTrie {
    /// The tries of a full state. Slots with value zero are skipped.
    pub fn from_state(accounts: &AddressMap<Account>, storage: &AddressMap<SlotMap<U256>>) -> Self {
        let (addresses, accounts): (Vec<&Address>, Vec<&Account>) = accounts.iter().unzip();
        let mut hashes = Vec::new();
        keccak256_batch(&addresses, &mut hashes);
        let mut storages: Vec<_> = (addresses.iter().zip(&hashes))
            .filter_map(|(address, hash)| Some((*hash, Trie::from_sorted(&hash_slots(storage.get(*address)?)))))
            .filter(|(_, trie)| !trie.is_empty())
            .collect();
        hash_tries(&mut storages.iter_mut().map(|(_, trie)| trie).collect::<Vec<_>>());
        let storages: B256Map<Trie<U256>> = storages.into_iter().collect();
        // Sorted by place, since moving places is cheaper than moving leaves.
        let mut keys: Vec<_> = hashes.into_iter().zip(0u32..).collect();
        sort_keys(&mut keys);
        let accounts = Trie::from_sorted_keys(&keys, |hash, place| {
            let storage_root = storages.get(hash).and_then(Trie::clean_root);
            to_leaf(accounts[place as usize], storage_root.unwrap_or(EMPTY_ROOT_HASH))
        });
        let mut tries = Self { accounts, storages, ..Self::default() };
        tries.count_storages();
        tries
    }

    /// The tries of the state with this root, of which nothing else is known.
    pub fn from_root(root: B256) -> Self {
        Self { accounts: Trie::from_root(root), ..Self::default() }
    }

    /// Notes from now on what [`Self::take_updates`] gives. To be called before any change.
    #[must_use]
    pub fn tracked(mut self) -> Self {
        self.accounts.track();
        self.storage_updates.get_or_insert_default();
        self
    }

    /// Puts a block's changes into the tries. `source` holds the nodes that are not known yet: it must be at the state of the
    /// last [`Self::take_updates`], or know nodes by hash.
    ///
    /// # Errors
    /// None where all nodes are known; else those of [`Trie::insert`] and [`Trie::remove`], with part of the changes made:
    /// the tries are of no use then.
    pub fn apply(&mut self, changes: &BlockChanges, source: &impl StateNodeSource) -> Result<(), StateTrieError> {
        self.epoch += 1;
        let Self { accounts, storages, storages_bytes, storage_updates, epoch, .. } = self;
        accounts.set_epoch(*epoch);
        let storage = |owner: &B256, root| {
            let known = take_storage(storages, storages_bytes, owner).filter(|_| root != EMPTY_ROOT_HASH);
            let mut trie = known.unwrap_or_else(|| Trie::from_root(root));
            trie.set_epoch(*epoch);
            if storage_updates.is_some() {
                trie.track();
            }
            trie
        };
        let updated = in_pool(changes, || apply_changes(accounts, changes, source, storage))?;
        for UpdatedStorage { owner, mut trie, is_wiped } in updated {
            if let Some(noted) = storage_updates {
                if is_wiped {
                    note_wiped(noted, owner);
                }
                note_storage(noted, owner, trie.as_mut().map(Trie::take_updates).unwrap_or_default());
            }
            match trie {
                Some(trie) if !trie.is_empty() => {
                    *storages_bytes += trie.memory_bytes();
                    storages.insert(owner, trie)
                }
                _ => take_storage(storages, storages_bytes, &owner),
            };
        }
        Ok(())
    }

    /// Makes the paths to an account and to slots of it known, as far as they exist: what reads and proofs walk.
    ///
    /// # Errors
    /// A node on the way is missing or malformed, or the source fails. Nothing but knowledge changed.
    pub fn reveal(
        &mut self,
        address: &Address,
        slots: &[U256],
        source: &impl StateNodeSource,
    ) -> Result<(), StateTrieError> {
        let owner = keccak256(address);
        let leaf = self.accounts.reveal(&owner, &InTrie::accounts(source)).and_then(|()| self.accounts.get(&owner));
        let leaf = leaf.map_err(|error| error.in_trie(TrieOwner::Account(*address)))?;
        let root = leaf.map(|leaf| leaf.storage_root).filter(|root| *root != EMPTY_ROOT_HASH && !slots.is_empty());
        let Some(root) = root else { return Ok(()) };
        let epoch = self.epoch;
        let known = take_storage(&mut self.storages, &mut self.storages_bytes, &owner);
        let mut trie = known.unwrap_or_else(|| Trie::from_root(root));
        trie.set_epoch(epoch);
        let revealed = slots
            .iter()
            .try_for_each(|slot| trie.reveal(&keccak256(slot.to_be_bytes::<32>()), &InTrie::storage(source, owner)));
        self.storages_bytes += trie.memory_bytes();
        self.storages.insert(owner, trie);
        revealed.map_err(|error| error.in_trie(TrieOwner::Storage(*address)))
    }

    /// What the changes since the last call mean for a table of nodes by path; empty unless the tries are [`Self::tracked`].
    /// Hashes what is not hashed yet.
    pub fn take_updates(&mut self) -> TrieUpdates {
        self.root();
        let storages = self.storage_updates.as_mut().map(std::mem::take).unwrap_or_default();
        TrieUpdates { accounts: self.accounts.take_updates(), storages }
    }

    /// All nodes that are known, as a table of nodes by path holds them: what a store of a new state writes.
    pub fn known_nodes(&mut self) -> TrieUpdates {
        self.root();
        let storage = |trie: &Trie<U256>| StorageUpdates { is_wiped: false, nodes: trie.known_nodes() };
        let storages = self.storages.iter().map(|(owner, trie)| (*owner, storage(trie)));
        TrieUpdates { accounts: self.accounts.known_nodes(), storages: storages.collect() }
    }

    /// Divides all tries into parts that threads can work on, as far as they fork at the root. Big tries are divided by themselves;
    /// roots and updates stay what they are.
    pub fn split(&mut self) {
        self.accounts.split();
        self.storages.values_mut().for_each(Trie::split);
        self.count_storages();
    }

    /// Adds up the memory of all storage tries anew.
    pub(super) fn count_storages(&mut self) {
        self.storages_bytes = self.storages.values().map(Trie::memory_bytes).sum();
    }

    /// The state root. Hashes what changed since the last call.
    pub fn root(&mut self) -> B256 {
        self.accounts.root()
    }
}

/// Takes a storage trie out of those that are known, and its memory off their sum.
fn take_storage(storages: &mut B256Map<Trie<U256>>, bytes: &mut usize, owner: &B256) -> Option<Trie<U256>> {
    let trie = storages.remove(owner)?;
    *bytes -= trie.memory_bytes();
    Some(trie)
}

/// Hashes the slots that are not zero; ascending.
fn hash_slots(slots: &SlotMap<U256>) -> Vec<(B256, U256)> {
    let slots = slots.iter().filter(|(_, value)| !value.is_zero());
    let (slots, values): (Vec<_>, Vec<_>) = slots.map(|(slot, value)| (slot.to_be_bytes::<32>(), *value)).unzip();
    let mut hashes = Vec::new();
    keccak256_batch(&slots, &mut hashes);
    let mut leaves: Vec<_> = hashes.into_iter().zip(values).collect();
    sort_keys(&mut leaves);
    leaves
}

/// Sorts by key.
///
/// PERF: keys are hashes, so that their first eight bytes nearly always decide, and are compared as one number.
pub(super) fn sort_keys<T: Send>(keys: &mut [(B256, T)]) {
    let order = |(a, _): &(B256, T), (b, _): &(B256, T)| first_bytes(a).cmp(&first_bytes(b)).then_with(|| a.cmp(b));
    if keys.len() < PARALLEL_SORT_MIN {
        keys.sort_unstable_by(order);
    } else {
        keys.par_sort_unstable_by(order);
    }
}

/// The first eight bytes of a key as a number.
#[inline]
pub(super) fn first_bytes(key: &B256) -> u64 {
    u64::from_be_bytes(std::array::from_fn(|i| key[i]))
}

pub(super) fn to_leaf(account: &Account, storage_root: B256) -> TrieAccount {
    TrieAccount { nonce: account.nonce, balance: account.balance, storage_root, code_hash: account.code_hash }
}
