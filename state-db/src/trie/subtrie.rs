//! The nodes below one path, in one arena: some are known, the others are hashes until they are needed.
//!
//! Place in the flow: a [`Trie`](super::Trie) is one of them from its root on, or, if it is big, one for each first nibble.
//! Invariants: an update that fails leaves the nodes as they were, apart from those that became known. `update`, `build` and
//! `hash` hold the steps.

use super::{
    decode::{KEY_NIBBLES, decode_node},
    error::{NodeFault, TrieError},
    node::{Arena, Node, NodeId},
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
    pub(super) root: NodeId,
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
            root: NodeId::EMPTY,
            links: Vec::new(),
            epoch: 0,
            journal: None,
            changes: 0,
        }
    }
}

/// The place that holds a node's id.
#[derive(Clone, Copy, Debug)]
pub(super) enum Link {
    Root,
    Extension(u32),
    Branch(u32, u8),
}

impl<V: TrieValue> Subtrie<V> {
    /// The value at `key`; `None` only where the trie proves that there is none.
    ///
    /// # Errors
    /// [`TrieError::MissingNode`] if a node on the way is not known.
    pub(super) fn get(&self, key: &B256) -> Result<Option<&V>, TrieError> {
        let key = Nibbles::unpack(key);
        let (mut id, mut depth) = (self.root, self.prefix.len());
        loop {
            match id.unpack() {
                Node::Empty => return Ok(None),
                Node::Blinded(place) => {
                    return Err(TrieError::MissingNode { path: key.slice(..depth), hash: self.blinded_hash(place) });
                }
                Node::Leaf(place) => {
                    let leaf = &self.arena.leaves[place];
                    return Ok((leaf.path == key.slice(depth..)).then_some(&leaf.value));
                }
                Node::Extension(place) => {
                    let extension = &self.arena.extensions[place];
                    if !key.slice(depth..).starts_with(&extension.path) {
                        return Ok(None);
                    }
                    depth += extension.path.len();
                    id = extension.child;
                }
                Node::Branch(place) => {
                    id = self.arena.branches[place].children[usize::from(nibble(&key, depth))];
                    depth += 1;
                }
            }
        }
    }

    /// Reads the known nodes towards some keys in step, for nothing but to have them in the caches when one key after the other is
    /// changed; gives a number made of them.
    ///
    /// PERF: a walk waits for memory at each node; walks in step wait together.
    pub(super) fn touch<'k>(&self, keys: impl Iterator<Item = &'k B256>) -> usize {
        let mut walks: Vec<_> = keys.map(|key| (key, self.root)).collect();
        let (mut depth, mut sum) = (self.prefix.len(), 0);
        while !walks.is_empty() && depth < KEY_NIBBLES {
            walks.retain_mut(|(key, id)| match id.unpack() {
                Node::Branch(place) => {
                    sum += self.arena.branches.references[place as usize].len();
                    *id = self.arena.branches[place].children[usize::from(nibble_at(key, depth))];
                    true
                }
                Node::Leaf(place) => {
                    sum += self.arena.leaves.references[place as usize].len() + self.arena.leaves[place].path.len();
                    false
                }
                Node::Empty | Node::Blinded(_) | Node::Extension(_) => false,
            });
            depth += 1;
        }
        sum
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
                    self.arena.branches[place].used = self.epoch;
                    link = Link::Branch(place, nibble(&key, depth));
                    depth += 1;
                }
                Node::Empty | Node::Leaf(_) | Node::Blinded(_) => return Ok(()),
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
            let was_blinded = matches!(self.linked(link).unpack(), Node::Blinded(_));
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
                    let children = (0..16).zip(&self.arena.branches[place].children);
                    let inner = children.filter(|(_, child)| !matches!(child.unpack(), Node::Empty | Node::Leaf(_)));
                    todo.extend(inner.map(|(i, _)| (Link::Branch(place, i), child_path(&path, i))));
                }
                Node::Empty | Node::Leaf(_) | Node::Blinded(_) => {}
            }
        }
        Ok(revealed)
    }

    /// Calls `visit` for each known leaf, in order of the keys.
    pub(super) fn for_each_leaf(&self, mut visit: impl FnMut(B256, &V)) {
        let mut todo = vec![(self.root, self.prefix)];
        while let Some((id, path)) = todo.pop() {
            match id.unpack() {
                Node::Empty | Node::Blinded(_) => {}
                Node::Leaf(place) => {
                    let leaf = &self.arena.leaves[place];
                    let mut key = B256::ZERO;
                    path.join(&leaf.path).pack_to(&mut key.0);
                    visit(key, &leaf.value);
                }
                Node::Extension(place) => {
                    let extension = &self.arena.extensions[place];
                    todo.push((extension.child, path.join(&extension.path)));
                }
                Node::Branch(place) => {
                    let children = &self.arena.branches[place].children;
                    todo.extend((0..16).zip(children).rev().map(|(i, child)| (*child, child_path(&path, i))));
                }
            }
        }
    }

    /// How the parent refers to the root.
    ///
    /// # Panics
    /// The root is dirty.
    pub(super) fn root_reference(&self) -> &Reference {
        let reference = self.arena.reference(self.root);
        assert!(reference.is_some() || self.root == NodeId::EMPTY, "children are hashed before their parent");
        reference.unwrap_or(&Reference::NONE)
    }

    /// The id at a place.
    pub(super) fn linked(&self, link: Link) -> NodeId {
        match link {
            Link::Root => self.root,
            Link::Extension(place) => self.arena.extensions[place].child,
            Link::Branch(place, nibble) => self.arena.branches[place].children[usize::from(nibble)],
        }
    }

    /// Puts another id at a place.
    pub(super) fn set_linked(&mut self, link: Link, id: NodeId) {
        match link {
            Link::Root => self.root = id,
            Link::Extension(place) => self.arena.extensions[place].child = id,
            Link::Branch(place, nibble) => self.arena.branches[place].children[usize::from(nibble)] = id,
        }
    }

    /// The node at a place, read from the source if only its hash is known; never [`Node::Blinded`].
    pub(super) fn resolve(
        &mut self,
        link: Link,
        path: impl Fn() -> Nibbles,
        source: &impl NodeSource,
    ) -> Result<NodeId, TrieError> {
        let id = self.linked(link);
        let Node::Blinded(place) = id.unpack() else {
            return Ok(id);
        };
        let (path, hash) = (path(), self.blinded_hash(place));
        let rlp = match source.node(&path, &hash) {
            Ok(Some(rlp)) => rlp,
            Ok(None) => return Err(TrieError::MissingNode { path, hash }),
            Err(source) => return Err(TrieError::Source { path, hash, source }),
        };
        let malformed = |fault| TrieError::MalformedNode { path, hash, fault };
        let id = decode_node(&mut self.arena, &rlp, Reference::of_hash(&hash), path.len()).map_err(malformed)?;
        if matches!(link, Link::Extension(_)) && !matches!(id.unpack(), Node::Branch(_)) {
            return Err(malformed(NodeFault::ExtensionChild));
        }
        self.arena.blinded.release(place);
        self.set_linked(link, id);
        Ok(id)
    }

    /// The hash behind a blinded node. Shorter nodes stand inside their parent and are never blinded.
    pub(super) fn blinded_hash(&self, place: u32) -> B256 {
        let reference = &self.arena.blinded.references[place as usize];
        reference.to_hash()
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
