//! Dividing a big trie into sixteen parts by the first nibble, and joining them.
//!
//! Place in the flow: before an update that threads are to share; back again before one that may leave a single part.
//! Invariant: values, root and what later updates give are those of the undivided trie; nothing clean becomes dirty.

use super::{
    node::{Branch, Node, NodeId},
    sparse::{PARALLEL_MIN, PARTS, SPLIT_MIN, Trie, prefix},
    subtrie::Subtrie,
    value::TrieValue,
};
use alloy_trie::Nibbles;

impl<V: TrieValue> Trie<V> {
    /// Divides the trie into parts that threads can work on, if it forks at the root. Big tries are divided by themselves; values,
    /// root and updates stay what they are.
    pub fn split(&mut self) {
        let [whole] = &*self.parts else { return };
        let Node::Branch(place) = whole.root.unpack() else { return };
        let part = |(nibble, child): (_, &NodeId)| {
            let mut part = Subtrie { epoch: whole.epoch, ..Subtrie::new(prefix(nibble)) };
            part.journal = whole.journal.as_ref().map(|_| Box::default());
            part.root = super::forget::copy_since(&whole.arena, &mut part.arena, *child, 0);
            part.changes = whole.changes.div_ceil(PARTS);
            part
        };
        let parts = whole.arena.branches[place].children.iter().enumerate().map(part).collect();
        self.root = whole.arena.reference(whole.root).cloned();
        self.keep_journals();
        self.parts = parts;
    }

    pub(super) fn split_if_big(&mut self, keys_len: usize) {
        let is_big = |whole: &Subtrie<V>| whole.arena.leaves.len() >= SPLIT_MIN && keys_len >= PARALLEL_MIN;
        if matches!(&*self.parts, [whole] if is_big(whole)) {
            self.split();
        }
    }

    /// The sixteen parts in one again. Precondition: two or more of them hold leaves.
    pub(super) fn join(&mut self) {
        let mut whole = Subtrie { epoch: self.parts[0].epoch, ..Subtrie::new(Nibbles::new()) };
        whole.journal = self.journal.as_ref().map(|_| Box::default());
        whole.changes = self.parts.iter().map(|part| part.changes).sum();
        let mut children = Branch::EMPTY_CHILDREN;
        for (child, part) in children.iter_mut().zip(&self.parts) {
            *child = super::forget::copy_since(&part.arena, &mut whole.arena, part.root, 0);
        }
        whole.root = whole.arena.new_branch(children, whole.epoch);
        let is_clean = children.iter().all(|child| !whole.arena.is_dirty(*child));
        if let Some(reference) = self.root.take().filter(|_| is_clean) {
            whole.arena.set_reference(whole.root, reference);
        }
        self.keep_journals();
        self.parts = vec![whole];
    }
}
