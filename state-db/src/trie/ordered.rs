//! Roots of tries that are built, hashed and forgotten: transactions, receipts and withdrawals by index, or any keys.
//!
//! Where a leaf's path starts follows from its neighbours alone, so all leaves, which are most of the bytes, are hashed in
//! one batch before the few branches. Unlike in the state, a key may be the prefix of another: its value then stands in a branch.

use super::{
    batch::NodeBatch,
    encode::{encode_extension, encode_leaf, encode_string, string_len},
    reference::Reference,
};
use alloy_primitives::B256;
use alloy_rlp::{EMPTY_STRING_CODE, Header};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};

/// Root of the trie that maps the RLP of each index to the item there, as the header commits to transactions, receipts and
/// withdrawals.
pub fn ordered_trie_root<T: AsRef<[u8]>>(items: &[T]) -> B256 {
    let pairs = items.iter().enumerate().map(|(i, item)| (alloy_rlp::encode_fixed_size(&i), item));
    trie_root(pairs)
}

/// Root of the trie with these keys and values, in any order; of equal keys the last counts.
///
/// # Panics
/// A key is longer than 32 bytes.
pub fn trie_root<K: AsRef<[u8]>, T: AsRef<[u8]>>(pairs: impl IntoIterator<Item = (K, T)>) -> B256 {
    let mut entries: Vec<_> = pairs.into_iter().map(|(key, value)| (Nibbles::unpack(key), value)).collect();
    entries.sort_by_key(|(key, _)| *key);
    entries.dedup_by(|later, earlier| {
        let is_same = later.0 == earlier.0;
        if is_same {
            std::mem::swap(later, earlier);
        }
        is_same
    });
    if entries.is_empty() {
        return EMPTY_ROOT_HASH;
    }
    let leaves = hash_leaves(&entries);
    let root = subtrie(&entries, &leaves, 0);
    root.to_hash()
}

/// The reference of each entry's leaf; empty for an entry that stands in a branch.
fn hash_leaves<T: AsRef<[u8]>>(entries: &[(Nibbles, T)]) -> Vec<Reference> {
    let mut batch = NodeBatch::with_room(entries.len());
    for (i, (key, value)) in entries.iter().enumerate() {
        let before = i.checked_sub(1).map(|before| &entries[before]);
        let neighbours = before.into_iter().chain(entries.get(i + 1));
        let path = match neighbours.map(|(other, _)| key.common_prefix_length(other)).max() {
            None => Some(*key),
            Some(shared) => (shared < key.len()).then(|| key.slice(shared + 1..)),
        };
        batch.add(|_, rlp| {
            if let Some(path) = path {
                encode_leaf(&path, value.as_ref(), rlp);
            }
        });
    }
    let mut leaves = Vec::with_capacity(entries.len());
    batch.finish(|_, reference| leaves.push(reference));
    leaves
}

/// The reference of the subtrie of `entries`, which share `depth` nibbles.
fn subtrie<T: AsRef<[u8]>>(entries: &[(Nibbles, T)], leaves: &[Reference], depth: usize) -> Reference {
    let (Some((first, value)), Some((last, _))) = (entries.first(), entries.last()) else {
        return Reference::default();
    };
    if let [leaf] = leaves {
        return *leaf;
    }
    let fork = first.common_prefix_length(last);
    let (mut entries, mut leaves, mut own) = (entries, leaves, None);
    if first.len() == fork {
        own = Some(value.as_ref());
        (entries, leaves) = (&entries[1..], &leaves[1..]);
    }
    let mut children: [Reference; 16] = Default::default();
    while let Some(here) = entries.first().and_then(|(key, _)| key.get(fork)) {
        let len = entries.partition_point(|(key, _)| key.get(fork) == Some(here));
        children[usize::from(here)] = subtrie(&entries[..len], &leaves[..len], fork + 1);
        (entries, leaves) = (&entries[len..], &leaves[len..]);
    }
    let mut rlp = Vec::with_capacity(600);
    encode_branch(&children, own, &mut rlp);
    let branch = Reference::from_rlp(&rlp);
    if fork == depth {
        return branch;
    }
    rlp.clear();
    encode_extension(&first.slice(depth..fork), &branch, &mut rlp);
    Reference::from_rlp(&rlp)
}

fn encode_branch(children: &[Reference; 16], value: Option<&[u8]>, out: &mut Vec<u8>) {
    let children_len: usize = children.iter().map(|child| child.len().max(1)).sum();
    Header { list: true, payload_length: children_len + value.map_or(1, string_len) }.encode(out);
    for child in children {
        if child.is_empty() {
            out.push(EMPTY_STRING_CODE);
        }
        out.extend_from_slice(child);
    }
    encode_string(value.unwrap_or_default(), out);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_tries_match_alloy() {
        for len in [0, 1, 2, 3, 16, 17, 127, 128, 129, 130, 255, 256, 257, 700] {
            let items: Vec<Vec<u8>> = (0..len).map(|i| vec![i as u8; 1 + i * 7 % 900]).collect();
            assert_eq!(ordered_trie_root(&items), alloy_trie::root::ordered_trie_root_encoded(&items), "{len} items");
        }
    }

    #[test]
    fn of_equal_keys_the_last_counts() {
        let want = trie_root([("dog", "puppy"), ("do", "verb")]);
        assert_eq!(trie_root([("dog", "cat"), ("do", "verb"), ("dog", "puppy")]), want);
    }
}
