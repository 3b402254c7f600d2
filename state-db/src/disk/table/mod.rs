//! The tables: what their rows mean and how they are written, one file for each group that changes together.
//!
//! Place in the flow: `rows` reads and writes rows of any table; nothing else knows bytes.
//! Invariants: numbers are big-endian, so that rows stand in the order of their keys; reading accepts only what writing
//! makes. Every table's rows of one commit are written in one transaction.

mod accounts;
mod blocks;
mod changes;
mod codes;
mod meta;
mod nodes;
mod storage;

pub(super) use accounts::Accounts;
pub(super) use blocks::{BlockExtras, BlockNumbers, BlockRow, Blocks, Bodies, Headers, ReceiptLists, Transactions};
pub(super) use changes::{AccountHistory, ChangedAccount, ChangedKeys, StorageHistory};
pub(super) use codes::Codes;
pub(super) use meta::{Meta, MetaKey};
pub(super) use nodes::{AccountNodes, StorageNodes};
pub(super) use storage::Storage;

/// Names of the tables in the file, in the order of [`TableId`].
pub(super) const TABLES: [&str; 16] = [
    "Meta",
    "Accounts",
    "Storage",
    "Codes",
    "AccountNodes",
    "StorageNodes",
    "AccountHistory",
    "StorageHistory",
    "ChangedKeys",
    "Blocks",
    "BlockNumbers",
    "Headers",
    "Bodies",
    "Receipts",
    "BlockExtras",
    "Transactions",
];

/// A table's place in [`TABLES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TableId {
    Meta,
    Accounts,
    Storage,
    Codes,
    AccountNodes,
    StorageNodes,
    AccountHistory,
    StorageHistory,
    ChangedKeys,
    Blocks,
    BlockNumbers,
    Headers,
    Bodies,
    Receipts,
    BlockExtras,
    Transactions,
}

impl TableId {
    pub(super) const fn name(self) -> &'static str {
        TABLES[self as usize]
    }
}

/// How the rows of a table are written.
pub(super) trait Table {
    const ID: TableId;
    type Key;
    type Value;

    fn key(key: &Self::Key) -> impl AsRef<[u8]>;
    /// `None` for bytes that are no key of this table.
    fn read_key(bytes: &[u8]) -> Option<Self::Key>;
    fn value(value: &Self::Value) -> impl AsRef<[u8]>;
    /// `None` for bytes that are no value of this table.
    fn read_value(bytes: &[u8]) -> Option<Self::Value>;
}

/// A key of two parts with fixed lengths.
fn join<const N: usize>(left: &[u8], right: &[u8]) -> [u8; N] {
    let mut key = [0; N];
    key[..left.len()].copy_from_slice(left);
    key[left.len()..].copy_from_slice(right);
    key
}

/// A number of eight bytes.
fn read_number(bytes: &[u8]) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.try_into().ok()?))
}

/// The bytes of a number from its first one that is not zero.
fn trim(bytes: &[u8]) -> &[u8] {
    &bytes[bytes.iter().take_while(|byte| **byte == 0).count()..]
}

/// Whether the bytes are what [`trim`] gives.
fn is_trimmed(bytes: &[u8]) -> bool {
    bytes.first() != Some(&0)
}

/// Takes the first bytes off.
fn split<'a>(bytes: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(len)?;
    *bytes = rest;
    Some(head)
}
