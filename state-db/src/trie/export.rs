//! Nodes out of a trie: the proof of a key, and the nodes around the paths that a block takes.

use super::{
    encode::encode_node,
    id::{Link, Node, NodeId},
    subtrie::{Subtrie, nibble},
    value::TrieValue,
};
use alloy_primitives::{B256, Bytes, keccak256, map::B256Map};
use alloy_trie::Nibbles;

impl<V: TrieValue> Subtrie<V> {
    /// Adds the known nodes towards `key` that do not stand in their parent to `nodes`. All must be clean.
    pub(super) fn proof(&self, key: &B256, nodes: &mut Vec<Bytes>) {
        self.walk(key, |link, id, is_root| {
            if is_root || self.reference(link).is_hash() {
                nodes.push(self.encoded(id));
            }
        });
    }

    /// Adds the nodes on the way to `key` and the children of its branches to `nodes`, by hash: what a read or an update of
    /// `key` may ask for, collapses included. All nodes must be known and clean.
    pub(super) fn export_around(&self, key: &B256, nodes: &mut B256Map<Bytes>) {
        self.walk(key, |link, id, is_root| {
            self.export(link, is_root, nodes);
            if let Node::Branch(place) = id.unpack() {
                for (nibble, _) in self.arena.branches.get(place).children() {
                    self.export(Link::Branch(place, nibble), false, nodes);
                }
            }
        });
    }

    /// Adds the root, if it is known.
    pub(super) fn export_root(&self, nodes: &mut B256Map<Bytes>) {
        self.export(Link::Root, self.prefix.is_empty(), nodes);
    }

    fn export(&self, link: Link, is_root: bool, nodes: &mut B256Map<Bytes>) {
        let id = self.linked(link);
        if let Some(hash) = self.reference(link).as_hash() {
            nodes.entry(*hash).or_insert_with(|| self.encoded(id));
        } else if is_root && id != NodeId::EMPTY {
            let rlp = self.encoded(id);
            nodes.insert(keccak256(&rlp), rlp);
        }
    }

    fn encoded(&self, id: NodeId) -> Bytes {
        let mut rlp = Vec::new();
        encode_node(&self.arena, id, &mut Vec::new(), &mut rlp);
        rlp.into()
    }

    /// Calls `visit` with place and id of each known node towards `key`, and whether it is the root of the trie.
    fn walk(&self, key: &B256, mut visit: impl FnMut(Link, NodeId, bool)) {
        let key = Nibbles::unpack(key);
        let (mut link, mut depth) = (Link::Root, self.prefix.len());
        loop {
            let id = self.linked(link);
            if !matches!(id.unpack(), Node::Empty | Node::Blinded) {
                visit(link, id, depth == 0);
            }
            match id.unpack() {
                Node::Empty | Node::Blinded | Node::Leaf(_) => return,
                Node::Extension(place) => {
                    let path = &self.arena.extensions[place].path;
                    if !key.slice(depth..).starts_with(path) {
                        return;
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
}
