//! Blocks that this node builds itself: built on a known block, and kept without being executed a second time.
//!
//! Place in the flow: the engine's payloads and development mining build here; mining adopts what it built.
//! Invariant: an adopted block is in the tree with the state that its header commits to, exactly as if it had been imported,
//! but that nobody else checked it.

use super::{HeadChange, Node, error::ImportError, tree::BlockRecord};
use crate::{
    build::{self, Attributes, BuildError, Built, Parent, Plan},
    error::RpcError,
    pool::{self, Pooled},
};
use alloy_consensus::Sealable;
use alloy_primitives::{B256, keccak256};
use laminar_executor::{
    Block,
    check_header::{Computed, check_outcome},
};
use laminar_state_db::BlockChanges;
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

/// Seconds after the head at which the pool takes the next block to come.
const NEXT_BLOCK_SECONDS: u64 = 1;

/// Names that drafts have had in the store so far.
static DRAFTS: AtomicU64 = AtomicU64::new(0);

/// The state after a draft could not be found.
#[derive(Debug, thiserror::Error)]
#[error("the state of block {0} is not known")]
struct UnknownState(B256);

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
        let hash = parent.hash();
        let state = self.store.view_at(&hash).ok_or_else(|| BuildError::Root(Box::new(UnknownState(hash))))?;
        let on = Parent { header: parent.header.inner(), hash, total_difficulty: parent.total_difficulty };
        let plan = Plan { spec: &self.spec, parent: on, attributes, candidates };
        build::build(plan, &self.executor, &state, |changes| self.root_after(parent, changes))
    }

    /// The state root after changes on a known block.
    fn root_after(&self, parent: &BlockRecord, changes: &Arc<BlockChanges>) -> Result<B256, UnknownState> {
        // ORDER: Relaxed. A counter that makes names differ.
        let name = keccak256(DRAFTS.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let hash = parent.hash();
        let root = self.store.stage((parent.header.number + 1, name), &hash, changes).ok_or(UnknownState(hash))?;
        self.store.discard(&name);
        Ok(root)
    }

    /// Keeps a block that [`Self::build`] made. The head stays.
    ///
    /// # Errors
    /// [`ImportError::UnknownParent`]; [`ImportError::Invalid`] if the parent's state was changed since.
    pub fn adopt(&self, built: Built) -> Result<Arc<BlockRecord>, ImportError> {
        let Built { block: Block { header, body }, hash, senders, receipts, changes, requests, .. } = built;
        let _writer = self.writer.lock();
        if let Some(known) = self.block_by_hash(&hash) {
            return Ok(known);
        }
        let unknown = || ImportError::UnknownParent { hash, parent: header.parent_hash };
        let parent = self.block_by_hash(&header.parent_hash).ok_or_else(unknown)?;
        let root = self.store.stage((header.number, hash), &header.parent_hash, &changes).ok_or_else(unknown)?;
        let computed = Computed { state_root: Some(root), ..Computed::default() };
        if let Err(rule) = check_outcome(&self.spec.rules_for(&header), &header, &computed).into_result() {
            self.store.discard(&hash);
            return Err(ImportError::invalid(hash, rule));
        }
        let total_difficulty = parent.total_difficulty.saturating_add(header.difficulty);
        let record = BlockRecord {
            header: header.seal_unchecked(hash),
            body,
            senders,
            receipts,
            requests,
            block_access_list: built.block_access_list,
            total_difficulty,
            stats: built.stats,
            changes,
        };
        let mut tree = self.tree.write();
        tree.insert(record);
        Ok(tree.get(&hash).cloned().expect("just inserted"))
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

    /// Changes the state after a block without a block: for development chains. The header keeps its root; the roots of blocks
    /// that are built on it from now on are those of the changed state. Views that are held already stay as they are.
    ///
    /// False if the block is not known.
    pub fn amend(&self, block: &B256, changes: &BlockChanges) -> bool {
        let _writer = self.writer.lock();
        self.store.amend(block, changes)
    }
}

impl HeadChange {
    /// The change as the pool must know it.
    pub fn for_pool(&self) -> pool::HeadChange {
        let transactions = |record: &Arc<BlockRecord>| {
            let signed = record.body.transactions.iter().cloned();
            signed.zip(record.senders.iter().copied()).collect::<Vec<_>>()
        };
        let touched = |record: &Arc<BlockRecord>| record.changes.accounts.keys().copied().collect::<Vec<_>>();
        pool::HeadChange {
            included: self.added.iter().flat_map(|record| record.transaction_hashes().collect::<Vec<_>>()).collect(),
            returned: self.removed.iter().rev().flat_map(transactions).collect(),
            touched: Some(self.removed.iter().chain(&self.added).flat_map(touched).collect()),
        }
    }
}
