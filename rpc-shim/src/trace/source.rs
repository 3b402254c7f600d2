//! A known block and the state that it ran on.
//!
//! Place in the flow: what the methods give to the tracers.
//! Invariant: the state is that of the block's own parent, whatever branch is canonical.

use super::ReplayBlock;
use crate::{
    error::RpcError,
    node::{BlockRecord, Node, StateView},
};
use laminar_executor::{Block, chain_spec::ChainSpec};
use std::sync::Arc;

/// A block that can run again.
#[derive(Clone, Debug)]
pub struct TraceSource {
    record: Arc<BlockRecord>,
    block: Block,
    /// The state of the parent.
    pub view: StateView,
}

impl TraceSource {
    /// A known block.
    ///
    /// # Errors
    /// -32000 for a genesis, which has no parent; the parent's state is not kept.
    pub fn new(node: &Node, record: Arc<BlockRecord>) -> Result<Self, RpcError> {
        if record.hash() == node.genesis().hash() {
            return Err(RpcError::server("genesis is not traceable"));
        }
        let view = node.state_of(&record.header.parent_hash)?;
        let block = Block { header: record.header.inner().clone(), body: record.body.clone() };
        Ok(Self { record, block, view })
    }

    /// The block, for a tracer.
    pub fn block<'a>(&'a self, spec: &'a ChainSpec) -> ReplayBlock<'a> {
        ReplayBlock { spec, block: &self.block, hash: self.record.hash(), senders: &self.record.senders }
    }

    /// Number of its transactions.
    pub fn transactions_len(&self) -> usize {
        self.block.body.transactions.len()
    }
}
