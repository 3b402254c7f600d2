//! A node of the arena into RLP.
//!
//! Precondition throughout: the children are clean. The inverse of `decode`.

use super::{
    node::{Arena, Branch, Node, NodeId},
    value::TrieValue,
};
use alloy_rlp::{EMPTY_STRING_CODE, Header};
use alloy_trie::{Nibbles, nodes::encode_path_leaf};

/// A hash with its header.
const REFERENCE_LEN_MAX: usize = 33;

/// Appends the RLP of a revealed node to `out`; nothing for blinded nodes and for none. `scratch` is overwritten.
pub(super) fn encode_node<V: TrieValue>(arena: &Arena<V>, id: NodeId, scratch: &mut Vec<u8>, out: &mut Vec<u8>) {
    match id.unpack() {
        Node::Empty | Node::Blinded(_) => {}
        Node::Leaf(place) => {
            let leaf = &arena.leaves[place];
            scratch.clear();
            leaf.value.encode(scratch);
            encode_leaf(&leaf.path, scratch, out);
        }
        Node::Extension(place) => {
            let extension = &arena.extensions[place];
            let child = arena.reference(extension.child).expect("children are hashed before their parent");
            encode_extension(&extension.path, child, out);
        }
        Node::Branch(place) => encode_branch(arena, &arena.branches[place], out),
    }
}

/// Appends a leaf whose value has these bytes.
pub(super) fn encode_leaf(path: &Nibbles, value: &[u8], out: &mut Vec<u8>) {
    let path = encode_path_leaf(path, true);
    Header { list: true, payload_length: string_len(&path) + string_len(value) }.encode(out);
    encode_string(&path, out);
    encode_string(value, out);
}

/// Appends an extension above the node with this reference.
pub(super) fn encode_extension(path: &Nibbles, child: &[u8], out: &mut Vec<u8>) {
    let path = encode_path_leaf(path, false);
    Header { list: true, payload_length: string_len(&path) + child.len() }.encode(out);
    encode_string(&path, out);
    out.extend_from_slice(child);
}

fn encode_branch<V>(arena: &Arena<V>, branch: &Branch, out: &mut Vec<u8>) {
    // Gathered first, since the header says the length, and each child may be a cache miss.
    let mut rlp = [EMPTY_STRING_CODE; 16 * REFERENCE_LEN_MAX + 1];
    let mut end = 0;
    for child in branch.children {
        if child == NodeId::EMPTY {
            rlp[end] = EMPTY_STRING_CODE;
            end += 1;
            continue;
        }
        let reference = arena.reference(child).expect("children are hashed before their parent");
        match <&[u8; REFERENCE_LEN_MAX]>::try_from(&reference[..]) {
            Ok(hash) => rlp[end..end + REFERENCE_LEN_MAX].copy_from_slice(hash),
            Err(_) => rlp[end..end + reference.len()].copy_from_slice(reference),
        }
        end += reference.len();
    }
    rlp[end] = EMPTY_STRING_CODE;
    end += 1;
    Header { list: true, payload_length: end }.encode(out);
    out.extend_from_slice(&rlp[..end]);
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
