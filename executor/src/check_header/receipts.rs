//! Blooms and the root of receipts.
//!
//! Place in the flow: after execution; receipts carry no bloom until here.
//! Invariant: equal receipts give equal results on one thread and on many.

use super::envelopes::{Envelopes, map_chunks};
use crate::types::Receipt;
use alloy_consensus::ReceiptWithBloom;
use alloy_primitives::{B256, Bloom, BloomInput, Log};
use laminar_state_db::keccak256_batch;

/// What a header says of its receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReceiptSummary {
    /// Root of the receipts with their blooms. Right only for receipts that carry a status (Byzantium and later).
    pub root: B256,
    /// Union of the blooms.
    pub logs_bloom: Bloom,
}

/// Root and bloom of a block's receipts.
pub fn summarize_receipts(receipts: &[Receipt]) -> ReceiptSummary {
    let (envelopes, logs_bloom) = encode_receipts(receipts);
    ReceiptSummary { root: envelopes.root(), logs_bloom }
}

/// The receipts with their blooms, and the union of these; each log is hashed once.
pub fn encode_receipts(receipts: &[Receipt]) -> (Envelopes, Bloom) {
    let chunks = map_chunks(receipts, |chunk| {
        let blooms = blooms(chunk);
        let sealed = chunk.iter().zip(&blooms).map(|(receipt, bloom)| ReceiptWithBloom::new(receipt, *bloom));
        (sealed.collect::<Envelopes>(), union(&blooms))
    });
    let (parts, blooms): (Vec<_>, Vec<_>) = chunks.into_iter().unzip();
    (Envelopes::concat(&parts), union(&blooms))
}

/// Root of a block's receipts.
pub fn receipts_root(receipts: &[Receipt]) -> B256 {
    summarize_receipts(receipts).root
}

/// Union of the blooms of a block's receipts.
pub fn logs_bloom(receipts: &[Receipt]) -> Bloom {
    union(&map_chunks(receipts, |chunk| union(&blooms(chunk))))
}

fn union(blooms: &[Bloom]) -> Bloom {
    blooms.iter().fold(Bloom::ZERO, |union, bloom| union | *bloom)
}

/// The bloom of each receipt: addresses and topics of all logs, hashed together.
fn blooms(receipts: &[Receipt]) -> Vec<Bloom> {
    let hashed = |log: &Log| 1 + log.topics().len();
    let logs = || receipts.iter().flat_map(|receipt| &receipt.logs);
    let mut messages: Vec<&[u8]> = Vec::with_capacity(logs().map(hashed).sum());
    for log in logs() {
        messages.push(log.address.as_slice());
        messages.extend(log.topics().iter().map(|topic| topic.as_slice()));
    }
    let mut hashes = Vec::new();
    keccak256_batch(&messages, &mut hashes);
    let mut hashes = hashes.into_iter();
    let bloom = |receipt: &Receipt| {
        let mut bloom = Bloom::ZERO;
        let of_receipt = hashes.by_ref().take(receipt.logs.iter().map(hashed).sum());
        of_receipt.for_each(|hash| bloom.accrue(BloomInput::Hash(hash)));
        bloom
    };
    receipts.iter().map(bloom).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{EMPTY_ROOT_HASH, TxReceipt, TxType, proofs::calculate_receipt_root};
    use alloy_primitives::{Address, LogData};

    fn receipts(len: usize) -> Vec<Receipt> {
        (0..len)
            .map(|n| {
                let topics = (0..n % 5).map(|topic| B256::with_last_byte((n + topic) as u8)).collect();
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
        for len in [0, 1, 2, 64, 65, 200] {
            let receipts = receipts(len);
            let with_bloom: Vec<_> = receipts.iter().map(TxReceipt::with_bloom_ref).collect();
            let bloom = with_bloom.iter().fold(Bloom::ZERO, |union, receipt| union | receipt.logs_bloom);
            let summary = summarize_receipts(&receipts);
            let (envelopes, _) = encode_receipts(&receipts);
            assert_eq!(alloy_rlp::encode(&envelopes), alloy_rlp::encode(&with_bloom), "{len}");
            assert_eq!(summary.root, calculate_receipt_root(&with_bloom), "{len}");
            assert_eq!((summary.logs_bloom, logs_bloom(&receipts)), (bloom, bloom));
            assert_eq!(receipts_root(&receipts), summary.root);
        }
        assert_eq!(receipts_root(&[]), EMPTY_ROOT_HASH);
    }
}
