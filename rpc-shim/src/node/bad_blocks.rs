//! The last blocks that were refused, for whoever asks what was wrong with them.
//!
//! Place in the flow: an import puts them in; `debug_getBadBlocks` reads them.
//! Invariant: bounded in number and in bytes; each block is there once. They are kept in memory only, and nothing else looks at them.

use super::InvalidBlock;
use alloy_primitives::B256;
use laminar_executor::Block;
use parking_lot::Mutex;
use std::{collections::VecDeque, sync::Arc};

/// Blocks that are kept, as in geth.
const BLOCKS_MAX: usize = 10;
/// Bytes of all kept blocks in RLP: 64 MiB.
const LEN_MAX: usize = 64 << 20;

/// A block that broke a rule.
#[derive(Clone, Debug)]
pub struct BadBlock {
    /// Its hash.
    pub hash: B256,
    /// The block.
    pub block: Block,
    /// The rule.
    pub invalid: InvalidBlock,
    len: usize,
}

/// The last refused blocks.
#[derive(Debug, Default)]
pub(super) struct BadBlocks(Mutex<VecDeque<Arc<BadBlock>>>);

impl BadBlocks {
    /// Keeps a block, in the place of the oldest ones where there are too many.
    pub(super) fn keep(&self, hash: B256, block: Block, invalid: InvalidBlock) {
        let len = Block::rlp_length_for(&block.header, &block.body);
        let mut kept = self.0.lock();
        if kept.iter().any(|bad| bad.hash == hash) {
            return;
        }
        kept.push_back(Arc::new(BadBlock { hash, block, invalid, len }));
        let mut total: usize = kept.iter().map(|bad| bad.len).sum();
        while kept.len() > BLOCKS_MAX || (total > LEN_MAX && kept.len() > 1) {
            total -= kept.pop_front().map_or(0, |bad| bad.len);
        }
    }

    /// All of them, the highest first.
    pub(super) fn all(&self) -> Vec<Arc<BadBlock>> {
        let mut all: Vec<_> = self.0.lock().iter().cloned().collect();
        all.sort_by_key(|bad| std::cmp::Reverse(bad.block.header.number));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{BlockBody, Header};
    use laminar_executor::rule::{Field, Mismatch};

    fn keep(blocks: &BadBlocks, number: u64, extra_len: usize) {
        let header = Header { number, extra_data: vec![0; extra_len].into(), ..Header::default() };
        let hash = header.hash_slow();
        let rule = Mismatch::check(Field::StateRoot, B256::ZERO, hash).unwrap_err().into();
        let invalid = InvalidBlock { hash: Some(hash), index: None, rule };
        blocks.keep(hash, Block { header, body: BlockBody::default() }, invalid);
    }

    fn numbers(blocks: &BadBlocks) -> Vec<u64> {
        blocks.all().iter().map(|bad| bad.block.header.number).collect()
    }

    #[test]
    fn the_newest_are_kept_once_each_and_told_from_the_highest() {
        let blocks = BadBlocks::default();
        for number in [5, 1, 5, 2, 3, 4, 6, 7, 8, 9, 10, 11] {
            keep(&blocks, number, 0);
        }
        assert_eq!(numbers(&blocks), [11, 10, 9, 8, 7, 6, 4, 3, 2, 1]);
    }

    #[test]
    fn large_blocks_push_others_out() {
        let blocks = BadBlocks::default();
        for number in 0..4 {
            keep(&blocks, number, LEN_MAX / 3);
        }
        assert_eq!(numbers(&blocks), [3, 2]);
        keep(&blocks, 9, 2 * LEN_MAX);
        assert_eq!(numbers(&blocks), [9]);
    }
}
