//! Blooms and the root of receipts.
//!
//! Place in the flow: after execution; receipts carry no bloom until here.
//! Invariant: equal receipts give equal results on one thread and on many.

use crate::types::Receipt;
use alloy_consensus::TxReceipt;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{B256, Bloom};
use laminar_state_db::trie::ordered_trie_root;
use rayon::prelude::*;

/// Blocks below this many receipts are done on the calling thread.
const PARALLEL_RECEIPTS_MIN: usize = 32;
/// Receipts that one task encodes.
const CHUNK_LEN: usize = 8;

/// What a header says of its receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptSummary {
    /// Root of the receipts with their blooms. Right only for receipts that carry a status (Byzantium and later).
    pub root: B256,
    /// Union of the blooms.
    pub logs_bloom: Bloom,
}

/// Root and bloom of a block's receipts, each log hashed once.
pub fn summarize_receipts(receipts: &[Receipt]) -> ReceiptSummary {
    let encoded = map(receipts, |receipt| {
        let receipt = receipt.with_bloom_ref();
        let mut bytes = Vec::with_capacity(receipt.encode_2718_len());
        receipt.encode_2718(&mut bytes);
        (bytes, receipt.logs_bloom)
    });
    let mut logs_bloom = Bloom::ZERO;
    let mut bytes = Vec::with_capacity(encoded.len());
    for (receipt, bloom) in encoded {
        logs_bloom |= bloom;
        bytes.push(receipt);
    }
    ReceiptSummary { root: ordered_trie_root(&bytes), logs_bloom }
}

/// Root of a block's receipts.
pub fn receipts_root(receipts: &[Receipt]) -> B256 {
    summarize_receipts(receipts).root
}

/// Union of the blooms of a block's receipts.
pub fn logs_bloom(receipts: &[Receipt]) -> Bloom {
    map(receipts, TxReceipt::bloom).into_iter().fold(Bloom::ZERO, |union, bloom| union | bloom)
}

fn map<T: Send>(receipts: &[Receipt], f: impl Fn(&Receipt) -> T + Send + Sync) -> Vec<T> {
    if receipts.len() < PARALLEL_RECEIPTS_MIN {
        receipts.iter().map(f).collect()
    } else {
        receipts.par_iter().with_min_len(CHUNK_LEN).map(f).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{EMPTY_ROOT_HASH, TxType, proofs::calculate_receipt_root};
    use alloy_primitives::{Address, Log, LogData};

    fn receipts(len: usize) -> Vec<Receipt> {
        (0..len)
            .map(|n| {
                let topics = vec![B256::with_last_byte(n as u8)];
                let data = LogData::new_unchecked(topics, vec![n as u8; n % 70].into());
                let log = Log { address: Address::with_last_byte(n as u8), data };
                Receipt {
                    tx_type: TxType::try_from((n % 5) as u8).unwrap(),
                    success: n % 3 > 0,
                    cumulative_gas_used: 21_000 * n as u64,
                    logs: vec![log; n % 4],
                }
            })
            .collect()
    }

    #[test]
    fn root_and_bloom_equal_the_plain_computation_at_every_size() {
        for len in [0, 1, 2, PARALLEL_RECEIPTS_MIN - 1, PARALLEL_RECEIPTS_MIN, 200] {
            let receipts = receipts(len);
            let with_bloom: Vec<_> = receipts.iter().map(TxReceipt::with_bloom_ref).collect();
            let bloom = with_bloom.iter().fold(Bloom::ZERO, |union, receipt| union | receipt.logs_bloom);
            let summary = summarize_receipts(&receipts);
            assert_eq!(summary.root, calculate_receipt_root(&with_bloom), "{len}");
            assert_eq!((summary.logs_bloom, logs_bloom(&receipts)), (bloom, bloom));
            assert_eq!(receipts_root(&receipts), summary.root);
        }
        assert_eq!(receipts_root(&[]), EMPTY_ROOT_HASH);
    }
}
