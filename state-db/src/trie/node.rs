//! The nodes of one trie in an arena: a slab per kind, and ids that say kind and place.
//!
//! Invariants: each id but the root is held by exactly one parent. A node's reference is what stands for it in the parent (its
//! RLP if shorter than 32 bytes, else its hash), or empty if the node is dirty; above a dirty node all nodes are dirty.

use super::reference::Reference;
use alloy_trie::Nibbles;

/// Kind and place of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// No node.
    Empty,
    /// Only the reference is known.
    Blinded(u32),
    /// The end of a path.
    Leaf(u32),
    /// A path that all keys below share.
    Extension(u32),
    /// A fork.
    Branch(u32),
}

/// [`Node`] in four bytes: two bits of kind, thirty of place; all ones for no node.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct NodeId(u32);

const PLACE_BITS: u32 = 30;
const PLACE_MASK: u32 = (1 << PLACE_BITS) - 1;

impl NodeId {
    pub(super) const EMPTY: Self = Self(u32::MAX);

    /// Blinded, leaf, extension, branch; the last one for no node, too.
    #[inline]
    const fn kind(self) -> usize {
        (self.0 >> PLACE_BITS) as usize
    }

    /// The place among nodes of the kind; one that no slab has for no node.
    #[inline]
    const fn place(self) -> usize {
        (self.0 & PLACE_MASK) as usize
    }

    #[inline]
    pub(super) fn unpack(self) -> Node {
        let place = self.0 & PLACE_MASK;
        match self.0 >> PLACE_BITS {
            _ if self == Self::EMPTY => Node::Empty,
            0 => Node::Blinded(place),
            1 => Node::Leaf(place),
            2 => Node::Extension(place),
            _ => Node::Branch(place),
        }
    }
}

impl std::fmt::Debug for NodeId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.unpack().fmt(f)
    }
}

impl From<Node> for NodeId {
    fn from(node: Node) -> Self {
        match node {
            Node::Empty => Self::EMPTY,
            Node::Blinded(place) => Self(place),
            Node::Leaf(place) => Self(1 << PLACE_BITS | place),
            Node::Extension(place) => Self(2 << PLACE_BITS | place),
            Node::Branch(place) => Self(3 << PLACE_BITS | place),
        }
    }
}

/// The end of a path.
#[derive(Clone, Debug)]
pub(super) struct Leaf<V> {
    pub(super) path: Nibbles,
    pub(super) value: V,
}

/// A path that all keys below share; its child is a branch.
#[derive(Clone, Debug)]
pub(super) struct Extension {
    pub(super) path: Nibbles,
    pub(super) child: NodeId,
}

/// A fork with two children at least.
#[derive(Clone, Debug)]
pub(super) struct Branch {
    pub(super) children: [NodeId; 16],
    /// Bit `i` is set if child `i` is dirty, so that hashing never looks at clean siblings for it; it may be set where a
    /// child has gone.
    pub(super) dirty: u16,
    /// The trie's epoch when a walk last passed here; no earlier than that of any branch below.
    pub(super) used: u32,
}

impl Branch {
    pub(super) const EMPTY_CHILDREN: [NodeId; 16] = [NodeId::EMPTY; 16];

    /// The nibble of the child that is left if the one at `nibble` goes; `None` if two or more are left.
    pub(super) fn only_other_child(&self, nibble: u8) -> Option<u8> {
        let mut others = (0..16).zip(&self.children).filter(|(i, child)| *i != nibble && **child != NodeId::EMPTY);
        let (first, _) = others.next()?;
        others.next().is_none().then_some(first)
    }

    /// The dirty children with their nibbles.
    pub(super) fn dirty_children(&self) -> impl Iterator<Item = (u8, NodeId)> {
        let is_dirty = |(i, child): &(u8, &NodeId)| self.dirty >> i & 1 == 1 && **child != NodeId::EMPTY;
        (0..16).zip(&self.children).filter(is_dirty).map(|(i, child)| (i, *child))
    }
}

/// Nodes of one kind by place, and their references apart, so that a branch is encoded without loading its children. Freed
/// places are used again.
#[derive(Clone, Debug)]
pub(super) struct Slab<T> {
    items: Vec<T>,
    pub(super) references: Vec<Reference>,
    free: Vec<u32>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self { items: Vec::new(), references: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slab<T> {
    pub(super) fn insert(&mut self, item: T, reference: Reference) -> u32 {
        if let Some(place) = self.free.pop() {
            self.items[place as usize] = item;
            self.references[place as usize] = reference;
            return place;
        }
        let place = self.items.len();
        assert!(place < PLACE_MASK as usize, "arena of a trie is full: {place} nodes of one kind");
        self.items.push(item);
        self.references.push(reference);
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
        self.references.reserve(additional);
    }

    /// Bytes of memory, free places included.
    fn memory_bytes(&self) -> usize {
        self.items.capacity() * size_of::<T>()
            + self.references.capacity() * size_of::<Reference>()
            + self.free.capacity() * size_of::<u32>()
    }

    pub(super) fn mark_dirty(&mut self, place: u32) {
        self.references[place as usize] = Reference::default();
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
    pub(super) blinded: Slab<()>,
    pub(super) leaves: Slab<Leaf<V>>,
    pub(super) extensions: Slab<Extension>,
    pub(super) branches: Slab<Branch>,
}

impl<V> Default for Arena<V> {
    fn default() -> Self {
        Self {
            blinded: Slab::default(),
            leaves: Slab::default(),
            extensions: Slab::default(),
            branches: Slab::default(),
        }
    }
}

impl<V> Arena<V> {
    pub(super) fn new_leaf(&mut self, path: Nibbles, value: V) -> NodeId {
        Node::Leaf(self.leaves.insert(Leaf { path, value }, Reference::default())).into()
    }

    /// An extension, or the child itself if the path is empty.
    pub(super) fn new_extension(&mut self, path: Nibbles, child: NodeId) -> NodeId {
        if path.is_empty() {
            return child;
        }
        Node::Extension(self.extensions.insert(Extension { path, child }, Reference::default())).into()
    }

    /// A dirty branch, used in `epoch`.
    pub(super) fn new_branch(&mut self, children: [NodeId; 16], epoch: u32) -> NodeId {
        let dirty = (0..16).filter(|i| self.is_dirty(children[*i])).fold(0, |mask, i| mask | 1 << i);
        Node::Branch(self.branches.insert(Branch { children, dirty, used: epoch }, Reference::default())).into()
    }

    /// Bytes of memory that the nodes take, free places included.
    pub(super) fn memory_bytes(&self) -> usize {
        self.blinded.memory_bytes()
            + self.leaves.memory_bytes()
            + self.extensions.memory_bytes()
            + self.branches.memory_bytes()
    }

    /// How the parent refers to the node; `None` for a dirty node and for none.
    pub(super) fn reference(&self, id: NodeId) -> Option<&Reference> {
        let (references, place) = match id.unpack() {
            Node::Empty => return None,
            Node::Blinded(place) => (&self.blinded.references, place),
            Node::Leaf(place) => (&self.leaves.references, place),
            Node::Extension(place) => (&self.extensions.references, place),
            Node::Branch(place) => (&self.branches.references, place),
        };
        let reference = &references[place as usize];
        (!reference.is_empty()).then_some(reference)
    }

    /// Reads what encoding the node will read, for nothing but to have it in the caches; gives a number made of it.
    ///
    /// PERF: reads of many nodes that do not depend on each other miss the caches at the same time.
    pub(super) fn touch(&self, id: NodeId) -> usize {
        match id.unpack() {
            Node::Empty | Node::Blinded(_) => 0,
            Node::Leaf(place) => self.leaves[place].path.len(),
            Node::Extension(place) => self.extensions[place].path.len(),
            Node::Branch(place) => self.child_references(place).into_iter().map(|reference| reference.len()).sum(),
        }
    }

    /// How the branch at `place` refers to its children: [`Reference::NONE`] where there is none, empty for a dirty one.
    pub(super) fn child_references(&self, place: u32) -> [&Reference; 16] {
        // Looked up by the bits of the kind, which are random, rather than matched.
        let by_kind = [
            &*self.blinded.references,
            &*self.leaves.references,
            &*self.extensions.references,
            &*self.branches.references,
        ];
        let children = &self.branches[place].children;
        children.each_ref().map(|id| by_kind[id.kind()].get(id.place()).unwrap_or(&Reference::NONE))
    }

    /// Whether there is a node and its reference must be computed.
    pub(super) fn is_dirty(&self, id: NodeId) -> bool {
        id != NodeId::EMPTY && self.reference(id).is_none()
    }

    /// Notes the computed reference of a node whose children are clean; it is clean then.
    pub(super) fn set_reference(&mut self, id: NodeId, reference: Reference) {
        match id.unpack() {
            Node::Empty | Node::Blinded(_) => {}
            Node::Leaf(place) => self.leaves.references[place as usize] = reference,
            Node::Extension(place) => self.extensions.references[place as usize] = reference,
            Node::Branch(place) => {
                self.branches.references[place as usize] = reference;
                self.branches[place].dirty = 0;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_kind_and_place() {
        assert_eq!(NodeId::from(Node::Empty).unpack(), Node::Empty);
        for place in [0, 1, PLACE_MASK - 1] {
            for node in [Node::Blinded(place), Node::Leaf(place), Node::Extension(place), Node::Branch(place)] {
                assert_eq!(NodeId::from(node).unpack(), node);
            }
        }
    }

    #[test]
    fn released_places_are_used_again() {
        let mut slab = Slab::default();
        let insert = |slab: &mut Slab<char>, item| slab.insert(item, Reference::default());
        assert_eq!((insert(&mut slab, 'a'), insert(&mut slab, 'b')), (0, 1));
        slab.release(0);
        assert_eq!((insert(&mut slab, 'c'), insert(&mut slab, 'd')), (0, 2));
        assert_eq!((slab[0], slab[1], slab[2]), ('c', 'b', 'd'));
    }
}
