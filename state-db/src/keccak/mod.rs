//! Keccak-256 of many messages at once: the hash behind every trie node, trie key and code hash.
//!
//! Place in the flow: the trie hashes its dirty nodes level by level, and whoever turns addresses and slots into trie keys
//! hashes them, in batches made here.
//! How: lane `i` of a vector register holds one word of message `i`, so one permutation serves 8 messages (AVX-512) or 4
//! (AVX2). Messages wait in a group until it is full; a group holds messages of equally many 136-byte blocks.
//! Invariant: the result is Keccak-256 of each message, in the order of the messages, whatever the CPU.
//! `simd` holds all unsafe code of the workspace; padding, grouping and squeezing are safe and shared.

#[cfg(target_arch = "x86_64")]
mod lanes;
#[cfg(target_arch = "x86_64")]
mod simd;

use alloy_primitives::{B256, keccak256};
use std::sync::atomic::{AtomicU8, Ordering};

/// Position of the fastest allowed variant in [`Dispatch::ALL`].
static FASTEST: AtomicU8 = AtomicU8::new(Dispatch::Avx512 as u8);

/// Which code hashes a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dispatch {
    /// One message at a time.
    Scalar,
    /// Four messages at a time.
    Avx2,
    /// Eight messages at a time.
    Avx512,
}

impl Dispatch {
    /// All variants, slowest first.
    pub const ALL: [Self; 3] = [Self::Scalar, Self::Avx2, Self::Avx512];

    /// The fastest that this CPU can run, and that [`Self::limit`] allows.
    pub fn detect() -> Self {
        // ORDER: Relaxed; it decides how fast hashes come and publishes nothing.
        let fastest = usize::from(FASTEST.load(Ordering::Relaxed));
        let allowed = Self::ALL.iter().take(fastest + 1).rev();
        allowed.copied().find(|dispatch| dispatch.is_available()).unwrap_or(Self::Scalar)
    }

    /// From now on nothing faster than `fastest` is used in this process, unless it is asked for by name: for measurements.
    pub fn limit(fastest: Self) {
        FASTEST.store(fastest as u8, Ordering::Relaxed);
    }

    /// Whether this CPU can run it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Scalar => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => simd::Avx2::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => simd::Avx512::detect().is_some(),
            #[cfg(not(target_arch = "x86_64"))]
            _ => false,
        }
    }
}

/// Hashes `messages` into `out`, which is cleared first: `out[i]` is the hash of `messages[i]`.
pub fn keccak256_batch<M: AsRef<[u8]>>(messages: &[M], out: &mut Vec<B256>) {
    keccak256_batch_with(Dispatch::detect(), messages, out);
}

/// [`keccak256_batch`] by the code that `dispatch` names; scalar if the CPU cannot run it.
pub fn keccak256_batch_with<M: AsRef<[u8]>>(dispatch: Dispatch, messages: &[M], out: &mut Vec<B256>) {
    hash_each(dispatch, messages.len(), |i| messages[i].as_ref(), out);
}

/// Hashes the messages `message(0)..message(len)` into `out`, which is cleared first.
pub(crate) fn hash_each<'a>(dispatch: Dispatch, len: usize, message: impl Fn(usize) -> &'a [u8], out: &mut Vec<B256>) {
    out.clear();
    out.resize(len, B256::ZERO);
    match dispatch {
        #[cfg(target_arch = "x86_64")]
        Dispatch::Avx512 => {
            if let Some(engine) = simd::Avx512::detect() {
                return lanes::hash_each(engine, message, out);
            }
        }
        #[cfg(target_arch = "x86_64")]
        Dispatch::Avx2 => {
            if let Some(engine) = simd::Avx2::detect() {
                return lanes::hash_each(engine, message, out);
            }
        }
        _ => {}
    }
    for (i, hash) in out.iter_mut().enumerate() {
        *hash = keccak256(message(i));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(messages: &[Vec<u8>]) {
        let want: Vec<B256> = messages.iter().map(keccak256).collect();
        let mut got = Vec::new();
        for dispatch in Dispatch::ALL.into_iter().filter(|dispatch| dispatch.is_available()) {
            keccak256_batch_with(dispatch, messages, &mut got);
            for (i, (want, got)) in want.iter().zip(&got).enumerate() {
                assert_eq!(want, got, "{dispatch:?}, message {i} of {} bytes", messages[i].len());
            }
            assert_eq!(want.len(), got.len());
        }
    }

    fn message(len: usize, seed: u8) -> Vec<u8> {
        (0..len).map(|i| (i as u8).wrapping_mul(31).wrapping_add(seed)).collect()
    }

    #[test]
    fn every_length_up_to_1000_in_full_groups() {
        for len in 0..=1000 {
            check(&(0..9).map(|seed| message(len, seed)).collect::<Vec<_>>());
        }
    }

    #[test]
    fn all_lengths_mixed_in_one_batch() {
        check(&(0..=1000).map(|len| message(len, 7)).collect::<Vec<_>>());
    }

    #[test]
    fn order_of_all_is_that_of_the_positions() {
        assert!(Dispatch::ALL.iter().enumerate().all(|(place, dispatch)| *dispatch as usize == place));
    }

    #[test]
    fn empty_batch_clears_the_output() {
        let mut out = vec![B256::ZERO];
        keccak256_batch::<&[u8]>(&[], &mut out);
        assert!(out.is_empty());
    }

    #[test]
    fn long_messages_of_uneven_length_share_a_group() {
        check(&[1, 24_576, 700, 6_000, 12_345, 24_577, 681, 136 * 40, 136 * 40 - 1].map(|len| message(len, 3)));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn random_batches_match_scalar(lens in proptest::collection::vec(0usize..700, 0..40), seed: u8) {
            let messages: Vec<_> = lens.iter().enumerate().map(|(i, len)| message(*len, seed ^ i as u8)).collect();
            check(&messages);
        }
    }
}
