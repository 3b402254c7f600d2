//! Hashes of dirty nodes, level by level from below, a level's nodes of several tries in one batch.
//!
//! Place in the flow: after the changes of a block went into the tries, before anyone asks for a root.
//! PERF: small storage tries change a few nodes a level each; only together do they fill the lanes of a batch. Big tries come in
//! parts, and threads take parts: a part's nodes stay in the caches of the thread that encodes and hashes them.

use super::{
    batch::NodeBatch,
    encode::encode_node,
    id::{Link, Node, NodeId},
    reference::Reference,
    share::deal,
    sparse::Trie,
    subtrie::Subtrie,
    value::TrieValue,
};
use alloy_trie::Nibbles;
use rayon::prelude::*;
use std::{hint::black_box, sync::Arc};

/// Nodes that are encoded and hashed together; their RLP stays in the second-level cache.
const CHUNK_LEN: usize = 256;
/// Bytes of subtries up to which their nodes are taken to be in the caches: in the second level of one core.
const CACHED_BYTES_MAX: usize = 1 << 20;
/// Changes below a group of subtries that are worth a task of their own, and that fill the lanes.
pub(super) const GROUP_CHANGES_MIN: usize = 48;
/// The same, where other tasks are at work already.
const TASK_CHANGES_MIN: usize = 256;

/// A node by subtrie, place and id.
type Dirty = (u32, Link, NodeId);

/// Hashes all dirty nodes of several tries, so that [`Trie::root`] of each is at hand.
pub fn hash_tries<V: TrieValue>(tries: &mut [&mut Trie<V>]) {
    hash_tries_by(tries, GROUP_CHANGES_MIN);
}

/// [`hash_tries`] in a task that is one of several.
pub(super) fn hash_tries_in_task<V: TrieValue>(tries: &mut [&mut Trie<V>]) {
    hash_tries_by(tries, TASK_CHANGES_MIN);
}

fn hash_tries_by<V: TrieValue>(tries: &mut [&mut Trie<V>], changes_min: usize) {
    let parts = tries.iter_mut().flat_map(|trie| &mut trie.parts);
    let dirty = parts.filter(|part| part.is_dirty()).map(|part| (part.changes, Arc::make_mut(part)));
    deal(dirty.collect(), changes_min).par_iter_mut().for_each(|group| hash_group(group));
    for trie in tries.iter_mut().filter(|trie| trie.is_split() && trie.root.is_none()) {
        hash_root(trie);
    }
}

/// Computes the reference of the branch above sixteen parts.
fn hash_root<V: TrieValue>(trie: &mut Trie<V>) {
    let Some(rlp) = trie.root_rlp() else { return };
    trie.root = Some(Reference::from_rlp(&rlp));
    if let Some(journal) = trie.journal.as_deref_mut() {
        journal.write(Nibbles::new(), rlp);
    }
}

/// Hashes the dirty nodes of subtries, whose roots are dirty, in common batches.
pub(super) fn hash_group<V: TrieValue>(subtries: &mut [&mut Subtrie<V>]) {
    let tracked: Vec<_> = subtries.iter().map(|subtrie| subtrie.dirty_paths()).collect();
    let roots = subtries.iter().enumerate().map(|(i, subtrie)| (i as u32, Link::Root, subtrie.root.id));
    let mut levels = vec![roots.collect::<Vec<Dirty>>()];
    while let Some(below) = levels.last().map(|level| dirty_children(subtries, level))
        && !below.is_empty()
    {
        levels.push(below);
    }
    let is_big = subtries.iter().map(|subtrie| subtrie.arena.memory_bytes()).sum::<usize>() > CACHED_BYTES_MAX;
    let len_max = levels.iter().map(Vec::len).max().unwrap_or_default();
    let mut batch = NodeBatch::with_room(len_max.min(CHUNK_LEN));
    for chunk in levels.iter().rev().flat_map(|level| level.chunks(CHUNK_LEN)) {
        if is_big {
            let touched = chunk.iter().map(|(subtrie, _, id)| subtries[*subtrie as usize].arena.touch(*id));
            black_box(touched.sum::<usize>());
        }
        for (subtrie, _, id) in chunk {
            batch.add(|value, rlp| encode_node(&subtries[*subtrie as usize].arena, *id, value, rlp));
        }
        if is_big {
            let touched = chunk.iter().map(|(subtrie, link, _)| subtries[*subtrie as usize].touch_reference(*link));
            black_box(touched.sum::<usize>());
        }
        batch.finish(|i, reference| {
            let (subtrie, link, _) = chunk[i];
            subtries[subtrie as usize].set_reference(link, reference);
        });
    }
    for (subtrie, dirty) in subtries.iter_mut().zip(tracked) {
        subtrie.note_hashed(dirty);
        subtrie.changes = 0;
    }
}

fn dirty_children<V: TrieValue>(subtries: &[&mut Subtrie<V>], level: &[Dirty]) -> Vec<Dirty> {
    let mut below = Vec::new();
    for &(i, _, id) in level {
        let arena = &subtries[i as usize].arena;
        match id.unpack() {
            Node::Extension(place) => {
                let child = arena.extensions[place].child;
                below.extend(child.reference.is_empty().then_some((i, Link::Extension(place), child.id)));
            }
            Node::Branch(place) => {
                let children = arena.branches.get(place).dirty_children();
                below.extend(children.map(|(nibble, child)| (i, Link::Branch(place, nibble), child)));
            }
            Node::Empty | Node::Blinded | Node::Leaf(_) => {}
        }
    }
    below
}
