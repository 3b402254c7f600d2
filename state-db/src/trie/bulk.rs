//! Values of many keys at once: one walk for all of them, level by level.
//!
//! Place in the flow: an update of many keys comes here with the keys of one part of a trie. Leaves that are there get their values;
//! keys that need more, a new leaf, another shape or a node that is not known, are left to `update`, one after the other.
//! Invariant: nodes, values and what is dirty are what setting one value after the other makes.
//! PERF: nodes that several keys pass are looked at once, and all nodes of a level are asked of memory before the first is needed,
//! so that the walks wait for memory together.

use super::{
    error::TrieError,
    id::{Link, Node, NodeId},
    source::NodeSource,
    subtrie::{Subtrie, nibble_at},
    value::TrieValue,
};
use alloy_primitives::B256;
use alloy_trie::Nibbles;
use std::{hint::black_box, ops::Range};

/// Keys from which it pays.
const KEYS_MIN: usize = 8;

/// A node that keys pass.
#[derive(Clone, Debug)]
struct Step {
    link: Link,
    id: NodeId,
    /// Nibbles above the node.
    depth: usize,
    /// The step above; the first one is above itself.
    parent: usize,
    /// The items whose keys pass here.
    items: Range<usize>,
}

impl<V: TrieValue> Subtrie<V> {
    /// Sets the values of many keys: that of `items[i]` to what `value` makes of the item and of the present one. The items are
    /// ascending by `key`.
    ///
    /// # Errors
    /// As for [`Self::upsert`], with the position of the item; others may have been set.
    pub(super) fn upsert_sorted<T>(
        &mut self,
        items: &[T],
        key: impl Fn(&T) -> &B256,
        source: &impl NodeSource,
        value: impl Fn(&T, Option<&V>) -> V,
    ) -> Result<(), (usize, TrieError)> {
        let left: Vec<_> =
            if items.len() < KEYS_MIN { (0..items.len()).collect() } else { self.set_known(items, &key, &value) };
        for place in left {
            let item = &items[place];
            self.upsert(key(item), source, |before| value(item, before)).map_err(|error| (place, error))?;
        }
        Ok(())
    }

    /// Sets the values of the keys whose leaves are there and known; gives the places of the other items.
    fn set_known<T>(
        &mut self,
        items: &[T],
        key: impl Fn(&T) -> &B256,
        value: impl Fn(&T, Option<&V>) -> V,
    ) -> Vec<usize> {
        let mut left = Vec::new();
        let mut steps = Vec::with_capacity(4 * items.len());
        steps.push(Step {
            link: Link::Root,
            id: self.root.id,
            depth: self.prefix.len(),
            parent: 0,
            items: 0..items.len(),
        });
        let mut level = 0..1;
        while !level.is_empty() {
            black_box(steps[level.clone()].iter().map(|step| self.arena.touch_head(step.id)).sum::<usize>());
            for place in level.clone() {
                let Step { id, depth, items: range, .. } = steps[place].clone();
                match id.unpack() {
                    Node::Branch(branch) => {
                        self.arena.branches.set_used(branch, self.epoch);
                        self.fan_out(branch, place, items, &key, &mut steps);
                    }
                    Node::Extension(extension) => {
                        let path = &self.arena.extensions[extension].path;
                        let passes = |i: usize| Nibbles::unpack(key(&items[i])).slice(depth..).starts_with(path);
                        // The keys are ascending: if the first and the last begin alike, all do.
                        if passes(range.start) && passes(range.end - 1) {
                            let (link, depth) = (Link::Extension(extension), depth + path.len());
                            steps.push(Step { link, id: self.linked(link), depth, parent: place, items: range });
                        } else {
                            left.extend(range);
                        }
                    }
                    Node::Leaf(leaf) => {
                        for i in range {
                            let leaf = &mut self.arena.leaves[leaf];
                            if leaf.path != Nibbles::unpack(key(&items[i])).slice(depth..) {
                                left.push(i);
                                continue;
                            }
                            let value = value(&items[i], Some(&leaf.value));
                            if leaf.value != value {
                                leaf.value = value;
                                self.mark_way(&steps, place);
                            }
                        }
                    }
                    Node::Empty | Node::Blinded => left.extend(range),
                }
            }
            level = level.end..steps.len();
        }
        left
    }

    /// Adds the steps from a branch to the children that keys pass.
    fn fan_out<T>(&self, branch: u32, parent: usize, items: &[T], key: impl Fn(&T) -> &B256, steps: &mut Vec<Step>) {
        let Step { depth, items: Range { mut start, end }, .. } = steps[parent].clone();
        let node = self.arena.branches.get(branch);
        while start < end {
            let nibble = nibble_at(key(&items[start]), depth);
            let group = items[start + 1..end].iter().take_while(|item| nibble_at(key(item), depth) == nibble);
            let next = start + 1 + group.count();
            let link = Link::Branch(branch, nibble);
            steps.push(Step { link, id: node.child(nibble), depth: depth + 1, parent, items: start..next });
            start = next;
        }
    }

    /// Marks the node of a step dirty, whose value changed, and all above it.
    fn mark_way(&mut self, steps: &[Step], mut place: usize) {
        self.changes += 1;
        while !self.mark_dirty(steps[place].link) && steps[place].parent != place {
            place = steps[place].parent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{source::NoSource, sparse::Trie};
    use alloy_primitives::{B256, U256};
    use alloy_trie::Nibbles;
    use proptest::prelude::*;
    use std::sync::Arc;

    /// Keys that share long beginnings, so that there are extensions, also above and below leaves that come later.
    fn key(bytes: [u8; 3]) -> B256 {
        let mut key = B256::ZERO;
        (key[0], key[15], key[31]) = (bytes[0] & 0x31, bytes[1] & 0x13, bytes[2] & 0x11);
        key
    }

    proptest! {
        #[test]
        fn many_values_at_once_are_those_one_after_the_other(
            before in proptest::collection::btree_map(any::<[u8; 3]>(), 1u8..4, 0..60),
            after in proptest::collection::btree_map(any::<[u8; 3]>(), 1u8..4, 0..60),
        ) {
            let leaves = |map: &std::collections::BTreeMap<[u8; 3], u8>| {
                let leaves: std::collections::BTreeMap<_, _> =
                    map.iter().map(|(bytes, value)| (key(*bytes), U256::from(*value) << 250)).collect();
                leaves.into_iter().collect::<Vec<_>>()
            };
            let mut one = Trie::from_sorted(&leaves(&before));
            one.root();
            one.track();
            let mut many = one.clone();
            let items = leaves(&after);
            for (key, value) in &items {
                one.insert(key, *value, &NoSource).expect("all is known");
            }
            let part = Arc::make_mut(&mut many.parts[0]);
            part.upsert_sorted(&items, |(key, _)| key, &NoSource, |(_, value), _| *value).expect("all is known");
            prop_assert_eq!(part.changes, one.parts[0].changes);
            prop_assert_eq!(sorted_dirty(&many), sorted_dirty(&one));
            prop_assert_eq!(many.root(), one.root());
            prop_assert_eq!(many.take_updates(), one.take_updates());
        }
    }

    fn sorted_dirty(trie: &Trie<U256>) -> Vec<Nibbles> {
        let mut paths: Vec<_> = trie.parts[0].dirty_paths().into_iter().map(|(_, path)| path).collect();
        paths.sort();
        paths
    }
}
