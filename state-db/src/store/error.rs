//! What can go wrong in a store.
//!
//! Invariant: no variant says anything about a block's validity. Either the caller named something that the store does not
//! have, or the backend failed; in both cases the store holds what it held before.

use crate::trie::StateTrieError;
use alloy_primitives::B256;
use revm::database_interface::DBErrorMarker;
use signet_libmdbx::MdbxError;
use std::{io, path::PathBuf};

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
    /// The state after the block was changed since by [`Store::amend`](crate::Store::amend): look again.
    #[error("the state after block {hash} was changed meanwhile")]
    Amended {
        /// Hash of the block.
        hash: B256,
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
    /// The block's state was pruned.
    #[error("state of block {number} is pruned; the oldest that is kept is that of block {oldest}")]
    Pruned {
        /// Number of the block.
        number: u64,
        /// Number of the oldest block whose state can be read.
        oldest: u64,
    },
    /// A commit failed before; what is in memory may be ahead of the disk. Reopen the store.
    #[error("a commit failed; the store takes no more until it is opened again")]
    Failed,
    /// The store was opened for reading only.
    #[error("the store is open for reading only")]
    ReadOnly,
    /// There is a store in the folder already.
    #[error("{}: holds a store already", dir.display())]
    Exists {
        /// The folder.
        dir: PathBuf,
    },
    /// There is no store in the folder.
    #[error("{}: holds no store", dir.display())]
    NotFound {
        /// The folder.
        dir: PathBuf,
    },
    /// Another process, or another part of this one, has the store open.
    #[error("{}: in use by another process", dir.display())]
    Locked {
        /// The folder.
        dir: PathBuf,
    },
    /// The store was written by a newer program, or by one that is too old.
    #[error("{}: {} format: expected version {known}, found {found}", dir.display(), if found > known { "newer" } else { "older" })]
    Format {
        /// The folder.
        dir: PathBuf,
        /// The store's version.
        found: u32,
        /// The version that this program reads and writes.
        known: u32,
    },
    /// A table holds what was never written, or lacks what was. Restore or import again.
    #[error("corrupt table {table}: {what}")]
    Corrupt {
        /// Name of the table.
        table: &'static str,
        /// What is wrong.
        what: String,
    },
    /// The disk is full, or the file reached its largest size. Nothing was written.
    #[error("the disk is full, or the store reached its largest size")]
    Full,
    /// A file cannot be used.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// The database failed.
    #[error("database failed at {action}: {source}")]
    Database {
        /// What was being done: a step or the name of a table.
        action: &'static str,
        /// What MDBX says.
        #[source]
        source: MdbxError,
    },
    /// A trie could not be read.
    #[error(transparent)]
    Trie(#[from] StateTrieError),
}

impl DBErrorMarker for StoreError {}
