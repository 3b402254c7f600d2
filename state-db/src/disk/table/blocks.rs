//! The tables of committed blocks.
//!
//! | table | key | value |
//! | --- | --- | --- |
//! | `Blocks` | number, 8 bytes | hash, parent's hash, state root, 32 bytes each |
//! | `BlockNumbers` | block hash, 32 bytes | number, 8 bytes |
//! | `Headers`, `Bodies`, `Receipts` | number, 8 bytes | RLP |
//! | `BlockExtras` | number, 8 bytes | see below |
//! | `Transactions` | transaction hash, 32 bytes | number of the block, 8 bytes; position in it, 4 bytes |
//!
//! `BlockExtras`:
//!
//! | offset | length | meaning |
//! | --- | --- | --- |
//! | 0 | 4 | t, number of transactions |
//! | 4 | 4 | s, number of senders |
//! | 8 | 32 t | transaction hashes in block order |
//! | 8 + 32 t | 20 s | senders in block order |
//! | 8 + 32 t + 20 s | rest | what the caller adds |
//!
//! Invariant: each table but the last has one row for each committed block, from the first to the tip without gaps.

use super::{Table, TableId, read_number, split};
use alloy_primitives::{Address, B256, Bytes};

/// See the module.
pub(in super::super) struct Blocks;

/// A row of [`Blocks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct BlockRow {
    pub(in super::super) hash: B256,
    pub(in super::super) parent: B256,
    pub(in super::super) state_root: B256,
}

impl Table for Blocks {
    const ID: TableId = TableId::Blocks;
    type Key = u64;
    type Value = BlockRow;

    fn key(number: &u64) -> impl AsRef<[u8]> {
        number.to_be_bytes()
    }

    fn read_key(bytes: &[u8]) -> Option<u64> {
        read_number(bytes)
    }

    fn value(row: &BlockRow) -> impl AsRef<[u8]> {
        [row.hash.0, row.parent.0, row.state_root.0].concat()
    }

    fn read_value(mut bytes: &[u8]) -> Option<BlockRow> {
        let mut hash = || Some(B256::from_slice(split(&mut bytes, 32)?));
        let row = BlockRow { hash: hash()?, parent: hash()?, state_root: hash()? };
        bytes.is_empty().then_some(row)
    }
}

/// See the module.
pub(in super::super) struct BlockNumbers;

impl Table for BlockNumbers {
    const ID: TableId = TableId::BlockNumbers;
    type Key = B256;
    type Value = u64;

    fn key(hash: &B256) -> impl AsRef<[u8]> {
        *hash
    }

    fn read_key(bytes: &[u8]) -> Option<B256> {
        B256::try_from(bytes).ok()
    }

    fn value(number: &u64) -> impl AsRef<[u8]> {
        number.to_be_bytes()
    }

    fn read_value(bytes: &[u8]) -> Option<u64> {
        read_number(bytes)
    }
}

/// A table of RLP by block number.
macro_rules! rlp_by_number {
    ($name:ident, $id:expr) => {
        /// See the module.
        pub(in super::super) struct $name;

        impl Table for $name {
            const ID: TableId = $id;
            type Key = u64;
            type Value = Bytes;

            fn key(number: &u64) -> impl AsRef<[u8]> {
                number.to_be_bytes()
            }

            fn read_key(bytes: &[u8]) -> Option<u64> {
                read_number(bytes)
            }

            fn value(rlp: &Bytes) -> impl AsRef<[u8]> {
                rlp.clone()
            }

            fn read_value(bytes: &[u8]) -> Option<Bytes> {
                Some(Bytes::copy_from_slice(bytes))
            }
        }
    };
}

rlp_by_number!(Headers, TableId::Headers);
rlp_by_number!(Bodies, TableId::Bodies);
rlp_by_number!(ReceiptLists, TableId::Receipts);

/// See the module.
pub(in super::super) struct BlockExtras;

impl Table for BlockExtras {
    const ID: TableId = TableId::BlockExtras;
    type Key = u64;
    type Value = (Vec<B256>, Vec<Address>, Bytes);

    fn key(number: &u64) -> impl AsRef<[u8]> {
        number.to_be_bytes()
    }

    fn read_key(bytes: &[u8]) -> Option<u64> {
        read_number(bytes)
    }

    fn value((transactions, senders, extra): &Self::Value) -> impl AsRef<[u8]> {
        let mut bytes = Vec::with_capacity(8 + 32 * transactions.len() + 20 * senders.len() + extra.len());
        bytes.extend_from_slice(&(transactions.len() as u32).to_be_bytes());
        bytes.extend_from_slice(&(senders.len() as u32).to_be_bytes());
        transactions.iter().for_each(|hash| bytes.extend_from_slice(hash.as_slice()));
        senders.iter().for_each(|sender| bytes.extend_from_slice(sender.as_slice()));
        bytes.extend_from_slice(extra);
        bytes
    }

    fn read_value(mut bytes: &[u8]) -> Option<Self::Value> {
        let mut len = || Some(u32::from_be_bytes(split(&mut bytes, 4)?.try_into().ok()?) as usize);
        let (transactions_len, senders_len) = (len()?, len()?);
        let transactions = split(&mut bytes, transactions_len.checked_mul(32)?)?;
        let senders = split(&mut bytes, senders_len.checked_mul(20)?)?;
        let transactions = transactions.chunks_exact(32).map(B256::from_slice).collect();
        let senders = senders.chunks_exact(20).map(Address::from_slice).collect();
        Some((transactions, senders, Bytes::copy_from_slice(bytes)))
    }
}

/// See the module.
pub(in super::super) struct Transactions;

impl Table for Transactions {
    const ID: TableId = TableId::Transactions;
    type Key = B256;
    type Value = (u64, u32);

    fn key(hash: &B256) -> impl AsRef<[u8]> {
        *hash
    }

    fn read_key(bytes: &[u8]) -> Option<B256> {
        B256::try_from(bytes).ok()
    }

    fn value((number, index): &(u64, u32)) -> impl AsRef<[u8]> {
        super::join::<12>(&number.to_be_bytes(), &index.to_be_bytes())
    }

    fn read_value(bytes: &[u8]) -> Option<(u64, u32)> {
        let (number, index) = bytes.split_at_checked(8)?;
        Some((read_number(number)?, u32::from_be_bytes(index.try_into().ok()?)))
    }
}
