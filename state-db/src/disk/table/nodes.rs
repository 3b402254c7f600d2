//! `AccountNodes` and `StorageNodes`: the tries' nodes after the newest block, by their path.
//!
//! | key offset | length | meaning |
//! | --- | --- | --- |
//! | 0 | 0 or 32 | `StorageNodes` only: Keccak-256 of the account's address |
//! | .. | ceil(n / 2) | the path from the root, two nibbles a byte, the last one padded with zero |
//! | .. | 1 | n, number of nibbles: 0 for the root to 64 |
//!
//! Value: the node's RLP (yellow paper, appendix D).
//!
//! Invariant: one row for each root and each node of 32 bytes or more; shorter nodes stand inside their parent. Leaves
//! included, so a proof needs no other table.

use super::{Table, TableId};
use alloy_primitives::{B256, Bytes};
use alloy_trie::Nibbles;

/// See the module.
pub(in super::super) struct AccountNodes;

/// See the module.
pub(in super::super) struct StorageNodes;

impl Table for AccountNodes {
    const ID: TableId = TableId::AccountNodes;
    type Key = Nibbles;
    type Value = Bytes;

    fn key(path: &Nibbles) -> impl AsRef<[u8]> {
        key(&[], path)
    }

    fn read_key(bytes: &[u8]) -> Option<Nibbles> {
        read_path(bytes)
    }

    fn value(rlp: &Bytes) -> impl AsRef<[u8]> {
        rlp.clone()
    }

    fn read_value(bytes: &[u8]) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(bytes))
    }
}

impl Table for StorageNodes {
    const ID: TableId = TableId::StorageNodes;
    type Key = (B256, Nibbles);
    type Value = Bytes;

    fn key((owner, path): &(B256, Nibbles)) -> impl AsRef<[u8]> {
        key(owner.as_slice(), path)
    }

    fn read_key(bytes: &[u8]) -> Option<(B256, Nibbles)> {
        let (owner, path) = bytes.split_at_checked(32)?;
        Some((B256::from_slice(owner), read_path(path)?))
    }

    fn value(rlp: &Bytes) -> impl AsRef<[u8]> {
        rlp.clone()
    }

    fn read_value(bytes: &[u8]) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(bytes))
    }
}

fn key(owner: &[u8], path: &Nibbles) -> Vec<u8> {
    let mut key = Vec::with_capacity(owner.len() + path.len().div_ceil(2) + 1);
    key.extend_from_slice(owner);
    key.extend_from_slice(&path.pack());
    key.push(path.len() as u8);
    key
}

fn read_path(bytes: &[u8]) -> Option<Nibbles> {
    let (len, packed) = bytes.split_last()?;
    let len = usize::from(*len);
    if len > 64 || packed.len() != len.div_ceil(2) {
        return None;
    }
    let path = Nibbles::unpack(packed);
    let is_padded = len % 2 == 0 || path.last() == Some(0);
    is_padded.then(|| path.slice(..len))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_survive_and_sort_below_their_node() {
        let mut keys = Vec::new();
        for len in 0..=64 {
            let path = Nibbles::from_nibbles((0..len).map(|i| (i * 7 % 16) as u8).collect::<Vec<_>>());
            let bytes = AccountNodes::key(&path).as_ref().to_vec();
            assert_eq!(AccountNodes::read_key(&bytes), Some(path));
            let owned = (B256::repeat_byte(3), path);
            assert_eq!(StorageNodes::read_key(StorageNodes::key(&owned).as_ref()), Some(owned));
            keys.push(bytes);
        }
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), 65, "keys are distinct");
        for malformed in [&[][..], &[1][..], &[0x12, 1], &[0, 65]] {
            assert_eq!(AccountNodes::read_key(malformed), None, "{malformed:?}");
        }
    }
}
