//! Nodes from sorted leaves, in one pass.

use super::{
    id::{Child, Node, NodeId},
    subtrie::{Subtrie, nibble_at},
    value::TrieValue,
};
use alloy_primitives::B256;
use alloy_trie::Nibbles;

/// Keys up to which a scan beats binary search.
const SHORT_LEN: usize = 32;

impl<V: TrieValue> Subtrie<V> {
    /// The nodes below `prefix` with these keys, which are strictly ascending, and the values that `value` has for each.
    pub(super) fn from_sorted_keys<T: Copy>(
        prefix: Nibbles,
        keys: &[(B256, T)],
        value: &impl Fn(&B256, T) -> V,
    ) -> Self {
        let mut subtrie = Self::new(prefix);
        subtrie.arena.leaves.reserve(keys.len());
        let root = subtrie.build(keys, prefix.len(), value);
        if root != NodeId::EMPTY {
            subtrie.root = Child::dirty(root);
        }
        subtrie.changes = keys.len();
        subtrie
    }

    /// The subtrie of `keys`, which share `depth` nibbles.
    fn build<T: Copy>(&mut self, keys: &[(B256, T)], depth: usize, value: &impl Fn(&B256, T) -> V) -> NodeId {
        let (first, last) = match keys {
            [] => return NodeId::EMPTY,
            [(key, place)] => {
                return self.arena.new_leaf(Nibbles::unpack(key).slice(depth..), value(key, *place));
            }
            [first, .., last] => (Nibbles::unpack(first.0), Nibbles::unpack(last.0)),
        };
        let fork = first.common_prefix_length(&last);
        // The place of a branch is before those of its children: a walk down goes forwards in memory.
        let branch = self.arena.branches.insert_dirty(nibbles_at(keys, fork), self.epoch);
        let mut rest = keys;
        while let Some((key, _)) = rest.first() {
            let here = nibble_at(key, fork);
            let len = group_len(rest, |key| nibble_at(key, fork) == here);
            let (group, others) = rest.split_at(len);
            let child = self.build(group, fork + 1, value);
            self.arena.branches.set_child(branch, here, child);
            rest = others;
        }
        self.arena.new_extension(first.slice(depth..fork), Child::dirty(Node::Branch(branch).into())).id
    }
}

/// The nibbles that ascending keys, which are the same before `depth`, have there: a bit for each.
fn nibbles_at<T>(keys: &[(B256, T)], depth: usize) -> u16 {
    let (mut nibbles, mut rest) = (0, keys);
    while let Some((key, _)) = rest.first() {
        let here = nibble_at(key, depth);
        nibbles |= 1 << here;
        rest = &rest[group_len(rest, |key| nibble_at(key, depth) == here)..];
    }
    nibbles
}

/// Keys at the start that `is_inside` accepts; they all stand before the others.
fn group_len<T>(keys: &[(B256, T)], is_inside: impl Fn(&B256) -> bool) -> usize {
    if keys.len() <= SHORT_LEN {
        keys.iter().take_while(|(key, _)| is_inside(key)).count()
    } else {
        keys.partition_point(|(key, _)| is_inside(key))
    }
}
