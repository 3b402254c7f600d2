//! Eight states a permutation, on AVX-512F: 25 state words stay in the 32 registers, rotation and three-way logic are one
//! instruction each.
#![expect(unsafe_code, reason = "vector loads and stores, and the call into code compiled for AVX-512F")]

use super::{ROUND_CONSTANTS, last_word, round};
use crate::keccak::lanes::{Permutation, RATE, States, WORDS};
use std::arch::{
    is_x86_feature_detected,
    x86_64::{
        __m512i, _mm512_loadu_si512, _mm512_rol_epi64, _mm512_set1_epi64, _mm512_setzero_si512, _mm512_shuffle_i64x2,
        _mm512_storeu_si512, _mm512_ternarylogic_epi64, _mm512_unpackhi_epi64, _mm512_unpacklo_epi64, _mm512_xor_si512,
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
    // PERF: a permutation of eight lanes costs 1.5 to 1.8 scalar ones (example `figures`, section keccak).
    const PRICE: usize = 18;

    fn absorb(self, states: &mut States<LANES>, blocks: &[&[u8; RATE]; LANES]) {
        // SAFETY: `self` exists, so `detect` saw AVX-512F on this CPU.
        unsafe { absorb(states, blocks) }
    }
}

#[target_feature(enable = "avx512f")]
fn absorb(states: &mut States<LANES>, blocks: &[&[u8; RATE]; LANES]) {
    let mut a = [_mm512_setzero_si512(); WORDS];
    // Counted loops: code of iterators is not compiled for AVX-512F, and would be called for each item.
    for i in 0..WORDS {
        // SAFETY: a word of all lanes is 64 readable bytes, and the load asks for no alignment.
        a[i] = unsafe { _mm512_loadu_si512(states[i].as_ptr().cast()) };
    }
    let (mut rows, mut last) = ([_mm512_setzero_si512(); LANES], [0; LANES]);
    for half in 0..2 {
        for lane in 0..LANES {
            // SAFETY: eight words from word `8 * half` on stand within the 17 of a block, and the load asks for no alignment.
            rows[lane] = unsafe { _mm512_loadu_si512(blocks[lane].as_ptr().add(64 * half).cast()) };
        }
        let words = transpose(&rows);
        for i in 0..8 {
            a[8 * half + i] = xor(a[8 * half + i], words[i]);
        }
    }
    for lane in 0..LANES {
        last[lane] = last_word(blocks[lane]);
    }
    // SAFETY: `last` is 64 readable bytes, and the load asks for no alignment.
    a[16] = xor(a[16], unsafe { _mm512_loadu_si512(last.as_ptr().cast()) });
    // PERF: two rounds at a turn, so that registers are moved back to where a turn begins half as often: 5 % of a hash
    // (`laminar bench keccak`). On AVX2, which spills, the same costs half as much again.
    for [even, odd] in ROUND_CONSTANTS.as_chunks::<2>().0 {
        round!(a, *even);
        round!(a, *odd);
    }
    for i in 0..WORDS {
        // SAFETY: a word of all lanes is 64 writable bytes, and the store asks for no alignment.
        unsafe { _mm512_storeu_si512(states[i].as_mut_ptr().cast(), a[i]) };
    }
}

/// Rows of eight words into columns.
#[inline]
#[target_feature(enable = "avx512f")]
fn transpose(r: &[__m512i; 8]) -> [__m512i; 8] {
    let [w0, w2, w4, w6] = columns(
        _mm512_unpacklo_epi64(r[0], r[1]),
        _mm512_unpacklo_epi64(r[2], r[3]),
        _mm512_unpacklo_epi64(r[4], r[5]),
        _mm512_unpacklo_epi64(r[6], r[7]),
    );
    let [w1, w3, w5, w7] = columns(
        _mm512_unpackhi_epi64(r[0], r[1]),
        _mm512_unpackhi_epi64(r[2], r[3]),
        _mm512_unpackhi_epi64(r[4], r[5]),
        _mm512_unpackhi_epi64(r[6], r[7]),
    );
    [w0, w1, w2, w3, w4, w5, w6, w7]
}

/// Rows of four pairs into columns.
#[inline]
#[target_feature(enable = "avx512f")]
fn columns(a: __m512i, b: __m512i, c: __m512i, d: __m512i) -> [__m512i; 4] {
    let (even, even_below) = (_mm512_shuffle_i64x2::<0x88>(a, b), _mm512_shuffle_i64x2::<0x88>(c, d));
    let (odd, odd_below) = (_mm512_shuffle_i64x2::<0xdd>(a, b), _mm512_shuffle_i64x2::<0xdd>(c, d));
    [
        _mm512_shuffle_i64x2::<0x88>(even, even_below),
        _mm512_shuffle_i64x2::<0x88>(odd, odd_below),
        _mm512_shuffle_i64x2::<0xdd>(even, even_below),
        _mm512_shuffle_i64x2::<0xdd>(odd, odd_below),
    ]
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
