//! The words of the executor as types: what a transaction index, an incarnation and a committed prefix are.
//!
//! Place in the flow: the bottom; every other module may use it and it uses none.
//! Invariant: an index never crosses a function boundary as a naked integer.

use alloy_consensus::{EthereumReceipt, EthereumTxEnvelope, TxEip4844};
use std::fmt;

/// A signed transaction as a block carries it (blob transactions without their sidecar).
pub type Transaction = EthereumTxEnvelope<TxEip4844>;

/// A block with typed transactions.
pub type Block = alloy_consensus::Block<Transaction>;

/// A receipt without its bloom, which is computed only where it is asked for.
pub type Receipt = EthereumReceipt;

/// Position of a transaction in its block, from zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TxIndex(pub u32);

impl TxIndex {
    /// The index as a slice position.
    pub const fn as_usize(self) -> usize {
        self.0 as usize
    }

    /// The index of a slice position.
    ///
    /// # Panics
    /// If the position does not fit 32 bits, which no block can reach.
    pub fn from_usize(position: usize) -> Self {
        Self(u32::try_from(position).expect("a block has fewer than 2^32 transactions"))
    }
}

impl fmt::Display for TxIndex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// The how-manieth run of a transaction, from zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation(pub u32);
