//! The head, the safe and the finalised block, and how a change of the head is told.
//!
//! Place in the flow: what fork choice moves; block tags are answered from here, subscriptions and filters listen to it.
//! Invariant: listeners see every change in order, or are told how many they missed.

use super::record::BlockRecord;
use alloy_primitives::B256;
use std::sync::Arc;

/// Changes of the head that a listener may fall behind before it misses some.
pub(super) const BEHIND_MAX: usize = 1024;

/// What a consensus client, or whoever plays one, says about the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForkChoice {
    /// The new head.
    pub head: B256,
    /// A block that is unlikely to be undone. `None` leaves it as it is.
    pub safe: Option<B256>,
    /// A block that cannot be undone. `None` leaves it as it is.
    pub finalized: Option<B256>,
}

impl ForkChoice {
    /// Moves the head only.
    pub const fn head(head: B256) -> Self {
        Self { head, safe: None, finalized: None }
    }
}

/// What a change of the head did to the canonical branch.
#[derive(Clone, Debug, Default)]
pub struct HeadChange {
    /// Blocks that are no longer canonical, newest first.
    pub removed: Vec<Arc<BlockRecord>>,
    /// Blocks that became canonical, oldest first.
    pub added: Vec<Arc<BlockRecord>>,
}
