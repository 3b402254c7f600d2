//! What stands for a node in its parent.

use alloy_primitives::{B256, keccak256};
use alloy_rlp::{EMPTY_LIST_CODE, EMPTY_STRING_CODE};

/// A hash with its header.
pub(super) const REFERENCE_LEN_MAX: usize = 33;
/// First byte of a reference by hash.
pub(super) const HASH_PREFIX: u8 = EMPTY_STRING_CODE + 32;

/// The RLP of a node if it is shorter than 32 bytes, else its hash with a header (yellow paper, appendix D); nothing for a node
/// that must be hashed.
///
/// Unlike alloy-trie's `RlpNode` it has bytes to its end, so that sixteen of them are copied without a branch for each length.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Reference {
    /// Zeros behind `len`.
    bytes: [u8; REFERENCE_LEN_MAX],
    len: u8,
}

impl Default for Reference {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Reference {
    /// What stands for a node that must be hashed.
    pub(super) const EMPTY: Self = Self { bytes: [0; REFERENCE_LEN_MAX], len: 0 };

    /// What stands in a branch where there is no child.
    pub(super) const NONE: Self = {
        let mut bytes = [0; REFERENCE_LEN_MAX];
        bytes[0] = EMPTY_STRING_CODE;
        Self { bytes, len: 1 }
    };

    /// The node with this hash.
    #[inline]
    pub(super) fn of_hash(hash: &B256) -> Self {
        let mut bytes = [HASH_PREFIX; REFERENCE_LEN_MAX];
        bytes[1..].copy_from_slice(hash.as_slice());
        Self { bytes, len: REFERENCE_LEN_MAX as u8 }
    }

    /// The node whose RLP these bytes begin with; zeros follow. It is a list of less than 32 bytes.
    pub(super) fn of_inline(padded: &[u8; 32]) -> Self {
        let mut bytes = [0; REFERENCE_LEN_MAX];
        bytes[..32].copy_from_slice(padded);
        Self { bytes, len: 1 + (padded[0] - EMPTY_LIST_CODE) }
    }

    /// The bytes of a node of less than 32 bytes, and zeros behind them.
    pub(super) fn inline_bytes(&self) -> [u8; 32] {
        debug_assert!(!self.is_hash() && self.bytes[0] >= EMPTY_LIST_CODE, "{self:?} is the RLP of no node");
        std::array::from_fn(|i| self.bytes[i])
    }

    /// These bytes as they are; `None` if they are too many.
    pub(super) fn from_raw(raw: &[u8]) -> Option<Self> {
        let mut bytes = [0; REFERENCE_LEN_MAX];
        bytes.get_mut(..raw.len())?.copy_from_slice(raw);
        Some(Self { bytes, len: raw.len() as u8 })
    }

    /// The node with this RLP.
    pub(super) fn from_rlp(rlp: &[u8]) -> Self {
        let inline = Self::from_raw(rlp).filter(|_| rlp.len() < B256::ZERO.len());
        inline.unwrap_or_else(|| Self::of_hash(&keccak256(rlp)))
    }

    /// Whether it is a hash.
    #[inline]
    pub(super) const fn is_hash(&self) -> bool {
        self.len as usize == REFERENCE_LEN_MAX
    }

    /// The hash, if it is one.
    pub(super) fn as_hash(&self) -> Option<&B256> {
        let [_, hash @ ..] = &self.bytes;
        self.is_hash().then(|| hash.into())
    }

    /// The hash of the node, as a root has it however short the node is.
    pub(super) fn to_hash(self) -> B256 {
        self.as_hash().copied().unwrap_or_else(|| keccak256(&*self))
    }

    /// The bytes, and zeros behind them.
    #[inline]
    pub(super) const fn padded(&self) -> &[u8; REFERENCE_LEN_MAX] {
        &self.bytes
    }
}

impl std::ops::Deref for Reference {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}
