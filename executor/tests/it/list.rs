//! The block access list against the bundle, and step by step against sequential execution.
//!
//! From Cancun on: the list has no word for the destruction of older contracts, which EIP-6780 ended.

use alloy_eip7928::{AccountChanges, BlockAccessIndex, BlockAccessList};
use alloy_primitives::{Address, U256, keccak256};
use laminar_executor::{Block, Outcome, env::PreparedBlock, sequential};
use laminar_state_db::{Account, BlockChanges};
use revm::DatabaseRef;
use std::collections::BTreeSet;

/// The first thing in which the list and the bundle of `got` differ, or in which the list is not well formed.
pub(crate) fn list_difference<DB: DatabaseRef>(list: &BlockAccessList, got: &Outcome, parent: &DB) -> Option<String> {
    if !list.windows(2).all(|pair| pair[0].address < pair[1].address) {
        return Some("accounts are not ascending".to_owned());
    }
    let last_index = got.receipts.len() as u64 + 1;
    for entry in list {
        let difference = order_difference(entry, last_index)
            .or_else(|| account_difference(entry, &got.changes, parent))
            .or_else(|| slot_difference(entry, &got.changes, parent));
        if let Some(difference) = difference {
            return Some(format!("{}: {difference}", entry.address));
        }
    }
    let listed = |address: &Address| list.binary_search_by_key(address, |entry| entry.address).ok();
    for (address, change) in &got.changes.accounts {
        let Some(at) = listed(address) else { return Some(format!("{address} changed and is not listed")) };
        let written: BTreeSet<U256> = list[at].storage_changes.iter().map(|change| change.slot).collect();
        let mut changed = change.storage.iter().filter(|(_, value)| value.before != value.after);
        if let Some((slot, _)) = changed.find(|(slot, _)| !written.contains(*slot)) {
            return Some(format!("slot {slot:#x} of {address} changed and is not listed"));
        }
    }
    None
}

/// The first transaction after which the list tells another state than lean sequential revm, run up to there. For blocks
/// with nothing after the transactions.
pub(crate) fn history_difference<DB: DatabaseRef>(
    list: &BlockAccessList,
    block: &Block,
    prepared: &PreparedBlock,
    parent: &DB,
) -> Option<String> {
    for end in 1..=prepared.txs.len() {
        let mut prefix = prepared.clone();
        prefix.txs.truncate(end);
        let mut now = sequential::execute(block, &prefix, parent).expect("the whole block is valid").state;
        for entry in list {
            let account = now.account(entry.address).unwrap().unwrap_or_default();
            let told = account_after(entry, end as u64, parent);
            if account != told {
                return Some(format!("tx {}: {}: listed {told:?} != {account:?}", end - 1, entry.address));
            }
            for slot in &entry.storage_changes {
                let value = now.slot(entry.address, slot.slot).unwrap();
                let changes = slot.changes.iter().map(|change| (change.block_access_index, change.new_value));
                let told = newest(changes, end as u64)
                    .unwrap_or_else(|| parent.storage_ref(entry.address, slot.slot).unwrap());
                if value != told {
                    return Some(format!(
                        "tx {}: slot {:#x} of {}: listed {told:#x} != {value:#x}",
                        end - 1,
                        slot.slot,
                        entry.address
                    ));
                }
            }
        }
    }
    None
}

/// The account after step `index` of the block, as the list tells it.
fn account_after<DB: DatabaseRef>(entry: &AccountChanges, index: u64, parent: &DB) -> Account {
    let before = parent.basic_ref(entry.address).unwrap();
    let before = before.as_ref().map(Account::from).unwrap_or_default();
    let balances = entry.balance_changes.iter().map(|change| (change.block_access_index, change.post_balance));
    let nonces = entry.nonce_changes.iter().map(|change| (change.block_access_index, change.new_nonce));
    let codes = entry.code_changes.iter().map(|change| (change.block_access_index, keccak256(&change.new_code)));
    Account {
        balance: newest(balances, index).unwrap_or(before.balance),
        nonce: newest(nonces, index).unwrap_or(before.nonce),
        code_hash: newest(codes, index).unwrap_or(before.code_hash),
    }
}

/// The last of ascending changes that step `index` or one before it made.
fn newest<T>(changes: impl Iterator<Item = (BlockAccessIndex, T)>, index: u64) -> Option<T> {
    changes.take_while(|(at, _)| at.get() <= index).last().map(|(_, value)| value)
}

fn order_difference(entry: &AccountChanges, last_index: u64) -> Option<String> {
    let slots = entry.storage_changes.iter();
    let mut indices: Vec<Vec<u64>> =
        slots.map(|slot| slot.changes.iter().map(|change| change.block_access_index.get()).collect()).collect();
    if indices.iter().any(Vec::is_empty) {
        return Some(format!("a slot without changes: {entry:?}"));
    }
    indices.push(entry.balance_changes.iter().map(|change| change.block_access_index.get()).collect());
    indices.push(entry.nonce_changes.iter().map(|change| change.block_access_index.get()).collect());
    indices.push(entry.code_changes.iter().map(|change| change.block_access_index.get()).collect());
    let ascending = |indices: &Vec<u64>| {
        indices.windows(2).all(|pair| pair[0] < pair[1]) && indices.iter().all(|index| *index <= last_index)
    };
    (!indices.iter().all(ascending)).then(|| format!("indices are not ascending: {entry:?}"))
}

fn account_difference<DB: DatabaseRef>(entry: &AccountChanges, changes: &BlockChanges, parent: &DB) -> Option<String> {
    let before = parent.basic_ref(entry.address).unwrap();
    let before = before.as_ref().map(Account::from);
    let after = changes.account(&entry.address).map_or(before, |change| change.after).unwrap_or_default();
    let listed = account_after(entry, u64::MAX, parent);
    (listed != after).then(|| format!("listed {listed:?} != {after:?}"))
}

fn slot_difference<DB: DatabaseRef>(entry: &AccountChanges, changes: &BlockChanges, parent: &DB) -> Option<String> {
    let change = changes.account(&entry.address);
    let before = |slot: U256| parent.storage_ref(entry.address, slot).unwrap();
    let now = |slot: U256| {
        let written = change.and_then(|change| change.storage.get(&slot));
        written.map_or_else(|| before(slot), |value| value.after)
    };
    for written in &entry.storage_changes {
        let listed = written.changes.last().map(|change| change.new_value);
        if listed != Some(now(written.slot)) {
            return Some(format!("slot {:#x}: listed {listed:?} != {:#x}", written.slot, now(written.slot)));
        }
    }
    let moved = entry.storage_reads.iter().find(|slot| now(**slot) != before(**slot));
    moved.map(|slot| format!("slot {slot:#x} is listed as read and changed"))
}
