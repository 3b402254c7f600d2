//! A big trie as sixteen parts by the first nibble of their keys, which threads change without locks.
//!
//! Place in the flow: an update of many keys divides the trie and gives each part its keys; the parts are joined again before a
//! removal that may leave a single one.
//! Invariant: values, root and what later updates give are those of the undivided trie; nothing clean becomes dirty.

use super::{
    error::TrieError,
    hash::{GROUP_CHANGES_MIN, hash_group},
    id::{Child, Draft, FANOUT, Node, NodeId},
    share::deal,
    source::NodeSource,
    sparse::Trie,
    subtrie::Subtrie,
    value::TrieValue,
};
use alloy_primitives::B256;
use alloy_trie::Nibbles;
use rayon::prelude::*;
use std::{ops::Range, sync::Arc};

/// Leaves from which a trie is worth dividing.
pub(super) const SPLIT_MIN: usize = 4096;
/// Keys of an update from which a trie is worth dividing.
const SPLIT_KEYS_MIN: usize = 256;
/// One for each child of the branch at the root.
pub(super) const PARTS: usize = FANOUT;

/// What a trie is asked for when the keys are set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Other changes.
    Changes,
    /// The root.
    Root,
}

impl<V: TrieValue> Trie<V> {
    /// Sets the values of many keys: that of `items[i]` to what `value` makes of the item and of the present one. The items are
    /// ascending by `key`. If `next` says so, many changes are hashed where they are made.
    ///
    /// # Errors
    /// As for [`Self::upsert`], with the position of the item; others may have been set.
    pub(super) fn upsert_all<T: Sync>(
        &mut self,
        items: &[T],
        key: impl Fn(&T) -> &B256 + Sync,
        source: &impl NodeSource,
        next: Next,
        value: impl Fn(&T, Option<&V>) -> V + Sync,
    ) -> Result<(), (usize, TrieError)> {
        self.split_if_big(items.len());
        let upsert = |part: &mut Subtrie<V>, range: Range<usize>| {
            let upserted = part.upsert_sorted(&items[range.clone()], &key, source, &value);
            upserted.map_err(|(place, error)| (range.start + place, error))
        };
        if !self.is_split() {
            return upsert(Arc::make_mut(&mut self.parts[0]), 0..items.len());
        }
        self.root = None;
        let ranges = ranges_by_nibble(items, &key);
        let jobs = self.parts.iter_mut().zip(ranges).filter(|(_, range)| !range.is_empty());
        let groups = deal(jobs.map(|job| (job.1.len(), job)).collect(), GROUP_CHANGES_MIN);
        let run = |group: Vec<(&mut Arc<Subtrie<V>>, Range<usize>)>| {
            let mut parts = Vec::with_capacity(group.len());
            for (part, range) in group {
                let part = Arc::make_mut(part);
                upsert(part, range)?;
                parts.push(part);
            }
            // PERF: now the parts are in the caches of this thread.
            if next == Next::Root {
                parts.retain(|part| part.is_dirty());
                hash_group(&mut parts);
            }
            Ok(())
        };
        groups.into_par_iter().try_for_each(run)
    }

    /// Whether there are sixteen parts.
    pub(super) fn is_split(&self) -> bool {
        self.parts.len() == PARTS
    }

    /// The parts that hold leaves.
    pub(super) fn parts_in_use(&self) -> impl Iterator<Item = &Subtrie<V>> {
        self.parts.iter().map(|part| &**part).filter(|part| part.root.id != NodeId::EMPTY)
    }

    /// Divides the trie into parts that threads can work on, if it forks at the root. Big tries are divided by themselves; values,
    /// root and updates stay what they are.
    pub fn split(&mut self) {
        let [whole] = &*self.parts else { return };
        let Node::Branch(place) = whole.root.id.unpack() else { return };
        let branch = whole.arena.branches.get(place);
        let part = |nibble: u8| {
            let mut part = Subtrie { epoch: whole.epoch, ..Subtrie::new(prefix(usize::from(nibble))) };
            part.journal = whole.journal.as_ref().map(|_| Box::default());
            let child = branch.held(nibble);
            let id = super::forget::copy_since(&whole.arena, &mut part.arena, child, 0);
            part.root = Child { id, ..child };
            part.changes = whole.changes.div_ceil(PARTS);
            Arc::new(part)
        };
        let parts = (0..PARTS as u8).map(part).collect();
        self.root = Some(whole.root.reference).filter(|root| !root.is_empty());
        self.keep_journals();
        self.parts = parts;
    }

    pub(super) fn split_if_big(&mut self, keys_len: usize) {
        let is_big = |whole: &Subtrie<V>| whole.arena.leaves.len() >= SPLIT_MIN && keys_len >= SPLIT_KEYS_MIN;
        if matches!(&*self.parts, [whole] if is_big(whole)) {
            self.split();
        }
    }

    /// The sixteen parts in one again. Precondition: two or more of them hold leaves.
    pub(super) fn join(&mut self) {
        let mut whole = Subtrie { epoch: self.parts[0].epoch, ..Subtrie::new(Nibbles::new()) };
        whole.journal = self.journal.as_ref().map(|_| Box::default());
        whole.changes = self.parts.iter().map(|part| part.changes).sum();
        let mut draft = Draft::new(whole.epoch);
        for (nibble, part) in (0..).zip(&self.parts) {
            let id = super::forget::copy_since(&part.arena, &mut whole.arena, part.root, 0);
            draft.set(nibble, Child { id, ..part.root });
        }
        whole.root = whole.arena.new_branch(&draft);
        let is_clean = self.parts.iter().all(|part| !part.is_dirty());
        whole.root.reference = self.root.take().filter(|_| is_clean).unwrap_or_default();
        self.keep_journals();
        self.parts = vec![Arc::new(whole)];
    }
}

pub(super) fn prefix(nibble: usize) -> Nibbles {
    Nibbles::from_nibbles([nibble as u8])
}

pub(super) fn first_nibble(key: &B256) -> usize {
    usize::from(key[0] >> 4)
}

/// The sixteen ranges of ascending items, by the first nibble of their keys.
pub(super) fn ranges_by_nibble<T>(items: &[T], key: impl Fn(&T) -> &B256) -> [Range<usize>; PARTS] {
    let mut start = 0;
    std::array::from_fn(|nibble| {
        let len = items[start..].partition_point(|item| first_nibble(key(item)) <= nibble);
        start += len;
        start - len..start
    })
}
