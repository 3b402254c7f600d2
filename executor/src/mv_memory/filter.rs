//! Which locations were ever published: a bitmap that answers "never" without a lock.
//!
//! Place in the flow: in front of the shards of [`super::MvMemory`]; most reads of a block are of locations that nobody
//! writes, and end here.
//! Invariant: a location whose publication happened before the question is never denied. A publication that races with the
//! question may be missed: the reader then sees an older value, which validation finds.

use crate::sync::{AtomicU64, Ordering};

/// Bits of the bitmap per expected location: one in 16 false alarms costs a lock, nothing else.
const BITS_PER_LOCATION: usize = 16;
/// Smallest bitmap in words.
const WORDS_MIN: usize = 16;

/// A one-hash bitmap over location hashes.
#[derive(Debug)]
pub(super) struct Filter {
    words: Box<[AtomicU64]>,
    mask: usize,
}

impl Filter {
    /// A filter for about `locations` published locations.
    pub(super) fn new(locations: usize) -> Self {
        let words = Self::words(locations);
        Self { words: (0..words).map(|_| AtomicU64::new(0)).collect(), mask: words - 1 }
    }

    /// A filter that was never told anything, for about `locations` published locations.
    pub(super) fn reset(&mut self, locations: usize) {
        let wanted = Self::words(locations);
        if self.words.len() < wanted {
            *self = Self::new(locations);
        } else {
            self.words.iter_mut().for_each(|word| *word = AtomicU64::new(0));
        }
    }

    fn words(locations: usize) -> usize {
        (locations * BITS_PER_LOCATION / 64).next_power_of_two().max(WORDS_MIN)
    }

    /// Marks a location as published.
    pub(super) fn insert(&self, hash: u64) {
        let (word, bit) = self.place(hash);
        // ORDER: Relaxed. The bit publishes nothing by itself: whoever sees it takes the shard's lock, whoever misses it reads
        // the parent's value and is corrected by validation. Ordinary visibility comes from the scheduler's `finish`.
        if self.words[word].load(Ordering::Relaxed) & bit == 0 {
            self.words[word].fetch_or(bit, Ordering::Relaxed);
        }
    }

    /// False if the location was certainly not published before.
    pub(super) fn may_contain(&self, hash: u64) -> bool {
        let (word, bit) = self.place(hash);
        // ORDER: Relaxed, see `insert`.
        self.words[word].load(Ordering::Relaxed) & bit != 0
    }

    const fn place(&self, hash: u64) -> (usize, u64) {
        ((hash >> 6) as usize & self.mask, 1 << (hash & 63))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_is_never_denied() {
        let filter = Filter::new(1);
        assert!(!filter.may_contain(7));
        for hash in (0..5_000u64).map(|i| i.wrapping_mul(0x9e37_79b9_7f4a_7c15)) {
            filter.insert(hash);
            assert!(filter.may_contain(hash), "{hash:#x}");
        }
    }
}
