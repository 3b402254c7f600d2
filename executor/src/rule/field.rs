//! Header fields and their values, for rules that compare two of them.
//!
//! Place in the flow: below [`Rule`](super::Rule); check_header reports fields one by one for `replay`, or the first
//! that differs for an import.
//! Invariant: a mismatch holds two different values of one field.

use alloy_primitives::{B256, Bloom, U256};
use std::fmt;

/// A header field that a rule speaks of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Field {
    /// Hash of the parent's header.
    ParentHash,
    /// Hash of the ommers.
    OmmersHash,
    /// Root of the state after the block.
    StateRoot,
    /// Root of the transactions.
    TransactionsRoot,
    /// Root of the receipts.
    ReceiptsRoot,
    /// Union of the receipts' blooms.
    LogsBloom,
    /// Difficulty.
    Difficulty,
    /// Block number.
    Number,
    /// Gas used by the transactions.
    GasUsed,
    /// Proof-of-work nonce.
    Nonce,
    /// Base fee in wei per gas (EIP-1559).
    BaseFee,
    /// Root of the withdrawals (EIP-4895).
    WithdrawalsRoot,
    /// Blob gas used (EIP-4844).
    BlobGasUsed,
    /// Excess blob gas (EIP-4844).
    ExcessBlobGas,
    /// Root of the parent beacon block (EIP-4788).
    ParentBeaconBlockRoot,
    /// Hash of the requests (EIP-7685).
    RequestsHash,
    /// Hash of the block access list (EIP-7928).
    BlockAccessListHash,
    /// Slot number (EIP-7843).
    SlotNumber,
    /// The header's own hash, where something outside names it.
    BlockHash,
}

impl Field {
    /// The field's name in messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ParentHash => "parent hash",
            Self::OmmersHash => "ommers hash",
            Self::StateRoot => "state root",
            Self::TransactionsRoot => "transactions root",
            Self::ReceiptsRoot => "receipts root",
            Self::LogsBloom => "logs bloom",
            Self::Difficulty => "difficulty",
            Self::Number => "block number",
            Self::GasUsed => "gas used",
            Self::Nonce => "nonce",
            Self::BaseFee => "base fee per gas",
            Self::WithdrawalsRoot => "withdrawals root",
            Self::BlobGasUsed => "blob gas used",
            Self::ExcessBlobGas => "excess blob gas",
            Self::ParentBeaconBlockRoot => "parent beacon block root",
            Self::RequestsHash => "requests hash",
            Self::BlockAccessListHash => "block access list hash",
            Self::SlotNumber => "slot number",
            Self::BlockHash => "block hash",
        }
    }
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A value of a header field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FieldValue {
    /// A quantity.
    Number(U256),
    /// A hash or a root.
    Hash(B256),
    /// A bloom; boxed, for it is eight times the others.
    Bloom(Box<Bloom>),
}

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Hash(hash) => hash.fmt(f),
            Self::Bloom(bloom) => bloom.fmt(f),
        }
    }
}

impl From<u64> for FieldValue {
    fn from(number: u64) -> Self {
        Self::Number(U256::from(number))
    }
}

impl From<U256> for FieldValue {
    fn from(number: U256) -> Self {
        Self::Number(number)
    }
}

impl From<B256> for FieldValue {
    fn from(hash: B256) -> Self {
        Self::Hash(hash)
    }
}

impl From<Bloom> for FieldValue {
    fn from(bloom: Bloom) -> Self {
        Self::Bloom(Box::new(bloom))
    }
}

/// A field whose value in the header is not the one that follows from the block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("wrong {field}: expected {expected}, found {found}")]
pub struct Mismatch {
    /// The field.
    pub field: Field,
    /// The value that the parent, the body or the execution gives.
    pub expected: FieldValue,
    /// The value in the header.
    pub found: FieldValue,
}

impl Mismatch {
    /// A mismatch of `field`, or nothing where both values agree.
    ///
    /// # Errors
    /// The mismatch.
    pub fn check<T>(field: Field, expected: T, found: T) -> Result<(), Self>
    where
        T: PartialEq + Into<FieldValue>,
    {
        if expected == found {
            return Ok(());
        }
        Err(Self { field, expected: expected.into(), found: found.into() })
    }
}
