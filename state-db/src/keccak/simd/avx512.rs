//! Eight states a permutation, on AVX-512F: 25 state words stay in the 32 registers, rotation and three-way logic are one
//! instruction each.
#![expect(unsafe_code, reason = "vector loads and stores, and the call into code compiled for AVX-512F")]

use super::rounds;
use crate::keccak::lanes::{Permutation, States, WORDS};
use std::arch::{
    is_x86_feature_detected,
    x86_64::{
        __m512i, _mm512_loadu_si512, _mm512_rol_epi64, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_storeu_si512,
        _mm512_ternarylogic_epi64, _mm512_xor_si512,
    },
};

const LANES: usize = 8;

/// Proof that this CPU has AVX-512F.
#[derive(Clone, Copy, Debug)]
pub(in crate::keccak) struct Avx512(());

impl Avx512 {
    /// The proof, if it can be had.
    pub(in crate::keccak) fn detect() -> Option<Self> {
        is_x86_feature_detected!("avx512f").then_some(Self(()))
    }
}

impl Permutation<LANES> for Avx512 {
    // PERF: a permutation of eight lanes costs 1.6 scalar ones (example `figures`, section keccak).
    const LANES_MIN: usize = 2;

    fn permute(self, states: &mut States<LANES>) {
        // SAFETY: `self` exists, so `detect` saw AVX-512F on this CPU.
        unsafe { permute(states) }
    }
}

#[target_feature(enable = "avx512f")]
fn permute(states: &mut States<LANES>) {
    let mut a = [_mm512_setzero_si512(); WORDS];
    for (vector, word) in a.iter_mut().zip(states.iter()) {
        // SAFETY: `word` is 64 readable bytes, and the load asks for no alignment.
        *vector = unsafe { _mm512_loadu_si512(word.as_ptr().cast()) };
    }
    rounds!(a);
    for (vector, word) in a.iter().zip(states.iter_mut()) {
        // SAFETY: `word` is 64 writable bytes, and the store asks for no alignment.
        unsafe { _mm512_storeu_si512(word.as_mut_ptr().cast(), *vector) };
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn xor(a: __m512i, b: __m512i) -> __m512i {
    _mm512_xor_si512(a, b)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn xor3(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    _mm512_ternarylogic_epi64::<0x96>(a, b, c)
}

/// Truth table 0xd2 is `a ^ (!b & c)`.
#[inline]
#[target_feature(enable = "avx512f")]
fn chi(a: __m512i, b: __m512i, c: __m512i) -> __m512i {
    _mm512_ternarylogic_epi64::<0xd2>(a, b, c)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn rol<const LEFT: i32, const RIGHT: i32>(a: __m512i) -> __m512i {
    _mm512_rol_epi64::<LEFT>(a)
}

#[inline]
#[target_feature(enable = "avx512f")]
fn splat(word: u64) -> __m512i {
    _mm512_set1_epi64(word.cast_signed())
}
