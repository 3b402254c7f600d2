//! Payloads whose parent is not known yet.
//!
//! Place in the flow: beside the tracker, which asks for the children of whatever it imported.
//! Invariant: at most [`WAITING_MAX`] payloads wait, each once, under its parent; above it the one that came first is forgotten,
//! which costs its consensus client a second delivery.
//! It does not: check or execute anything; a payload that waits has passed only what needs no parent.

use crate::node::Delivered;
use alloy_primitives::{B256, map::B256Map};
use std::collections::VecDeque;

/// Payloads that may wait. A consensus client that catches up delivers a few epochs ahead.
const WAITING_MAX: usize = 128;

/// Payloads by the parent that they wait for.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    by_parent: B256Map<Vec<(B256, Delivered)>>,
    /// Parent and hash in order of arrival; entries of payloads that no longer wait stay until their turn comes.
    arrivals: VecDeque<(B256, B256)>,
    len: usize,
}

impl Waiting {
    /// Keeps a payload until its parent is known.
    pub(super) fn insert(&mut self, hash: B256, delivered: Delivered) {
        let parent = delivered.block.header.parent_hash;
        let siblings = self.by_parent.entry(parent).or_default();
        if siblings.iter().any(|(known, _)| *known == hash) {
            return;
        }
        siblings.push((hash, delivered));
        self.arrivals.push_back((parent, hash));
        self.len += 1;
        while self.len > WAITING_MAX || self.arrivals.len() > 2 * WAITING_MAX {
            let Some((parent, hash)) = self.arrivals.pop_front() else { break };
            self.forget(parent, hash);
        }
    }

    /// Takes all that wait for a block.
    pub(super) fn take_children(&mut self, parent: &B256) -> Vec<(B256, Delivered)> {
        let children = self.by_parent.remove(parent).unwrap_or_default();
        self.len -= children.len();
        children
    }

    fn forget(&mut self, parent: B256, hash: B256) {
        let Some(siblings) = self.by_parent.get_mut(&parent) else { return };
        let before = siblings.len();
        siblings.retain(|(known, _)| *known != hash);
        self.len -= before - siblings.len();
        if siblings.is_empty() {
            self.by_parent.remove(&parent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{BlockBody, Header};
    use laminar_executor::Block;

    fn payload(parent: u64, number: u64) -> (B256, Delivered) {
        let header =
            Header { parent_hash: B256::from(alloy_primitives::U256::from(parent)), number, ..Header::default() };
        (header.hash_slow(), Delivered::new(Block::new(header, BlockBody::default())))
    }

    fn parent(number: u64) -> B256 {
        B256::from(alloy_primitives::U256::from(number))
    }

    #[test]
    fn children_come_once_and_in_order_of_arrival() {
        let mut waiting = Waiting::default();
        let (a, b, c) = (payload(1, 1), payload(1, 2), payload(2, 3));
        for (hash, delivered) in [&a, &b, &c, &a] {
            waiting.insert(*hash, delivered.clone());
        }
        let hashes = |children: Vec<(B256, Delivered)>| children.into_iter().map(|(hash, _)| hash).collect::<Vec<_>>();
        assert_eq!(hashes(waiting.take_children(&parent(1))), [a.0, b.0]);
        assert!(waiting.take_children(&parent(1)).is_empty());
        assert_eq!(hashes(waiting.take_children(&parent(2))), [c.0]);
        assert_eq!(waiting.len, 0);
    }

    #[test]
    fn first_one_is_forgotten_when_too_many_wait() {
        let mut waiting = Waiting::default();
        let most = WAITING_MAX as u64;
        for number in 0..most + 3 {
            let (hash, delivered) = payload(number, number);
            waiting.insert(hash, delivered);
        }
        assert_eq!(waiting.len, WAITING_MAX);
        assert!((0..3).all(|number| waiting.take_children(&parent(number)).is_empty()));
        assert!((3..most + 3).all(|number| waiting.take_children(&parent(number)).len() == 1));
        // Arrivals do not grow with payloads that were taken.
        for number in 0..10 * most {
            let (hash, delivered) = payload(number, number);
            waiting.insert(hash, delivered);
            waiting.take_children(&parent(number));
        }
        assert!(waiting.arrivals.len() <= 2 * WAITING_MAX);
    }
}
