//! The nodes of one trie in an arena, those of a kind together.
//!
//! Invariants: each id but the root is held by exactly one parent, and beside it the node's reference: what stands for the node
//! in the parent (its RLP if shorter than 32 bytes, else its hash), or nothing if the node is dirty. Above a dirty node all nodes
//! are dirty.

use super::{
    branch::{Branches, copy_with_room},
    id::{Child, Draft, Node, NodeId},
};
use alloy_trie::Nibbles;
use std::hint::black_box;

/// The end of a path.
#[derive(Clone, Debug)]
pub(super) struct Leaf<V> {
    pub(super) path: Nibbles,
    pub(super) value: V,
}

/// A path that all keys below share; its child is a branch.
#[derive(Clone, Copy, Debug)]
pub(super) struct Extension {
    pub(super) path: Nibbles,
    pub(super) child: Child,
}

/// Nodes of one kind by place. Freed places are used again.
#[derive(Debug)]
pub(super) struct Slab<T> {
    items: Vec<T>,
    free: Vec<u32>,
}

impl<T: Clone> Clone for Slab<T> {
    fn clone(&self) -> Self {
        Self { items: copy_with_room(&self.items), free: self.free.clone() }
    }
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { items: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(super) fn insert(&mut self, item: T) -> u32 {
        if let Some(place) = self.free.pop() {
            self.items[place as usize] = item;
            return place;
        }
        let place = self.items.len();
        assert!(place < NodeId::PLACES, "arena of a trie is full: {place} nodes of one kind");
        self.items.push(item);
        place as u32
    }

    /// Items that are there.
    pub(super) fn len(&self) -> usize {
        self.items.len() - self.free.len()
    }

    /// Gives the place back; the item stays until the place is used again.
    pub(super) fn release(&mut self, place: u32) {
        self.free.push(place);
    }

    pub(super) fn reserve(&mut self, additional: usize) {
        self.items.reserve(additional);
    }

    /// Bytes of memory, free places included.
    fn memory_bytes(&self) -> usize {
        self.items.capacity() * size_of::<T>() + self.free.capacity() * size_of::<u32>()
    }
}

impl<T> std::ops::Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, place: u32) -> &T {
        &self.items[place as usize]
    }
}

impl<T> std::ops::IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, place: u32) -> &mut T {
        &mut self.items[place as usize]
    }
}

/// All nodes of one trie.
#[derive(Clone, Debug)]
pub(super) struct Arena<V> {
    pub(super) leaves: Slab<Leaf<V>>,
    pub(super) extensions: Slab<Extension>,
    pub(super) branches: Branches,
}

impl<V> Default for Arena<V> {
    fn default() -> Self {
        Self { leaves: Slab::default(), extensions: Slab::default(), branches: Branches::default() }
    }
}

impl<V: Clone> Arena<V> {
    /// A dirty leaf.
    pub(super) fn new_leaf(&mut self, path: Nibbles, value: V) -> NodeId {
        Node::Leaf(self.leaves.insert(Leaf { path, value })).into()
    }

    /// A dirty extension, or the child itself if the path is empty.
    pub(super) fn new_extension(&mut self, path: Nibbles, child: Child) -> Child {
        if path.is_empty() {
            return child;
        }
        Child::dirty(Node::Extension(self.extensions.insert(Extension { path, child })).into())
    }

    /// A dirty branch.
    pub(super) fn new_branch(&mut self, draft: &Draft) -> Child {
        Child::dirty(Node::Branch(self.branches.insert(draft)).into())
    }

    /// Bytes of memory that the nodes take, free places included.
    pub(super) fn memory_bytes(&self) -> usize {
        self.leaves.memory_bytes() + self.extensions.memory_bytes() + self.branches.memory_bytes()
    }

    /// Reads the beginning of the node, for nothing but to have it in the caches; gives a number made of it.
    #[inline]
    pub(super) fn touch_head(&self, id: NodeId) -> usize {
        match id.unpack() {
            Node::Empty | Node::Blinded => 0,
            Node::Leaf(place) => {
                let leaf = &self.leaves[place];
                // All of the value, which is in other lines of the cache than the path.
                black_box(leaf.value.clone());
                leaf.path.len()
            }
            Node::Extension(place) => self.extensions[place].path.len(),
            Node::Branch(place) => self.branches.get(place).touch_head(),
        }
    }

    /// Reads what encoding the node will read, for nothing but to have it in the caches; gives a number made of it.
    ///
    /// PERF: reads of many nodes that do not depend on each other miss the caches at the same time.
    pub(super) fn touch(&self, id: NodeId) -> usize {
        match id.unpack() {
            Node::Empty | Node::Blinded => 0,
            Node::Leaf(place) => self.leaves[place].path.len(),
            Node::Extension(place) => self.extensions[place].path.len(),
            Node::Branch(place) => self.branches.get(place).touch(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn released_places_are_used_again() {
        let mut slab = Slab::default();
        assert_eq!((slab.insert('a'), slab.insert('b')), (0, 1));
        slab.release(0);
        assert_eq!((slab.insert('c'), slab.insert('d')), (0, 2));
        assert_eq!((slab[0], slab[1], slab[2]), ('c', 'b', 'd'));
    }
}
