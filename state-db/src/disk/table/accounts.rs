//! `Accounts`: plain accounts after the newest block.
//!
//! Key: the address, 20 bytes. Value:
//!
//! | offset | length | meaning |
//! | --- | --- | --- |
//! | 0 | 1 | n, length of the nonce: 0 to 8 |
//! | 1 | 1 | b, length of the balance: 0 to 32 |
//! | 2 | n | nonce, big-endian, no leading zero |
//! | 2 + n | b | balance in wei, big-endian, no leading zero |
//! | 2 + n + b | 0 or 32 | code hash; absent for an account without code |
//!
//! Invariant: one row for each account that exists, also an empty one (before EIP-161).

use super::{Table, TableId, is_trimmed, split, trim};
use crate::changes::Account;
use alloy_primitives::{Address, B256, U256};
use revm::primitives::KECCAK_EMPTY;

/// See the module.
pub(in super::super) struct Accounts;

impl Table for Accounts {
    const ID: TableId = TableId::Accounts;
    type Key = Address;
    type Value = Account;

    fn key(key: &Address) -> impl AsRef<[u8]> {
        *key
    }

    fn read_key(bytes: &[u8]) -> Option<Address> {
        Address::try_from(bytes).ok()
    }

    fn value(account: &Account) -> impl AsRef<[u8]> {
        let (nonce, balance) = (account.nonce.to_be_bytes(), account.balance.to_be_bytes::<32>());
        let (nonce, balance) = (trim(&nonce), trim(&balance));
        let code_hash = if account.has_code() { account.code_hash.as_slice() } else { &[] };
        [&[nonce.len() as u8, balance.len() as u8][..], nonce, balance, code_hash].concat()
    }

    fn read_value(mut bytes: &[u8]) -> Option<Account> {
        let lens = split(&mut bytes, 2)?;
        let nonce = split(&mut bytes, lens[0].into()).filter(|nonce| is_trimmed(nonce) && nonce.len() <= 8)?;
        let balance = split(&mut bytes, lens[1].into()).filter(|balance| is_trimmed(balance))?;
        let code_hash = match bytes {
            [] => KECCAK_EMPTY,
            hash => B256::try_from(hash).ok()?,
        };
        let nonce = nonce.iter().fold(0, |nonce, byte| nonce << 8 | u64::from(*byte));
        Some(Account { nonce, balance: U256::try_from_be_slice(balance)?, code_hash })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_survive_and_cut_rows_are_refused() {
        for nonce in [0, 1, 255, 256, u64::MAX] {
            for balance in [U256::ZERO, U256::from(1), U256::from(256), U256::MAX] {
                for code_hash in [KECCAK_EMPTY, B256::repeat_byte(1)] {
                    let account = Account { nonce, balance, code_hash };
                    let row = Accounts::value(&account).as_ref().to_vec();
                    assert_eq!(Accounts::read_value(&row), Some(account));
                    let short = Accounts::read_value(&row[..row.len() - 1]);
                    assert!(short.is_none(), "{account:?} cut to {short:?}");
                }
            }
        }
    }
}
