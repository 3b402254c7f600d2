//! Insert and remove: one walk down, then a local change.
//!
//! Invariant: a step that needs an unknown node asks for it before anything is changed. The nodes above a change are dirty.

use super::{
    error::TrieError,
    id::{Child, Draft, Link, Node, NodeId},
    source::NodeSource,
    subtrie::{Subtrie, child_path, nibble},
    value::TrieValue,
};
use alloy_primitives::B256;
use alloy_trie::Nibbles;

impl<V: TrieValue> Subtrie<V> {
    /// Sets the value at `key` to what `value` makes of the present one.
    ///
    /// # Errors
    /// A node on the way is missing or malformed, or the source fails.
    pub(super) fn upsert(
        &mut self,
        key: &B256,
        source: &impl NodeSource,
        value: impl FnOnce(Option<&V>) -> V,
    ) -> Result<(), TrieError> {
        let key = Nibbles::unpack(key);
        let (end, depth) = self.descend(&key, source)?;
        let rest = key.slice(depth..);
        let node = match end.unpack() {
            Node::Leaf(place) if self.arena.leaves[place].path == rest => {
                let leaf = &mut self.arena.leaves[place];
                let value = value(Some(&leaf.value));
                if leaf.value == value {
                    return Ok(());
                }
                leaf.value = value;
                end
            }
            Node::Leaf(place) => {
                let path = self.arena.leaves[place].path;
                let shared = path.common_prefix_length(&rest);
                self.arena.leaves[place].path = path.slice(shared + 1..);
                self.fork(path, Child::dirty(end), rest, value(None))
            }
            Node::Extension(place) => {
                let path = self.arena.extensions[place].path;
                let shared = path.common_prefix_length(&rest);
                let child = self.arena.extensions[place].child;
                self.arena.extensions.release(place);
                let below = self.arena.new_extension(path.slice(shared + 1..), child);
                self.fork(path, below, rest, value(None))
            }
            Node::Empty | Node::Blinded | Node::Branch(_) => self.arena.new_leaf(rest, value(None)),
        };
        self.replace_end(node);
        Ok(())
    }

    /// Removes the value at `key`; says whether there was one.
    ///
    /// # Errors
    /// A node on the way, or the sibling that a branch with two children collapses into, is missing or malformed, or the
    /// source fails.
    pub(super) fn remove(&mut self, key: &B256, source: &impl NodeSource) -> Result<bool, TrieError> {
        let key = Nibbles::unpack(key);
        let (end, depth) = self.descend(&key, source)?;
        let Node::Leaf(leaf) = end.unpack() else {
            return Ok(false);
        };
        if self.arena.leaves[leaf].path != key.slice(depth..) {
            return Ok(false);
        }
        let collapse = match self.links.last() {
            Some(Link::Branch(branch, gone)) => {
                self.arena.branches.get(*branch).only_other_child(*gone).map(|left| (*branch, left))
            }
            _ => None,
        };
        if let Some((branch, left)) = collapse {
            let path = || key.slice(..depth - 1).join(&Nibbles::from_nibbles([left]));
            self.resolve(Link::Branch(branch, left), path, source)?;
            self.note_collapse(&key.slice(..depth - 1), left);
            self.collapse(branch, left);
        } else {
            self.replace_end(NodeId::EMPTY);
        }
        self.arena.leaves.release(leaf);
        self.note_cleared(key.slice(..depth));
        Ok(true)
    }

    /// Walks towards `key` until it ends in nothing, in a leaf, or in an extension that leads elsewhere; returns that node
    /// and the nibbles above it. Leaves in `links` the places of the nodes from the root to it.
    fn descend(&mut self, key: &Nibbles, source: &impl NodeSource) -> Result<(NodeId, usize), TrieError> {
        self.links.clear();
        let (mut link, mut depth) = (Link::Root, self.prefix.len());
        loop {
            let id = self.resolve(link, || key.slice(..depth), source)?;
            self.links.push(link);
            match id.unpack() {
                Node::Empty | Node::Leaf(_) | Node::Blinded => return Ok((id, depth)),
                Node::Extension(place) => {
                    let path = &self.arena.extensions[place].path;
                    if !key.slice(depth..).starts_with(path) {
                        return Ok((id, depth));
                    }
                    depth += path.len();
                    link = Link::Extension(place);
                }
                Node::Branch(place) => {
                    self.arena.branches.set_used(place, self.epoch);
                    link = Link::Branch(place, nibble(key, depth));
                    depth += 1;
                }
            }
        }
    }

    /// A branch between the node `below`, whose path was `path`, and a new leaf at `rest`; an extension above it for what
    /// both share.
    fn fork(&mut self, path: Nibbles, below: Child, rest: Nibbles, value: V) -> NodeId {
        let shared = path.common_prefix_length(&rest);
        let leaf = self.arena.new_leaf(rest.slice(shared + 1..), value);
        let mut draft = Draft::new(self.epoch);
        draft.set(nibble(&path, shared), below);
        draft.set(nibble(&rest, shared), Child::dirty(leaf));
        let branch = self.arena.new_branch(&draft);
        self.arena.new_extension(rest.slice(..shared), branch).id
    }

    /// Notes that no node stands at `path` any more, if the trie is tracked.
    fn note_cleared(&mut self, path: Nibbles) {
        if let Some(journal) = &mut self.journal {
            journal.clear(path);
        }
    }

    /// Notes the paths that may lose their node when the branch at `path` is replaced by its child at `left`: the branch melts
    /// into an extension above it, a leaf or an extension below melts into what replaces the branch.
    fn note_collapse(&mut self, path: &Nibbles, left: u8) {
        if self.journal.is_none() {
            return;
        }
        self.note_cleared(*path);
        let child = self.links.last().map(|link| match *link {
            Link::Branch(place, _) => self.arena.branches.get(place).child(left),
            Link::Root | Link::Extension(_) => NodeId::EMPTY,
        });
        if child.is_some_and(|child| !matches!(child.unpack(), Node::Branch(_))) {
            self.note_cleared(child_path(path, left));
        }
    }

    /// Replaces `branch` by its only child left, which is known; an extension above melts into the result.
    fn collapse(&mut self, branch: u32, left: u8) {
        let child = self.arena.branches.get(branch).held(left);
        self.arena.branches.release(branch);
        // The place of the removed leaf; now the end is the branch.
        self.links.pop();
        let mut path = Nibbles::from_nibbles([left]);
        if let Some(Link::Extension(place)) = self.links.last().copied() {
            path = self.arena.extensions[place].path.join(&path);
            self.arena.extensions.release(place);
            self.links.pop();
        }
        let node = match child.id.unpack() {
            Node::Leaf(place) => {
                let leaf = &mut self.arena.leaves[place];
                leaf.path = path.join(&leaf.path);
                child.id
            }
            Node::Extension(place) => {
                let extension = &mut self.arena.extensions[place];
                extension.path = path.join(&extension.path);
                child.id
            }
            Node::Branch(_) | Node::Blinded | Node::Empty => self.arena.new_extension(path, child).id,
        };
        self.replace_end(node);
    }

    /// Puts a dirty node, or none, where the last link leads, and marks all nodes above dirty.
    fn replace_end(&mut self, node: NodeId) {
        self.changes += 1;
        let Some(end) = self.links.pop() else { return };
        match end {
            Link::Branch(place, nibble) if node == NodeId::EMPTY || self.linked(end) == NodeId::EMPTY => {
                let child = if node == NodeId::EMPTY { Child::EMPTY } else { Child::dirty(node) };
                let moved = self.arena.branches.replace_child(place, nibble, child);
                if let Some(above) = self.links.last() {
                    self.set_linked(*above, Node::Branch(moved).into());
                }
            }
            Link::Root if node == NodeId::EMPTY => self.root = Child::EMPTY,
            _ => {
                self.set_linked(end, node);
                self.mark_dirty(end);
            }
        }
        while let Some(link) = self.links.pop() {
            if self.mark_dirty(link) {
                // Then all nodes above it are, too.
                break;
            }
        }
    }
}
