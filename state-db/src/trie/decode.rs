//! RLP of a node into the arena.
//!
//! Invariant: what is accepted is written back byte for byte by `encode`; everything else is a [`NodeFault`], never a panic.
//! Yellow paper, appendix D; keys have 64 nibbles, so branches hold no value.

use super::{
    error::NodeFault,
    id::{Child, Draft, FANOUT, Node, NodeId},
    node::Arena,
    reference::{HASH_PREFIX, Reference},
    value::TrieValue,
};
use alloy_rlp::Header;
use alloy_trie::Nibbles;

/// Nibbles of a key.
pub(super) const KEY_NIBBLES: usize = 64;

/// No child, no value.
const EMPTY_STRING: u8 = 0x80;
/// First bytes of a list whose encoding is shorter than 32 bytes.
const INLINE_PREFIXES: std::ops::RangeInclusive<u8> = 0xc0..=0xde;

/// Adds the node with these bytes, and its children of less than 32 bytes. `depth` is the length of the path to the node.
pub(super) fn decode_node<V: TrieValue>(arena: &mut Arena<V>, rlp: &[u8], depth: usize) -> Result<NodeId, NodeFault> {
    let mut payload = rlp;
    let items = Header::decode_bytes(&mut payload, true)?;
    if !payload.is_empty() {
        return Err(alloy_rlp::Error::UnexpectedLength.into());
    }
    match count_items(items)? {
        17 => decode_branch(arena, items, depth),
        2 => decode_short(arena, items, depth),
        found => Err(NodeFault::ItemCount(found)),
    }
}

fn count_items(mut items: &[u8]) -> Result<usize, NodeFault> {
    let mut count = 0;
    while !items.is_empty() {
        let header = Header::decode(&mut items)?;
        items = items.get(header.payload_length..).ok_or(alloy_rlp::Error::InputTooShort)?;
        count += 1;
    }
    Ok(count)
}

fn decode_branch<V: TrieValue>(arena: &mut Arena<V>, mut items: &[u8], depth: usize) -> Result<NodeId, NodeFault> {
    if depth >= KEY_NIBBLES {
        return Err(NodeFault::Depth);
    }
    // Nothing has used it yet.
    let mut draft = Draft::new(0);
    for nibble in 0..FANOUT {
        draft.set(nibble as u8, decode_child(arena, &mut items, depth + 1)?);
    }
    if items != [EMPTY_STRING] {
        return Err(NodeFault::BranchValue);
    }
    let count = draft.len();
    if count < 2 {
        return Err(NodeFault::ChildCount(count));
    }
    Ok(arena.new_branch(&draft).id)
}

/// Takes one reference off the front of `items`.
fn decode_child<V: TrieValue>(arena: &mut Arena<V>, items: &mut &[u8], depth: usize) -> Result<Child, NodeFault> {
    let prefix = *items.first().ok_or(NodeFault::Child)?;
    let len = match prefix {
        EMPTY_STRING => 1,
        HASH_PREFIX => 33,
        _ if INLINE_PREFIXES.contains(&prefix) => usize::from(prefix - 0xc0) + 1,
        _ => return Err(NodeFault::Child),
    };
    let (item, rest) = items.split_at_checked(len).ok_or(NodeFault::Child)?;
    *items = rest;
    let reference = Reference::from_raw(item).ok_or(NodeFault::Child)?;
    let id = match prefix {
        EMPTY_STRING => NodeId::EMPTY,
        HASH_PREFIX => NodeId::BLINDED,
        _ => decode_node(arena, item, depth)?,
    };
    Ok(Child { id, reference })
}

/// A leaf or an extension.
fn decode_short<V: TrieValue>(arena: &mut Arena<V>, mut items: &[u8], depth: usize) -> Result<NodeId, NodeFault> {
    let (path, is_leaf) = decode_path(Header::decode_bytes(&mut items, false)?)?;
    let end = depth + path.len();
    if is_leaf {
        if end != KEY_NIBBLES {
            return Err(NodeFault::Depth);
        }
        let value = V::decode(Header::decode_bytes(&mut items, false)?)?;
        return Ok(arena.new_leaf(path, value));
    }
    if path.is_empty() || end >= KEY_NIBBLES {
        return Err(NodeFault::Depth);
    }
    let child = decode_child(arena, &mut items, end)?;
    if !items.is_empty() {
        return Err(NodeFault::Child);
    }
    match child.id.unpack() {
        Node::Branch(_) | Node::Blinded => Ok(arena.new_extension(path, child).id),
        _ => Err(NodeFault::ExtensionChild),
    }
}

/// A compact path, and whether it ends in a leaf.
fn decode_path(bytes: &[u8]) -> Result<(Nibbles, bool), NodeFault> {
    let (&first, rest) = bytes.split_first().ok_or(NodeFault::Path)?;
    let (flag, nibble) = (first >> 4, first & 0xf);
    let is_odd = flag & 1 == 1;
    if flag > 3 || !is_odd && nibble != 0 || rest.len() * 2 + usize::from(is_odd) > KEY_NIBBLES {
        return Err(NodeFault::Path);
    }
    let rest = Nibbles::unpack(rest);
    let path = if is_odd { Nibbles::from_nibbles([nibble]).join(&rest) } else { rest };
    Ok((path, flag & 2 == 2))
}

#[cfg(test)]
mod tests {
    use super::{
        super::{encode::encode_node, sparse::Trie},
        *,
    };
    use alloy_primitives::{B256, Bytes, U256, hex};
    use proptest::prelude::*;

    fn fault(rlp: &[u8]) -> NodeFault {
        decode_node(&mut Arena::<U256>::default(), rlp, 62).expect_err("malformed")
    }

    #[test]
    fn malformed_nodes_name_their_fault() {
        assert_eq!(fault(&hex!("c20001")), NodeFault::Depth); // extension with an empty path
        assert_eq!(fault(&hex!("c23501")), NodeFault::Depth); // leaf at 63 nibbles
        assert_eq!(fault(&hex!("c24001")), NodeFault::Path); // flag 4
        assert_eq!(fault(&hex!("c22101")), NodeFault::Path); // even path with padding that is not zero
        assert_eq!(fault(&hex!("c3200101")), NodeFault::ItemCount(3));
        assert_eq!(fault(&hex!("d1 8080808080808080 8080808080808080 01")), NodeFault::BranchValue);
        assert_eq!(fault(&hex!("d1 8080808080808080 8080808080808080 80")), NodeFault::ChildCount(0));
        assert_eq!(fault(&hex!("c21781")), NodeFault::Rlp(alloy_rlp::Error::InputTooShort));
        assert_eq!(fault(&hex!("c21780")), NodeFault::ExtensionChild);
        assert_eq!(fault(&hex!("c21701")), NodeFault::Child);
        assert!(matches!(fault(&[]), NodeFault::Rlp(_)));
        assert!(matches!(fault(&hex!("c2350100")), NodeFault::Rlp(_)));
        assert!(matches!(fault(&hex!("c482350081")), NodeFault::Rlp(_)));
    }

    #[test]
    fn leaf_of_two_nibbles_is_read() {
        let mut arena = Arena::<U256>::default();
        let id = decode_node(&mut arena, &hex!("c4 8220ab 05"), 62).expect("well formed");
        let Node::Leaf(place) = id.unpack() else { panic!("{id:?}") };
        assert_eq!(arena.leaves[place].path, Nibbles::from_nibbles([0xa, 0xb]));
        assert_eq!(arena.leaves[place].value, U256::from(5));
    }

    /// What is accepted must be written back as it was.
    fn check(bytes: &[u8], depth: usize) {
        let mut arena = Arena::<Bytes>::default();
        if let Ok(id) = decode_node(&mut arena, bytes, depth) {
            let mut again = Vec::new();
            encode_node(&arena, id, &mut Vec::new(), &mut again);
            assert_eq!(again, bytes);
        }
    }

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80), depth in 0usize..=64) {
            check(&bytes, depth);
        }

        #[test]
        fn random_lists_never_panic(
            items in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..34), 0..19),
            depth in 0usize..=64,
        ) {
            let items: Vec<_> = items.into_iter().map(Bytes::from).collect();
            check(&alloy_rlp::encode(items), depth);
        }

        #[test]
        fn damaged_nodes_never_panic(
            keys in proptest::collection::btree_set(0u8..16, 1..16),
            value_len in 1usize..60,
            at: proptest::sample::Index,
            byte: u8,
        ) {
            // Keys that differ in the last nibble: an extension, a branch at 63 nibbles, leaves inside or behind hashes.
            let leaf = |key: u8| (B256::with_last_byte(key), Bytes::from(vec![0x90; value_len]));
            let mut trie = Trie::from_sorted(&keys.iter().copied().map(leaf).collect::<Vec<_>>());
            trie.root();
            for key in keys {
                for node in trie.proof(&B256::with_last_byte(key)) {
                    let mut damaged = node.to_vec();
                    let at = at.index(damaged.len());
                    for (node, depth) in [(&mut damaged, 0), (&mut node.to_vec(), 63), (&mut node.to_vec(), 64)] {
                        check(node, depth);
                        node[at] = byte;
                        check(node, depth);
                    }
                }
            }
        }
    }
}
