//! Why a transaction is not in the pool, in geth's words.
//!
//! Place in the flow: `eth_sendRawTransaction` answers with it; a transaction that leaves the pool unmined carries one too.
//! Invariant: the message begins as geth's does, because clients match on it (`nonce too low`, `already known`, ...). Values
//! follow after a colon. A refusal changed nothing in the pool.

use alloy_primitives::{Address, B256, U256};
use laminar_executor::rule::Rule;

/// Why a transaction was refused or dropped.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the fields are named as the messages name them")]
pub enum PoolError {
    /// Bytes that are no transaction.
    #[error("transaction could not be decoded: {what}")]
    Encoding { what: String },
    /// A signature that recovers to nobody.
    #[error("invalid sender")]
    Signature,
    /// Signed for another chain (EIP-155).
    #[error("invalid chain id for signer: have {found} want {expected}")]
    ChainId { expected: u64, found: u64 },
    /// A type that the fork of the next block does not know.
    #[error("transaction type not supported: type {tx_type} rejected")]
    Type { tx_type: u8 },
    /// Longer than the pool takes, in bytes.
    #[error("oversized data: transaction size {size}, limit {limit}")]
    Size { size: usize, limit: usize },
    /// Init code above the limit (EIP-3860).
    #[error("max initcode size exceeded: code size {size}, limit {limit}")]
    InitCode { size: usize, limit: usize },
    /// More gas than a block has.
    #[error("exceeds block gas limit: tx gas {gas}, block gas limit {limit}")]
    GasLimit { gas: u64, limit: u64 },
    /// More gas than one transaction may use (EIP-7825).
    #[error("transaction gas limit too high (cap: {cap}, tx: {gas})")]
    GasCap { cap: u64, gas: u64 },
    /// Less gas than the transaction costs before its first instruction.
    #[error("intrinsic gas too low: gas {gas}, minimum needed {needed}")]
    IntrinsicGas { gas: u64, needed: u64 },
    /// Less gas than the floor price of the call data (EIP-7623).
    #[error("insufficient gas for floor data gas cost: gas {gas}, minimum needed {needed}")]
    FloorGas { gas: u64, needed: u64 },
    /// The tip exceeds the whole fee (EIP-1559).
    #[error("max priority fee per gas higher than max fee per gas: maxPriorityFeePerGas: {tip}, maxFeePerGas: {fee}")]
    TipAboveFee { tip: u128, fee: u128 },
    /// Less than the base fee of the next block, where the pool does not let transactions wait for a lower one.
    #[error("max fee per gas less than block base fee: maxFeePerGas: {fee}, baseFee: {base_fee}")]
    BelowBaseFee { fee: u128, base_fee: u64 },
    /// Less than the blob base fee of the next block, where the pool does not let transactions wait.
    #[error("max fee per blob gas less than block blob gas fee: maxFeePerBlobGas: {fee}, blobBaseFee: {blob_fee}")]
    BelowBlobFee { fee: u128, blob_fee: u128 },
    /// A tip below what the node asks for.
    #[error("transaction gas price below minimum: gas tip cap {tip}, minimum needed {needed}")]
    TipTooLow { tip: u128, needed: u128 },
    /// A fee above what the node lets its own users pay, in wei.
    #[error("tx fee ({fee} wei) exceeds the configured cap ({cap} wei)")]
    FeeCap { fee: U256, cap: u128 },
    /// The nonce was used.
    #[error("nonce too low: next nonce {next}, tx nonce {found}")]
    NonceTooLow { next: u64, found: u64 },
    /// The nonce is the last one (EIP-2681).
    #[error("nonce has max value")]
    NonceMax,
    /// The sender's balance does not cover the transaction alone, in wei.
    #[error("insufficient funds for gas * price + value: balance {balance}, tx cost {cost}, overshot {}", cost - balance)]
    Funds { balance: U256, cost: U256 },
    /// The sender's balance does not cover the transaction beside those that wait already, in wei.
    #[error(
        "insufficient funds for gas * price + value: balance {balance}, queued cost {queued}, tx cost {cost}, overshot {}",
        queued.saturating_add(*cost).saturating_sub(*balance)
    )]
    QueuedFunds { balance: U256, queued: U256, cost: U256 },
    /// Gas, price and value multiply beyond 256 bits.
    #[error("insufficient funds for gas * price + value: cost overflows 256 bits")]
    CostOverflow,
    /// The sender is a contract (EIP-3607).
    #[error("sender not an eoa: address {address}, codehash: {code_hash}")]
    SenderIsContract { address: Address, code_hash: B256 },
    /// Exactly this transaction is in the pool.
    #[error("already known")]
    AlreadyKnown,
    /// Another transaction with the nonce is in the pool and this one does not pay enough more.
    #[error("replacement transaction underpriced")]
    ReplacementUnderpriced,
    /// The pool is full and this transaction pays less than all that are in it.
    #[error("transaction underpriced: txpool is full")]
    Underpriced,
    /// The pool is full of transactions that are not given up.
    #[error("txpool is full")]
    Full,
    /// The sender has as many transactions in the pool as one may.
    #[error("account limit exceeded: pooled {pooled} txs")]
    AccountLimit { pooled: usize },
    /// A delegated account (EIP-7702) has as many transactions in flight as it may.
    #[error("in-flight transaction limit reached for delegated accounts")]
    DelegatedLimit,
    /// A blob transaction without blobs.
    #[error("blobless blob transaction")]
    NoBlobs,
    /// More blobs than one transaction may carry.
    #[error("too many blobs in transaction: have {found}, permitted {limit}")]
    TooManyBlobs { found: usize, limit: u64 },
    /// A blob transaction as a block has it, without what the pool needs to offer it.
    #[error("missing sidecar in blob transaction")]
    NoSidecar,
    /// A sidecar that is not that of the transaction, or of another fork, or whose proofs are wrong.
    #[error("invalid sidecar: {what}")]
    Sidecar { what: String },
    /// A set-code transaction without authorizations.
    #[error("set code tx must have at least one authorization tuple")]
    NoAuthorizations,
    /// Another rule of the chain.
    #[error("{0}")]
    Rule(Rule),
    /// The state could not be read; says nothing about the transaction.
    #[error("state could not be read: {what}")]
    State { what: String },
}

impl From<Rule> for PoolError {
    fn from(rule: Rule) -> Self {
        match rule {
            Rule::Signature => Self::Signature,
            Rule::ChainId { expected: Some(expected), found: Some(found) } => Self::ChainId { expected, found },
            Rule::TypePreFork { tx_type } => Self::Type { tx_type },
            Rule::IntrinsicGas { expected, found } => Self::IntrinsicGas { gas: found, needed: expected },
            Rule::FloorGas { expected, found } => Self::FloorGas { gas: found, needed: expected },
            Rule::GasLimitAboveCap { expected, found } => Self::GasCap { cap: expected, gas: found },
            Rule::NonceIsMax => Self::NonceMax,
            Rule::NonceTooLow { expected, found } => Self::NonceTooLow { next: expected, found },
            Rule::InsufficientFunds { expected, found } => Self::Funds { balance: found, cost: expected },
            Rule::CostOverflow => Self::CostOverflow,
            Rule::NoBlobs => Self::NoBlobs,
            Rule::NoAuthorizations => Self::NoAuthorizations,
            Rule::Encoding { what } => Self::Encoding { what },
            other => Self::Rule(other),
        }
    }
}
