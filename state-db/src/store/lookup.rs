//! Blocks by hash and number, and transactions by hash.
//!
//! Place in the flow: reads beside the store's views; staged blocks come from memory, committed ones from the backend.
//! Invariant: an answer belongs to one moment of the store, whatever is committed or taken back meanwhile.

use super::{BlockData, BlockPart, Snapshot, Store, StoreError, TransactionPlace};
use crate::overlay::Layer;
use alloy_primitives::{B256, Bytes};
use std::sync::Arc;

impl Store {
    /// A block, staged or committed.
    ///
    /// # Errors
    /// The backend failed.
    pub fn block(&self, hash: &B256) -> Result<Option<Arc<BlockData>>, StoreError> {
        match self.layer(hash) {
            Ok(layer) => Ok(Some(layer.block.clone())),
            Err(snapshot) => snapshot.block(hash),
        }
    }

    /// RLP of a block's header, staged or committed.
    ///
    /// # Errors
    /// The backend failed.
    pub fn header(&self, hash: &B256) -> Result<Option<Bytes>, StoreError> {
        self.part(hash, BlockPart::Header)
    }

    /// RLP of a block's body, staged or committed.
    ///
    /// # Errors
    /// The backend failed.
    pub fn body(&self, hash: &B256) -> Result<Option<Bytes>, StoreError> {
        self.part(hash, BlockPart::Body)
    }

    /// RLP of a block's receipts, staged or committed.
    ///
    /// # Errors
    /// The backend failed.
    pub fn receipts(&self, hash: &B256) -> Result<Option<Bytes>, StoreError> {
        self.part(hash, BlockPart::Receipts)
    }

    /// Hash of the committed block with a number.
    ///
    /// # Errors
    /// The backend failed.
    pub fn canonical_hash(&self, number: u64) -> Result<Option<B256>, StoreError> {
        let tree = self.0.tree.read();
        if number > tree.durable.number {
            let layer = tree.pending().into_iter().find(|layer| layer.block.id.number == number);
            return Ok(layer.map(|layer| layer.block.id.hash));
        }
        let (at, snapshot) = (tree.durable_moment, tree.snapshot.clone());
        drop(tree);
        snapshot.block_hash(at, number)
    }

    /// Where a transaction stands on the committed branch.
    ///
    /// # Errors
    /// The backend failed.
    pub fn transaction(&self, hash: &B256) -> Result<Option<TransactionPlace>, StoreError> {
        let tree = self.0.tree.read();
        for layer in tree.pending() {
            if let Some(index) = layer.block.transactions.iter().position(|transaction| transaction == hash) {
                return Ok(Some(TransactionPlace { block: layer.block.id, index: index as u32 }));
            }
        }
        let (durable, snapshot) = (tree.durable, tree.snapshot.clone());
        drop(tree);
        Ok(snapshot.transaction(hash)?.filter(|place| place.block.number <= durable.number))
    }

    fn part(&self, hash: &B256, part: BlockPart) -> Result<Option<Bytes>, StoreError> {
        match self.layer(hash) {
            Ok(layer) => Ok(Some(layer.block.part(part))),
            Err(snapshot) => snapshot.block_part(hash, part),
        }
    }

    /// A staged block, or else where the committed ones are.
    fn layer(&self, hash: &B256) -> Result<Arc<Layer>, Arc<dyn Snapshot>> {
        let tree = self.0.tree.read();
        tree.overlay.get(hash).cloned().ok_or_else(|| tree.snapshot.clone())
    }
}
