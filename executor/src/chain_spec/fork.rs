//! The forks in order, when they activate, and small collections keyed by them.
//!
//! Place in the flow: below the chain spec.
//! Invariant: [`Fork::ALL`] lists the forks in the order of the enum, which is the order of their rules.

use alloy_eips::{
    eip7594::MAX_BLOBS_PER_TX_FUSAKA,
    eip7840::{BLOB_BASE_COST, BlobParams},
};
use std::fmt;

/// A fork of the execution layer, oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Fork {
    /// The first rules.
    Frontier,
    /// EIP-606.
    Homestead,
    /// EIP-608, Tangerine Whistle, "EIP150".
    Tangerine,
    /// EIP-607, "EIP158".
    SpuriousDragon,
    /// EIP-609.
    Byzantium,
    /// EIP-1013, with the net gas metering of EIP-1283 until Petersburg.
    Constantinople,
    /// EIP-1716, "ConstantinopleFix".
    Petersburg,
    /// EIP-1679.
    Istanbul,
    /// EIP-2384: the difficulty bomb alone.
    MuirGlacier,
    /// EIP-2070 set: access lists.
    Berlin,
    /// EIP-1559 and its set.
    London,
    /// EIP-4345: the difficulty bomb alone.
    ArrowGlacier,
    /// EIP-5133: the difficulty bomb alone.
    GrayGlacier,
    /// EIP-3675, the merge.
    Paris,
    /// EIP-4895 and its set.
    Shanghai,
    /// EIP-4844 and its set.
    Cancun,
    /// EIP-7702 and its set (EIP-7600).
    Prague,
    /// EIP-7594 and its set (EIP-7607).
    Osaka,
    /// EIP-7892: blob parameters alone.
    Bpo1,
    /// EIP-7892: blob parameters alone.
    Bpo2,
    /// EIP-7892: blob parameters alone.
    Bpo3,
    /// EIP-7892: blob parameters alone.
    Bpo4,
    /// EIP-7892: blob parameters alone.
    Bpo5,
    /// Osaka's rules with EIP-7928 block access lists, as the official tests of that EIP configure it.
    Amsterdam,
}

/// Number of forks.
pub(super) const SCHEDULED_MAX: usize = 24;

impl Fork {
    /// Every fork, oldest first.
    pub const ALL: [Self; SCHEDULED_MAX] = [
        Self::Frontier,
        Self::Homestead,
        Self::Tangerine,
        Self::SpuriousDragon,
        Self::Byzantium,
        Self::Constantinople,
        Self::Petersburg,
        Self::Istanbul,
        Self::MuirGlacier,
        Self::Berlin,
        Self::London,
        Self::ArrowGlacier,
        Self::GrayGlacier,
        Self::Paris,
        Self::Shanghai,
        Self::Cancun,
        Self::Prague,
        Self::Osaka,
        Self::Bpo1,
        Self::Bpo2,
        Self::Bpo3,
        Self::Bpo4,
        Self::Bpo5,
        Self::Amsterdam,
    ];

    /// The name that the official fixtures use.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Frontier => "Frontier",
            Self::Homestead => "Homestead",
            Self::Tangerine => "EIP150",
            Self::SpuriousDragon => "EIP158",
            Self::Byzantium => "Byzantium",
            Self::Constantinople => "Constantinople",
            Self::Petersburg => "ConstantinopleFix",
            Self::Istanbul => "Istanbul",
            Self::MuirGlacier => "MuirGlacier",
            Self::Berlin => "Berlin",
            Self::London => "London",
            Self::ArrowGlacier => "ArrowGlacier",
            Self::GrayGlacier => "GrayGlacier",
            Self::Paris => "Paris",
            Self::Shanghai => "Shanghai",
            Self::Cancun => "Cancun",
            Self::Prague => "Prague",
            Self::Osaka => "Osaka",
            Self::Bpo1 => "BPO1",
            Self::Bpo2 => "BPO2",
            Self::Bpo3 => "BPO3",
            Self::Bpo4 => "BPO4",
            Self::Bpo5 => "BPO5",
            Self::Amsterdam => "Amsterdam",
        }
    }

    /// The fork with an official name or one of its other names, whatever the case.
    pub fn from_name(name: &str) -> Option<Self> {
        let other = match name.to_ascii_lowercase().as_str() {
            "petersburg" => Some(Self::Petersburg),
            "merge" => Some(Self::Paris),
            "tangerinewhistle" => Some(Self::Tangerine),
            "spuriousdragon" => Some(Self::SpuriousDragon),
            _ => None,
        };
        other.or_else(|| Self::ALL.into_iter().find(|fork| fork.name().eq_ignore_ascii_case(name)))
    }

    /// Whether later forks do not build on this one, so that a chain may leave it out.
    pub const fn is_optional(self) -> bool {
        matches!(
            self,
            Self::MuirGlacier
                | Self::ArrowGlacier
                | Self::GrayGlacier
                | Self::Bpo1
                | Self::Bpo2
                | Self::Bpo3
                | Self::Bpo4
                | Self::Bpo5
        )
    }

    /// Whether the fork activates by timestamp.
    pub fn is_timed(self) -> bool {
        self >= Self::Shanghai
    }
}

impl fmt::Display for Fork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// When a fork becomes active.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Not scheduled.
    Never,
    /// From this block on.
    Block(u64),
    /// From the first block at or after this time on, in seconds.
    Timestamp(u64),
}

impl Activation {
    /// Whether this activates before `other`; block and time are not compared, for time forks follow all block forks.
    pub(super) const fn precedes(self, other: Self) -> bool {
        match (self, other) {
            (Self::Never, _) => false,
            (_, Self::Never) => true,
            (Self::Block(a), Self::Block(b)) | (Self::Timestamp(a), Self::Timestamp(b)) => a < b,
            (Self::Block(_), Self::Timestamp(_)) | (Self::Timestamp(_), Self::Block(_)) => false,
        }
    }
}

impl From<Option<u64>> for Activation {
    /// A block number, or never.
    fn from(block: Option<u64>) -> Self {
        block.map_or(Self::Never, Self::Block)
    }
}

/// A set of active forks; Frontier is always in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ForkSet(u32);

impl ForkSet {
    /// Adds a fork.
    pub(super) const fn insert(&mut self, fork: Fork) {
        self.0 |= 1 << fork as u32;
    }

    /// Whether a fork is in the set.
    pub const fn contains(self, fork: Fork) -> bool {
        self.0 & (1 << fork as u32) != 0
    }

    /// The newest fork of the set.
    pub fn latest(self) -> Fork {
        Fork::ALL.into_iter().rev().find(|fork| self.contains(*fork)).unwrap_or(Fork::Frontier)
    }
}

/// One value for each fork.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PerFork<T>([T; SCHEDULED_MAX]);

impl<T: Copy> PerFork<T> {
    /// The same value for every fork.
    pub(super) const fn filled(value: T) -> Self {
        Self([value; SCHEDULED_MAX])
    }

    /// The value of a fork.
    pub(super) const fn get(&self, fork: Fork) -> T {
        self.0[fork as usize]
    }

    /// Sets the value of a fork.
    pub(super) const fn set(&mut self, fork: Fork, value: T) {
        self.0[fork as usize] = value;
    }
}

/// Blob parameters with the limits that do not come from a schedule.
pub(super) fn normalised(fork: Fork, params: BlobParams) -> BlobParams {
    // CONSENSUS: EIP-7594 caps the blobs of one transaction and EIP-7918 adds a reserve price, both from Osaka on.
    if fork >= Fork::Osaka {
        return params.with_max_blobs_per_tx(MAX_BLOBS_PER_TX_FUSAKA).with_blob_base_cost(BLOB_BASE_COST);
    }
    params.with_max_blobs_per_tx(params.max_blob_count).with_blob_base_cost(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_of_all_is_the_order_of_the_enum() {
        for (position, fork) in Fork::ALL.into_iter().enumerate() {
            assert_eq!(fork as usize, position, "{fork}");
            assert_eq!(Fork::from_name(fork.name()), Some(fork));
        }
    }

    #[test]
    fn other_names_are_understood_whatever_the_case() {
        assert_eq!(Fork::from_name("Merge"), Some(Fork::Paris));
        assert_eq!(Fork::from_name("bpo2"), Some(Fork::Bpo2));
        assert_eq!(Fork::from_name("Petersburg"), Some(Fork::Petersburg));
        assert_eq!(Fork::from_name("Atlantis"), None);
    }

    #[test]
    fn latest_of_an_empty_set_is_frontier() {
        assert_eq!(ForkSet::default().latest(), Fork::Frontier);
    }

    #[test]
    fn blobs_per_transaction_are_capped_from_osaka_on() {
        assert_eq!(normalised(Fork::Prague, BlobParams::prague()), BlobParams::prague());
        assert_eq!(normalised(Fork::Bpo2, BlobParams::bpo2()), BlobParams::bpo2());
        assert_eq!(normalised(Fork::Osaka, BlobParams::prague()), BlobParams::osaka());
    }
}
