//! A rule of the chain that a block or a transaction breaks, named as the official fixtures name it.
//!
//! Place in the flow: carried by [`ExecuteError::InvalidBlock`](crate::error::ExecuteError); made by recover,
//! check_header, system_calls, and from revm's own refusals.
//! Invariant: a rule about a value carries what was expected and what was found; the official name never depends on
//! them. It says nothing about where in the block the rule broke: the error around it carries the transaction index.

mod exception;
mod field;
mod refusal;

pub use field::{Field, FieldValue, Mismatch};

use alloy_primitives::{Address, U256};

/// What a block or a transaction breaks.
///
/// The message is one lower-case line with the expected value before the found one; [`Rule::exception`] gives the
/// official name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Rule {
    /// The sender cannot pay `gas limit * price + value (+ blob fee)`; both in wei.
    #[error("sender cannot pay for the transaction: expected a balance of {expected} wei, found {found}")]
    InsufficientFunds {
        /// The most that the transaction may cost, in wei.
        expected: U256,
        /// The sender's balance, in wei.
        found: U256,
    },
    /// `gas limit * price + value` does not fit 256 bits.
    #[error("cost of the transaction overflows 256 bits")]
    CostOverflow,
    /// The nonce was used before.
    #[error("nonce too low: expected {expected}, found {found}")]
    NonceTooLow {
        /// The sender's nonce in the state.
        expected: u64,
        /// The transaction's nonce.
        found: u64,
    },
    /// A nonce before this one was not used.
    #[error("nonce too high: expected {expected}, found {found}")]
    NonceTooHigh {
        /// The sender's nonce in the state.
        expected: u64,
        /// The transaction's nonce.
        found: u64,
    },
    /// The nonce is 2^64 - 1 (EIP-2681).
    #[error("nonce is the maximum, 2^64 - 1")]
    NonceIsMax,
    /// The gas limit does not cover what the transaction costs before its first instruction.
    #[error("gas limit below intrinsic gas: expected at least {expected}, found {found}")]
    IntrinsicGas {
        /// Intrinsic gas.
        expected: u64,
        /// The transaction's gas limit.
        found: u64,
    },
    /// The gas limit does not cover the floor price of the call data (EIP-7623).
    #[error("gas limit below the call data floor: expected at least {expected}, found {found}")]
    FloorGas {
        /// Floor gas.
        expected: u64,
        /// The transaction's gas limit.
        found: u64,
    },
    /// The transaction offers less than the base fee (EIP-1559).
    #[error("max fee per gas below the base fee of the block")]
    MaxFeeBelowBaseFee,
    /// The tip exceeds the whole fee (EIP-1559).
    #[error("max priority fee per gas above max fee per gas")]
    PriorityFeeAboveMaxFee,
    /// The transaction offers less than the blob base fee (EIP-4844); wei per blob gas.
    #[error("max fee per blob gas too low: expected at least {expected}, found {found}")]
    BlobFeeTooLow {
        /// The block's blob base fee.
        expected: u128,
        /// The transaction's offer.
        found: u128,
    },
    /// The gas limit exceeds what is left in the block.
    #[error("gas limit above the gas left in the block{}", exception::bounds(*.bounds))]
    GasAllowance {
        /// Gas left and the transaction's gas limit, where known.
        bounds: Option<(u64, u64)>,
    },
    /// The gas limit exceeds the cap of one transaction (EIP-7825).
    #[error("gas limit above the cap: expected at most {expected}, found {found}")]
    GasLimitAboveCap {
        /// The cap.
        expected: u64,
        /// The transaction's gas limit.
        found: u64,
    },
    /// The sender has code that is not a delegation (EIP-3607).
    #[error("sender has code")]
    SenderHasCode,
    /// The init code exceeds twice the code size limit (EIP-3860).
    #[error("init code too large")]
    InitCodeTooLarge,
    /// The transaction's type is not valid in this fork.
    #[error("transaction type {tx_type} is not supported before its fork")]
    TypePreFork {
        /// EIP-2718 type.
        tx_type: u8,
    },
    /// A blob or set-code transaction cannot create a contract (EIP-4844, EIP-7702).
    #[error("transaction type {tx_type} cannot create a contract")]
    TypeCannotCreate {
        /// EIP-2718 type.
        tx_type: u8,
    },
    /// A blob transaction without blobs (EIP-4844).
    #[error("blob transaction has no blobs")]
    NoBlobs,
    /// More blobs than one transaction may carry.
    #[error("too many blobs in the transaction: expected at most {expected}, found {found}")]
    TooManyBlobs {
        /// The limit.
        expected: u64,
        /// The transaction's blobs.
        found: u64,
    },
    /// The block's blobs up to this transaction exceed the block's limit.
    #[error("blob gas above the allowance of the block: expected at most {expected}, found {found}")]
    BlobGasAllowance {
        /// The block's limit.
        expected: u64,
        /// Blob gas up to and including the transaction.
        found: u64,
    },
    /// A blob hash with another version than 1.
    #[error("blob versioned hash has a wrong version")]
    BlobHashVersion,
    /// A set-code transaction without authorizations (EIP-7702).
    #[error("authorization list is empty")]
    NoAuthorizations,
    /// The signature recovers to no key, or breaks EIP-2.
    #[error("signature is not valid")]
    Signature,
    /// The transaction is signed for another chain (EIP-155).
    #[error("wrong chain id: expected {}, found {}", exception::or_none(*.expected), exception::or_none(*.found))]
    ChainId {
        /// The chain's id; none where revm refused without saying.
        expected: Option<u64>,
        /// The transaction's id, if it has one.
        found: Option<u64>,
    },
    /// Bytes that are not a block, a header or a transaction.
    #[error("not a valid encoding: {what}")]
    Encoding {
        /// What the decoder says.
        what: String,
    },

    /// A header field differs from the value that the chain or the execution gives.
    #[error(transparent)]
    Header(#[from] Mismatch),
    /// The parent is not known.
    #[error("unknown parent: {0}")]
    UnknownParent(Box<Mismatch>),
    /// The header lacks a field of its fork, or has one of a later fork.
    #[error("header field {field} must be {}", if *.required { "present" } else { "absent" })]
    FieldPresence {
        /// The field.
        field: Field,
        /// Whether the fork demands it.
        required: bool,
    },
    /// The extra data is longer than 32 bytes.
    #[error("extra data too long: expected at most {expected} bytes, found {found}")]
    ExtraDataTooLong {
        /// The limit in bytes.
        expected: usize,
        /// The length in bytes.
        found: usize,
    },
    /// The extra data of the ten blocks from the DAO fork on is fixed.
    #[error("extra data does not mark the side of the DAO fork")]
    ExtraDataDao,
    /// The gas limit exceeds 2^63 - 1.
    #[error("block gas limit too big: expected at most {expected}, found {found}")]
    GasLimitTooBig {
        /// The limit.
        expected: u64,
        /// The header's value.
        found: u64,
    },
    /// The gas limit moves by 1/1024 of the parent's or more, or lies below 5000.
    #[error("block gas limit out of bounds: expected {min}..={max}, found {found}")]
    GasLimitBounds {
        /// The least valid value.
        min: u64,
        /// The greatest valid value.
        max: u64,
        /// The header's value.
        found: u64,
    },
    /// The header claims more gas than its limit.
    #[error("gas used above the gas limit: expected at most {expected}, found {found}")]
    GasUsedAboveLimit {
        /// The gas limit.
        expected: u64,
        /// The header's gas used.
        found: u64,
    },
    /// The block is not younger than its parent.
    #[error("timestamp not after the parent's: expected at least {expected}, found {found}")]
    Timestamp {
        /// The least valid timestamp, in seconds.
        expected: u64,
        /// The header's timestamp.
        found: u64,
    },
    /// A proof-of-work block after, or a proof-of-stake block before, the terminal total difficulty.
    #[error("{}", exception::merge_side(*.proof_of_stake))]
    WrongSideOfMerge {
        /// Whether the block is a proof-of-stake block.
        proof_of_stake: bool,
    },
    /// The block's encoding is longer than EIP-7934 allows; bytes.
    #[error("block too large: expected at most {expected} bytes, found {found}")]
    BlockTooLarge {
        /// The limit.
        expected: usize,
        /// The length.
        found: usize,
    },
    /// More than two ommers.
    #[error("too many ommers: expected at most {expected}, found {found}")]
    TooManyOmmers {
        /// The limit.
        expected: usize,
        /// The block's ommers.
        found: usize,
    },
    /// An ommer that no block may name.
    #[error("ommer {position} {fault}")]
    Ommer {
        /// Position in the list.
        position: usize,
        /// What is wrong with it.
        fault: OmmerFault,
    },
    /// A deposit log whose layout is not that of the deposit contract (EIP-6110).
    #[error("deposit event has an invalid layout: {what}")]
    DepositLayout {
        /// The part that differs.
        what: &'static str,
    },
    /// A system contract that must answer has no code (EIP-7002, EIP-7251).
    #[error("system contract {address} has no code")]
    SystemContractEmpty {
        /// The contract.
        address: Address,
    },
    /// A system contract that must answer failed (EIP-7002, EIP-7251).
    #[error("call of system contract {address} failed")]
    SystemContractCallFailed {
        /// The contract.
        address: Address,
    },
    /// The block access list holds more items than the gas limit allows (EIP-7928).
    #[error("block access list too large: expected at most {expected} items, found {found}")]
    BlockAccessListTooLarge {
        /// The limit: gas limit / 2000.
        expected: u64,
        /// Addresses plus storage keys.
        found: u64,
    },
    /// The block access list breaks its own format or disagrees with the execution (EIP-7928).
    #[error("block access list is not valid: {what}")]
    BlockAccessList {
        /// What is wrong.
        what: String,
    },
    /// A refusal that revm adds and that has no official name.
    #[error("transaction refused: {what}")]
    Other {
        /// What revm says.
        what: String,
    },
}

/// What is wrong with an ommer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OmmerFault {
    /// The same ommer twice in this block.
    #[error("is named twice")]
    Duplicate,
    /// An earlier block of this chain named it.
    #[error("was named by an ancestor")]
    AlreadyNamed,
    /// It is an ancestor of the block.
    #[error("is an ancestor")]
    Ancestor,
    /// Its parent is not one of the last seven ancestors, or is the block's own parent.
    #[error("has a parent out of reach")]
    Parent,
    /// Its own header is not valid.
    #[error("has an invalid header")]
    Header,
}
