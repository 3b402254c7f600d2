//! What the leaves of a trie hold, and how it is written in RLP.

use super::error::NodeFault;
use alloy_primitives::{Bytes, U256};
use alloy_rlp::{Decodable, EMPTY_STRING_CODE, Encodable};
use alloy_trie::TrieAccount;

/// List header, nonce, balance and two hashes, each with its own header. The payload is longer than 55 bytes always.
const ACCOUNT_LEN_MAX: usize = 2 + 9 + 33 + 33 + 33;

/// A value in the leaves of a trie.
///
/// Decoding accepts only what encoding writes; else a node would change its hash by being read.
pub trait TrieValue: Clone + PartialEq + Send + Sync {
    /// Appends the bytes that the leaf holds.
    fn encode(&self, out: &mut Vec<u8>);

    /// The inverse of [`Self::encode`].
    ///
    /// # Errors
    /// Bytes that `encode` cannot have written.
    fn decode(bytes: &[u8]) -> Result<Self, NodeFault>;
}

/// A storage slot: the RLP of the number without leading zeros. Zero is not stored.
impl TrieValue for U256 {
    fn encode(&self, out: &mut Vec<u8>) {
        Encodable::encode(self, out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, NodeFault> {
        decode_exact(bytes)
    }
}

/// An account: the RLP list of nonce, balance, storage root and code hash.
impl TrieValue for TrieAccount {
    fn encode(&self, out: &mut Vec<u8>) {
        // Written out, since the derived encoding asks for each length twice and writes through a `dyn` buffer.
        let mut rlp = [0xf8; ACCOUNT_LEN_MAX];
        let mut end = 2;
        end += put_uint(&self.nonce.to_be_bytes(), &mut rlp[end..]);
        end += put_uint(&self.balance.to_be_bytes::<32>(), &mut rlp[end..]);
        for hash in [self.storage_root, self.code_hash] {
            rlp[end] = 0xa0;
            rlp[end + 1..end + 33].copy_from_slice(hash.as_slice());
            end += 33;
        }
        rlp[1] = (end - 2) as u8;
        out.extend_from_slice(&rlp[..end]);
    }

    fn decode(bytes: &[u8]) -> Result<Self, NodeFault> {
        decode_exact(bytes)
    }
}

/// Bytes as they are.
impl TrieValue for Bytes {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self);
    }

    fn decode(bytes: &[u8]) -> Result<Self, NodeFault> {
        Ok(Self::copy_from_slice(bytes))
    }
}

/// Writes the RLP of a big-endian number to the front of `out`; returns its length.
fn put_uint(bytes: &[u8], out: &mut [u8]) -> usize {
    let digits = &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..];
    match digits {
        [digit] if *digit < EMPTY_STRING_CODE => {
            out[0] = *digit;
            1
        }
        _ => {
            out[0] = EMPTY_STRING_CODE + digits.len() as u8;
            out[1..=digits.len()].copy_from_slice(digits);
            1 + digits.len()
        }
    }
}

fn decode_exact<T: Decodable>(mut bytes: &[u8]) -> Result<T, NodeFault> {
    let value = T::decode(&mut bytes)?;
    if bytes.is_empty() { Ok(value) } else { Err(NodeFault::Rlp(alloy_rlp::Error::UnexpectedLength)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check<V: TrieValue + std::fmt::Debug>(value: V) {
        let mut bytes = Vec::new();
        value.encode(&mut bytes);
        assert_eq!(V::decode(&bytes), Ok(value));
        bytes.push(0);
        assert_eq!(V::decode(&bytes), Err(NodeFault::Rlp(alloy_rlp::Error::UnexpectedLength)));
    }

    #[test]
    fn values_survive_encoding_and_refuse_trailing_bytes() {
        check(U256::from(1));
        check(U256::MAX);
        check(TrieAccount::default());
    }

    #[test]
    fn accounts_are_written_as_alloy_writes_them() {
        for nonce in [0, 1, 0x7f, 0x80, 0x100, u64::MAX] {
            for balance in [U256::ZERO, U256::from(0x7f), U256::from(0x80), U256::from(1) << 200, U256::MAX] {
                let account = TrieAccount { nonce, balance, ..TrieAccount::default() };
                let mut bytes = Vec::new();
                TrieValue::encode(&account, &mut bytes);
                assert_eq!(bytes, alloy_rlp::encode(account));
                check(account);
            }
        }
    }

    #[test]
    fn leading_zeros_are_refused() {
        assert!(<U256 as TrieValue>::decode(&[0x82, 0, 1]).is_err());
    }
}
