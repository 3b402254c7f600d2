//! The one table of JSON-RPC codes.
//!
//! Place in the flow: whatever a protocol module refuses ends as a [`Refusal`]; the server writes its code and message.
//! Invariant: codes are decided here and nowhere else. Sources: JSON-RPC 2.0 section 5.1, execution-apis `engine/common.md`.

use std::fmt;

/// What kind of refusal a caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// Parameters that do not fit the method.
    InvalidParams,
    /// We failed; the call may be right.
    Internal,
    /// No payload with that id is being built.
    UnknownPayload,
    /// The safe or finalised block is unknown or not an ancestor of the head.
    InvalidForkchoiceState,
    /// Payload attributes that do not fit the head.
    InvalidPayloadAttributes,
    /// More was asked for than one call may.
    TooLargeRequest,
    /// The method does not serve the fork of the payload.
    UnsupportedFork,
}

impl Code {
    /// The number on the wire.
    pub const fn number(self) -> i64 {
        match self {
            Self::InvalidParams => -32602,
            Self::Internal => -32603,
            Self::UnknownPayload => -38001,
            Self::InvalidForkchoiceState => -38002,
            Self::InvalidPayloadAttributes => -38003,
            Self::TooLargeRequest => -38004,
            Self::UnsupportedFork => -38005,
        }
    }
}

/// A call that is answered by an error object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({})", code.number())]
pub struct Refusal {
    /// The kind.
    pub code: Code,
    /// For people.
    pub message: String,
}

impl Refusal {
    /// Parameters that do not fit the method.
    pub fn params(what: impl fmt::Display) -> Self {
        Self { code: Code::InvalidParams, message: what.to_string() }
    }

    /// The method does not serve the fork of the payload.
    pub fn unsupported_fork(what: impl fmt::Display) -> Self {
        Self { code: Code::UnsupportedFork, message: what.to_string() }
    }

    /// We failed; the chain of causes goes into the message, for it ends here.
    pub fn internal(error: &dyn std::error::Error) -> Self {
        let causes = std::iter::successors(Some(error), |error| error.source());
        let message = causes.map(ToString::to_string).collect::<Vec<_>>().join(": ");
        Self { code: Code::Internal, message }
    }
}
