//! `AccountHistory`, `StorageHistory` and `ChangedKeys`: what each block changed, and what was there before.
//!
//! `AccountHistory`: the account before a block that changed it.
//!
//! | key offset | length | meaning |
//! | --- | --- | --- |
//! | 0 | 20 | address |
//! | 20 | 8 | number of the block |
//!
//! Value: nothing if the account did not exist, else a value of `Accounts`.
//!
//! `StorageHistory`: the slot before a block that changed it, or that wiped or wrote it after a wipe.
//!
//! | key offset | length | meaning |
//! | --- | --- | --- |
//! | 0 | 20 | address |
//! | 20 | 32 | slot |
//! | 52 | 8 | number of the block |
//!
//! Value: a value of `Storage`, or nothing for zero.
//!
//! `ChangedKeys`: which of these rows a block has. Key: number of the block, 8 bytes. Value, for each account:
//!
//! | offset | length | meaning |
//! | --- | --- | --- |
//! | 0 | 20 | address |
//! | 20 | 1 | 1 if the block wiped the account's storage, else 0 |
//! | 21 | 4 | s, number of slots |
//! | 25 | 32 s | slots |
//!
//! Invariant: the value of a key after block n is that before the first later block with a row for it, or the newest one if
//! there is none. Rows up to the store's oldest readable block are pruned; the three tables hold the same keys.

use super::{Accounts, Storage, Table, TableId, join, read_number, split};
use crate::changes::Account;
use alloy_primitives::{Address, U256};

/// See the module.
pub(in super::super) struct AccountHistory;

/// See the module.
pub(in super::super) struct StorageHistory;

/// See the module.
pub(in super::super) struct ChangedKeys;

/// An account in a block's row of [`ChangedKeys`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in super::super) struct ChangedAccount {
    pub(in super::super) address: Address,
    pub(in super::super) is_wiped: bool,
    pub(in super::super) slots: Vec<U256>,
}

impl Table for AccountHistory {
    const ID: TableId = TableId::AccountHistory;
    type Key = (Address, u64);
    type Value = Option<Account>;

    fn key((address, number): &(Address, u64)) -> impl AsRef<[u8]> {
        join::<28>(address.as_slice(), &number.to_be_bytes())
    }

    fn read_key(bytes: &[u8]) -> Option<(Address, u64)> {
        let (address, number) = bytes.split_at_checked(20)?;
        Some((Address::from_slice(address), read_number(number)?))
    }

    fn value(account: &Option<Account>) -> impl AsRef<[u8]> {
        account.as_ref().map(|account| Accounts::value(account).as_ref().to_vec()).unwrap_or_default()
    }

    fn read_value(bytes: &[u8]) -> Option<Option<Account>> {
        if bytes.is_empty() { Some(None) } else { Accounts::read_value(bytes).map(Some) }
    }
}

impl Table for StorageHistory {
    const ID: TableId = TableId::StorageHistory;
    type Key = (Address, U256, u64);
    type Value = U256;

    fn key((address, slot, number): &(Address, U256, u64)) -> impl AsRef<[u8]> {
        join::<60>(Storage::key(&(*address, *slot)).as_ref(), &number.to_be_bytes())
    }

    fn read_key(bytes: &[u8]) -> Option<(Address, U256, u64)> {
        let (key, number) = bytes.split_at_checked(52)?;
        let (address, slot) = Storage::read_key(key)?;
        Some((address, slot, read_number(number)?))
    }

    fn value(value: &U256) -> impl AsRef<[u8]> {
        Storage::value(value).as_ref().to_vec()
    }

    fn read_value(bytes: &[u8]) -> Option<U256> {
        Storage::read_value(bytes)
    }
}

impl Table for ChangedKeys {
    const ID: TableId = TableId::ChangedKeys;
    type Key = u64;
    type Value = Vec<ChangedAccount>;

    fn key(number: &u64) -> impl AsRef<[u8]> {
        number.to_be_bytes()
    }

    fn read_key(bytes: &[u8]) -> Option<u64> {
        read_number(bytes)
    }

    fn value(accounts: &Vec<ChangedAccount>) -> impl AsRef<[u8]> {
        let mut bytes = Vec::new();
        for ChangedAccount { address, is_wiped, slots } in accounts {
            bytes.extend_from_slice(address.as_slice());
            bytes.push(u8::from(*is_wiped));
            bytes.extend_from_slice(&(slots.len() as u32).to_be_bytes());
            slots.iter().for_each(|slot| bytes.extend_from_slice(&slot.to_be_bytes::<32>()));
        }
        bytes
    }

    fn read_value(mut bytes: &[u8]) -> Option<Vec<ChangedAccount>> {
        let mut accounts = Vec::new();
        while !bytes.is_empty() {
            let address = Address::from_slice(split(&mut bytes, 20)?);
            let is_wiped = match split(&mut bytes, 1)? {
                [0] => false,
                [1] => true,
                _ => return None,
            };
            let slots_len = u32::from_be_bytes(split(&mut bytes, 4)?.try_into().ok()?) as usize;
            let slots = split(&mut bytes, slots_len.checked_mul(32)?)?;
            let slots = slots.chunks_exact(32).map(U256::from_be_slice).collect();
            accounts.push(ChangedAccount { address, is_wiped, slots });
        }
        Some(accounts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changed_keys_survive_and_cut_rows_are_refused() {
        let account = |number: u8, slots: u64| ChangedAccount {
            address: Address::repeat_byte(number),
            is_wiped: number == 2,
            slots: (0..slots).map(U256::from).collect(),
        };
        let accounts = vec![account(1, 0), account(2, 3), account(3, 1)];
        let row = ChangedKeys::value(&accounts).as_ref().to_vec();
        assert_eq!(ChangedKeys::read_value(&row), Some(accounts));
        let whole: Vec<_> = (0..=row.len()).filter(|len| ChangedKeys::read_value(&row[..*len]).is_some()).collect();
        assert_eq!(whole, [0, 25, 146, 203], "only whole accounts");
    }
}
