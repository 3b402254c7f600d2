//! What a worker hands to merge for one transaction.
//!
//! Place in the flow: made by the steps of a block, kept in its slot, taken by the one who merges, or by who looks at it again.
//! Invariant: with a run travels everything that was taken back for it, so that merge knows it before anyone who saw it.

use crate::{effects::Attempt, mv_memory::Revoked, outcome::Span};

/// Where a delivered attempt came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// Made before scheduling began: adopted if it holds.
    Before,
    /// A run of the schedule.
    Run,
    /// Not run ahead, because that would not have paid.
    Skipped,
}

/// A run on its way to merge, with where it came from.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) attempt: Attempt,
    pub(super) origin: Origin,
    /// What few runs have.
    pub(super) rare: Option<Box<Rare>>,
}

/// What few runs have beside their result.
#[derive(Debug, Default)]
pub(super) struct Rare {
    /// What was taken back of what the transaction had published.
    pub(super) revoked: Revoked,
    /// When it was run ahead.
    pub(super) spans: Vec<Span>,
    /// Runs of the schedule before this one, thrown away because something was published since.
    pub(super) thrown_away: u64,
}

impl Delivered {
    pub(super) fn from_before(attempt: Attempt) -> Self {
        Self { attempt, origin: Origin::Before, rare: None }
    }

    /// What stands for the run of a transaction that was left to merge.
    pub(super) const fn skipped() -> Self {
        Self { attempt: Attempt::Refused, origin: Origin::Skipped, rare: None }
    }
}
