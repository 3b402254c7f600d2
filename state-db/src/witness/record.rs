//! The witness of a block from a full state: exactly the nodes that reading and the update of the root ask for.
//!
//! How: the block's reads and its changes run on sparse tries that know nothing but their root; the source they ask notes
//! what it gave. So the witness is complete by construction, siblings of collapsed branches included, and holds nothing more.

use crate::{
    changes::BlockChanges,
    trie::{NodeSource, SourcedNode, StateTrie, StateTrieError, Trie, TrieOwner, apply_changes},
};
use alloy_primitives::{
    B256, Bytes, U256, keccak256,
    map::{AddressMap, B256Map, B256Set},
};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, TrieAccount};
use std::{
    borrow::Cow,
    sync::{Mutex, PoisonError},
};

/// What a block reads: slots by account. Each key counts as read, an account also without slots.
pub type TouchedKeys = AddressMap<Vec<U256>>;

/// A source that notes what it gave.
struct Recorder {
    nodes: B256Map<Bytes>,
    /// Locked for one insertion, by threads that update storage tries.
    given: Mutex<B256Set>,
}

impl NodeSource for Recorder {
    fn node(&self, _path: &Nibbles, hash: &B256) -> SourcedNode<'_> {
        let node = self.nodes.get(hash);
        if node.is_some() {
            self.given.lock().unwrap_or_else(PoisonError::into_inner).insert(*hash);
        }
        Ok(node.map(|rlp| Cow::Borrowed(rlp.as_ref())))
    }
}

impl StateTrie {
    /// The nodes that a replay of a block needs which reads `touched` and makes `changes`; ascending by hash.
    ///
    /// `self` is the state before the block.
    ///
    /// # Errors
    /// None unless `self` lacks nodes.
    pub fn witness(&mut self, touched: &TouchedKeys, changes: &BlockChanges) -> Result<Vec<Bytes>, StateTrieError> {
        let root = self.root();
        let recorder = Recorder { nodes: self.nodes_around(touched, changes), given: Mutex::default() };
        let mut accounts = Trie::<TrieAccount>::from_root(root);
        let mut storages = B256Map::<Trie<U256>>::default();
        for (address, slots) in touched {
            let hash = keccak256(address);
            let leaf = (accounts.reveal(&hash, &recorder)).and_then(|()| Ok(accounts.get(&hash)?.copied()));
            let leaf = leaf.map_err(|error| error.in_trie(TrieOwner::Account(*address)))?;
            let Some(storage_root) = leaf.map(|leaf| leaf.storage_root) else {
                continue;
            };
            let trie = storages.entry(hash).or_insert_with(|| Trie::from_root(storage_root));
            for slot in slots {
                let revealed = trie.reveal(&keccak256(slot.to_be_bytes::<32>()), &recorder);
                revealed.map_err(|error| error.in_trie(TrieOwner::Storage(*address)))?;
            }
        }
        apply_changes(&mut accounts, changes, &recorder, |hash, root| {
            let known = storages.remove(hash).filter(|_| root != EMPTY_ROOT_HASH);
            known.unwrap_or_else(|| Trie::from_root(root))
        })?;
        if accounts.is_unknown() && root != EMPTY_ROOT_HASH {
            // A block that touches nothing still proves its state root.
            accounts.reveal(&B256::ZERO, &recorder).map_err(|error| error.in_trie(TrieOwner::Accounts))?;
        }
        let given = recorder.given.into_inner().unwrap_or_else(PoisonError::into_inner);
        let mut given: Vec<_> = recorder.nodes.into_iter().filter(|(hash, _)| given.contains(hash)).collect();
        given.sort_unstable_by_key(|(hash, _)| *hash);
        Ok(given.into_iter().map(|(_, rlp)| rlp).collect())
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
