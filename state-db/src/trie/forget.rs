//! Keeping the memory of tries bounded: what was not used for long becomes a hash again.
//!
//! Place in the flow: after a block's updates are where the source finds them, a store asks its warm tries to shrink.
//! How: walks note on each branch the epoch (the block, for a state) in which they pass; a branch is used no earlier than any
//! branch below it, so what is old is cut off as whole subtries. What stays is copied to a new arena, which gives the memory back.
//! Invariant: values and root stay what they are, as long as the source holds what is forgotten.

use super::{
    id::{Child, Link, Node, NodeId},
    node::{Arena, Extension, Leaf},
    sparse::Trie,
    state::StateTrie,
    subtrie::Subtrie,
    value::TrieValue,
};
use alloy_primitives::{B256, U256};

impl<V: TrieValue> Subtrie<V> {
    /// Bytes of memory that the nodes take, free places included.
    pub(super) fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.arena.memory_bytes() + self.links.capacity() * size_of::<Link>()
    }

    /// Forgets every subtrie whose branch was not used in `since` or a later epoch.
    ///
    /// Precondition: no node is dirty.
    pub(super) fn forget_before(&mut self, since: u32) {
        debug_assert!(!self.is_dirty(), "only clean nodes have a hash to keep");
        let mut kept = Arena::default();
        self.root.id = copy_since(&self.arena, &mut kept, self.root, since);
        self.arena = kept;
    }
}

/// Copies the node and what is to be kept below it; a branch that was last used before `since` becomes its hash. What stands for
/// the node stays the same.
pub(super) fn copy_since<V: TrieValue>(from: &Arena<V>, to: &mut Arena<V>, node: Child, since: u32) -> NodeId {
    match node.id.unpack() {
        Node::Empty | Node::Blinded => node.id,
        Node::Leaf(place) => {
            let Leaf { path, value } = &from.leaves[place];
            to.new_leaf(*path, value.clone())
        }
        Node::Extension(place) => {
            let Extension { path, child } = from.extensions[place];
            let id = copy_since(from, to, child, since);
            to.new_extension(path, Child { id, ..child }).id
        }
        Node::Branch(place) => {
            let branch = from.branches.get(place);
            // A node that stands inside its parent has no hash to come back from.
            if branch.used() < since && node.reference.is_hash() {
                return NodeId::BLINDED;
            }
            let copy = to.branches.insert_copy(branch);
            for (nibble, _) in branch.children() {
                let id = copy_since(from, to, branch.held(nibble), since);
                to.branches.set_child(copy, nibble, id);
            }
            Node::Branch(copy).into()
        }
    }
}

impl StateTrie {
    /// Bytes of memory that the nodes of all tries take.
    pub fn memory_bytes(&self) -> usize {
        // Beside a trie, the map has its key, and as many free places at most.
        const ENTRY_SIZE: usize = size_of::<(B256, Trie<U256>)>() + size_of::<B256>();
        self.accounts.memory_bytes() + self.storages_bytes + self.storages.len() * ENTRY_SIZE
    }

    /// Forgets nodes, those first that were not used for the longest time, until the tries take at most `bytes_max` of
    /// memory. The source of later changes must hold them: call it when the updates are written.
    ///
    /// Somewhat more is forgotten than needed, so that not every block has to.
    pub fn shrink_to(&mut self, bytes_max: usize) {
        if self.memory_bytes() <= bytes_max {
            return;
        }
        self.root();
        let mut age = self.epoch - self.oldest;
        while self.memory_bytes() > bytes_max / 4 * 3 && age > 0 {
            age /= 2;
            self.oldest = self.epoch - age;
            self.accounts.forget_before(self.oldest);
            let since = self.oldest;
            self.storages.retain(|_, trie| trie.epoch() >= since);
            for trie in self.storages.values_mut() {
                trie.forget_before(since);
            }
            self.storages.shrink_to_fit();
            self.count_storages();
        }
        if self.memory_bytes() > bytes_max {
            // Even the last block touched more than fits.
            self.accounts.forget_before(u32::MAX);
            self.storages = Default::default();
            self.storages_bytes = 0;
        }
    }
}
