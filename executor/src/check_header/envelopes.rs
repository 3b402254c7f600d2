//! The transactions or receipts of a block in the form in which the header commits to them (EIP-2718), one after the other.
//!
//! Place in the flow: made once after execution; the root, the hashes of transactions and the RLP lists that are kept all come from
//! it.
//! Invariant: the items stand in block order; equal items give equal bytes on one thread and on many.

use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::B256;
use alloy_rlp::{BufMut, Encodable, Header};
use laminar_state_db::{keccak256_batch, trie::ordered_trie_root};
use rayon::prelude::*;

/// Items that one task encodes or hashes.
const CHUNK_LEN: usize = 64;
/// First byte of a list in RLP; lower first bytes name the type of a transaction.
const LIST_MIN: u8 = 0xc0;

/// Encoded items of a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Envelopes {
    bytes: Vec<u8>,
    /// Where each item ends in `bytes`.
    ends: Vec<usize>,
}

impl Envelopes {
    /// Encodes transactions, or receipts that carry their bloom.
    pub fn new<T: Encodable2718 + Sync>(items: &[T]) -> Self {
        Self::concat(&map_chunks(items, |chunk| chunk.iter().collect()))
    }

    /// The items of all parts, one after the other.
    pub(super) fn concat(parts: &[Self]) -> Self {
        let bytes = parts.iter().map(|part| part.bytes.len()).sum();
        let len = parts.iter().map(|part| part.ends.len()).sum();
        let mut whole = Self { bytes: Vec::with_capacity(bytes), ends: Vec::with_capacity(len) };
        for part in parts {
            let start = whole.bytes.len();
            whole.bytes.extend_from_slice(&part.bytes);
            whole.ends.extend(part.ends.iter().map(|end| start + end));
        }
        whole
    }

    /// The items in block order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        (0..self.ends.len()).map(|i| &self.bytes[i.checked_sub(1).map_or(0, |before| self.ends[before])..self.ends[i]])
    }

    /// Root of the trie that maps the place of each item to it.
    pub fn root(&self) -> B256 {
        ordered_trie_root(&self.iter().collect::<Vec<_>>())
    }

    /// Keccak-256 of each item: for transactions, their hashes.
    pub fn hashes(&self) -> Vec<B256> {
        let items: Vec<&[u8]> = self.iter().collect();
        let hashes = map_chunks(&items, |chunk| {
            let mut hashes = Vec::new();
            keccak256_batch(chunk, &mut hashes);
            hashes
        });
        hashes.concat()
    }
}

/// One list, as the network has it: what is typed is a string in it.
impl Encodable for Envelopes {
    fn encode(&self, out: &mut dyn BufMut) {
        self.list_header().encode(out);
        for item in self.iter() {
            if is_typed(item) {
                string_header(item).encode(out);
            }
            out.put_slice(item);
        }
    }

    fn length(&self) -> usize {
        self.list_header().length_with_payload()
    }
}

impl Envelopes {
    fn list_header(&self) -> Header {
        let heads: usize = self.iter().filter(|item| is_typed(item)).map(|item| string_header(item).length()).sum();
        Header { list: true, payload_length: self.bytes.len() + heads }
    }
}

fn is_typed(item: &[u8]) -> bool {
    item.first().is_some_and(|first| *first < LIST_MIN)
}

const fn string_header(item: &[u8]) -> Header {
    Header { list: false, payload_length: item.len() }
}

impl<T: Encodable2718> FromIterator<T> for Envelopes {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let mut envelopes = Self::default();
        for item in items {
            item.encode_2718(&mut envelopes.bytes);
            envelopes.ends.push(envelopes.bytes.len());
        }
        envelopes
    }
}

/// What `f` makes of each stretch of a block's items, in block order; few items stay on the calling thread.
pub(super) fn map_chunks<T: Sync, R: Send>(items: &[T], f: impl Fn(&[T]) -> R + Send + Sync) -> Vec<R> {
    if items.len() <= CHUNK_LEN {
        return vec![f(items)];
    }
    items.par_chunks(CHUNK_LEN).map(f).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Transaction;
    use alloy_consensus::{
        SignableTransaction, TxEip1559, TxEip2930, TxEip7702, TxLegacy, proofs::calculate_transaction_root,
    };
    use alloy_primitives::{Bytes, Signature};

    fn transactions(len: usize) -> Vec<Transaction> {
        let signature = Signature::test_signature();
        (0..len)
            .map(|n| {
                let (nonce, input) = (n as u64, Bytes::from(vec![n as u8; n * 37 % 500]));
                match n % 4 {
                    0 => TxLegacy { nonce, input, ..TxLegacy::default() }.into_signed(signature).into(),
                    1 => TxEip2930 { nonce, input, ..TxEip2930::default() }.into_signed(signature).into(),
                    2 => TxEip1559 { nonce, input, ..TxEip1559::default() }.into_signed(signature).into(),
                    _ => TxEip7702 { nonce, input, ..TxEip7702::default() }.into_signed(signature).into(),
                }
            })
            .collect()
    }

    #[test]
    fn root_hashes_and_list_are_those_of_alloy_at_every_size() {
        for len in [0, 1, 2, CHUNK_LEN, CHUNK_LEN + 1, 3 * CHUNK_LEN + 5] {
            let transactions = transactions(len);
            let envelopes = Envelopes::new(&transactions);
            assert_eq!(envelopes.iter().len(), len);
            assert_eq!(envelopes.root(), calculate_transaction_root(&transactions), "{len}");
            let hashes: Vec<_> = transactions.iter().map(|transaction| *transaction.tx_hash()).collect();
            assert_eq!(envelopes.hashes(), hashes, "{len}");
            assert_eq!(alloy_rlp::encode(&envelopes), alloy_rlp::encode(&transactions), "{len}");
        }
    }
}
