//! Four states a permutation, on AVX2: the state does not fit the 16 registers and rotation takes three instructions.
#![expect(unsafe_code, reason = "vector loads and stores, and the call into code compiled for AVX2")]

use super::{ROUND_CONSTANTS, last_word, round};
use crate::keccak::lanes::{Permutation, RATE, States, WORDS};
use std::arch::{
    is_x86_feature_detected,
    x86_64::{
        __m256i, _mm256_andnot_si256, _mm256_loadu_si256, _mm256_or_si256, _mm256_permute2x128_si256,
        _mm256_set1_epi64x, _mm256_setzero_si256, _mm256_slli_epi64, _mm256_srli_epi64, _mm256_storeu_si256,
        _mm256_unpackhi_epi64, _mm256_unpacklo_epi64, _mm256_xor_si256,
    },
};

const LANES: usize = 4;

/// Proof that this CPU has AVX2.
#[derive(Clone, Copy, Debug)]
pub(in crate::keccak) struct Avx2(());

impl Avx2 {
    /// The proof, if it can be had.
    pub(in crate::keccak) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx2").then_some(Self(()))
    }
}

impl Permutation<LANES> for Avx2 {
    // PERF: a permutation of four lanes costs 2 scalar ones (example `figures`, section keccak).
    const PRICE: usize = 20;

    fn absorb(self, states: &mut States<LANES>, blocks: &[&[u8; RATE]; LANES]) {
        // SAFETY: `self` exists, so `detect` saw AVX2 on this CPU.
        unsafe { absorb(states, blocks) }
    }
}

#[target_feature(enable = "avx2")]
fn absorb(states: &mut States<LANES>, blocks: &[&[u8; RATE]; LANES]) {
    let mut a = [_mm256_setzero_si256(); WORDS];
    // Counted loops: code of iterators is not compiled for AVX2, and would be called for each item.
    for i in 0..WORDS {
        // SAFETY: a word of all lanes is 32 readable bytes, and the load asks for no alignment.
        a[i] = unsafe { _mm256_loadu_si256(states[i].as_ptr().cast()) };
    }
    let (mut rows, mut last) = ([_mm256_setzero_si256(); LANES], [0; LANES]);
    for quarter in 0..4 {
        for lane in 0..LANES {
            // SAFETY: four words from word `4 * quarter` on stand within the 17 of a block, and the load asks for no alignment.
            rows[lane] = unsafe { _mm256_loadu_si256(blocks[lane].as_ptr().add(32 * quarter).cast()) };
        }
        let words = transpose(rows);
        for i in 0..4 {
            a[4 * quarter + i] = xor(a[4 * quarter + i], words[i]);
        }
    }
    for lane in 0..LANES {
        last[lane] = last_word(blocks[lane]);
    }
    // SAFETY: `last` is 32 readable bytes, and the load asks for no alignment.
    a[16] = xor(a[16], unsafe { _mm256_loadu_si256(last.as_ptr().cast()) });
    for constant in ROUND_CONSTANTS {
        round!(a, constant);
    }
    for i in 0..WORDS {
        // SAFETY: a word of all lanes is 32 writable bytes, and the store asks for no alignment.
        unsafe { _mm256_storeu_si256(states[i].as_mut_ptr().cast(), a[i]) };
    }
}

/// Rows of four words into columns.
#[inline]
#[target_feature(enable = "avx2")]
fn transpose([r0, r1, r2, r3]: [__m256i; 4]) -> [__m256i; 4] {
    let (even, odd) = (_mm256_unpacklo_epi64(r0, r1), _mm256_unpackhi_epi64(r0, r1));
    let (even_below, odd_below) = (_mm256_unpacklo_epi64(r2, r3), _mm256_unpackhi_epi64(r2, r3));
    [
        _mm256_permute2x128_si256::<0x20>(even, even_below),
        _mm256_permute2x128_si256::<0x20>(odd, odd_below),
        _mm256_permute2x128_si256::<0x31>(even, even_below),
        _mm256_permute2x128_si256::<0x31>(odd, odd_below),
    ]
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor(a: __m256i, b: __m256i) -> __m256i {
    _mm256_xor_si256(a, b)
}

#[inline]
#[target_feature(enable = "avx2")]
fn xor3(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
    xor(xor(a, b), c)
}

#[inline]
#[target_feature(enable = "avx2")]
fn chi(a: __m256i, b: __m256i, c: __m256i) -> __m256i {
    xor(a, _mm256_andnot_si256(b, c))
}

#[inline]
#[target_feature(enable = "avx2")]
fn rol<const LEFT: i32, const RIGHT: i32>(a: __m256i) -> __m256i {
    _mm256_or_si256(_mm256_slli_epi64::<LEFT>(a), _mm256_srli_epi64::<RIGHT>(a))
}

#[inline]
#[target_feature(enable = "avx2")]
fn splat(word: u64) -> __m256i {
    _mm256_set1_epi64x(word.cast_signed())
}
