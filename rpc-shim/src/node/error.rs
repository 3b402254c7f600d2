//! Why a block was not imported, or a chain not built.
//!
//! Place in the flow: what import returns; the Engine API maps it to a status, the conformance runner to an official name.
//! Invariant: the class tells who must act: an invalid block is refused for good, a block of unknown parent is asked for again
//! later, a failed backend says nothing about the block, and a bug is ours.

use alloy_primitives::B256;
use laminar_executor::{ExecuteError, TxIndex, rule::Rule};
use laminar_state_db::StoreError;
use std::path::PathBuf;

/// Why a block was not imported.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError {
    /// The block breaks a rule. The caller refuses it for good.
    #[error(transparent)]
    Invalid(#[from] Box<InvalidBlock>),
    /// The block may be fine, but what it builds on is not known. The caller fetches the parent first.
    #[error("unknown parent {parent} of block {hash}")]
    UnknownParent {
        /// The block.
        hash: B256,
        /// The parent that its header names.
        parent: B256,
    },
    /// The store failed, which says nothing about the block.
    #[error("block {hash} could not be stored")]
    Store {
        /// The block.
        hash: B256,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The state could not be read, or an invariant of ours broke; see the class of the source.
    #[error("block {hash} could not be executed")]
    Execute {
        /// The block.
        hash: B256,
        /// [`ExecuteError::State`] or [`ExecuteError::Bug`].
        #[source]
        source: Box<ExecuteError>,
    },
}

/// A block and the rule that it breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("invalid block{}{}: {rule}", named(*.hash), at(*.index))]
pub struct InvalidBlock {
    /// The block; none if its bytes are not a block.
    pub hash: Option<B256>,
    /// The transaction that breaks the rule, where one does.
    pub index: Option<TxIndex>,
    /// The rule.
    pub rule: Rule,
}

/// Why there is no chain, or no such head.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ChainError {
    /// The genesis state does not have the root that the genesis header names.
    #[error("wrong genesis state root: expected {expected}, found {found}")]
    GenesisRoot {
        /// The header's root.
        expected: B256,
        /// The state's root.
        found: B256,
    },
    /// No such block was imported.
    #[error("unknown block {hash}")]
    UnknownBlock {
        /// The hash asked for.
        hash: B256,
    },
    /// The folder holds the blocks of another chain.
    #[error("{}: holds another chain: expected a genesis with hash {expected}, found {}", dir.display(), hash_or_none(.found))]
    OtherChain {
        /// The folder.
        dir: PathBuf,
        /// Hash of the genesis that was asked for.
        expected: B256,
        /// Hash of the block 0 that is there.
        found: Option<B256>,
    },
    /// The folder is empty and it is not known what the chain starts with.
    #[error("{}: holds no store: give the file of the genesis as --chain to create it", dir.display())]
    NoGenesis {
        /// The folder.
        dir: PathBuf,
    },
    /// A chain that is to be in memory needs the accounts of its genesis.
    #[error("the accounts of the genesis are not known: give its file as --chain")]
    NoAccounts,
    /// The folder does not say which chain it holds.
    #[error("{}: does not say which chain it holds: give --chain", dir.display())]
    NoChain {
        /// The folder.
        dir: PathBuf,
    },
    /// A genesis that is not block 0.
    #[error("number of the genesis: expected 0, found {found}")]
    GenesisNumber {
        /// The number.
        found: u64,
    },
    /// The store failed, or does not have what the node knows.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The genesis asks for a schedule that is not supported.
    #[error(transparent)]
    Spec(#[from] laminar_executor::chain_spec::ChainSpecError),
}

impl ImportError {
    /// Gives an executor's refusal its block.
    pub(super) fn of(hash: B256, error: ExecuteError) -> Self {
        match error {
            ExecuteError::InvalidBlock { index, rule } => Self::refusal(Some(hash), index, rule),
            other => Self::Execute { hash, source: Box::new(other) },
        }
    }

    /// A refusal of the block as a whole.
    pub(super) fn invalid(hash: B256, rule: impl Into<Rule>) -> Self {
        Self::refusal(Some(hash), None, rule.into())
    }

    /// A refusal.
    pub(super) fn refusal(hash: Option<B256>, index: Option<TxIndex>, rule: Rule) -> Self {
        Self::Invalid(Box::new(InvalidBlock { hash, index, rule }))
    }

    /// Whether a fixture that expects `expected` (official names separated by `|`) accepts this refusal. A failed backend or a
    /// bug is no refusal.
    pub fn matches(&self, expected: &str) -> bool {
        match self {
            Self::Invalid(invalid) => invalid.rule.matches(expected),
            Self::UnknownParent { .. } => expected.split('|').any(|name| {
                matches!(name.trim(), "BlockException.UNKNOWN_PARENT" | "BlockException.UNKNOWN_PARENT_ZERO")
            }),
            Self::Execute { .. } | Self::Store { .. } => false,
        }
    }
}

fn named(hash: Option<B256>) -> String {
    hash.map(|hash| format!(" {hash}")).unwrap_or_default()
}

fn hash_or_none(hash: &Option<B256>) -> String {
    hash.map_or_else(|| "none".to_owned(), |hash| hash.to_string())
}

fn at(index: Option<TxIndex>) -> String {
    index.map(|index| format!(" at tx {index}")).unwrap_or_default()
}
