//! The answer to a payload or a fork choice.
//!
//! Place in the flow: what the Engine API's methods return when they do not refuse.
//! Invariant: only INVALID carries an error, and only VALID and INVALID name a valid block.
//! A payload that does not hash to its block hash is INVALID in version 1 too, where `paris.md` says INVALID_BLOCK_HASH: so do geth
//! and reth, and all later versions of the specification.

use super::payload::PayloadFault;
use crate::node::InvalidBlock;
use alloy_primitives::B256;
use serde::{Serialize, Serializer, ser::SerializeStruct};

/// What a payload is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// Executed, and every promise of its header holds.
    Valid,
    /// Its block breaks a rule.
    Invalid(InvalidBlock),
    /// It is not the block that it claims to be.
    Malformed(PayloadFault),
    /// It builds on a block that was found invalid before.
    InvalidAncestor {
        /// That block.
        ancestor: B256,
    },
    /// It is well formed and stands on a known block whose state is no longer kept, so that nobody can execute it here.
    Accepted,
    /// What it builds on is not known.
    Syncing,
}

/// `PayloadStatusV1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PayloadStatus {
    /// The status.
    pub status: Status,
    /// The newest valid block of its branch, where the specification asks for it.
    pub latest_valid_hash: Option<B256>,
}

impl PayloadStatus {
    /// A payload or head that is valid.
    pub(super) const fn valid(hash: B256) -> Self {
        Self { status: Status::Valid, latest_valid_hash: Some(hash) }
    }

    /// Something is missing to tell.
    pub(super) const fn syncing() -> Self {
        Self { status: Status::Syncing, latest_valid_hash: None }
    }

    /// Not executed, and perhaps valid.
    pub(super) const fn accepted() -> Self {
        Self { status: Status::Accepted, latest_valid_hash: None }
    }

    /// The word on the wire.
    pub const fn word(&self) -> &'static str {
        match self.status {
            Status::Valid => "VALID",
            Status::Invalid(_) | Status::Malformed(_) | Status::InvalidAncestor { .. } => "INVALID",
            Status::Accepted => "ACCEPTED",
            Status::Syncing => "SYNCING",
        }
    }

    /// `validationError`: set for INVALID only.
    pub fn validation_error(&self) -> Option<String> {
        match &self.status {
            Status::Valid | Status::Accepted | Status::Syncing => None,
            Status::Invalid(invalid) => Some(invalid.to_string()),
            Status::Malformed(fault) => Some(fault.to_string()),
            Status::InvalidAncestor { ancestor } => Some(format!("links to invalid block {ancestor}")),
        }
    }

    /// Whether a fixture that expects `expected` (official names separated by `|`) accepts this answer.
    pub fn matches(&self, expected: &str) -> bool {
        match &self.status {
            Status::Invalid(invalid) => invalid.rule.matches(expected),
            Status::Malformed(fault) => fault.matches(expected),
            Status::Valid | Status::InvalidAncestor { .. } | Status::Accepted | Status::Syncing => false,
        }
    }
}

impl Serialize for PayloadStatus {
    /// All three fields, `null` where there is nothing.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut fields = serializer.serialize_struct("PayloadStatusV1", 3)?;
        fields.serialize_field("status", self.word())?;
        fields.serialize_field("latestValidHash", &self.latest_valid_hash)?;
        fields.serialize_field("validationError", &self.validation_error())?;
        fields.end()
    }
}
