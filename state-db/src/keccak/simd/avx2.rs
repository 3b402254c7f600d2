//! Four states a permutation, on AVX2: the state does not fit the 16 registers and rotation takes three instructions.
#![expect(unsafe_code, reason = "vector loads and stores, and the call into code compiled for AVX2")]

use super::rounds;
use crate::keccak::lanes::{Permutation, States, WORDS};
use std::arch::{
    is_x86_feature_detected,
    x86_64::{
        __m256i, _mm256_andnot_si256, _mm256_loadu_si256, _mm256_or_si256, _mm256_set1_epi64x, _mm256_setzero_si256,
        _mm256_slli_epi64, _mm256_srli_epi64, _mm256_storeu_si256, _mm256_xor_si256,
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
    // PERF: a permutation of four lanes costs 1.95 scalar ones (example `figures`, section keccak).
    const LANES_MIN: usize = 3;

    fn permute(self, states: &mut States<LANES>) {
        // SAFETY: `self` exists, so `detect` saw AVX2 on this CPU.
        unsafe { permute(states) }
    }
}

#[target_feature(enable = "avx2")]
fn permute(states: &mut States<LANES>) {
    let mut a = [_mm256_setzero_si256(); WORDS];
    for (vector, word) in a.iter_mut().zip(states.iter()) {
        // SAFETY: `word` is 32 readable bytes, and the load asks for no alignment.
        *vector = unsafe { _mm256_loadu_si256(word.as_ptr().cast()) };
    }
    rounds!(a);
    for (vector, word) in a.iter().zip(states.iter_mut()) {
        // SAFETY: `word` is 32 writable bytes, and the store asks for no alignment.
        unsafe { _mm256_storeu_si256(word.as_mut_ptr().cast(), *vector) };
    }
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
