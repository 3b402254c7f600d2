//! Ids that say kind and place of a node, and how a parent holds its children.
//!
//! Place in the flow: `branch` and `node` keep the nodes, everything else finds them by these.

use super::reference::Reference;

/// Children of a branch at most.
pub(super) const FANOUT: usize = 16;

/// Kind and place of a node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Node {
    /// No node.
    Empty,
    /// Only the reference is known.
    Blinded,
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
    pub(super) const BLINDED: Self = Self(0);
    /// Places of a kind are less.
    pub(super) const PLACES: usize = PLACE_MASK as usize;

    /// The four bytes.
    pub(super) const fn to_bits(self) -> u32 {
        self.0
    }

    /// The inverse of [`Self::to_bits`].
    pub(super) const fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    #[inline]
    pub(super) fn unpack(self) -> Node {
        let place = self.0 & PLACE_MASK;
        match self.0 >> PLACE_BITS {
            _ if self == Self::EMPTY => Node::Empty,
            0 => Node::Blinded,
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
            Node::Blinded => Self::BLINDED,
            Node::Leaf(place) => Self(1 << PLACE_BITS | place),
            Node::Extension(place) => Self(2 << PLACE_BITS | place),
            Node::Branch(place) => Self(3 << PLACE_BITS | place),
        }
    }
}

/// A node as its parent holds it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Child {
    pub(super) id: NodeId,
    /// Empty if the node is dirty.
    pub(super) reference: Reference,
}

impl Child {
    pub(super) const EMPTY: Self = Self { id: NodeId::EMPTY, reference: Reference::NONE };

    /// A node that must be hashed.
    pub(super) const fn dirty(id: NodeId) -> Self {
        Self { id, reference: Reference::EMPTY }
    }
}

/// Where a node hangs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Link {
    Root,
    Extension(u32),
    Branch(u32, u8),
}

/// A branch that is being put together, child by child.
#[derive(Clone, Debug)]
pub(super) struct Draft {
    pub(super) children: [Child; FANOUT],
    pub(super) used: u32,
}

impl Draft {
    /// No children, used in `epoch`.
    pub(super) fn new(epoch: u32) -> Self {
        Self { children: [Child::EMPTY; FANOUT], used: epoch }
    }

    /// The child at `nibble`.
    pub(super) fn set(&mut self, nibble: u8, child: Child) {
        self.children[usize::from(nibble)] = child;
    }

    /// How many children there are.
    pub(super) fn len(&self) -> usize {
        self.children.iter().filter(|child| child.id != NodeId::EMPTY).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_keep_kind_and_place() {
        assert_eq!(NodeId::from(Node::Empty).unpack(), Node::Empty);
        assert_eq!(NodeId::from(Node::Blinded).unpack(), Node::Blinded);
        for place in [0, 1, PLACE_MASK - 1] {
            for node in [Node::Leaf(place), Node::Extension(place), Node::Branch(place)] {
                assert_eq!(NodeId::from(node).unpack(), node);
            }
        }
    }
}
