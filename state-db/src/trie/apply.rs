//! A block's changes into the tries of a state, account by account.
//!
//! Place in the flow: `BlockChanges` in, changed and hashed storage tries and a dirty account trie out; state, witness and memory
//! keep the tries and differ only in where a storage trie comes from.
//! Invariant: the storage root in an account's leaf is the root of its storage trie.
//! CONSENSUS: an account is a leaf exactly where the changes say that it exists, empty or not; deleting empty accounts
//! (EIP-161) is the executor's business.

use super::{
    error::{StateTrieError, TrieError, TrieOwner},
    hash::{hash_group, hash_tries_in_task},
    parts::{Next, PARTS, first_nibble},
    share::deal,
    source::{InTrie, StateNodeSource},
    sparse::Trie,
    state::{first_bytes, sort_keys, to_leaf},
    subtrie::Subtrie,
};
use crate::{
    changes::{Account, AccountChange, BlockChanges},
    keccak::keccak256_batch,
};
use alloy_primitives::{Address, B256, U256};
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};
use rayon::prelude::*;
use std::sync::Arc;

/// Slots of a block that are worth a task of their own, and whose nodes fill the lanes.
const TASK_SLOTS_MIN: usize = 32;
/// Slots from which an account's storage trie is not left to the task that sets the account.
const BIG_SLOTS_MIN: usize = 128;
/// Accounts and slots of a block that are worth a task of their own.
const TASK_CHANGES_MIN: usize = 128;
/// Accounts whose addresses and slots are hashed together.
const HASH_CHUNK_LEN: usize = 32;
/// Accounts that a task puts into order.
const ORDER_CHUNK_LEN: usize = 128;

/// The storage trie of one account after a block.
#[derive(Debug)]
pub(crate) struct UpdatedStorage {
    /// The hashed address.
    pub(super) owner: B256,
    /// `None` for an account that ends.
    pub(super) trie: Option<Trie<U256>>,
    /// There was storage, and all of it was cleared.
    pub(super) is_wiped: bool,
}

/// One account's part of a block, hashed.
struct Update {
    address: Address,
    hash: B256,
    /// The account after the block, if it lives on.
    after: Option<Account>,
    /// Whether the storage trie of the parent state goes as a whole.
    clears_storage: bool,
    /// Hashed slots with their value after the block, ascending.
    slots: Vec<(B256, U256)>,
    /// The storage root after the block; `None` if it stays what it is.
    storage_root: Option<B256>,
    /// The storage trie, if the block changes it and the account lives on.
    storage: Option<Box<Trie<U256>>>,
    /// There was storage, and the block clears all of it.
    is_wiped: bool,
}

impl Update {
    /// Whether the account lives on and its storage trie must be updated.
    fn changes_storage(&self) -> bool {
        self.after.is_some() && (self.clears_storage || !self.slots.is_empty())
    }

    /// Whether there is a storage trie that is not updated yet.
    fn is_open(&self) -> bool {
        self.storage.is_some() && self.storage_root.is_none()
    }

    /// How much there is to do yet: the account, and the slots if they are not set.
    fn weight(&self) -> usize {
        1 + if self.is_open() { self.slots.len() } else { 0 }
    }
}

/// Puts a block's changes into the account trie. Storage tries come from `storage` by hashed address and root, which is that of
/// the empty trie where the block clears the storage, and go back hashed; what is shared of them is copied by the task that changes it.
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
    for update in updates.iter_mut().filter(|update| update.changes_storage() || update.clears_storage) {
        let root = |leaf: Option<&TrieAccount>| leaf.map_or(EMPTY_ROOT_HASH, |leaf| leaf.storage_root);
        let root = match accounts.get(&update.hash) {
            Ok(leaf) => root(leaf),
            Err(_) => {
                let leaf = accounts.reveal(&update.hash, accounts_source).and_then(|()| accounts.get(&update.hash));
                root(leaf.map_err(|error| error.in_trie(TrieOwner::Account(update.address)))?)
            }
        };
        update.is_wiped = update.clears_storage && root != EMPTY_ROOT_HASH;
        if update.changes_storage() {
            let root = if update.is_wiped { EMPTY_ROOT_HASH } else { root };
            update.storage = Some(Box::new(storage(&update.hash, root)));
        }
    }
    accounts.split_if_big(updates.len());
    let is_split = accounts.is_split();
    let is_early =
        |update: &&mut Update| update.storage.is_some() && (!is_split || update.slots.len() >= BIG_SLOTS_MIN);
    let early = updates.iter_mut().filter(is_early).map(|update| (update.slots.len(), update));
    deal(early.collect(), TASK_SLOTS_MIN).par_iter_mut().try_for_each(|group| update_group(group, source))?;
    let next = if updates.iter().all(|update| update.after.is_some()) { Next::Root } else { Next::Changes };
    update_accounts(accounts, &mut updates, source, next)?;
    for Update { address, hash, .. } in updates.iter().filter(|update| update.after.is_none()) {
        accounts.remove(hash, accounts_source).map_err(|error| error.in_trie(TrieOwner::Account(*address)))?;
    }
    let ends_or_changes = |update: &Update| update.storage.is_some() || update.after.is_none();
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

/// A part of the account trie, and the updates of the accounts there.
struct Share<'a> {
    part: &'a mut Arc<Subtrie<TrieAccount>>,
    updates: &'a mut [Update],
}

/// Updates and hashes the storage tries that are left, and sets the accounts that live on.
fn update_accounts(
    accounts: &mut Trie<TrieAccount>,
    mut updates: &mut [Update],
    source: &impl StateNodeSource,
    next: Next,
) -> Result<(), StateTrieError> {
    let is_split = accounts.is_split();
    let mut shares = Vec::with_capacity(PARTS);
    accounts.root = None;
    for (nibble, part) in accounts.parts.iter_mut().enumerate() {
        let len = updates.partition_point(|update| !is_split || first_nibble(&update.hash) <= nibble);
        let (mine, others) = updates.split_at_mut(len);
        updates = others;
        if !mine.is_empty() {
            let weight = mine.iter().map(Update::weight).sum();
            shares.push((weight, Share { part, updates: mine }));
        }
    }
    deal(shares, TASK_CHANGES_MIN).into_par_iter().try_for_each(|group| update_shares(group, source, next))
}

/// Updates and hashes storage tries, sets the accounts and hashes their parts if `next` is the root.
fn update_shares(mut group: Vec<Share<'_>>, source: &impl StateNodeSource, next: Next) -> Result<(), StateTrieError> {
    // The storage tries of all shares together fill the lanes.
    let updates = group.iter_mut().flat_map(|share| share.updates.iter_mut());
    update_group(&mut updates.filter(|update| update.is_open()).collect::<Vec<_>>(), source)?;
    let accounts_source = &InTrie::accounts(source);
    let mut dirty = Vec::with_capacity(group.len());
    for Share { part, updates } in group {
        let part = Arc::make_mut(part);
        let live: Vec<_> = updates.iter().filter_map(|update| Some((update, update.after.as_ref()?))).collect();
        let leaf = |(update, after): &(&Update, &Account), before: Option<&TrieAccount>| {
            let storage_root = update.storage_root.or(before.map(|leaf| leaf.storage_root));
            to_leaf(after, storage_root.unwrap_or(EMPTY_ROOT_HASH))
        };
        part.upsert_sorted(&live, |(update, _)| &update.hash, accounts_source, leaf)
            .map_err(|(place, error)| error.in_trie(TrieOwner::Account(live[place].0.address)))?;
        dirty.extend(part.is_dirty().then_some(part));
    }
    // PERF: now the parts are in the caches of this thread.
    if next == Next::Root {
        hash_group(&mut dirty);
    }
    Ok(())
}

/// Updates and hashes storage tries together, and sets the storage roots.
fn update_group(group: &mut [&mut Update], source: &impl StateNodeSource) -> Result<(), StateTrieError> {
    for Update { address, hash, slots, storage, .. } in group.iter_mut().map(|update| &mut **update) {
        let Some(trie) = storage else { continue };
        let source = &InTrie::storage(source, *hash);
        let in_trie = |error: TrieError| error.in_trie(TrieOwner::Storage(*address));
        let (cleared, set): (Vec<(B256, U256)>, Vec<_>) = slots.iter().partition(|(_, value)| value.is_zero());
        let next = if cleared.is_empty() { Next::Root } else { Next::Changes };
        let upserted = trie.upsert_all(&set, |(slot, _)| slot, source, next, |(_, value), _| *value);
        upserted.map_err(|(_, error)| in_trie(error))?;
        for (slot, _) in &cleared {
            trie.remove(slot, source).map_err(in_trie)?;
        }
    }
    let tries = group.iter_mut().filter_map(|update| update.storage.as_deref_mut());
    hash_tries_in_task(&mut tries.collect::<Vec<_>>());
    for update in group {
        update.storage_root = update.storage.as_deref().and_then(Trie::clean_root);
    }
    Ok(())
}

/// Addresses and slots of some accounts, hashed.
struct Hashes {
    addresses: Vec<B256>,
    /// Of all accounts, one after the other.
    slots: Vec<B256>,
    /// Where the slots of each account begin.
    starts: Vec<usize>,
}

impl Hashes {
    /// Hashes in one batch each.
    fn new(accounts: &[(&Address, &AccountChange)]) -> Self {
        let addresses: Vec<&Address> = accounts.iter().map(|(address, _)| *address).collect();
        let (mut slots, mut starts) = (Vec::new(), Vec::with_capacity(accounts.len()));
        for (_, change) in accounts {
            starts.push(slots.len());
            slots.extend(change.storage.keys().map(U256::to_be_bytes::<32>));
        }
        let mut hashes = Self { addresses: Vec::new(), slots: Vec::new(), starts };
        keccak256_batch(&addresses, &mut hashes.addresses);
        keccak256_batch(&slots, &mut hashes.slots);
        hashes
    }
}

/// Hashes all addresses and slots; ascending by hashed address.
fn hash_changes(changes: &BlockChanges) -> Vec<Update> {
    let accounts: Vec<(&Address, &AccountChange)> = changes.accounts.iter().collect();
    let hashes: Vec<Hashes> = accounts.par_chunks(HASH_CHUNK_LEN).map(Hashes::new).collect();
    let hash = |place: usize| &hashes[place / HASH_CHUNK_LEN].addresses[place % HASH_CHUNK_LEN];
    // PERF: sixteen bytes each are sorted sooner than hashes, and their first eight bytes nearly always decide.
    let mut order: Vec<_> = (0..accounts.len()).map(|place| (first_bytes(hash(place)), place)).collect();
    order.par_sort_unstable_by(|(a, i), (b, j)| a.cmp(b).then_with(|| hash(*i).cmp(hash(*j))));
    let update = |(_, place): &(u64, usize)| {
        let ((address, change), hash) = (accounts[*place], *hash(*place));
        let (chunk, place) = (&hashes[place / HASH_CHUNK_LEN], place % HASH_CHUNK_LEN);
        let values = change.storage.values().map(|slot| slot.after);
        let mut slots: Vec<_> = chunk.slots[chunk.starts[place]..].iter().copied().zip(values).collect();
        sort_keys(&mut slots);
        Update {
            address: *address,
            hash,
            after: change.after,
            clears_storage: change.wipes_storage(),
            slots,
            storage_root: None,
            storage: None,
            is_wiped: false,
        }
    };
    order.par_iter().with_min_len(ORDER_CHUNK_LEN).map(update).collect()
}
