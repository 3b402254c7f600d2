//! Roots and proofs of tries whose nodes are in the file and in layers.
//!
//! Place in the flow: staging asks for the root after a block, `proof` for nodes, unwinding for the nodes of an older state.
//! Invariant: nodes by path are those of the newest block of a snapshot. An older state's tries are made of them by the
//! changes that lead back, and have that state's root, or the tables do not fit together. Nodes of layers cover those below.

use super::{snapshot::DiskSnapshot, warm::WarmTries};
use crate::{
    changes::BlockChanges,
    overlay::Layer,
    store::{AccountProof, Kept, StateKey, StateView, StoreError},
    trie::{
        InTrie, IndexedUpdates, NodeMark, SourcedNode, StateNodeSource, StateTrie, Trie, TrieError, TrieOwner,
        TrieUpdates,
    },
};
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles, TrieAccount};
use std::{borrow::Cow, sync::Arc};

/// The nodes of a state: those of a snapshot's newest block under updates, newest first.
pub(super) struct Nodes<'a> {
    updates: Vec<Cow<'a, IndexedUpdates>>,
    snapshot: &'a DiskSnapshot,
}

impl<'a> Nodes<'a> {
    /// The nodes of the snapshot's newest state.
    pub(super) fn newest(snapshot: &'a DiskSnapshot) -> Self {
        Self { updates: Vec::new(), snapshot }
    }

    /// The nodes of a committed state.
    pub(super) fn of_committed(snapshot: &'a DiskSnapshot, state: &Kept) -> Result<Self, StoreError> {
        let mut nodes = Self::newest(snapshot);
        let newest = snapshot.newest();
        if state.id.number < newest.id.number {
            let back = snapshot.with(|rows| rows.changes_back_to(state.id.number))?;
            let updates = nodes.update(newest.state_root, &back, state)?;
            nodes.cover(updates);
        }
        Ok(nodes)
    }

    /// The nodes of a view's state.
    pub(super) fn of_view(snapshot: &'a DiskSnapshot, view: &'a StateView) -> Result<Self, StoreError> {
        let mut nodes = Self::of_committed(snapshot, view.base())?;
        nodes.updates.splice(0..0, view.layers().iter().map(|layer: &Arc<Layer>| Cow::Borrowed(&layer.trie)));
        Ok(nodes)
    }

    /// Goes on to the state whose tries have these updates.
    pub(super) fn cover(&mut self, updates: TrieUpdates) {
        self.updates.insert(0, Cow::Owned(IndexedUpdates::new(updates)));
    }

    /// The updates that lead from the state with the root `from` to a committed one.
    pub(super) fn update(&self, from: B256, changes: &BlockChanges, to: &Kept) -> Result<TrieUpdates, StoreError> {
        let (root, updates) = self.apply(from, changes)?;
        if root == to.state_root {
            return Ok(updates);
        }
        let what = format!("nodes and history of block {} give root {root}, not {}", to.id.number, to.state_root);
        Err(StoreError::Corrupt { table: "AccountNodes", what })
    }

    /// The root after changes on the state with the root `from`, and the updates to its tries.
    pub(super) fn apply(&self, from: B256, changes: &BlockChanges) -> Result<(B256, TrieUpdates), StoreError> {
        let mut tries = StateTrie::from_root(from).tracked();
        tries.apply(changes, self)?;
        Ok((tries.root(), tries.take_updates()))
    }

    /// The same for a block that others are to stand on: with the tries that the block before left, which go on to the next.
    pub(super) fn apply_warm(
        &self,
        warm: &WarmTries,
        from: B256,
        changes: &BlockChanges,
    ) -> Result<(B256, TrieUpdates), StoreError> {
        let mut tries = warm.take(from);
        tries.apply(changes, self)?;
        let (root, updates) = (tries.root(), tries.take_updates());
        warm.keep(root, tries);
        Ok((root, updates))
    }

    /// Makes the ways to some keys known in the tries that the next [`Self::apply_warm`] takes.
    pub(super) fn reveal_warm(&self, warm: &WarmTries, root: B256, keys: &[StateKey]) -> Result<(), StoreError> {
        let mut tries = warm.take(root);
        let revealed = keys.iter().try_for_each(|StateKey { address, slot }| {
            let slots = slot.as_ref().map(std::slice::from_ref).unwrap_or_default();
            tries.reveal(address, slots, self)
        });
        warm.put_back(root, tries);
        Ok(revealed?)
    }

    /// The proof of an account and of slots with these values.
    pub(super) fn proof(
        &self,
        root: B256,
        address: &Address,
        slots: &[(U256, U256)],
    ) -> Result<AccountProof, StoreError> {
        let hash = keccak256(address);
        let in_accounts = |error: TrieError| StoreError::from(error.in_trie(TrieOwner::Account(*address)));
        let mut accounts = Trie::<TrieAccount>::from_root(root);
        accounts.reveal(&hash, &InTrie::accounts(self)).map_err(in_accounts)?;
        let leaf = accounts.get(&hash).map_err(in_accounts)?.copied();
        let storage_root = leaf.map_or(EMPTY_ROOT_HASH, |leaf| leaf.storage_root);
        let mut storage = Trie::<U256>::from_root(storage_root);
        for (slot, _) in slots {
            let revealed = storage.reveal(&keccak256(slot.to_be_bytes::<32>()), &InTrie::storage(self, hash));
            revealed.map_err(|error| error.in_trie(TrieOwner::Storage(*address)))?;
        }
        Ok(AccountProof::new(*address, leaf.as_ref(), &accounts, Some(&storage), slots))
    }
}

impl StateNodeSource for Nodes<'_> {
    fn state_node(&self, owner: Option<&B256>, path: &Nibbles, _hash: &B256) -> SourcedNode<'_> {
        let mark = NodeMark::new(owner, path);
        for updates in &self.updates {
            if let Some(found) = updates.find(mark, owner, path) {
                return Ok(found.map(|rlp| Cow::Borrowed(rlp.as_ref())));
            }
        }
        Ok(self.snapshot.node(owner, path)?.map(|rlp| Cow::Owned(rlp.into())))
    }
}
