//! The tries of the whole state, and how a block's changes go into them.
//!
//! Place in the flow: `BlockChanges` in, state root out; witness and memory state keep the tries and differ only in where a
//! storage trie comes from.
//! Invariant: the storage root in an account's leaf is the root of its storage trie.
//! CONSENSUS: an account is a leaf exactly where the changes say that it exists, empty or not; deleting empty accounts
//! (EIP-161) is the executor's business.

use super::{
    error::{StateTrieError, TrieError, TrieOwner},
    hash::hash_tries,
    source::NodeSource,
    sparse::Trie,
};
use crate::{
    changes::{Account, AccountChange, BlockChanges, SlotMap},
    keccak::keccak256_batch,
};
use alloy_primitives::{
    Address, B256, U256,
    map::{AddressMap, B256Map},
};
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};
use rayon::prelude::*;

/// Slots of a block from which storage tries are worth spreading over threads.
const PARALLEL_SLOTS_MIN: usize = 256;
/// Keys from which sorting is worth several threads.
const PARALLEL_SORT_MIN: usize = 16_384;

/// The account trie and the storage tries of all accounts, all nodes known.
#[derive(Clone, Debug, Default)]
pub struct StateTrie {
    pub(crate) accounts: Trie<TrieAccount>,
    /// By hashed address; accounts without storage are not there.
    pub(crate) storages: B256Map<Trie<U256>>,
}

/// Storage tries after a block by hashed address; `None` for an account that ends.
pub(crate) type UpdatedStorages = Vec<(B256, Option<Trie<U256>>)>;

/// One account's part of a block, hashed.
struct Update<'a> {
    address: Address,
    hash: B256,
    change: &'a AccountChange,
    /// Hashed slots with their value after the block, ascending.
    slots: Vec<(B256, U256)>,
    /// The storage root after the block; `None` if it stays what it is.
    storage_root: Option<B256>,
    /// The storage trie, if the block changes it and the account lives on.
    storage: Option<Box<Trie<U256>>>,
}

impl Update<'_> {
    /// Whether a storage trie must be updated: not for an account that ends.
    fn changes_storage(&self) -> bool {
        self.change.after.is_some() && (self.change.storage_cleared || !self.slots.is_empty())
    }
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
        Self { accounts, storages }
    }

    /// Puts a block's changes into the tries.
    ///
    /// # Errors
    /// None where all nodes are known; else those of [`Trie::insert`] and [`Trie::remove`], with part of the changes made.
    pub fn apply(&mut self, changes: &BlockChanges, source: &impl NodeSource) -> Result<(), StateTrieError> {
        let Self { accounts, storages } = self;
        let updated = apply_changes(accounts, changes, source, |hash, _| storages.remove(hash).unwrap_or_default())?;
        for (hash, trie) in updated {
            match trie {
                Some(trie) if !trie.is_empty() => storages.insert(hash, trie),
                _ => storages.remove(&hash),
            };
        }
        Ok(())
    }

    /// The state root. Hashes what changed since the last call.
    pub fn root(&mut self) -> B256 {
        self.accounts.root()
    }
}

/// Puts a block's changes into the account trie; storage tries come from `storage` by hashed address and root, and go back,
/// hashed, with the hashed address: `None` for an account that ends.
///
/// CONSENSUS: values are written before any is deleted, in each trie, so that the nodes which the update must know are the
/// fewest: a branch that keeps two children never collapses on the way. Witnesses hold no others.
pub(crate) fn apply_changes(
    accounts: &mut Trie<TrieAccount>,
    changes: &BlockChanges,
    source: &impl NodeSource,
    mut storage: impl FnMut(&B256, B256) -> Trie<U256>,
) -> Result<UpdatedStorages, StateTrieError> {
    let mut updates = hash_changes(changes);
    for update in updates.iter_mut().filter(|update| update.changes_storage()) {
        update.storage = Some(Box::new(if update.change.storage_cleared {
            Trie::default()
        } else {
            let leaf = accounts.reveal(&update.hash, source).and_then(|()| accounts.get(&update.hash));
            let leaf = leaf.map_err(|error| error.in_trie(TrieOwner::Account(update.address)))?;
            storage(&update.hash, leaf.map_or(EMPTY_ROOT_HASH, |leaf| leaf.storage_root))
        }));
    }
    update_storages(&mut updates, source)?;
    for Update { address, hash, change, storage_root, .. } in &updates {
        let Some(after) = &change.after else { continue };
        let leaf = |before: Option<&TrieAccount>| {
            to_leaf(after, storage_root.or(before.map(|leaf| leaf.storage_root)).unwrap_or(EMPTY_ROOT_HASH))
        };
        accounts.upsert(hash, source, leaf).map_err(|error| error.in_trie(TrieOwner::Account(*address)))?;
    }
    for Update { address, hash, .. } in updates.iter().filter(|update| update.change.after.is_none()) {
        accounts.remove(hash, source).map_err(|error| error.in_trie(TrieOwner::Account(*address)))?;
    }
    let ends_or_changes = |update: &Update<'_>| update.storage.is_some() || update.change.after.is_none();
    Ok(updates
        .into_iter()
        .filter(ends_or_changes)
        .map(|update| (update.hash, update.storage.map(|trie| *trie)))
        .collect())
}

/// Updates and hashes the storage tries, and sets the storage roots.
fn update_storages(updates: &mut [Update<'_>], source: &impl NodeSource) -> Result<(), StateTrieError> {
    let mut jobs: Vec<_> = updates.iter_mut().filter(|update| update.storage.is_some()).collect();
    let slots_len: usize = jobs.iter().map(|job| job.slots.len()).sum();
    if slots_len < PARALLEL_SLOTS_MIN || jobs.len() == 1 {
        return update_group(&mut jobs, source);
    }
    // Big tries first and dealt round, so that the groups are about equal.
    jobs.sort_unstable_by_key(|job| std::cmp::Reverse(job.slots.len()));
    let mut groups: Vec<Vec<_>> = (0..2 * rayon::current_num_threads()).map(|_| Vec::new()).collect();
    let groups_len = groups.len();
    for (i, job) in jobs.into_iter().enumerate() {
        groups[i % groups_len].push(job);
    }
    groups.par_iter_mut().try_for_each(|group| update_group(group, source))
}

fn update_group(group: &mut [&mut Update<'_>], source: &impl NodeSource) -> Result<(), StateTrieError> {
    for Update { address, slots, storage, .. } in group.iter_mut().map(|update| &mut **update) {
        let Some(trie) = storage else { continue };
        let in_trie = |error: TrieError| error.in_trie(TrieOwner::Storage(*address));
        for (slot, value) in slots.iter().filter(|(_, value)| !value.is_zero()) {
            trie.insert(slot, *value, source).map_err(in_trie)?;
        }
        for (slot, _) in slots.iter().filter(|(_, value)| value.is_zero()) {
            trie.remove(slot, source).map_err(in_trie)?;
        }
    }
    hash_tries(&mut group.iter_mut().filter_map(|update| update.storage.as_deref_mut()).collect::<Vec<_>>());
    for update in group {
        update.storage_root = update.storage.as_deref().and_then(Trie::clean_root);
    }
    Ok(())
}

/// Hashes all addresses and slots in one batch each; ascending by hashed address.
fn hash_changes(changes: &BlockChanges) -> Vec<Update<'_>> {
    let (addresses, accounts): (Vec<&Address>, Vec<&AccountChange>) = changes.accounts.iter().unzip();
    let (mut slots, mut starts) = (Vec::new(), Vec::with_capacity(accounts.len()));
    for change in &accounts {
        starts.push(slots.len());
        slots.extend(change.storage.keys().map(U256::to_be_bytes::<32>));
    }
    let (mut address_hashes, mut slot_hashes) = (Vec::new(), Vec::new());
    keccak256_batch(&addresses, &mut address_hashes);
    keccak256_batch(&slots, &mut slot_hashes);
    let mut keys: Vec<_> = address_hashes.into_iter().zip(0..).collect();
    sort_keys(&mut keys);
    let update = |(hash, place): (B256, usize)| {
        let change = accounts[place];
        let values = change.storage.values().map(|slot| slot.after);
        let mut slots: Vec<_> = slot_hashes[starts[place]..].iter().copied().zip(values).collect();
        sort_keys(&mut slots);
        Update { address: *addresses[place], hash, change, slots, storage_root: None, storage: None }
    };
    keys.into_iter().map(update).collect()
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

fn sort_keys<T: Send>(keys: &mut [(B256, T)]) {
    if keys.len() < PARALLEL_SORT_MIN {
        keys.sort_unstable_by_key(|(key, _)| *key);
    } else {
        keys.par_sort_unstable_by_key(|(key, _)| *key);
    }
}

fn to_leaf(account: &Account, storage_root: B256) -> TrieAccount {
    TrieAccount { nonce: account.nonce, balance: account.balance, storage_root, code_hash: account.code_hash }
}
