//! A node of the arena into RLP.
//!
//! Precondition throughout: the children are clean. The inverse of `decode`.

use super::{
    block::Branch,
    id::{FANOUT, Node, NodeId},
    node::Arena,
    reference::{HASH_PREFIX, REFERENCE_LEN_MAX, Reference},
    value::TrieValue,
};
use alloy_primitives::B256;
use alloy_rlp::{EMPTY_STRING_CODE, Header};
use alloy_trie::{Nibbles, nodes::encode_path_leaf};

/// Length of a list of up to 64 KiB.
const HEADER_LEN_MAX: usize = 3;

/// Appends the RLP of a revealed node to `out`; nothing for blinded nodes and for none. `scratch` is overwritten.
pub(super) fn encode_node<V: TrieValue>(arena: &Arena<V>, id: NodeId, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    match id.unpack() {
        Node::Empty | Node::Blinded => {}
        Node::Leaf(place) => {
            let leaf = &arena.leaves[place];
            scratch.clear();
            leaf.value.encode(scratch);
            encode_leaf(&leaf.path, scratch, out);
        }
        Node::Extension(place) => {
            let extension = &arena.extensions[place];
            assert!(!extension.child.reference.is_empty(), "children are hashed before their parent");
            encode_extension(&extension.path, &extension.child.reference, out);
        }
        Node::Branch(place) => {
            let branch = arena.branches.get(place);
            assert!(branch.dirty() == 0, "children are hashed before their parent");
            if branch.inline() == 0 {
                encode_hashes(branch, out);
            } else {
                let children: [_; FANOUT] = std::array::from_fn(|nibble| branch.reference(nibble as u8));
                encode_branch(children.each_ref(), out);
            }
        }
    }
}

/// Appends a branch whose children all have 32 bytes or more.
///
/// PERF: where each hash stands follows from its place among the children alone, so that none waits for the one before it.
fn encode_hashes(branch: Branch<'_>, out: &mut Vec<u8>) {
    const HASH_LEN: usize = B256::len_bytes();
    let payload_length = FANOUT + 1 + HASH_LEN * branch.present().count_ones() as usize;
    Header { list: true, payload_length }.encode(out);
    let start = out.len();
    out.resize(start + payload_length, EMPTY_STRING_CODE);
    let payload = &mut out[start..];
    let mut left = branch.present();
    for (before, hash) in branch.hashes().enumerate() {
        let at = left.trailing_zeros() as usize + HASH_LEN * before;
        let (prefix, place) = payload[at..].split_first_mut().expect("there is room for each child");
        *prefix = HASH_PREFIX;
        // A length that is known, so that no function is called for 32 bytes.
        *place.first_chunk_mut().expect("there is room for each child") = *hash;
        left &= left - 1;
    }
}

/// Appends a leaf whose value has these bytes.
pub(super) fn encode_leaf(path: &Nibbles, value: &[u8], out: &mut Vec<u8>) {
    let path = encode_path_leaf(path, true);
    Header { list: true, payload_length: string_len(&path) + string_len(value) }.encode(out);
    encode_string(&path, out);
    encode_string(value, out);
}

/// Appends the leaf of `key` whose path begins at `depth`, which is at most 64.
pub(super) fn encode_leaf_at(key: &B256, depth: usize, value: &[u8], out: &mut Vec<u8>) {
    let rest = &key[depth.div_ceil(2)..];
    let flag = if depth.is_multiple_of(2) { 0x20 } else { 0x30 | key[depth / 2] & 0xf };
    // The path is a string of its own: one byte, which is below 0x80, or more with a header of one byte.
    let path_len = 1 + rest.len() + usize::from(!rest.is_empty());
    Header { list: true, payload_length: path_len + string_len(value) }.encode(out);
    if !rest.is_empty() {
        out.push(EMPTY_STRING_CODE + 1 + rest.len() as u8);
    }
    out.push(flag);
    out.extend_from_slice(rest);
    encode_string(value, out);
}

/// Appends an extension above the node with this reference.
pub(super) fn encode_extension(path: &Nibbles, child: &[u8], out: &mut Vec<u8>) {
    let path = encode_path_leaf(path, false);
    Header { list: true, payload_length: string_len(&path) + child.len() }.encode(out);
    encode_string(&path, out);
    out.extend_from_slice(child);
}

/// Appends a branch whose children have these references, [`Reference::NONE`] where there is none.
///
/// PERF: every reference is copied whole, and the next one begins where its bytes end: which children are there, and of which
/// kind they are, is as random as hashes, and a branch for each would be guessed wrong.
pub(super) fn encode_branch(children: [&Reference; 16], out: &mut Vec<u8>) {
    let mut rlp = [0; HEADER_LEN_MAX + 17 * REFERENCE_LEN_MAX];
    let mut end = HEADER_LEN_MAX;
    for child in children {
        rlp[end..end + REFERENCE_LEN_MAX].copy_from_slice(child.padded());
        end += child.len();
    }
    rlp[end] = EMPTY_STRING_CODE;
    end += 1;
    let header = Header { list: true, payload_length: end - HEADER_LEN_MAX };
    let start = HEADER_LEN_MAX - header.length();
    header.encode(&mut &mut rlp[start..HEADER_LEN_MAX]);
    out.extend_from_slice(&rlp[start..end]);
}

/// Appends a string with its header.
pub(super) fn encode_string(bytes: &[u8], out: &mut Vec<u8>) {
    match bytes {
        [byte] if *byte < EMPTY_STRING_CODE => out.push(*byte),
        _ => {
            Header { list: false, payload_length: bytes.len() }.encode(out);
            out.extend_from_slice(bytes);
        }
    }
}

/// Length of a string with its header.
pub(super) fn string_len(bytes: &[u8]) -> usize {
    match bytes {
        [byte] if *byte < EMPTY_STRING_CODE => 1,
        _ => bytes.len() + Header { list: false, payload_length: bytes.len() }.length(),
    }
}
