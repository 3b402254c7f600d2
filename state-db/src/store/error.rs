//! What can go wrong in a store.
//!
//! Invariant: no variant says anything about a block's validity. Either the caller named something that the store does not
//! have, or the backend failed; in both cases the store holds what it held before.

use crate::trie::StateTrieError;
use alloy_primitives::B256;
use revm::database_interface::DBErrorMarker;

/// A store does not answer or refuses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The block was never staged, was discarded, or is too old to be kept.
    #[error("unknown block {hash}")]
    UnknownBlock {
        /// Hash of the block.
        hash: B256,
    },
    /// Only a staged block can be committed or discarded.
    #[error("block {hash} is not staged")]
    NotStaged {
        /// Hash of the block.
        hash: B256,
    },
    /// A block is committed on the tip, and unwinding ends at an ancestor of the tip.
    #[error("block {hash} is not on the branch of the tip {tip}")]
    NotOnBranch {
        /// Hash of the block.
        hash: B256,
        /// Hash of the newest committed block.
        tip: B256,
    },
    /// A block's number is its parent's plus one.
    #[error("block {hash}: expected number {expected}, found {found}")]
    Number {
        /// Hash of the block.
        hash: B256,
        /// The parent's number plus one.
        expected: u64,
        /// The block's number.
        found: u64,
    },
    /// An account names code that the store does not have.
    #[error("missing code with hash {hash}")]
    MissingCode {
        /// Keccak-256 of the code.
        hash: B256,
    },
    /// The view's branch has no block with this number, or it is not kept.
    #[error("missing hash of block {number}")]
    MissingBlockHash {
        /// The block's number.
        number: u64,
    },
    /// A trie could not be read.
    #[error(transparent)]
    Trie(#[from] StateTrieError),
}

impl DBErrorMarker for StoreError {}
