//! The seam to whoever keeps blocks that were found invalid.
//!
//! Place in the flow: called by the tracker once a block, before its refusal is answered.
//! Invariant: what happens to the block here changes nothing of the answer.

use crate::node::{InvalidBlock, Node};
use laminar_executor::Block;
use std::fmt;

/// Keeps invalid blocks for whoever looks into them later.
pub trait KeepInvalid: fmt::Debug + Send + Sync {
    /// Keeps `block`, whose parent `node` knows and which breaks the rule in `invalid`. A failure is the keeper's to tell.
    fn keep(&self, node: &Node, block: &Block, invalid: &InvalidBlock);
}
