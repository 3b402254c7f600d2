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
    source::{InTrie, StateNodeSource},
    sparse::Trie,
    updates::{StorageUpdates, TrieUpdates, note_storage, note_wiped},
};
use crate::{
    changes::{Account, AccountChange, BlockChanges, SlotMap},
    keccak::keccak256_batch,
};
use alloy_primitives::{
    Address, B256, U256, keccak256,
    map::{AddressMap, B256Map},
};
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};
use rayon::prelude::*;

/// Slots of a block from which storage tries are worth spreading over threads.
const PARALLEL_SLOTS_MIN: usize = 256;
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

/// The storage trie of one account after a block.
#[derive(Debug)]
pub(crate) struct UpdatedStorage {
    /// The hashed address.
    owner: B256,
    /// `None` for an account that ends.
    trie: Option<Trie<U256>>,
    /// There was storage, and all of it was cleared.
    is_wiped: bool,
}

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
    /// There was storage, and the block clears all of it.
    is_wiped: bool,
}

impl Update<'_> {
    /// Whether the account lives on and its storage trie must be updated.
    fn changes_storage(&self) -> bool {
        self.change.after.is_some() && (self.change.storage_cleared || !self.slots.is_empty())
    }

    /// Whether the storage trie of the parent state goes as a whole.
    fn clears_storage(&self) -> bool {
        self.change.after.is_none() || self.change.storage_cleared
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
        let updated = apply_changes(accounts, changes, source, |owner, root| {
            let known = take_storage(storages, storages_bytes, owner).filter(|_| root != EMPTY_ROOT_HASH);
            let mut trie = known.unwrap_or_else(|| Trie::from_root(root));
            trie.set_epoch(*epoch);
            if storage_updates.is_some() {
                trie.track();
            }
            trie
        })?;
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

/// Puts a block's changes into the account trie. Storage tries come from `storage` by hashed address and root, which is that of
/// the empty trie where the block clears the storage, and go back hashed.
///
/// CONSENSUS: values are written before any is deleted, in each trie, so that the nodes which the update must know are the
/// fewest: a branch that keeps two children never collapses on the way. Witnesses hold no others.
pub(crate) fn apply_changes(
    accounts: &mut Trie<TrieAccount>,
    changes: &BlockChanges,
    source: &impl StateNodeSource,
    mut storage: impl FnMut(&B256, B256) -> Trie<U256>,
) -> Result<Vec<UpdatedStorage>, StateTrieError> {
    let mut updates = hash_changes(changes);
    let accounts_source = &InTrie::accounts(source);
    for update in updates.iter_mut().filter(|update| update.changes_storage() || update.clears_storage()) {
        let leaf = accounts.reveal(&update.hash, accounts_source).and_then(|()| accounts.get(&update.hash));
        let leaf = leaf.map_err(|error| error.in_trie(TrieOwner::Account(update.address)))?;
        let root = leaf.map_or(EMPTY_ROOT_HASH, |leaf| leaf.storage_root);
        update.is_wiped = update.clears_storage() && root != EMPTY_ROOT_HASH;
        if update.changes_storage() {
            let root = if update.is_wiped { EMPTY_ROOT_HASH } else { root };
            update.storage = Some(Box::new(storage(&update.hash, root)));
        }
    }
    update_storages(&mut updates, source)?;
    let live: Vec<_> = updates.iter().filter_map(|update| Some((update, update.change.after.as_ref()?))).collect();
    let leaf = |(update, after): &(&Update<'_>, &Account), before: Option<&TrieAccount>| {
        let storage_root = update.storage_root.or(before.map(|leaf| leaf.storage_root));
        to_leaf(after, storage_root.unwrap_or(EMPTY_ROOT_HASH))
    };
    accounts
        .upsert_all(&live, |(update, _)| &update.hash, accounts_source, leaf)
        .map_err(|(place, error)| error.in_trie(TrieOwner::Account(live[place].0.address)))?;
    for Update { address, hash, .. } in updates.iter().filter(|update| update.change.after.is_none()) {
        accounts.remove(hash, accounts_source).map_err(|error| error.in_trie(TrieOwner::Account(*address)))?;
    }
    let ends_or_changes = |update: &Update<'_>| update.storage.is_some() || update.change.after.is_none();
    Ok(updates
        .into_iter()
        .filter(ends_or_changes)
        .map(|Update { hash, storage, is_wiped, .. }| UpdatedStorage {
            owner: hash,
            trie: storage.map(|trie| *trie),
            is_wiped,
        })
        .collect())
}

/// Updates and hashes the storage tries, and sets the storage roots.
fn update_storages(updates: &mut [Update<'_>], source: &impl StateNodeSource) -> Result<(), StateTrieError> {
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

fn update_group(group: &mut [&mut Update<'_>], source: &impl StateNodeSource) -> Result<(), StateTrieError> {
    for Update { address, hash, slots, storage, .. } in group.iter_mut().map(|update| &mut **update) {
        let Some(trie) = storage else { continue };
        let source = &InTrie::storage(source, *hash);
        let in_trie = |error: TrieError| error.in_trie(TrieOwner::Storage(*address));
        let (cleared, set): (Vec<(B256, U256)>, Vec<_>) = slots.iter().partition(|(_, value)| value.is_zero());
        let upserted = trie.upsert_all(&set, |(slot, _)| slot, source, |(_, value), _| *value);
        upserted.map_err(|(_, error)| in_trie(error))?;
        for (slot, _) in &cleared {
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
        Update { address: *addresses[place], hash, change, slots, storage_root: None, storage: None, is_wiped: false }
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
