//! `Storage`: slots after the newest block.
//!
//! | key offset | length | meaning |
//! | --- | --- | --- |
//! | 0 | 20 | address |
//! | 20 | 32 | slot, big-endian |
//!
//! Value: the slot's value, big-endian without leading zeros, 1 to 32 bytes.
//!
//! Invariant: slots with value zero have no row; an account's slots stand together.

use super::{Table, TableId, is_trimmed, join, trim};
use alloy_primitives::{Address, U256};

/// Length of a key.
pub(super) const KEY_LEN: usize = 20 + 32;

/// See the module.
pub(in super::super) struct Storage;

impl Table for Storage {
    const ID: TableId = TableId::Storage;
    type Key = (Address, U256);
    type Value = U256;

    fn key((address, slot): &(Address, U256)) -> impl AsRef<[u8]> {
        join::<KEY_LEN>(address.as_slice(), &slot.to_be_bytes::<32>())
    }

    fn read_key(bytes: &[u8]) -> Option<(Address, U256)> {
        let (address, slot) = bytes.split_at_checked(20).filter(|(_, slot)| slot.len() == 32)?;
        Some((Address::from_slice(address), U256::from_be_slice(slot)))
    }

    fn value(value: &U256) -> impl AsRef<[u8]> {
        trim(&value.to_be_bytes::<32>()).to_vec()
    }

    fn read_value(bytes: &[u8]) -> Option<U256> {
        if is_trimmed(bytes) { U256::try_from_be_slice(bytes) } else { None }
    }
}
