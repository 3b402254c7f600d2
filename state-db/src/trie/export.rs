//! Nodes out of a trie: the proof of a key, and the nodes around the paths that a block takes.

use super::{
    encode::encode_node,
    node::{Node, NodeId},
    subtrie::{Subtrie, nibble},
    value::TrieValue,
};
use alloy_primitives::{B256, Bytes, keccak256, map::B256Map};
use alloy_trie::Nibbles;

impl<V: TrieValue> Subtrie<V> {
    /// Adds the known nodes towards `key` that do not stand in their parent to `nodes`. All must be clean.
    pub(super) fn proof(&self, key: &B256, nodes: &mut Vec<Bytes>) {
        self.walk(key, |id, is_root| {
            if is_root || self.arena.reference(id).is_some_and(|rlp| rlp.is_hash()) {
                nodes.push(self.encoded(id));
            }
        });
    }

    /// Adds the nodes on the way to `key` and the children of its branches to `nodes`, by hash: what a read or an update of
    /// `key` may ask for, collapses included. All nodes must be known and clean.
    pub(super) fn export_around(&self, key: &B256, nodes: &mut B256Map<Bytes>) {
        self.walk(key, |id, is_root| {
            self.export(id, is_root, nodes);
            if let Node::Branch(place) = id.unpack() {
                for child in self.arena.branches[place].children {
                    self.export(child, false, nodes);
                }
            }
        });
    }

    /// Adds the root, if it is known.
    pub(super) fn export_root(&self, nodes: &mut B256Map<Bytes>) {
        self.export(self.root, self.prefix.is_empty(), nodes);
    }

    fn export(&self, id: NodeId, is_root: bool, nodes: &mut B256Map<Bytes>) {
        let hash = self.arena.reference(id).and_then(|rlp| rlp.as_hash());
        if let Some(hash) = hash {
            nodes.entry(hash).or_insert_with(|| self.encoded(id));
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

    /// Calls `visit` for each known node towards `key`, and whether it is the root of the trie.
    fn walk(&self, key: &B256, mut visit: impl FnMut(NodeId, bool)) {
        let key = Nibbles::unpack(key);
        let (mut id, mut depth) = (self.root, self.prefix.len());
        loop {
            match id.unpack() {
                Node::Empty | Node::Blinded(_) => return,
                Node::Leaf(_) => return visit(id, depth == 0),
                Node::Extension(place) => {
                    visit(id, depth == 0);
                    let extension = &self.arena.extensions[place];
                    if !key.slice(depth..).starts_with(&extension.path) {
                        return;
                    }
                    depth += extension.path.len();
                    id = extension.child;
                }
                Node::Branch(place) => {
                    visit(id, depth == 0);
                    id = self.arena.branches[place].children[usize::from(nibble(&key, depth))];
                    depth += 1;
                }
            }
        }
    }
}
