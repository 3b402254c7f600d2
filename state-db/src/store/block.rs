//! A block as a store keeps it.
//!
//! Place in the flow: the node makes it of an executed block, `stage` takes it, the lookups give it back.
//! The store knows no transaction: header, body, receipts and what else the node wants to keep are bytes to it.

use alloy_primitives::{Address, B256, Bytes};
use std::collections::BTreeMap;

/// Number and hash of a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct BlockRef {
    /// Number of the block; the genesis need not be zero.
    pub number: u64,
    /// Hash of the header.
    pub hash: B256,
}

/// A block with everything that is kept of it beside the state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockData {
    /// The block itself.
    pub id: BlockRef,
    /// Hash of the parent.
    pub parent: B256,
    /// RLP of the header.
    pub header: Bytes,
    /// RLP of the body.
    pub body: Bytes,
    /// RLP of the receipts.
    pub receipts: Bytes,
    /// Hashes of the transactions in block order; while the block is committed, they lead to it.
    pub transactions: Vec<B256>,
    /// Senders of the transactions in block order, or empty if the caller does not keep them.
    pub senders: Vec<Address>,
    /// What else the caller wants back with the block, in the caller's own form.
    pub extra: Bytes,
}

/// What a caller keeps beside the blocks, in its own form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Note {
    /// Which chain this is.
    Chain,
    /// What names committed blocks: the safe one, the finalised one.
    Tags,
}

/// Notes that are not committed yet.
pub(crate) type Notes = BTreeMap<Note, Bytes>;

/// One of the parts of a block that are RLP bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BlockPart {
    Header,
    Body,
    Receipts,
}

impl BlockData {
    pub(crate) fn part(&self, part: BlockPart) -> Bytes {
        match part {
            BlockPart::Header => self.header.clone(),
            BlockPart::Body => self.body.clone(),
            BlockPart::Receipts => self.receipts.clone(),
        }
    }
}

/// Where a transaction stands on the committed branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TransactionPlace {
    /// The block.
    pub block: BlockRef,
    /// Position in the block, from zero.
    pub index: u32,
}
