//! A location: one thing in the state that a transaction can read or write on its own.
//!
//! Place in the flow: read sets, effects, multi-version memory and the conflict graph all speak of locations.
//! Invariant: two locations are equal only if address and slot are; a hash is never an identity.

use alloy_primitives::{Address, B256, U256};
use std::fmt;

/// One account field, the identity behind an account, or one storage slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Location {
    /// Balance of an account.
    Balance(Address),
    /// Nonce of an account.
    Nonce(Address),
    /// Existence, emptiness (EIP-161) and code of an account: what calls and `EXTCODEHASH` depend on.
    Code(Address),
    /// One storage slot.
    Slot(Address, U256),
    /// Code by its hash; content-addressed, so constant.
    CodeHash(B256),
    /// The hash of an ancestor block; constant within a block.
    BlockHash(u64),
}

impl Location {
    /// The account that the location belongs to, if it belongs to one.
    pub const fn address(&self) -> Option<&Address> {
        match self {
            Self::Balance(address) | Self::Nonce(address) | Self::Code(address) | Self::Slot(address, _) => {
                Some(address)
            }
            Self::CodeHash(_) | Self::BlockHash(_) => None,
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Balance(address) => write!(f, "balance of {address}"),
            Self::Nonce(address) => write!(f, "nonce of {address}"),
            Self::Code(address) => write!(f, "code of {address}"),
            Self::Slot(address, slot) => write!(f, "slot {slot:#x} of {address}"),
            Self::CodeHash(hash) => write!(f, "code with hash {hash}"),
            Self::BlockHash(number) => write!(f, "hash of block {number}"),
        }
    }
}
