//! The versions of one location.
//!
//! Place in the flow: an entry of multi-version memory; its shard's lock guards it.
//! Invariant: ascending by transaction index, one version a transaction. Most locations have one, which lies in place.

use crate::types::TxIndex;
use smallvec::SmallVec;

/// What transactions leave at one location.
#[derive(Debug)]
pub(super) struct Versions<T>(SmallVec<[(TxIndex, T); 1]>);

impl<T> Default for Versions<T> {
    fn default() -> Self {
        Self(SmallVec::new())
    }
}

impl<T> Versions<T> {
    /// The newest of a transaction below `reader`.
    pub(super) fn newest_below(&self, reader: TxIndex) -> Option<&(TxIndex, T)> {
        self.0.iter().rev().find(|(index, _)| *index < reader)
    }

    /// All, ascending.
    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &(TxIndex, T)> {
        self.0.iter()
    }

    /// True if a version of `index` was replaced.
    pub(super) fn set(&mut self, index: TxIndex, value: T) -> bool {
        match self.0.iter().rposition(|(at, _)| *at <= index) {
            Some(at) if self.0[at].0 == index => {
                self.0[at].1 = value;
                return true;
            }
            Some(at) => self.0.insert(at + 1, (index, value)),
            None => self.0.insert(0, (index, value)),
        }
        false
    }

    /// True if there was a version of `index`.
    pub(super) fn remove(&mut self, index: TxIndex) -> bool {
        let before = self.0.len();
        self.0.retain(|(at, _)| *at != index);
        self.0.len() < before
    }
}
