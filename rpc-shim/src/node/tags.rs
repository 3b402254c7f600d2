//! The names that a fork choice gave to blocks, as the store keeps them.
//!
//! Place in the flow: written with the commit of a fork choice, read when the chain is opened again.
//!
//! | offset | length | meaning |
//! | --- | --- | --- |
//! | 0 | 32 | hash of the safe block, zero for none |
//! | 32 | 32 | hash of the finalised block, zero for none |

use alloy_primitives::{B256, Bytes};

/// Hashes by name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Tags {
    pub(super) safe: Option<B256>,
    pub(super) finalized: Option<B256>,
}

impl Tags {
    pub(super) fn to_bytes(self) -> Bytes {
        [self.safe.unwrap_or_default().0, self.finalized.unwrap_or_default().0].concat().into()
    }

    /// What is missing is no name: a consensus client says it again.
    pub(super) fn read(bytes: &[u8]) -> Self {
        let hash = |at: usize| bytes.get(at..at + 32).map(B256::from_slice).filter(|hash| !hash.is_zero());
        Self { safe: hash(0), finalized: hash(32) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_survive() {
        for safe in [None, Some(B256::repeat_byte(1))] {
            for finalized in [None, Some(B256::repeat_byte(2))] {
                let tags = Tags { safe, finalized };
                assert_eq!(Tags::read(&tags.to_bytes()), tags);
            }
        }
        assert_eq!(Tags::read(&[]), Tags::default());
    }
}
