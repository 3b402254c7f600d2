//! `Codes`: code that any account ever had.
//!
//! Key: Keccak-256 of the code, 32 bytes. Value: the code.
//!
//! Invariant: rows are never removed: an unwound block that is committed again, and history, find their code.

use super::{Table, TableId};
use alloy_primitives::{B256, Bytes};

/// See the module.
pub(in super::super) struct Codes;

impl Table for Codes {
    const ID: TableId = TableId::Codes;
    type Key = B256;
    type Value = Bytes;

    fn key(key: &B256) -> impl AsRef<[u8]> {
        *key
    }

    fn read_key(bytes: &[u8]) -> Option<B256> {
        B256::try_from(bytes).ok()
    }

    fn value(value: &Bytes) -> impl AsRef<[u8]> {
        value.clone()
    }

    fn read_value(bytes: &[u8]) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(bytes))
    }
}
