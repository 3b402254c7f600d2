//! The witness of a block from a full state: exactly the nodes that reading and the update of the root ask for.
//!
//! How: the block's reads and its changes run on sparse tries that know nothing but their root; the source they ask notes
//! what it gave. So the witness is complete by construction, siblings of collapsed branches included, and holds nothing more.

use crate::{
    changes::BlockChanges,
    trie::{InTrie, SourcedNode, StateNodeSource, StateTrie, StateTrieError, Trie, TrieOwner, apply_changes},
};
use alloy_primitives::{
    B256, Bytes, U256, keccak256,
    map::{AddressMap, B256Map},
};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, TrieAccount};
use std::sync::{Mutex, PoisonError};

/// What a block reads: slots by account. Each key counts as read, an account also without slots.
pub type TouchedKeys = AddressMap<Vec<U256>>;

/// A source that notes what it gave.
struct Recorder<'a, S> {
    source: &'a S,
    /// Locked for one insertion, by threads that update storage tries.
    given: Mutex<B256Map<Bytes>>,
}

impl<S: StateNodeSource> StateNodeSource for Recorder<'_, S> {
    fn state_node(&self, owner: Option<&B256>, path: &Nibbles, hash: &B256) -> SourcedNode<'_> {
        let node = self.source.state_node(owner, path, hash)?;
        if let Some(rlp) = &node {
            let mut given = self.given.lock().unwrap_or_else(PoisonError::into_inner);
            given.entry(*hash).or_insert_with(|| Bytes::copy_from_slice(rlp));
        }
        Ok(node)
    }
}

/// The nodes that a replay of a block needs which reads `touched` on the state with this root and makes `changes`; ascending by
/// hash. `source` holds the nodes of the state before the block.
///
/// # Errors
/// `source` lacks a node or fails.
pub(crate) fn record_witness(
    root: B256,
    touched: &TouchedKeys,
    changes: &BlockChanges,
    source: &impl StateNodeSource,
) -> Result<Vec<Bytes>, StateTrieError> {
    let recorder = Recorder { source, given: Mutex::default() };
    let in_accounts = &InTrie::accounts(&recorder);
    let mut accounts = Trie::<TrieAccount>::from_root(root);
    let mut storages = B256Map::<Trie<U256>>::default();
    for (address, slots) in touched {
        let hash = keccak256(address);
        let leaf = accounts.reveal(&hash, in_accounts).and_then(|()| Ok(accounts.get(&hash)?.copied()));
        let leaf = leaf.map_err(|error| error.in_trie(TrieOwner::Account(*address)))?;
        let Some(storage_root) = leaf.map(|leaf| leaf.storage_root) else {
            continue;
        };
        let trie = storages.entry(hash).or_insert_with(|| Trie::from_root(storage_root));
        for slot in slots {
            let revealed = trie.reveal(&keccak256(slot.to_be_bytes::<32>()), &InTrie::storage(&recorder, hash));
            revealed.map_err(|error| error.in_trie(TrieOwner::Storage(*address)))?;
        }
    }
    apply_changes(&mut accounts, changes, &recorder, |hash, root| {
        let known = storages.remove(hash).filter(|_| root != EMPTY_ROOT_HASH);
        known.unwrap_or_else(|| Trie::from_root(root))
    })?;
    if accounts.is_unknown() && root != EMPTY_ROOT_HASH {
        // A block that touches nothing still proves its state root.
        accounts.reveal(&B256::ZERO, in_accounts).map_err(|error| error.in_trie(TrieOwner::Accounts))?;
    }
    let mut given: Vec<_> = recorder.given.into_inner().unwrap_or_else(PoisonError::into_inner).into_iter().collect();
    given.sort_unstable_by_key(|(hash, _)| *hash);
    Ok(given.into_iter().map(|(_, rlp)| rlp).collect())
}

impl StateTrie {
    /// The nodes that a replay of a block needs which reads `touched` and makes `changes`; ascending by hash.
    ///
    /// `self` is the state before the block.
    ///
    /// # Errors
    /// None unless `self` lacks nodes.
    pub fn witness(&mut self, touched: &TouchedKeys, changes: &BlockChanges) -> Result<Vec<Bytes>, StateTrieError> {
        record_witness(self.root(), touched, changes, &self.nodes_around(touched, changes))
    }

    /// A superset of the witness, by hash.
    fn nodes_around(&self, touched: &TouchedKeys, changes: &BlockChanges) -> B256Map<Bytes> {
        let mut nodes = B256Map::default();
        self.accounts.export_around(&B256::ZERO, &mut nodes);
        let read = touched.iter().map(|(address, slots)| (address, slots.clone()));
        let changed =
            changes.accounts.iter().map(|(address, change)| (address, change.storage.keys().copied().collect()));
        for (address, slots) in read.chain(changed) {
            let hash = keccak256(address);
            self.accounts.export_around(&hash, &mut nodes);
            let Some(trie) = self.storages.get(&hash) else { continue };
            for slot in slots {
                trie.export_around(&keccak256(slot.to_be_bytes::<32>()), &mut nodes);
            }
        }
        nodes
    }
}
