//! Beginning the root of a block before it is known what the block changes.
//!
//! Place in the flow: whoever executes a block on a view names keys that it is likely to change, as soon as they are known; the
//! tries of that state learn the ways to them, and staging finds them there.
//! Invariant: it changes no root and no answer, only how much of the tries must be read and decoded after execution.
//! It does not: put values in. Those of a block are known when all of it is merged.

use super::{error::StoreError, view::StateView};
use alloy_primitives::{Address, U256};

/// An account, or one of its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StateKey {
    /// The account.
    pub address: Address,
    /// The slot; `None` for the account itself.
    pub slot: Option<U256>,
}

impl StateView {
    /// Whether [`Self::prepare_root`] helps the next block on this state: its tries are not all in memory, and what is read of
    /// them is kept.
    pub fn can_prepare_root(&self) -> bool {
        self.snapshot().can_prepare(self)
    }

    /// Makes the ways to some keys in the tries known, for the next block that is staged on this state. One thread at a time; the
    /// staging waits until it is done.
    ///
    /// # Errors
    /// The backend failed, or its nodes are malformed; staging would fail too.
    pub fn prepare_root(&self, keys: &[StateKey]) -> Result<(), StoreError> {
        self.snapshot().prepare_root(self, keys)
    }
}
