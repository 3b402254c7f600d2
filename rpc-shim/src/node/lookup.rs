//! Finding blocks and states: recent ones in the tree, older ones in the store.
//!
//! Place in the flow: every method that reads comes through here.
//! Invariant: the tree's lock is held for a look-up in memory only, never while the store reads. What the store cannot read is
//! told in the log and answered like something unknown, except where a fork choice or an import depends on it.

use super::{chain::Node, head::HeadChange, record::BlockRecord};
use crate::error::RpcError;
use alloy_consensus::Header;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::B256;
use alloy_rlp::Decodable;
use laminar_state_db::{StateView, StoreError};
use std::sync::Arc;

/// How far the safe block of a chain without fork choices is below its head, as on anvil: an epoch.
const SAFE_DEPTH: u64 = 32;
/// The same of the finalised block.
const FINALIZED_DEPTH: u64 = 2 * SAFE_DEPTH;

/// The way from one block to another: what it changes, and the last block that both have.
pub(super) type Route = (HeadChange, Arc<BlockRecord>);

impl Node {
    /// The newest canonical block.
    pub fn head(&self) -> Arc<BlockRecord> {
        Arc::clone(self.tree.read().head())
    }

    /// The first block.
    pub fn genesis(&self) -> Arc<BlockRecord> {
        Arc::clone(self.tree.read().genesis())
    }

    /// The block that is unlikely to be undone, where a fork choice named one, or it goes by depth.
    pub fn safe(&self) -> Option<Arc<BlockRecord>> {
        let safe = self.tree.read().safe;
        safe.map_or_else(|| self.at_depth(SAFE_DEPTH), |safe| self.block_by_hash(&safe.hash))
    }

    /// The block that cannot be undone, where a fork choice named one, or it goes by depth.
    pub fn finalized(&self) -> Option<Arc<BlockRecord>> {
        let finalized = self.tree.read().finalized;
        finalized.map_or_else(|| self.at_depth(FINALIZED_DEPTH), |finalized| self.block_by_hash(&finalized.hash))
    }

    /// The block so far below the head, the genesis if there is none, on a chain that goes by depth.
    fn at_depth(&self, depth: u64) -> Option<Arc<BlockRecord>> {
        self.tags_by_depth.get()?;
        let (head, first) = (self.head().header.number, self.genesis().header.number);
        self.block_by_number(head.saturating_sub(depth).max(first))
    }

    /// A block by its hash, canonical or not.
    pub fn block_by_hash(&self, hash: &B256) -> Option<Arc<BlockRecord>> {
        told(self.find(hash))
    }

    /// The canonical block with a number.
    pub fn block_by_number(&self, number: u64) -> Option<Arc<BlockRecord>> {
        self.block_by_hash(&self.canonical_hash(number)?)
    }

    /// The header of the canonical block with a number; of an old block nothing else is read.
    pub fn header_by_number(&self, number: u64) -> Option<Header> {
        let hash = self.canonical_hash(number)?;
        if let Some(record) = self.tree.read().get(&hash) {
            return Some(record.header.inner().clone());
        }
        let bytes = told(self.store.header(&hash))?;
        told(Header::decode(&mut &bytes[..]).map(Some).map_err(|error| StoreError::Corrupt {
            table: "Headers",
            what: format!("{error} in the header of block {number}"),
        }))
    }

    /// Hash of the canonical block with a number.
    pub fn canonical_hash(&self, number: u64) -> Option<B256> {
        let tree = self.tree.read();
        if number >= tree.recent_first() {
            return tree.recent_hash(number);
        }
        drop(tree);
        told(self.store.canonical_hash(number))
    }

    /// A block by its hash.
    pub(super) fn find(&self, hash: &B256) -> Result<Option<Arc<BlockRecord>>, StoreError> {
        if let Some(record) = self.tree.read().get(hash) {
            return Ok(Some(Arc::clone(record)));
        }
        let data = self.store.block(hash)?;
        data.map(|data| BlockRecord::read(&data).map(Arc::new)).transpose()
    }

    /// The block that a number, a tag or a hash means. `pending` is the head: see [`Self::state_at`]. A hash that must be
    /// canonical (EIP-1898) and is not means none.
    pub fn block(&self, id: BlockId) -> Option<Arc<BlockRecord>> {
        match id {
            BlockId::Hash(hash) => {
                let record = self.block_by_hash(&hash.block_hash)?;
                let needed = hash.require_canonical == Some(true);
                (!needed || self.is_canonical(&hash.block_hash)).then_some(record)
            }
            BlockId::Number(BlockNumberOrTag::Number(number)) => self.block_by_number(number),
            BlockId::Number(BlockNumberOrTag::Earliest) => Some(self.genesis()),
            BlockId::Number(BlockNumberOrTag::Latest | BlockNumberOrTag::Pending) => Some(self.head()),
            BlockId::Number(BlockNumberOrTag::Safe) => self.safe(),
            BlockId::Number(BlockNumberOrTag::Finalized) => self.finalized(),
        }
    }

    /// The state after the block that `id` means. `pending` is the state of the head; what makes it pending is the
    /// environment of the next block, which is the caller's.
    ///
    /// # Errors
    /// -32000 for an unknown block, as geth; those of [`Self::state_of`].
    pub fn state_at(&self, id: BlockId) -> Result<StateView, RpcError> {
        let hash = match id {
            BlockId::Number(BlockNumberOrTag::Number(number)) => self.canonical_hash(number),
            id => self.block(id).map(|record| record.hash()),
        };
        self.state_of(&hash.ok_or_else(|| self.no_block(id))?)
    }

    /// The state after a known block.
    ///
    /// # Errors
    /// -32000 if the store does not have it, or no longer; -32603 if it cannot be read.
    pub fn state_of(&self, hash: &B256) -> Result<StateView, RpcError> {
        self.store.view_at(hash).map_err(|error| match error {
            StoreError::UnknownBlock { .. } | StoreError::Pruned { .. } => {
                RpcError::server(format_args!("missing state of block {hash}"))
            }
            error => error.into(),
        })
    }

    /// The refusal of a method that needs a block which `id` does not name.
    pub fn no_block(&self, id: BlockId) -> RpcError {
        match id {
            BlockId::Number(BlockNumberOrTag::Safe) => RpcError::server("safe block not found"),
            BlockId::Number(BlockNumberOrTag::Finalized) => RpcError::server("finalized block not found"),
            BlockId::Hash(hash) if self.block_by_hash(&hash.block_hash).is_some() => {
                RpcError::server("hash is not currently canonical")
            }
            BlockId::Hash(_) => RpcError::server("header for hash not found"),
            BlockId::Number(_) => RpcError::server("header not found"),
        }
    }

    /// Whether a block is on the canonical branch.
    pub fn is_canonical(&self, hash: &B256) -> bool {
        {
            let tree = self.tree.read();
            if tree.get(hash).is_some() {
                return !tree.is_side(hash);
            }
        }
        // What is in the store and not in the tree is committed.
        told(self.store.header(hash)).is_some()
    }

    /// Whether a block is another or comes before it on its branch.
    pub fn is_ancestor_or_same(&self, ancestor: &B256, of: &B256) -> bool {
        let Some(number) = self.block_by_hash(ancestor).map(|record| record.header.number) else { return false };
        let mut at = *of;
        loop {
            let tree = self.tree.read();
            match tree.get(&at).filter(|record| tree.is_side(&record.hash())) {
                Some(record) if at == *ancestor || record.header.number <= number => return at == *ancestor,
                Some(record) => at = record.header.parent_hash,
                None => break,
            }
        }
        let joins = self.block_by_hash(&at).map(|record| record.header.number);
        joins.is_some_and(|joins| number <= joins) && self.canonical_hash(number) == Some(*ancestor)
    }

    /// The block of a canonical transaction and the transaction's position in it.
    pub fn transaction(&self, hash: &B256) -> Option<(Arc<BlockRecord>, usize)> {
        let recent_first = {
            let tree = self.tree.read();
            if let Some((block, index)) = tree.transaction(hash) {
                return Some((tree.get(&block).cloned()?, index));
            }
            tree.recent_first()
        };
        let place = told(self.store.transaction(hash)).filter(|place| place.block.number < recent_first)?;
        Some((self.block_by_hash(&place.block.hash)?, place.index as usize))
    }

    /// Number of known blocks on all branches.
    pub fn blocks_len(&self) -> usize {
        let tree = self.tree.read();
        let canonical = tree.head().header.number - tree.genesis().header.number + 1;
        usize::try_from(canonical).unwrap_or(usize::MAX).saturating_add(tree.sides_len())
    }

    /// What became of the canonical branch since `hash` was its head; `None` if the block is not known.
    pub fn since(&self, hash: &B256) -> Option<HeadChange> {
        let seen = self.block_by_hash(hash)?;
        told(self.route(&seen, &self.head()).map(|(change, _)| Some(change)))
    }

    /// The way between two known blocks over their last common ancestor.
    pub(super) fn route(&self, from: &Arc<BlockRecord>, to: &Arc<BlockRecord>) -> Result<Route, StoreError> {
        let mut change = HeadChange::default();
        let (mut left, mut right) = (Arc::clone(from), Arc::clone(to));
        while left.hash() != right.hash() {
            let (a, b) = (left.header.number, right.header.number);
            if a >= b {
                let parent = self.parent(&left)?;
                change.removed.push(std::mem::replace(&mut left, parent));
            }
            if b >= a {
                let parent = self.parent(&right)?;
                change.added.push(std::mem::replace(&mut right, parent));
            }
        }
        change.added.reverse();
        Ok((change, left))
    }

    fn parent(&self, record: &BlockRecord) -> Result<Arc<BlockRecord>, StoreError> {
        let hash = record.header.parent_hash;
        self.find(&hash)?.ok_or(StoreError::UnknownBlock { hash })
    }
}

/// What was found; a failure goes to the log.
fn told<T>(found: Result<Option<T>, StoreError>) -> Option<T> {
    found.unwrap_or_else(|error| {
        tracing::error!(%error, "the store could not be read");
        None
    })
}
