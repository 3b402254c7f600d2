//! A trie from sorted leaves, in one pass.

use super::{
    node::{Branch, NodeId},
    sparse::Trie,
    value::TrieValue,
};
use alloy_primitives::B256;
use alloy_trie::Nibbles;

/// Keys up to which a scan beats binary search.
const SHORT_LEN: usize = 32;

impl<V: TrieValue> Trie<V> {
    /// The trie with these leaves.
    ///
    /// # Panics
    /// The keys are not strictly ascending.
    pub fn from_sorted(leaves: &[(B256, V)]) -> Self {
        let mut places = Vec::with_capacity(leaves.len());
        places.extend(leaves.iter().enumerate().map(|(i, (key, _))| (*key, i as u32)));
        Self::from_sorted_keys(&places, |_, place| leaves[place as usize].1.clone())
    }

    /// The trie with these keys and the values that `value` has for each.
    ///
    /// # Panics
    /// The keys are not strictly ascending.
    pub(crate) fn from_sorted_keys<T: Copy>(keys: &[(B256, T)], value: impl Fn(&B256, T) -> V) -> Self {
        assert!(keys.is_sorted_by(|a, b| a.0 < b.0), "keys of leaves must be strictly ascending");
        let mut trie = Self::default();
        trie.arena.leaves.reserve(keys.len());
        trie.root = trie.build(keys, 0, &value);
        trie
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

fn nibble_at(key: &B256, depth: usize) -> u8 {
    let byte = key[depth / 2];
    if depth.is_multiple_of(2) { byte >> 4 } else { byte & 0xf }
}
