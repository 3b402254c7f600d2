//! The sponge around a permutation of `L` states at once: grouping, absorbing with padding, squeezing.
//!
//! Place in the flow: between the batch API and the vector code, which only permutes.
//! Invariant: a state is `[[u64; L]; 25]`, word by word, and lane `i` of every word belongs to message `i` of the group.

use alloy_primitives::{B256, keccak256};

/// Bytes that one permutation absorbs.
const RATE: usize = 136;

/// Messages of up to this many blocks wait in a group of their own kind; full branch nodes (532 bytes) are four blocks.
const SHORT_BLOCKS_MAX: usize = 4;

/// Words of the state.
pub(super) const WORDS: usize = 25;

/// `L` sponge states, interleaved word by word.
pub(super) type States<const L: usize> = [[u64; L]; WORDS];

/// A permutation of `L` states at once.
pub(super) trait Permutation<const L: usize>: Copy {
    /// Least number of messages for which a permutation of all lanes is cheaper than hashing one by one.
    const LANES_MIN: usize;

    /// Applies Keccak-f[1600] to each lane.
    fn permute(self, states: &mut States<L>);
}

/// Messages of one kind that wait for the group to fill: their indices.
#[derive(Clone, Copy)]
struct Group<const L: usize> {
    indices: [usize; L],
    len: usize,
}

impl<const L: usize> Group<L> {
    const EMPTY: Self = Self { indices: [0; L], len: 0 };

    fn push(&mut self, index: usize) {
        self.indices[self.len] = index;
        self.len += 1;
    }
}

/// Hashes `message(i)` into `out[i]` for every place of `out`.
pub(super) fn hash_each<'a, const L: usize, P: Permutation<L>>(
    engine: P,
    message: impl Fn(usize) -> &'a [u8],
    out: &mut [B256],
) {
    let mut groups = [Group::<L>::EMPTY; SHORT_BLOCKS_MAX];
    let mut long = Vec::new();
    for index in 0..out.len() {
        match groups.get_mut(message(index).len() / RATE) {
            Some(group) => {
                group.push(index);
                if group.len == L {
                    hash_group(engine, &group.indices, &message, out);
                    group.len = 0;
                }
            }
            None => long.push(index),
        }
    }
    for group in &groups {
        hash_group(engine, &group.indices[..group.len], &message, out);
    }
    // Neighbours of about equal length waste the fewest permutations on lanes that are done.
    long.sort_unstable_by_key(|index| message(*index).len());
    for group in long.chunks(L) {
        hash_group(engine, group, &message, out);
    }
}

/// Hashes up to `L` messages in step; a lane whose message has ended is permuted on and ignored.
fn hash_group<'a, const L: usize, P: Permutation<L>>(
    engine: P,
    indices: &[usize],
    message: &impl Fn(usize) -> &'a [u8],
    out: &mut [B256],
) {
    if indices.len() < P::LANES_MIN {
        for &index in indices {
            out[index] = keccak256(message(index));
        }
        return;
    }
    let blocks_max = indices.iter().map(|index| message(*index).len() / RATE + 1).max().unwrap_or(0);
    let mut states = [[0; L]; WORDS];
    for block in 0..blocks_max {
        for (lane, &index) in indices.iter().enumerate() {
            if let Some(rest) = message(index).get(block * RATE..) {
                absorb(&mut states, lane, rest);
            }
        }
        engine.permute(&mut states);
        for (lane, &index) in indices.iter().enumerate() {
            if message(index).len() / RATE == block {
                out[index] = squeeze(&states, lane);
            }
        }
    }
}

/// Adds the next block of a message to its lane; the last block, shorter than the rate, is padded.
fn absorb<const L: usize>(states: &mut States<L>, lane: usize, rest: &[u8]) {
    let block = &rest[..rest.len().min(RATE)];
    let words = block.chunks_exact(8);
    let tail = words.remainder();
    let tail_at = block.len() / 8;
    for (state, word) in states.iter_mut().zip(words) {
        state[lane] ^= u64::from_le_bytes(word.try_into().expect("chunks of eight bytes"));
    }
    if block.len() < RATE {
        let mut last = [0; 8];
        last[..tail.len()].copy_from_slice(tail);
        last[tail.len()] = 1;
        states[tail_at][lane] ^= u64::from_le_bytes(last);
        states[RATE / 8 - 1][lane] ^= 1 << 63;
    }
}

/// The first 32 bytes of a lane's state.
fn squeeze<const L: usize>(states: &States<L>, lane: usize) -> B256 {
    let mut hash = B256::ZERO;
    for (bytes, word) in hash.chunks_exact_mut(8).zip(states) {
        bytes.copy_from_slice(&word[lane].to_le_bytes());
    }
    hash
}
