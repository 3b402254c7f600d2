//! The first difference between what a block gave and what a case says that it gives: receipts and access lists.
//!
//! Place in the flow: after a block, imported or refused.
//! Invariant: pure; the first difference in block order, or in the order of the list.

use alloy_consensus::TxReceipt;
use alloy_eip7928::{AccountChanges, BlockAccessList};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::hex;
use laminar_executor::Receipt;
use laminar_fixtures::official::TestReceipt;
use std::fmt::Debug;

/// The first receipt that differs.
pub(crate) fn in_receipts(expected: &[TestReceipt], found: &[Receipt]) -> Option<String> {
    in_gas_of_receipts(expected, found).or_else(|| {
        expected.iter().zip(found).enumerate().find_map(|(position, (expected, found))| {
            in_receipt(expected, found).map(|difference| format!("receipt {position}: {difference}"))
        })
    })
}

/// The first receipt whose gas differs: all that is worth a look once the root of the receipts is the header's. There are
/// releases whose receipts say success where their header says failure.
pub(crate) fn in_gas_of_receipts(expected: &[TestReceipt], found: &[Receipt]) -> Option<String> {
    if expected.len() != found.len() {
        return Some(format!("expected {} receipts, found {}", expected.len(), found.len()));
    }
    expected.iter().zip(found).enumerate().find_map(|(position, (expected, found))| {
        let (expected, found) = (expected.cumulative_gas_used, found.cumulative_gas_used);
        (expected != found).then(|| format!("receipt {position}: cumulative gas: expected {expected}, found {found}"))
    })
}

fn in_receipt(expected: &TestReceipt, found: &Receipt) -> Option<String> {
    if let Some(expected) = expected.status.filter(|expected| *expected != found.success) {
        return Some(format!("success: expected {expected}, found {}", found.success));
    }
    let expected = expected.rlp.as_ref()?;
    let found = found.with_bloom_ref().encoded_2718();
    (*expected != found).then(|| format!("encoding: expected {expected}, found {}", hex::encode_prefixed(found)))
}

/// The first entry of a block access list that differs.
pub(crate) fn in_access_list(expected: &BlockAccessList, found: &BlockAccessList) -> Option<String> {
    let mut pairs = expected.iter().zip(found.iter());
    if let Some((expected, found)) = pairs.find(|(expected, found)| expected != found) {
        return Some(in_entry(expected, found));
    }
    let len = expected.len().min(found.len());
    match (expected.get(len), found.get(len)) {
        (Some(missing), None) => Some(format!("block access list: expected {}, found its end", missing.address)),
        (None, Some(extra)) => Some(format!("block access list: expected its end, found {}", extra.address)),
        _ => None,
    }
}

fn in_entry(expected: &AccountChanges, found: &AccountChanges) -> String {
    if expected.address != found.address {
        return format!("block access list: expected account {}, found {}", expected.address, found.address);
    }
    let difference = part("storage changes", &expected.storage_changes, &found.storage_changes)
        .or_else(|| part("storage reads", &expected.storage_reads, &found.storage_reads))
        .or_else(|| part("balance changes", &expected.balance_changes, &found.balance_changes))
        .or_else(|| part("nonce changes", &expected.nonce_changes, &found.nonce_changes))
        .or_else(|| part("code changes", &expected.code_changes, &found.code_changes));
    format!("block access list of {}: {}", expected.address, difference.unwrap_or_default())
}

/// The first item of a list that differs, in the debug form: field names and values.
fn part<T: PartialEq + Debug>(name: &str, expected: &[T], found: &[T]) -> Option<String> {
    let at = (0..expected.len().max(found.len())).find(|at| expected.get(*at) != found.get(*at))?;
    let item = |list: &[T]| list.get(at).map_or("nothing".to_owned(), |item| format!("{item:?}"));
    Some(format!("{name} {at}: expected {}, found {}", item(expected), item(found)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::{Address, U256};

    fn list(reads: &[u64]) -> BlockAccessList {
        let storage_reads = reads.iter().map(|slot| U256::from(*slot)).collect();
        vec![AccountChanges { address: Address::with_last_byte(1), storage_reads, ..AccountChanges::default() }]
    }

    #[test]
    fn the_first_item_that_differs_is_named() {
        assert_eq!(in_access_list(&list(&[1, 2]), &list(&[1, 2])), None);
        let difference = in_access_list(&list(&[1, 2]), &list(&[1, 3])).unwrap();
        assert!(difference.ends_with("storage reads 1: expected 2, found 3"), "{difference}");
        let difference = in_access_list(&list(&[1, 2]), &list(&[1])).unwrap();
        assert!(difference.ends_with("expected 2, found nothing"), "{difference}");
        assert!(in_access_list(&list(&[]), &BlockAccessList::default()).unwrap().ends_with("found its end"));
    }
}
