//! Keeping the memory of tries bounded: what was not used for long becomes a hash again.
//!
//! Place in the flow: after a block's updates are where the source finds them, a store asks its warm tries to shrink.
//! How: walks note on each branch the epoch (the block, for a state) in which they pass; a branch is used no earlier than any
//! branch below it, so what is old is cut off as whole subtries. What stays is copied to a new arena, which gives the memory back.
//! Invariant: values and root stay what they are, as long as the source holds what is forgotten.

use super::{
    node::{Arena, Branch, Extension, Leaf, Node, NodeId},
    reference::Reference,
    sparse::Trie,
    state::StateTrie,
    subtrie::{Link, Subtrie},
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
        debug_assert!(!self.arena.is_dirty(self.root), "only clean nodes have a hash to keep");
        let mut kept = Arena::default();
        self.root = copy_since(&self.arena, &mut kept, self.root, since);
        self.arena = kept;
    }
}

/// Copies the node and what is to be kept below it; a branch that was last used before `since` becomes its hash.
pub(super) fn copy_since<V: TrieValue>(from: &Arena<V>, to: &mut Arena<V>, id: NodeId, since: u32) -> NodeId {
    let reference = from.reference(id).cloned().unwrap_or_default();
    match id.unpack() {
        Node::Empty => NodeId::EMPTY,
        Node::Blinded(_) => blinded(to, reference),
        Node::Leaf(place) => {
            let Leaf { path, value } = &from.leaves[place];
            Node::Leaf(to.leaves.insert(Leaf { path: *path, value: value.clone() }, reference)).into()
        }
        Node::Extension(place) => {
            let Extension { path, child } = from.extensions[place];
            let child = copy_since(from, to, child, since);
            Node::Extension(to.extensions.insert(Extension { path, child }, reference)).into()
        }
        Node::Branch(place) => {
            let Branch { children, dirty, used } = &from.branches[place];
            // A node that stands inside its parent has no hash to come back from.
            if *used < since && reference.is_hash() {
                return blinded(to, reference);
            }
            let children = children.map(|child| copy_since(from, to, child, since));
            let branch = Branch { children, dirty: *dirty, used: *used };
            Node::Branch(to.branches.insert(branch, reference)).into()
        }
    }
}

fn blinded<V>(arena: &mut Arena<V>, reference: Reference) -> NodeId {
    Node::Blinded(arena.blinded.insert((), reference)).into()
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
