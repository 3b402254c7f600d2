//! The one table of JSON-RPC codes.
//!
//! Place in the flow: whatever a protocol module refuses ends as an [`RpcError`]; the server writes its code, message and data.
//! Invariant: codes are decided here and nowhere else. An unknown method (-32601), text that is no JSON (-32700) and JSON that is no
//! request (-32600) are answered by the server before any method is asked. Sources: JSON-RPC 2.0 section 5.1, EIP-1474, EIP-4444,
//! execution-apis `engine/common.md` and `eth/execute.yaml`, and geth where these are silent.

use alloy_primitives::{Bytes, hex};
use jsonrpsee::types::ErrorObjectOwned;
use std::fmt;

/// What kind of refusal a caller gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Code {
    /// A call reverted; the data is what it returned.
    Reverted,
    /// A transaction waits longer than its sender does (EIP-7966).
    NotMinedInTime,
    /// What was asked for is older than what is kept (EIP-4444).
    PrunedHistory,
    /// The request as a whole cannot be served.
    InvalidRequest,
    /// The method does not exist here.
    MethodNotFound,
    /// Parameters that do not fit the method.
    InvalidParams,
    /// We failed; the call may be right.
    Internal,
    /// The call is well formed and cannot be answered: the code of whatever has none of its own.
    Server,
    /// What was asked for does not exist.
    ResourceNotFound,
    /// What was asked for cannot be given at the moment.
    ResourceUnavailable,
    /// A transaction was not taken.
    TransactionRejected,
    /// More was asked for than one call may.
    LimitExceeded,
    /// No payload with that id is being built.
    UnknownPayload,
    /// The safe or finalised block is unknown or not an ancestor of the head.
    InvalidForkchoiceState,
    /// Payload attributes that do not fit the head.
    InvalidPayloadAttributes,
    /// More was asked for than one call of the Engine API may.
    TooLargeRequest,
    /// The method does not serve the fork of the payload.
    UnsupportedFork,
    /// More reorganisation was asked for than is kept.
    TooDeepReorg,
    /// A simulated transaction is refused; the number is that of `eth_simulateV1`.
    Simulation(SimulationCode),
}

/// The codes of `eth_simulateV1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum SimulationCode {
    /// The nonce is below the sender's.
    NonceTooLow,
    /// The nonce is above the sender's.
    NonceTooHigh,
    /// The fee cap is below the base fee.
    FeeCapTooLow,
    /// The gas limit is below what the transaction takes before it runs.
    IntrinsicGas,
    /// The sender cannot pay.
    InsufficientFunds,
    /// The gas limit is above what the block has left.
    BlockGasLimit,
    /// Block numbers do not ascend.
    BlockNumber,
    /// Timestamps do not ascend.
    Timestamp,
    /// An account is moved to itself.
    MovedToItself,
    /// Two accounts are moved to the same address.
    MovedTwice,
    /// The sender has code.
    SenderNotEoa,
    /// The init code is too long.
    InitCodeTooLarge,
    /// More blocks were asked for than one call may.
    TooManyBlocks,
}

impl Code {
    /// The number on the wire.
    pub const fn number(self) -> i32 {
        match self {
            Self::Reverted => 3,
            Self::NotMinedInTime => 4,
            Self::PrunedHistory => 4444,
            Self::InvalidRequest => -32600,
            Self::MethodNotFound => -32601,
            Self::InvalidParams => -32602,
            Self::Internal => -32603,
            Self::Server => -32000,
            Self::ResourceNotFound => -32001,
            Self::ResourceUnavailable => -32002,
            Self::TransactionRejected => -32003,
            Self::LimitExceeded => -32005,
            Self::UnknownPayload => -38001,
            Self::InvalidForkchoiceState => -38002,
            Self::InvalidPayloadAttributes => -38003,
            Self::TooLargeRequest => -38004,
            Self::UnsupportedFork => -38005,
            Self::TooDeepReorg => -38006,
            Self::Simulation(code) => code.number(),
        }
    }
}

impl SimulationCode {
    /// The number on the wire.
    pub const fn number(self) -> i32 {
        match self {
            Self::NonceTooLow => -38010,
            Self::NonceTooHigh => -38011,
            Self::FeeCapTooLow => -38012,
            Self::IntrinsicGas => -38013,
            Self::InsufficientFunds => -38014,
            Self::BlockGasLimit => -38015,
            Self::BlockNumber => -38020,
            Self::Timestamp => -38021,
            Self::MovedToItself => -38022,
            Self::MovedTwice => -38023,
            Self::SenderNotEoa => -38024,
            Self::InitCodeTooLarge => -38025,
            Self::TooManyBlocks => -38026,
        }
    }
}

/// A call that is answered by an error object.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message} ({})", code.number())]
pub struct RpcError {
    /// The kind.
    pub code: Code,
    /// For people.
    pub message: String,
    /// What a reverted call returned.
    pub data: Option<Bytes>,
}

impl RpcError {
    /// A refusal without data.
    pub fn new(code: Code, what: impl fmt::Display) -> Self {
        Self { code, message: what.to_string(), data: None }
    }

    /// Parameters that do not fit the method.
    pub fn params(what: impl fmt::Display) -> Self {
        Self::new(Code::InvalidParams, what)
    }

    /// A call that cannot be answered and has no code of its own.
    pub fn server(what: impl fmt::Display) -> Self {
        Self::new(Code::Server, what)
    }

    /// The method does not serve the fork of the payload.
    pub fn unsupported_fork(what: impl fmt::Display) -> Self {
        Self::new(Code::UnsupportedFork, what)
    }

    /// A call that reverted with `output`, in geth's words: `execution reverted`, with the reason where the output carries one.
    pub fn reverted(output: Bytes) -> Self {
        let reason = revert_reason(&output);
        let message = reason.map_or("execution reverted".to_owned(), |reason| format!("execution reverted: {reason}"));
        Self { code: Code::Reverted, message, data: Some(output) }
    }

    /// We failed; the chain of causes goes into the message, for it ends here.
    pub fn internal(error: &dyn std::error::Error) -> Self {
        let causes = std::iter::successors(Some(error), |error| error.source());
        Self::new(Code::Internal, causes.map(ToString::to_string).collect::<Vec<_>>().join(": "))
    }
}

impl From<RpcError> for ErrorObjectOwned {
    fn from(error: RpcError) -> Self {
        Self::owned(error.code.number(), error.message, error.data)
    }
}

/// Selector of `Error(string)`.
const ERROR: &[u8] = &hex!("08c379a0");
/// Selector of `Panic(uint256)`.
const PANIC: &[u8] = &hex!("4e487b71");

/// The store failed, which says nothing about the call.
impl From<laminar_state_db::StoreError> for RpcError {
    fn from(error: laminar_state_db::StoreError) -> Self {
        Self::internal(&error)
    }
}

/// What `Error(string)` and `Panic(uint256)` say; nothing for other data.
fn revert_reason(output: &[u8]) -> Option<String> {
    let (selector, body) = output.split_at_checked(4)?;
    let word = |at: usize| body.get(at..at.checked_add(32)?);
    let number = |at: usize| {
        let (high, low) = word(at)?.split_at(24);
        let low = u64::from_be_bytes(low.try_into().ok()?);
        high.iter().all(|byte| *byte == 0).then_some(usize::try_from(low).ok()?)
    };
    match selector {
        ERROR => {
            let start = number(0)?;
            let text = start.checked_add(32)?;
            let bytes = body.get(text..text.checked_add(number(start)?)?)?;
            Some(String::from_utf8_lossy(bytes).into_owned())
        }
        PANIC => Some(panic_reason(number(0)?)),
        _ => None,
    }
}

/// Solidity's panic codes in geth's words.
fn panic_reason(code: usize) -> String {
    let known = match code {
        0x00 => "generic panic",
        0x01 => "assert(false)",
        0x11 => "arithmetic underflow or overflow",
        0x12 => "division or modulo by zero",
        0x21 => "enum overflow",
        0x22 => "invalid encoded storage byte array accessed",
        0x31 => "out-of-bounds array access; popping on an empty array",
        0x32 => "out-of-bounds access of an array or bytesN",
        0x41 => "out of memory",
        0x51 => "uninitialized function",
        _ => return format!("unknown panic code: {code:#x}"),
    };
    known.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reverts_are_told_as_geth_does() {
        let error = hex!(
            "08c379a0000000000000000000000000000000000000000000000000000000000000002000000000000000000000000000000000000000000000000000000000000000026f68000000000000000000000000000000000000000000000000000000000000"
        );
        let panic = hex!("4e487b710000000000000000000000000000000000000000000000000000000000000011");
        let table: [(&[u8], &str); 5] = [
            (&error, "execution reverted: oh"),
            (&panic, "execution reverted: arithmetic underflow or overflow"),
            (&error[..69], "execution reverted"),
            (&[], "execution reverted"),
            (&[1, 2, 3, 4], "execution reverted"),
        ];
        for (output, message) in table {
            let error = RpcError::reverted(Bytes::copy_from_slice(output));
            assert_eq!((error.message.as_str(), error.code.number()), (message, 3));
            assert_eq!(error.data, Some(Bytes::copy_from_slice(output)));
        }
    }
}
