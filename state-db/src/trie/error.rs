//! What can go wrong in a trie that is not fully known: nodes that are missing, malformed or cannot be read.
//!
//! Invariant: an unknown value is always an error that says where, never a zero. No variant says anything about a block's
//! validity: the backend (a witness, a store) failed.

use alloy_primitives::{Address, B256};
use alloy_trie::Nibbles;

/// An error of a [`NodeSource`](super::NodeSource), for example of a disk.
pub type SourceError = Box<dyn std::error::Error + Send + Sync + 'static>;

/// One trie could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrieError {
    /// The source does not hold the node; whoever made the witness or store must add it.
    #[error("missing node at path {path:?} with hash {hash}")]
    MissingNode {
        /// Nibbles from the root to the node.
        path: Nibbles,
        /// Keccak-256 of the node's RLP.
        hash: B256,
    },
    /// The node's bytes are no node that a trie with 32-byte keys can hold at this path.
    #[error("malformed node at path {path:?} with hash {hash}")]
    MalformedNode {
        /// Nibbles from the root to the node.
        path: Nibbles,
        /// Keccak-256 of the node's RLP.
        hash: B256,
        /// What is wrong with it.
        #[source]
        fault: NodeFault,
    },
    /// The source failed while reading the node; retry or stop.
    #[error("node source failed at path {path:?} with hash {hash}")]
    Source {
        /// Nibbles from the root to the node.
        path: Nibbles,
        /// Keccak-256 of the node's RLP.
        hash: B256,
        /// The failure.
        #[source]
        source: SourceError,
    },
    /// More nodes hang together than the witness holds, so some hash stands at many places at once, which hashed keys rule out.
    #[error("expected at most {nodes_max} nodes below the root, found more")]
    TooManyNodes {
        /// The bound that was passed.
        nodes_max: usize,
    },
}

/// What is wrong with the bytes of a node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NodeFault {
    /// Not valid RLP, or a leaf's value is not.
    #[error("invalid RLP")]
    Rlp(#[from] alloy_rlp::Error),
    /// A node is a list of 2 or 17 items.
    #[error("expected 2 or 17 items, found {0}")]
    ItemCount(usize),
    /// A compact path starts with a flag nibble of 0 to 3, padded by a zero nibble if even (yellow paper, appendix C).
    #[error("invalid compact path")]
    Path,
    /// Paths from the root to each leaf have 64 nibbles, and branches and extensions stand above them.
    #[error("expected paths of 64 nibbles, found one that ends at another depth")]
    Depth,
    /// A child is nothing, a hash of 32 bytes, or a node of less than 32 bytes.
    #[error("invalid reference to a child")]
    Child,
    /// A branch with a value, which no trie with keys of one length has.
    #[error("branch with a value")]
    BranchValue,
    /// A branch has two children at least.
    #[error("expected at least 2 children, found {0}")]
    ChildCount(usize),
    /// The child of an extension is a branch.
    #[error("extension above a node that is no branch")]
    ExtensionChild,
}

/// Which trie of the state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrieOwner {
    /// The account trie, on the way to this account.
    Account(Address),
    /// This account's storage trie.
    Storage(Address),
    /// The account trie as a whole.
    Accounts,
    /// The storage trie of the account with this hashed address.
    HashedStorage(B256),
}

impl std::fmt::Display for TrieOwner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Account(address) => write!(f, "account trie at account {address}"),
            Self::Storage(address) => write!(f, "storage trie of account {address}"),
            Self::Accounts => write!(f, "account trie"),
            Self::HashedStorage(hash) => write!(f, "storage trie of account with hash {hash}"),
        }
    }
}

/// A trie of the state could not be read or changed.
#[derive(Debug, thiserror::Error)]
#[error("{owner}: {source}")]
pub struct StateTrieError {
    /// Which trie.
    pub owner: TrieOwner,
    /// What happened there.
    pub source: Box<TrieError>,
}

impl TrieError {
    /// Says which trie it happened in.
    pub fn in_trie(self, owner: TrieOwner) -> StateTrieError {
        StateTrieError { owner, source: Box::new(self) }
    }
}
