//! A block's changes into the tries of a state, account by account.
//!
//! Place in the flow: `BlockChanges` in, changed and hashed storage tries and a dirty account trie out; state, witness and memory
//! keep the tries and differ only in where a storage trie comes from.
//! Invariant: the storage root in an account's leaf is the root of its storage trie.
//! CONSENSUS: an account is a leaf exactly where the changes say that it exists, empty or not; deleting empty accounts
//! (EIP-161) is the executor's business.

use super::{
    error::{StateTrieError, TrieError, TrieOwner},
    hash::hash_tries,
    parts::Next,
    source::{InTrie, StateNodeSource},
    sparse::Trie,
    state::{first_bytes, sort_keys, to_leaf},
};
use crate::{
    changes::{Account, AccountChange, BlockChanges},
    keccak::keccak256_batch,
};
use alloy_primitives::{Address, B256, U256};
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};
use rayon::prelude::*;

/// Slots of a block from which storage tries are worth spreading over threads.
const PARALLEL_SLOTS_MIN: usize = 64;

/// Accounts whose addresses and slots are hashed together.
const HASH_CHUNK_LEN: usize = 128;

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
    for update in updates.iter_mut().filter(|update| update.changes_storage() || update.clears_storage) {
        let leaf = accounts.reveal(&update.hash, accounts_source).and_then(|()| accounts.get(&update.hash));
        let leaf = leaf.map_err(|error| error.in_trie(TrieOwner::Account(update.address)))?;
        let root = leaf.map_or(EMPTY_ROOT_HASH, |leaf| leaf.storage_root);
        update.is_wiped = update.clears_storage && root != EMPTY_ROOT_HASH;
        if update.changes_storage() {
            let root = if update.is_wiped { EMPTY_ROOT_HASH } else { root };
            update.storage = Some(Box::new(storage(&update.hash, root)));
        }
    }
    update_storages(&mut updates, source)?;
    let live: Vec<_> = updates.iter().filter_map(|update| Some((update, update.after.as_ref()?))).collect();
    let leaf = |(update, after): &(&Update, &Account), before: Option<&TrieAccount>| {
        let storage_root = update.storage_root.or(before.map(|leaf| leaf.storage_root));
        to_leaf(after, storage_root.unwrap_or(EMPTY_ROOT_HASH))
    };
    let next = if live.len() == updates.len() { Next::Root } else { Next::Changes };
    accounts
        .upsert_all(&live, |(update, _)| &update.hash, accounts_source, next, leaf)
        .map_err(|(place, error)| error.in_trie(TrieOwner::Account(live[place].0.address)))?;
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

/// Updates and hashes the storage tries, and sets the storage roots.
fn update_storages(updates: &mut [Update], source: &impl StateNodeSource) -> Result<(), StateTrieError> {
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
    hash_tries(&mut group.iter_mut().filter_map(|update| update.storage.as_deref_mut()).collect::<Vec<_>>());
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
    order.par_iter().with_min_len(HASH_CHUNK_LEN).map(update).collect()
}
