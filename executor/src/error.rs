//! The three classes of failure, decided where they are born.
//!
//! Place in the flow: everything that can refuse or fail returns [`ExecuteError`].
//! Invariant: an invalid block says which rule and which transaction; a failed backend says nothing about the block; our own
//! bug is never reported as either.

use crate::{location::Location, rule::Rule, types::TxIndex};

/// Why a block was not executed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExecuteError {
    /// The block breaks a rule of the chain. The caller refuses the block; nothing is wrong here.
    #[error("invalid block{}: {rule}", at(*.index))]
    InvalidBlock {
        /// The transaction that breaks the rule, where one does.
        index: Option<TxIndex>,
        /// The rule, named as the official fixtures name it.
        rule: Rule,
    },
    /// The state backend failed. The caller retries or stops; the block may be fine.
    #[error("state backend failed while reading {location}")]
    State {
        /// What was being read.
        location: Location,
        /// What the backend said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A broken invariant of ours. The caller keeps the evidence and runs the block sequentially.
    #[error("invariant broken in {stage}: {what}")]
    Bug {
        /// The step of the flow.
        stage: &'static str,
        /// What was seen.
        what: String,
    },
}

fn at(index: Option<TxIndex>) -> String {
    index.map(|index| format!(" at tx {index}")).unwrap_or_default()
}

impl ExecuteError {
    /// A rule that the block as a whole breaks.
    pub fn invalid(rule: impl Into<Rule>) -> Self {
        Self::InvalidBlock { index: None, rule: rule.into() }
    }

    /// A rule that one transaction breaks.
    pub fn invalid_tx(index: TxIndex, rule: impl Into<Rule>) -> Self {
        Self::InvalidBlock { index: Some(index), rule: rule.into() }
    }
}
