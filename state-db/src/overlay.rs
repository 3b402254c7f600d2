//! Staged blocks: what is executed and not yet in the backend.
//!
//! Place in the flow: `stage` adds a layer on a committed block or on another layer, `commit` takes the layers of one branch
//! out, `unwind` puts them back; views read through the layers of their branch, newest first.
//! Invariants: layers name their parent by hash and hold no other layer, so nothing keeps a committed one alive; the layers
//! form trees whose roots stand on committed blocks.

use crate::{
    changes::{Account, BlockChanges, SlotMap, WipedStorage},
    store::{BlockData, BlockRef},
    trie::IndexedUpdates,
};
use alloy_primitives::{Address, B256, U256, map::B256Map};
use std::sync::Arc;

/// A block over its parent.
#[derive(Debug)]
pub(crate) struct Layer {
    /// The block.
    pub(crate) block: Arc<BlockData>,
    /// The state root after it.
    pub(crate) state_root: B256,
    /// What it changes.
    pub(crate) changes: Arc<BlockChanges>,
    /// What the changes wipe beyond the slots that they name.
    pub(crate) wiped: Arc<WipedStorage>,
    /// What it changes in the tries of its parent; empty where the backend keeps no nodes by path.
    pub(crate) trie: IndexedUpdates,
}

/// What a layer says of a value.
pub(crate) enum Found<T> {
    /// It is this.
    Value(T),
    /// Nothing; the parent has it.
    Below,
}

impl Layer {
    pub(crate) fn account(&self, address: &Address) -> Found<Option<Account>> {
        self.changes.account(address).map_or(Found::Below, |change| Found::Value(change.after))
    }

    pub(crate) fn slot(&self, address: &Address, slot: &U256) -> Found<U256> {
        let Some(change) = self.changes.account(address) else { return Found::Below };
        match change.storage.get(slot) {
            _ if change.after.is_none() => Found::Value(U256::ZERO),
            Some(value) => Found::Value(value.after),
            None if change.storage_cleared => Found::Value(U256::ZERO),
            None => Found::Below,
        }
    }

    /// Puts the layer's slots of an account over its parent's.
    pub(crate) fn cover_slots(&self, address: &Address, slots: &mut SlotMap<U256>) {
        let Some(change) = self.changes.account(address) else { return };
        if change.wipes_storage() {
            slots.clear();
        }
        if change.after.is_some() {
            slots.extend(change.storage.iter().map(|(slot, value)| (*slot, value.after)));
            slots.retain(|_, value| !value.is_zero());
        }
    }
}

/// The layers by block hash.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overlay(B256Map<Arc<Layer>>);

impl Overlay {
    pub(crate) fn get(&self, hash: &B256) -> Option<&Arc<Layer>> {
        self.0.get(hash)
    }

    pub(crate) fn insert(&mut self, layer: Arc<Layer>) {
        self.0.insert(layer.block.id.hash, layer);
    }

    pub(crate) fn remove(&mut self, hash: &B256) -> Option<Arc<Layer>> {
        self.0.remove(hash)
    }

    pub(crate) fn blocks(&self) -> impl Iterator<Item = BlockRef> {
        self.0.values().map(|layer| layer.block.id)
    }

    /// The layers from a block down to the committed block that they stand on, newest first, and that block's hash.
    pub(crate) fn branch(&self, hash: B256) -> (Vec<Arc<Layer>>, B256) {
        let (mut layers, mut below) = (Vec::new(), hash);
        while let Some(layer) = self.0.get(&below) {
            below = layer.block.parent;
            layers.push(layer.clone());
        }
        (layers, below)
    }

    /// The layers that stand directly on a block.
    pub(crate) fn children(&self, parent: B256) -> Vec<B256> {
        let children = self.0.values().filter(|layer| layer.block.parent == parent);
        children.map(|layer| layer.block.id.hash).collect()
    }

    /// Takes out a layer and all that stand on it; their hashes, each after its parent's.
    pub(crate) fn take_subtree(&mut self, hash: B256) -> Vec<B256> {
        let mut found = vec![hash];
        let mut next = 0;
        while let Some(parent) = found.get(next).copied() {
            found.extend(self.children(parent));
            self.0.remove(&parent);
            next += 1;
        }
        found
    }
}
