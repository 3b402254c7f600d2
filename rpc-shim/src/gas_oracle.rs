//! Which priority fee to suggest.
//!
//! Place in the flow: below `eth_gasPrice` and `eth_maxPriorityFeePerGas`.
//! Invariant: as geth does it: of each of the newest blocks the lowest tips, of all these the 60th percentile, within bounds. A chain
//! without transactions suggests [`TIP_DEFAULT_WEI`].

use crate::node::{BlockRecord, Node};
use alloy_consensus::Transaction;
use parking_lot::Mutex;
use std::sync::Arc;

/// Blocks that are looked at.
const BLOCKS: usize = 20;
/// Tips that count of one block.
const TIPS_PER_BLOCK: usize = 3;
/// Percentile of the tips.
const PERCENTILE: usize = 60;
/// Tips below this do not count, in wei.
const TIP_MIN_WEI: u128 = 2;
/// What is suggested where nothing is known, in wei: 1 gwei.
pub(crate) const TIP_DEFAULT_WEI: u128 = 1_000_000_000;
/// The most that is suggested, in wei: 500 gwei.
const TIP_MAX_WEI: u128 = 500_000_000_000;

/// Suggests tips; remembers the last suggestion.
#[derive(Debug, Default)]
pub(crate) struct GasOracle {
    last: Mutex<Option<(alloy_primitives::B256, u128)>>,
}

impl GasOracle {
    /// The tip to suggest on top of the head, in wei per gas.
    pub(crate) fn tip(&self, node: &Node) -> u128 {
        let head = node.head();
        let hash = head.hash();
        if let Some((_, tip)) = self.last.lock().filter(|(at, _)| *at == hash) {
            return tip;
        }
        let tip = sample(node, head);
        *self.last.lock() = Some((hash, tip));
        tip
    }
}

fn sample(node: &Node, head: Arc<BlockRecord>) -> u128 {
    let parent = |block: &Arc<BlockRecord>| node.block_by_hash(&block.header.parent_hash);
    let blocks = std::iter::successors(Some(head), parent).take(BLOCKS);
    let mut tips: Vec<u128> = blocks.flat_map(|block| lowest(&block)).collect();
    tips.sort_unstable();
    let at = tips.len().saturating_sub(1) * PERCENTILE / 100;
    tips.get(at).copied().unwrap_or(TIP_DEFAULT_WEI).min(TIP_MAX_WEI)
}

/// The lowest tips of a block that were not paid to the sender itself.
fn lowest(block: &BlockRecord) -> Vec<u128> {
    let base_fee = block.header.base_fee_per_gas.unwrap_or_default();
    let paid = block.body.transactions.iter().zip(&block.senders);
    let foreign = paid.filter(|(_, sender)| **sender != block.header.beneficiary);
    let mut tips: Vec<u128> =
        foreign.filter_map(|(tx, _)| tx.effective_tip_per_gas(base_fee)).filter(|tip| *tip >= TIP_MIN_WEI).collect();
    tips.sort_unstable();
    tips.truncate(TIPS_PER_BLOCK);
    tips
}
