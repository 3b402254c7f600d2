//! Hashes of dirty nodes, level by level from below, a level's nodes of all tries in one batch.
//!
//! Place in the flow: after the changes of a block went into the tries, before anyone asks for a root.
//! PERF: small storage tries change a few nodes a level each; only together do they fill the lanes of a batch.

use super::{
    encode::encode_node,
    node::{Node, NodeId},
    sparse::Trie,
    value::TrieValue,
};
use crate::keccak::{Dispatch, hash_each};
use alloy_primitives::{B256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, nodes::RlpNode};
use rayon::prelude::*;

/// Nodes that are encoded and hashed together; their RLP stays in the second-level cache.
const CHUNK_LEN_MAX: usize = 256;
/// Fewest nodes of a chunk; waking a thread costs about as much as hashing so many.
const CHUNK_LEN_MIN: usize = 64;
/// Nodes of a level from which chunks are worth spreading over threads.
const PARALLEL_LEN_MIN: usize = 4 * CHUNK_LEN_MIN;

/// Nodes shorter than a hash stand in their parent as they are.
const HASH_LEN: usize = 32;

/// A node by trie and id.
type Dirty = (u32, NodeId);

/// Buffers of one thread.
#[derive(Default)]
struct Scratch {
    rlp: Vec<u8>,
    value: Vec<u8>,
    /// End of each node in `rlp`.
    ends: Vec<usize>,
    /// Of the chunk's nodes, those with 32 bytes or more.
    hashed: Vec<usize>,
    hashes: Vec<B256>,
}

impl<V: TrieValue> Trie<V> {
    /// The root hash. Hashes what changed since the last call.
    pub fn root(&mut self) -> B256 {
        hash_tries(&mut [&mut *self]);
        self.clean_root().expect("hashing leaves no dirty node")
    }

    /// The root hash if no node is dirty.
    pub(crate) fn clean_root(&self) -> Option<B256> {
        if self.root == NodeId::EMPTY {
            return Some(EMPTY_ROOT_HASH);
        }
        // A root shorter than 32 bytes stands in its reference unhashed, but the root hash is a hash always.
        self.arena.reference(self.root).map(|rlp| rlp.as_hash().unwrap_or_else(|| keccak256(rlp)))
    }
}

/// Hashes all dirty nodes of several tries, so that [`Trie::root`] of each is at hand.
pub fn hash_tries<V: TrieValue>(tries: &mut [&mut Trie<V>]) {
    let tracked: Vec<_> = tries.iter().map(|trie| trie.dirty_paths()).collect();
    let mut levels = vec![dirty_roots(tries)];
    while let Some(below) = levels.last().map(|level| dirty_children(tries, level))
        && !below.is_empty()
    {
        levels.push(below);
    }
    let mut scratch = Scratch::default();
    let mut references = Vec::new();
    for level in levels.iter().rev() {
        if level.len() < PARALLEL_LEN_MIN {
            for chunk in level.chunks(CHUNK_LEN_MAX) {
                hash_chunk(tries, chunk, &mut scratch, &mut references);
                set_references(tries, chunk, &mut references);
            }
        } else {
            let shared = &*tries;
            let chunk_len = (level.len() / (2 * rayon::current_num_threads())).clamp(CHUNK_LEN_MIN, CHUNK_LEN_MAX);
            let chunks: Vec<Vec<RlpNode>> = level
                .par_chunks(chunk_len)
                .map_init(Scratch::default, |scratch, chunk| {
                    let mut references = Vec::with_capacity(chunk.len());
                    hash_chunk(shared, chunk, scratch, &mut references);
                    references
                })
                .collect();
            for (chunk, mut references) in level.chunks(chunk_len).zip(chunks) {
                set_references(tries, chunk, &mut references);
            }
        }
    }
    for (trie, dirty) in tries.iter_mut().zip(tracked) {
        trie.note_hashed(dirty);
    }
}

fn dirty_roots<V: TrieValue>(tries: &[&mut Trie<V>]) -> Vec<Dirty> {
    let roots = tries.iter().enumerate().map(|(i, trie)| (i as u32, trie.root));
    roots.filter(|(i, root)| tries[*i as usize].arena.is_dirty(*root)).collect()
}

fn dirty_children<V: TrieValue>(tries: &[&mut Trie<V>], level: &[Dirty]) -> Vec<Dirty> {
    let mut below = Vec::new();
    for &(i, id) in level {
        let arena = &tries[i as usize].arena;
        match id.unpack() {
            Node::Extension(place) => {
                let child = arena.extensions[place].child;
                below.extend(arena.is_dirty(child).then_some((i, child)));
            }
            Node::Branch(place) => below.extend(arena.branches[place].dirty_children().map(|(_, child)| (i, child))),
            Node::Empty | Node::Blinded(_) | Node::Leaf(_) => {}
        }
    }
    below
}

/// The references of a chunk's nodes, in order, into `references`. Their children are clean.
fn hash_chunk<V: TrieValue>(
    tries: &[&mut Trie<V>],
    chunk: &[Dirty],
    scratch: &mut Scratch,
    references: &mut Vec<RlpNode>,
) {
    let Scratch { rlp, value, ends, hashed, hashes } = scratch;
    rlp.clear();
    ends.clear();
    hashed.clear();
    for (i, (trie, id)) in chunk.iter().enumerate() {
        let start = rlp.len();
        encode_node(&tries[*trie as usize].arena, *id, value, rlp);
        ends.push(rlp.len());
        if rlp.len() - start >= HASH_LEN {
            hashed.push(i);
        }
    }
    let node = |i: usize| &rlp[i.checked_sub(1).map_or(0, |before| ends[before])..ends[i]];
    hash_each(Dispatch::detect(), hashed.len(), |i| node(hashed[i]), hashes);
    references.clear();
    let mut hashes = hashes.iter();
    for i in 0..chunk.len() {
        let rlp = node(i);
        references.push(match RlpNode::from_raw(rlp) {
            Some(inline) if rlp.len() < HASH_LEN => inline,
            _ => RlpNode::word_rlp(hashes.next().expect("one hash for each node of 32 bytes or more")),
        });
    }
}

fn set_references<V: TrieValue>(tries: &mut [&mut Trie<V>], chunk: &[Dirty], references: &mut Vec<RlpNode>) {
    for (&(trie, id), reference) in chunk.iter().zip(references.drain(..)) {
        tries[trie as usize].arena.set_reference(id, reference);
    }
}
