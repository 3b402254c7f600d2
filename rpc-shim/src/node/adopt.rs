//! Blocks that this node builds itself: built on a known block, and kept without being executed a second time.
//!
//! Place in the flow: the engine's payloads and development mining build here; mining adopts what it built. The pending block is
//! built here too.
//! Invariant: an adopted block is in the tree with the state that its header commits to, exactly as if it had been imported,
//! but that nobody else checked it.

use super::{HeadChange, Node, error::ImportError, record::BlockRecord};
use crate::{
    build::{self, Attributes, BuildError, Built, Parent, Plan},
    error::RpcError,
    metrics::{self, Stage, Stopwatch},
    pool::{self, Pooled},
};
use alloy_consensus::Sealable;
use alloy_primitives::B256;
use laminar_executor::{Block, pipeline::KeptBlock};
use laminar_state_db::StateView;
use std::sync::Arc;

/// Seconds after the head at which the pool takes the next block to come.
const NEXT_BLOCK_SECONDS: u64 = 1;

impl Node {
    /// Builds a block on a known one; candidates are tried in their order. The block is not kept.
    ///
    /// # Errors
    /// See [`BuildError`]; nothing has changed.
    pub fn build(
        &self,
        parent: &BlockRecord,
        attributes: &Attributes,
        candidates: Vec<Arc<Pooled>>,
    ) -> Result<Built, BuildError> {
        let state = self.store.view_at(&parent.hash()).map_err(|error| BuildError::Root(Box::new(error)))?;
        let mut watch = Stopwatch::start();
        let built = self.build_on(&state, parent, attributes, candidates)?;
        let took = watch.lap(Stage::Build);
        metrics::executed(built.block.header.gas_used, built.receipts.len(), took, &built.stats);
        Ok(built)
    }

    /// A block as [`Self::build`] makes it, to look at: with the state after it, which has no proofs. It is not kept.
    ///
    /// # Errors
    /// See [`BuildError`]; nothing has changed.
    pub fn preview(
        &self,
        parent: &BlockRecord,
        attributes: &Attributes,
        candidates: Vec<Arc<Pooled>>,
    ) -> Result<(BlockRecord, StateView), BuildError> {
        let state = self.store.view_at(&parent.hash()).map_err(|error| BuildError::Root(Box::new(error)))?;
        let built = self.build_on(&state, parent, attributes, candidates)?;
        let (state_root, changes) = (built.block.header.state_root, Arc::clone(&built.changes));
        let record = record(built, parent);
        let view = state.with_block(Arc::new(record.to_data()), state_root, changes);
        Ok((record, view))
    }

    fn build_on(
        &self,
        state: &StateView,
        parent: &BlockRecord,
        attributes: &Attributes,
        candidates: Vec<Arc<Pooled>>,
    ) -> Result<Built, BuildError> {
        let total_difficulty = parent.total_difficulty;
        let on = Parent { header: parent.header.inner(), hash: parent.hash(), total_difficulty };
        let plan = Plan { spec: &self.spec, parent: on, attributes, candidates };
        build::build(plan, &self.executor, state, |changes| state.root_after(changes))
    }

    /// Keeps a block that [`Self::build`] made. The head stays.
    ///
    /// # Errors
    /// [`ImportError::UnknownParent`]; [`ImportError::Invalid`] if the parent's state was changed since;
    /// [`ImportError::Store`].
    pub fn adopt(&self, built: Built) -> Result<Arc<BlockRecord>, ImportError> {
        let (hash, parent) = (built.hash, built.block.header.parent_hash);
        let _writer = self.writer.lock();
        let find = |wanted: &B256| self.find(wanted).map_err(|source| ImportError::Store { hash, source });
        if let Some(known) = find(&hash)? {
            return Ok(known);
        }
        let parent = find(&parent)?.ok_or(ImportError::UnknownParent { hash, parent })?;
        self.stage(record(built, &parent))
    }

    /// The head as the pool must know it.
    ///
    /// # Errors
    /// The store does not have the head's state.
    pub fn pool_head(&self) -> Result<pool::Head, RpcError> {
        let head = self.head();
        let state = Arc::new(self.state_of(&head.hash())?);
        Ok(pool::Head::after(&self.spec, head.header.inner(), head.hash(), NEXT_BLOCK_SECONDS, state))
    }
}

/// A built block as the tree keeps it.
fn record(built: Built, parent: &BlockRecord) -> BlockRecord {
    let Block { header, body } = built.block;
    let kept = KeptBlock {
        total_difficulty: parent.total_difficulty.saturating_add(header.difficulty),
        header: header.seal_unchecked(built.hash),
        body,
        senders: built.senders,
        receipts: built.receipts,
        requests: built.requests,
        block_access_list: built.block_access_list,
    };
    BlockRecord { kept, stats: Some(built.stats), changes: Some(built.changes) }
}

impl HeadChange {
    /// The change as the pool must know it.
    pub fn for_pool(&self) -> pool::HeadChange {
        let transactions = |record: &Arc<BlockRecord>| {
            let signed = record.body.transactions.iter().cloned();
            signed.zip(record.senders.iter().copied()).collect::<Vec<_>>()
        };
        let touched = |record: &Arc<BlockRecord>| {
            let changes = record.changes.as_ref();
            changes.map(|changes| changes.accounts.keys().copied().collect::<Vec<_>>())
        };
        pool::HeadChange {
            included: self.added.iter().flat_map(|record| record.transaction_hashes().collect::<Vec<_>>()).collect(),
            returned: self.removed.iter().rev().flat_map(transactions).collect(),
            // What an old block touched is not known, so that all of the pool is looked at.
            touched: self
                .removed
                .iter()
                .chain(&self.added)
                .map(touched)
                .collect::<Option<Vec<_>>>()
                .map(|all| all.concat()),
        }
    }
}
