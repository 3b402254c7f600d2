//! Nodes from sorted leaves, in one pass.

use super::{
    node::{Branch, NodeId},
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
        subtrie.root = subtrie.build(keys, prefix.len(), value);
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
        let mut children = Branch::EMPTY_CHILDREN;
        let mut rest = keys;
        while let Some((key, _)) = rest.first() {
            let here = nibble_at(key, fork);
            let len = group_len(rest, |key| nibble_at(key, fork) == here);
            let (group, others) = rest.split_at(len);
            children[usize::from(here)] = self.build(group, fork + 1, value);
            rest = others;
        }
        let branch = self.arena.new_branch(children, self.epoch);
        self.arena.new_extension(first.slice(depth..fork), branch)
    }
}

/// Keys at the start that `is_inside` accepts; they all stand before the others.
fn group_len<T>(keys: &[(B256, T)], is_inside: impl Fn(&B256) -> bool) -> usize {
    if keys.len() <= SHORT_LEN {
        keys.iter().take_while(|(key, _)| is_inside(key)).count()
    } else {
        keys.partition_point(|(key, _)| is_inside(key))
    }
}
