//! The nodes below one path, in one arena: some are known, the others are hashes until they are needed.
//!
//! Place in the flow: a [`Trie`](super::Trie) is one of them from its root on, or, if it is big, one for each first nibble.
//! Invariants: an update that fails leaves the nodes as they were, apart from those that became known. `update`, `build` and
//! `hash` hold the steps.

use super::{
    decode::{KEY_NIBBLES, decode_node},
    error::{NodeFault, TrieError},
    id::{Child, Link, Node, NodeId},
    node::Arena,
    reference::Reference,
    source::NodeSource,
    updates::Journal,
    value::TrieValue,
};
use alloy_primitives::B256;
use alloy_trie::Nibbles;

/// The nodes below a path; the leaves hold `V`.
#[derive(Clone, Debug)]
pub(super) struct Subtrie<V> {
    /// Where it hangs: nothing for a whole trie, else the first nibble of its keys.
    pub(super) prefix: Nibbles,
    pub(super) arena: Arena<V>,
    /// As what hangs above holds it.
    pub(super) root: Child,
    /// Scratch of `update`, kept for its memory.
    pub(super) links: Vec<Link>,
    /// Counts the blocks of a state, so that `forget` knows what was used when.
    pub(super) epoch: u32,
    /// What `updates` is told, if the trie is tracked.
    pub(super) journal: Option<Box<Journal>>,
    /// Insertions and removals since the nodes were hashed last: how much there is to hash.
    pub(super) changes: usize,
}

impl<V> Subtrie<V> {
    /// No leaves, below `prefix`.
    pub(super) fn new(prefix: Nibbles) -> Self {
        Self {
            prefix,
            arena: Arena::default(),
            root: Child::EMPTY,
            links: Vec::new(),
            epoch: 0,
            journal: None,
            changes: 0,
        }
    }
}

impl<V: TrieValue> Subtrie<V> {
    /// The value at `key`; `None` only where the trie proves that there is none.
    ///
    /// # Errors
    /// [`TrieError::MissingNode`] if a node on the way is not known.
    pub(super) fn get(&self, key: &B256) -> Result<Option<&V>, TrieError> {
        let key = Nibbles::unpack(key);
        let (mut link, mut depth) = (Link::Root, self.prefix.len());
        loop {
            match self.linked(link).unpack() {
                Node::Empty => return Ok(None),
                Node::Blinded => {
                    return Err(TrieError::MissingNode {
                        path: key.slice(..depth),
                        hash: self.reference(link).to_hash(),
                    });
                }
                Node::Leaf(place) => {
                    let leaf = &self.arena.leaves[place];
                    return Ok((leaf.path == key.slice(depth..)).then_some(&leaf.value));
                }
                Node::Extension(place) => {
                    let path = &self.arena.extensions[place].path;
                    if !key.slice(depth..).starts_with(path) {
                        return Ok(None);
                    }
                    depth += path.len();
                    link = Link::Extension(place);
                }
                Node::Branch(place) => {
                    link = Link::Branch(place, nibble(&key, depth));
                    depth += 1;
                }
            }
        }
    }

    /// Makes the path to `key` known, as far as it exists, so that [`Self::get`] answers.
    ///
    /// # Errors
    /// A node on the way is missing or malformed, or the source fails.
    pub(super) fn reveal(&mut self, key: &B256, source: &impl NodeSource) -> Result<(), TrieError> {
        let key = Nibbles::unpack(key);
        let (mut link, mut depth) = (Link::Root, self.prefix.len());
        loop {
            match self.resolve(link, || key.slice(..depth), source)?.unpack() {
                Node::Extension(place) => {
                    let path = &self.arena.extensions[place].path;
                    if !key.slice(depth..).starts_with(path) {
                        return Ok(());
                    }
                    depth += path.len();
                    link = Link::Extension(place);
                }
                Node::Branch(place) => {
                    self.arena.branches.set_used(place, self.epoch);
                    link = Link::Branch(place, nibble(&key, depth));
                    depth += 1;
                }
                Node::Empty | Node::Leaf(_) | Node::Blinded => return Ok(()),
            }
        }
    }

    /// Makes all nodes known that `source` holds; those that it lacks stay unknown. Returns how many were added.
    ///
    /// # Errors
    /// A node is malformed, the source fails, or there are more than `nodes_max` nodes.
    pub(super) fn reveal_all(&mut self, source: &impl NodeSource, nodes_max: usize) -> Result<usize, TrieError> {
        let mut revealed = 0;
        let mut todo = vec![(Link::Root, self.prefix)];
        while let Some((link, path)) = todo.pop() {
            let was_blinded = self.linked(link) == NodeId::BLINDED;
            let id = match self.resolve(link, || path, source) {
                Err(TrieError::MissingNode { .. }) => continue,
                id => id?,
            };
            revealed += usize::from(was_blinded);
            if revealed > nodes_max {
                return Err(TrieError::TooManyNodes { nodes_max });
            }
            match id.unpack() {
                Node::Extension(place) => {
                    todo.push((Link::Extension(place), path.join(&self.arena.extensions[place].path)));
                }
                Node::Branch(place) => {
                    let children = self.arena.branches.get(place).children();
                    let inner = children.filter(|(_, child)| !matches!(child.unpack(), Node::Leaf(_)));
                    todo.extend(inner.map(|(i, _)| (Link::Branch(place, i), child_path(&path, i))));
                }
                Node::Empty | Node::Leaf(_) | Node::Blinded => {}
            }
        }
        Ok(revealed)
    }

    /// Calls `visit` for each known leaf, in order of the keys.
    pub(super) fn for_each_leaf(&self, mut visit: impl FnMut(B256, &V)) {
        let mut todo = vec![(self.root.id, self.prefix)];
        while let Some((id, path)) = todo.pop() {
            match id.unpack() {
                Node::Empty | Node::Blinded => {}
                Node::Leaf(place) => {
                    let leaf = &self.arena.leaves[place];
                    let mut key = B256::ZERO;
                    path.join(&leaf.path).pack_to(&mut key.0);
                    visit(key, &leaf.value);
                }
                Node::Extension(place) => {
                    let extension = &self.arena.extensions[place];
                    todo.push((extension.child.id, path.join(&extension.path)));
                }
                Node::Branch(place) => {
                    let children = self.arena.branches.get(place).children();
                    todo.extend(children.rev().map(|(i, child)| (child, child_path(&path, i))));
                }
            }
        }
    }

    /// How the parent refers to the root.
    ///
    /// # Panics
    /// The root is dirty.
    pub(super) fn clean_root(&self) -> &Reference {
        assert!(!self.is_dirty(), "children are hashed before their parent");
        &self.root.reference
    }

    /// Whether there is something to hash.
    pub(super) fn is_dirty(&self) -> bool {
        self.root.reference.is_empty()
    }

    /// The id at a place.
    pub(super) fn linked(&self, link: Link) -> NodeId {
        match link {
            Link::Root => self.root.id,
            Link::Extension(place) => self.arena.extensions[place].child.id,
            Link::Branch(place, nibble) => self.arena.branches.get(place).child(nibble),
        }
    }

    /// Puts another id at a place where there is a node already.
    pub(super) fn set_linked(&mut self, link: Link, id: NodeId) {
        match link {
            Link::Root => self.root.id = id,
            Link::Extension(place) => self.arena.extensions[place].child.id = id,
            Link::Branch(place, nibble) => self.arena.branches.set_child(place, nibble, id),
        }
    }

    /// What stands for the node at a place: empty if it is dirty, [`Reference::NONE`] where there is none.
    pub(super) fn reference(&self, link: Link) -> Reference {
        match link {
            Link::Root => self.root.reference,
            Link::Extension(place) => self.arena.extensions[place].child.reference,
            Link::Branch(place, nibble) => self.arena.branches.get(place).reference(nibble),
        }
    }

    /// Reads the place that [`Self::set_reference`] will write; gives a number made of it.
    #[inline]
    pub(super) fn touch_reference(&self, link: Link) -> usize {
        match link {
            Link::Root | Link::Extension(_) => 0,
            Link::Branch(place, nibble) => self.arena.branches.get(place).touch_reference(nibble),
        }
    }

    /// Notes the computed reference of the node at a place, whose children are clean; it is clean then.
    pub(super) fn set_reference(&mut self, link: Link, reference: Reference) {
        match link {
            Link::Root => self.root.reference = reference,
            Link::Extension(place) => self.arena.extensions[place].child.reference = reference,
            Link::Branch(place, nibble) => self.arena.branches.set_reference(place, nibble, &reference),
        }
    }

    /// Notes that the node at a place must be hashed; says whether that was known.
    pub(super) fn mark_dirty(&mut self, link: Link) -> bool {
        let reference = match link {
            Link::Root => &mut self.root.reference,
            Link::Extension(place) => &mut self.arena.extensions[place].child.reference,
            Link::Branch(place, nibble) => return self.arena.branches.mark_dirty(place, nibble),
        };
        std::mem::take(reference).is_empty()
    }

    /// The node at a place, read from the source if only its hash is known; never [`Node::Blinded`].
    pub(super) fn resolve(
        &mut self,
        link: Link,
        path: impl Fn() -> Nibbles,
        source: &impl NodeSource,
    ) -> Result<NodeId, TrieError> {
        let id = self.linked(link);
        if id != NodeId::BLINDED {
            return Ok(id);
        }
        let (path, hash) = (path(), self.reference(link).to_hash());
        let rlp = match source.node(&path, &hash) {
            Ok(Some(rlp)) => rlp,
            Ok(None) => return Err(TrieError::MissingNode { path, hash }),
            Err(source) => return Err(TrieError::Source { path, hash, source }),
        };
        let malformed = |fault| TrieError::MalformedNode { path, hash, fault };
        let id = decode_node(&mut self.arena, &rlp, path.len()).map_err(malformed)?;
        if matches!(link, Link::Extension(_)) && !matches!(id.unpack(), Node::Branch(_)) {
            return Err(malformed(NodeFault::ExtensionChild));
        }
        self.set_linked(link, id);
        Ok(id)
    }
}

/// The nibble at `depth`, which is less than the length.
#[inline]
pub(super) fn nibble(key: &Nibbles, depth: usize) -> u8 {
    debug_assert!(depth < KEY_NIBBLES, "depth {depth} of a key");
    key.get(depth).expect("branches stand above the end of a key")
}

/// The nibble at `depth`, which is less than 64.
#[inline]
pub(super) fn nibble_at(key: &B256, depth: usize) -> u8 {
    let byte = key[depth / 2];
    if depth.is_multiple_of(2) { byte >> 4 } else { byte & 0xf }
}

/// The path of a branch's child.
pub(super) fn child_path(path: &Nibbles, nibble: u8) -> Nibbles {
    let mut path = *path;
    path.push(nibble);
    path
}
