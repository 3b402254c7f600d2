//! The sponge around a permutation of `L` states at once: grouping, padding, squeezing.
//!
//! Place in the flow: between the batch API and the vector code, which absorbs whole blocks and permutes.
//! Invariant: a state is `[[u64; L]; 25]`, word by word, and lane `i` of every word belongs to message `i` of the group.

use alloy_primitives::{B256, keccak256};
use std::cmp::Reverse;

/// Bytes that one permutation absorbs.
pub(super) const RATE: usize = 136;

/// Messages of up to this many blocks wait in a group of their own kind; full branch nodes (532 bytes) are four blocks.
const SHORT_BLOCKS_MAX: usize = 4;

/// Words of the state.
pub(super) const WORDS: usize = 25;

/// `L` sponge states, interleaved word by word.
pub(super) type States<const L: usize> = [[u64; L]; WORDS];

/// A permutation of `L` states at once.
pub(super) trait Permutation<const L: usize>: Copy {
    /// What a permutation of all lanes costs, in tenths of one on its own.
    const PRICE: usize;

    /// Adds a block to each lane's state and applies Keccak-f[1600] to it.
    fn absorb(self, states: &mut States<L>, blocks: &[&[u8; RATE]; L]);
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
    let mut rest = Vec::new();
    for index in 0..out.len() {
        match groups.get_mut(message(index).len() / RATE) {
            Some(group) => {
                group.push(index);
                if group.len == L {
                    hash_group(engine, &group.indices, &message, out);
                    group.len = 0;
                }
            }
            None => rest.push(index),
        }
    }
    // The longest first: neighbours of about equal length waste the fewest permutations on lanes that are done.
    rest.sort_unstable_by_key(|index| Reverse(message(*index).len()));
    rest.extend(groups.iter().rev().flat_map(|group| &group.indices[..group.len]));
    for group in rest.chunks(L) {
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
    let blocks = indices.iter().map(|index| message(*index).len() / RATE + 1);
    let (blocks_max, blocks_len) = blocks.fold((0, 0), |(max, len), blocks| (max.max(blocks), len + blocks));
    if 10 * blocks_len <= P::PRICE * blocks_max {
        for &index in indices {
            out[index] = keccak256(message(index));
        }
        return;
    }
    // Lanes without a message absorb what the first one absorbs.
    let mut messages = [message(indices[0]); L];
    let mut lasts = [[0; RATE]; L];
    for (lane, &index) in indices.iter().enumerate() {
        messages[lane] = message(index);
        pad(messages[lane].as_chunks::<RATE>().1, &mut lasts[lane]);
    }
    let mut states = [[0; L]; WORDS];
    for block in 0..blocks_max {
        let mut blocks = [&lasts[0]; L];
        for lane in 0..L {
            blocks[lane] = messages[lane].as_chunks().0.get(block).unwrap_or(&lasts[lane]);
        }
        engine.absorb(&mut states, &blocks);
        for (lane, &index) in indices.iter().enumerate() {
            if messages[lane].len() / RATE == block {
                out[index] = squeeze(&states, lane);
            }
        }
    }
}

/// The last block of a message, of which `rest` is left: padded, in a block of zeros.
fn pad(rest: &[u8], last: &mut [u8; RATE]) {
    last[..rest.len()].copy_from_slice(rest);
    last[rest.len()] = 1;
    last[RATE - 1] |= 0x80;
}

/// The first 32 bytes of a lane's state.
fn squeeze<const L: usize>(states: &States<L>, lane: usize) -> B256 {
    let mut hash = [[0; 8]; 4];
    for i in 0..4 {
        hash[i] = states[i][lane].to_le_bytes();
    }
    B256::from_slice(hash.as_flattened())
}
