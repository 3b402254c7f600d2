//! The root of a trie of sorted leaves that is needed once and not kept.
//!
//! How: where a leaf hangs follows from its neighbours alone. Leaves are cut into ranges with a common beginning, which threads take
//! and which fit their caches; in each, all leaves are hashed in one batch, then the branches of the deepest level, then those
//! above, until one node is left of each range; the few above them go the same way.
//! Invariant: the root is that of [`Trie::from_sorted`](super::Trie::from_sorted), without its nodes.

use super::{
    batch::NodeBatch,
    encode::{encode_branch, encode_extension, encode_leaf_at},
    reference::Reference,
    subtrie::nibble_at,
    value::TrieValue,
};
use alloy_primitives::B256;
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use rayon::prelude::*;

/// Leaves of a range, about, if keys are hashes.
const RANGE_LEN: usize = 1024;
/// Most nibbles that the leaves of a range share, as far as they are cut.
const RANGE_DEPTH_MAX: u32 = 4;
/// Above the root.
const NOWHERE: i8 = -1;

/// A node without its parent, which is not made yet.
struct Orphan {
    /// Place of the first leaf below.
    first: u32,
    /// Depth of the branch that it hangs on.
    fork: i8,
    reference: Reference,
}

/// The root of the trie with these leaves.
///
/// # Panics
/// The keys are not strictly ascending.
pub fn sorted_root<V: TrieValue>(leaves: &[(B256, V)]) -> B256 {
    assert!(leaves.is_sorted_by(|a, b| a.0 < b.0), "keys of leaves must be strictly ascending");
    let depth = (0..RANGE_DEPTH_MAX).find(|depth| leaves.len() >> (4 * depth) <= RANGE_LEN).unwrap_or(RANGE_DEPTH_MAX);
    let beginning = |key: &B256| u32::from(u16::from_be_bytes([key[0], key[1]])) >> (16 - 4 * depth);
    let mut starts = vec![0];
    starts.extend((1..leaves.len()).filter(|i| beginning(&leaves[i - 1].0) != beginning(&leaves[*i].0)));
    starts.push(leaves.len());
    let ranges: Vec<_> = starts.windows(2).map(|pair| pair[0]..pair[1]).collect();
    let parts = ranges.into_par_iter().map_init(NodeBatch::default, |batch, range| {
        let mut level = Level::new(leaves, range.start, range.len());
        level.hash_leaves(batch);
        level.fold_to(depth as i8, batch);
        level.orphans
    });
    let parts: Vec<_> = parts.collect();
    let mut level = Level::new(leaves, 0, leaves.len());
    level.orphans = parts.into_iter().flatten().collect();
    level.fold_to(0, &mut NodeBatch::default());
    let root = level.orphans.first().map(|orphan| &orphan.reference);
    root.map_or(EMPTY_ROOT_HASH, |root| root.to_hash())
}

/// Nodes over a range of leaves, ascending, each leaf below one of them.
struct Level<'a, V> {
    leaves: &'a [(B256, V)],
    start: usize,
    len: usize,
    orphans: Vec<Orphan>,
}

impl<'a, V: TrieValue> Level<'a, V> {
    fn new(leaves: &'a [(B256, V)], start: usize, len: usize) -> Self {
        Self { leaves, start, len, orphans: Vec::new() }
    }

    /// Nibbles that the leaf at `place` shares with the one before it.
    fn shared(&self, place: usize) -> i8 {
        match place.checked_sub(1).and_then(|before| self.leaves.get(before)).zip(self.leaves.get(place)) {
            Some(((before, _), (key, _))) => shared_nibbles(before, key) as i8,
            None => NOWHERE,
        }
    }

    fn hash_leaves(&mut self, batch: &mut NodeBatch) {
        let mut before = self.shared(self.start);
        self.orphans.reserve(self.len);
        for place in self.start..self.start + self.len {
            let after = self.shared(place + 1);
            let fork = before.max(after);
            let (key, value) = &self.leaves[place];
            batch.add(|bytes, rlp| {
                bytes.clear();
                value.encode(bytes);
                encode_leaf_at(key, (fork + 1) as usize, bytes, rlp);
            });
            self.orphans.push(Orphan { first: place as u32, fork, reference: Reference::default() });
            before = after;
        }
        batch.finish(|i, reference| self.orphans[i].reference = reference);
    }

    /// Makes the branches at `depth_min` and below.
    fn fold_to(&mut self, depth_min: i8, batch: &mut NodeBatch) {
        while let Some(depth) = self.orphans.iter().map(|orphan| orphan.fork).max().filter(|fork| *fork >= depth_min) {
            self.fold(depth, batch);
        }
    }

    /// Makes the branches at `depth`; there are no orphans that hang on deeper ones.
    fn fold(&mut self, depth: i8, batch: &mut NodeBatch) {
        let orphans = std::mem::take(&mut self.orphans);
        let (mut made, mut rest) = (Vec::new(), &*orphans);
        while let [orphan, others @ ..] = rest {
            if orphan.fork < depth {
                self.orphans.push(Orphan { ..*orphan });
                rest = others;
                continue;
            }
            let len = 1 + others.iter().take_while(|other| self.shared(other.first as usize) == depth).count();
            let (group, others) = rest.split_at(len);
            batch.add(|_, rlp| encode_branch(self.children(group, depth), rlp));
            let end = others.first().map_or(self.start + self.len, |next| next.first as usize);
            let fork = self.shared(orphan.first as usize).max(self.shared(end));
            made.push(self.orphans.len());
            self.orphans.push(Orphan { first: orphan.first, fork, reference: Reference::default() });
            rest = others;
        }
        batch.finish(|i, reference| self.orphans[made[i]].reference = reference);
        for place in made {
            let orphan = &mut self.orphans[place];
            let path = (orphan.fork + 1) as usize..depth as usize;
            if !path.is_empty() {
                let key = Nibbles::unpack(self.leaves[orphan.first as usize].0);
                let mut rlp = Vec::new();
                encode_extension(&key.slice(path), &orphan.reference, &mut rlp);
                orphan.reference = Reference::from_rlp(&rlp);
            }
        }
    }

    fn children<'o>(&self, group: &'o [Orphan], depth: i8) -> [&'o Reference; 16] {
        let mut children = [&Reference::NONE; 16];
        for orphan in group {
            let nibble = nibble_at(&self.leaves[orphan.first as usize].0, depth as usize);
            children[usize::from(nibble)] = &orphan.reference;
        }
        children
    }
}

/// Nibbles that two keys have in common at their beginnings.
fn shared_nibbles(a: &B256, b: &B256) -> usize {
    let bytes = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    2 * bytes + usize::from(bytes < a.len() && (a[bytes] ^ b[bytes]) < 0x10)
}

#[cfg(test)]
mod tests {
    use super::{super::sparse::Trie, *};
    use alloy_primitives::{U256, keccak256};
    use proptest::prelude::*;

    fn check(keys: impl IntoIterator<Item = B256>) {
        let mut keys: Vec<_> = keys.into_iter().collect();
        keys.sort_unstable();
        keys.dedup();
        let leaves: Vec<_> =
            keys.into_iter().map(|key| (key, U256::from_be_bytes(key.0) >> 250 | U256::from(1))).collect();
        assert_eq!(sorted_root(&leaves), Trie::from_sorted(&leaves).root(), "{} leaves", leaves.len());
    }

    #[test]
    fn roots_of_few_and_many_leaves_are_those_of_the_trie() {
        for len in [0, 1, 2, 3, 17, 100, 1024, 1025, 5000, 70_000] {
            check((0..len).map(|i: u32| keccak256(i.to_be_bytes())));
        }
    }

    #[test]
    fn keys_that_share_all_but_the_end_are_not_lost() {
        check((0..3000u32).map(|i| B256::from(U256::from(i))));
        check((0..3000u32).map(|i| B256::from(U256::from(i % 2) << 255 | U256::from(i))));
    }

    proptest! {
        #[test]
        fn roots_of_keys_with_long_common_beginnings_are_those_of_the_trie(
            keys in proptest::collection::vec((0usize..32, any::<[u8; 2]>()), 0..200),
        ) {
            check(keys.into_iter().map(|(at, bytes)| {
                let mut key = B256::ZERO;
                key[at] = bytes[0] & 0x33;
                key[31 - at] ^= bytes[1] & 0x11;
                key
            }));
        }
    }
}
