//! A known block with everything that its execution gave.
//!
//! Place in the flow: an import or a build makes it; the tree holds the recent ones, the others are read back from the store.
//! Invariant: a record that was read back is the one that was kept, without what is known only while its block is recent.

use alloy_consensus::{BlockBody, Header, Sealable};
use alloy_eip7928::BlockAccessList;
use alloy_eips::eip7685::Requests;
use alloy_primitives::{Address, B256, Sealed, U256};
use laminar_executor::{
    Receipt, Stats, Transaction,
    check_header::Ancestor,
    pipeline::{BlockParts, KeptBlock, block_data},
};
use laminar_state_db::{BlockChanges, BlockData, BlockRef, StoreError};
use std::sync::Arc;

/// An imported block with everything that its execution gave.
#[derive(Clone, Debug)]
pub struct BlockRecord {
    /// The header and its hash.
    pub header: Sealed<Header>,
    /// The body.
    pub body: BlockBody<Transaction>,
    /// Senders, one per transaction in block order.
    pub senders: Vec<Address>,
    /// Receipts, one per transaction in block order.
    pub receipts: Vec<Receipt>,
    /// Requests (EIP-7685); empty before Prague.
    pub requests: Requests,
    /// The access list that execution built (EIP-7928), where the fork or the executor's configuration asked for it.
    pub block_access_list: Option<BlockAccessList>,
    /// Sum of the difficulties up to and including this block.
    pub total_difficulty: U256,
    /// How it was executed; not kept with old blocks.
    pub stats: Option<Stats>,
    /// What it changes on its parent's state; not kept with old blocks.
    pub changes: Option<Arc<BlockChanges>>,
}

impl BlockRecord {
    /// Hash of the header.
    pub const fn hash(&self) -> B256 {
        self.header.hash()
    }

    /// Number and hash.
    pub fn id(&self) -> BlockRef {
        BlockRef { number: self.header.number, hash: self.hash() }
    }

    /// Hashes of the transactions in block order.
    pub fn transaction_hashes(&self) -> impl Iterator<Item = B256> {
        self.body.transactions.iter().map(|tx| *tx.tx_hash())
    }

    /// As the store keeps it.
    pub(super) fn to_data(&self) -> BlockData {
        block_data(&BlockParts {
            hash: self.hash(),
            header: self.header.inner(),
            body: &self.body,
            senders: &self.senders,
            receipts: &self.receipts,
            requests: &self.requests,
            block_access_list: self.block_access_list.as_ref(),
            total_difficulty: self.total_difficulty,
        })
    }

    /// As it is read back.
    pub(super) fn read(data: &BlockData) -> Result<Self, StoreError> {
        let malformed = |error| StoreError::Corrupt { table: "Blocks", what: format!("{error} {}", data.id.number) };
        let kept = KeptBlock::decode(data).map_err(malformed)?;
        let KeptBlock { header, body, senders, receipts, requests, block_access_list, total_difficulty } = kept;
        Ok(Self {
            header,
            body,
            senders,
            receipts,
            requests,
            block_access_list,
            total_difficulty,
            stats: None,
            changes: None,
        })
    }

    /// What the ommer check asks for.
    pub(super) fn as_ancestor(&self) -> Ancestor {
        let ommers = self.body.ommers.iter().map(Sealable::hash_slow).collect();
        Ancestor { header: self.header.clone(), ommers }
    }
}
