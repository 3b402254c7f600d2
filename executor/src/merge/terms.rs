//! On what terms a run comes to merge, and how it was taken.
//!
//! Place in the flow: said by whoever owns the committer, and answered by it.
//! Invariant: words only; nothing here decides.

use crate::location::Location;

/// How a delivered run was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Taken {
    /// It held.
    AsDelivered,
    /// It did not hold, for the location that was found first, or there was none: the transaction ran on the committed prefix.
    RunAgain(Option<Location>),
    /// The transaction is not valid here, and the block is one in the making: it was left out.
    LeftOut,
}

/// Who told a run its values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// The parent alone, before the block began: nothing that was taken back since.
    Parent,
    /// The parent, and what others had published.
    Published,
}

/// What an invalid transaction means for the block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Invalid {
    /// The block was given, so it is invalid.
    EndsBlock,
    /// The block is being built: the transaction is left out, with the rule that it breaks.
    IsLeftOut,
}
