//! Whether the tables of a store fit together.
//!
//! Place in the flow: `laminar db verify`, and tests after each crash.
//! What is checked: plain values against the tries' nodes and the newest block's state root; code against its hash; blocks for
//! gaps, against their hashes, parts and transactions; history for gaps, and that it leads back through every state root to the
//! oldest one. What is not: whether headers, bodies and receipts are those of the block, which the caller may know.

use super::{
    rows::Reading,
    snapshot::DiskSnapshot,
    table::{
        AccountHistory, AccountNodes, Accounts, BlockExtras, BlockNumbers, Blocks, Bodies, ChangedKeys, Codes, Headers,
        ReceiptLists, Storage, StorageHistory, StorageNodes, Table, Transactions,
    },
    tries::Nodes,
};
use crate::{
    changes::Account,
    store::{BlockData, Kept, StoreError},
    trie::{NodeUpdates, StateTrie, Trie},
};
use alloy_primitives::{
    Address, B256, keccak256,
    map::{AddressMap, B256Set},
};
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};
use signet_libmdbx::Ro;
use std::{fmt::Display, ops::ControlFlow};

/// What was found to fit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Root of the newest state, computed from the plain values.
    pub state_root: B256,
    /// Number of accounts.
    pub accounts: u64,
    /// Number of slots.
    pub slots: u64,
    /// Number of trie nodes.
    pub nodes: u64,
    /// Number of blocks.
    pub blocks: u64,
    /// Number of transactions.
    pub transactions: u64,
    /// Number of blocks with history.
    pub history: u64,
}

/// Checks everything, and what `check` says of each block; the first fault is the error.
pub(super) fn verify<E: Display>(
    snapshot: &DiskSnapshot,
    check: impl FnMut(&BlockData) -> Result<(), E>,
) -> Result<Verified, StoreError> {
    let (newest, oldest) = (snapshot.newest(), snapshot.oldest());
    let mut verified = snapshot.with(|rows| {
        let mut verified = Verified::default();
        verify_blocks(&rows, &newest, check, &mut verified)?;
        verify_history(&rows, oldest, newest.id.number, &mut verified)?;
        verify_state(&rows, &newest, &mut verified)?;
        Ok::<_, StoreError>(verified)
    })?;
    verify_states(snapshot)?;
    verified.state_root = newest.state_root;
    Ok(verified)
}

fn verify_blocks<E: Display>(
    rows: &Reading<'_, Ro>,
    newest: &Kept,
    mut check: impl FnMut(&BlockData) -> Result<(), E>,
    verified: &mut Verified,
) -> Result<(), StoreError> {
    let mut before: Option<(u64, B256)> = None;
    rows.walk::<Blocks>(&[], &[], |number, row| {
        if before.is_some_and(|(last, hash)| number != last + 1 || row.parent != hash) {
            return Err(fault::<Blocks>(format!("block {number} does not follow the one before it")));
        }
        if rows.get::<BlockNumbers>(&row.hash)? != Some(number) {
            return Err(fault::<BlockNumbers>(format!("hash {} does not lead to block {number}", row.hash)));
        }
        let block = rows.block_data(number)?;
        check(&block).map_err(|error| fault::<Blocks>(format!("block {number}: {error}")))?;
        for (index, hash) in (0..).zip(&block.transactions) {
            if rows.get::<Transactions>(hash)? != Some((number, index)) {
                return Err(fault::<Transactions>(format!("{hash} does not lead to block {number}, position {index}")));
            }
            verified.transactions += 1;
        }
        verified.blocks += 1;
        before = Some((number, row.hash));
        Ok(ControlFlow::Continue(()))
    })?;
    if before != Some((newest.id.number, newest.id.hash)) {
        return Err(fault::<Blocks>(format!("expected the last block to be {:?}, found {before:?}", newest.id)));
    }
    rows.expect_len::<BlockNumbers>(verified.blocks)?;
    rows.expect_len::<Headers>(verified.blocks)?;
    rows.expect_len::<Bodies>(verified.blocks)?;
    rows.expect_len::<ReceiptLists>(verified.blocks)?;
    rows.expect_len::<BlockExtras>(verified.blocks)?;
    rows.expect_len::<Transactions>(verified.transactions)
}

fn verify_history(rows: &Reading<'_, Ro>, oldest: u64, newest: u64, verified: &mut Verified) -> Result<(), StoreError> {
    let (mut accounts, mut slots) = (0, 0);
    for number in oldest + 1..=newest {
        for account in rows.need::<ChangedKeys>(&number)? {
            rows.need::<AccountHistory>(&(account.address, number))?;
            accounts += 1;
            for slot in account.slots {
                rows.need::<StorageHistory>(&(account.address, slot, number))?;
                slots += 1;
            }
        }
        verified.history += 1;
    }
    rows.expect_len::<ChangedKeys>(verified.history)?;
    rows.expect_len::<AccountHistory>(accounts)?;
    rows.expect_len::<StorageHistory>(slots)
}

/// Goes back from the newest state, block by block, to the oldest one: each must have the root that is noted.
fn verify_states(snapshot: &DiskSnapshot) -> Result<(), StoreError> {
    let nodes = Nodes::newest(snapshot);
    let mut tries = StateTrie::from_root(snapshot.newest().state_root);
    for number in (snapshot.oldest() + 1..=snapshot.newest().id.number).rev() {
        let ((changes, wiped), before) =
            snapshot.with(|rows| Ok::<_, StoreError>((rows.changes_of(number)?, rows.kept(number - 1)?)))?;
        tries.apply(&changes.inverse(&wiped), &nodes)?;
        let root = tries.root();
        if root != before.state_root {
            let what = format!("block {number} leads back to state root {root}, not {}", before.state_root);
            return Err(fault::<ChangedKeys>(what));
        }
    }
    Ok(())
}

fn verify_state(rows: &Reading<'_, Ro>, newest: &Kept, verified: &mut Verified) -> Result<(), StoreError> {
    let (mut leaves, mut codes) = (Vec::new(), B256Set::default());
    let mut storage_nodes = 0;
    rows.walk::<Codes>(&[], &[], |hash, code| {
        if keccak256(&code) != hash {
            return Err(fault::<Codes>(format!("a code does not have the hash {hash}")));
        }
        codes.insert(hash);
        Ok(ControlFlow::Continue(()))
    })?;
    rows.walk::<Accounts>(&[], &[], |address, account| {
        if account.has_code() && !codes.contains(&account.code_hash) {
            return Err(fault::<Codes>(format!("missing code of {address} with the hash {}", account.code_hash)));
        }
        let hash = keccak256(address);
        let (storage_root, nodes_len) = verify_storage(rows, address, hash, verified)?;
        storage_nodes += nodes_len;
        let Account { nonce, balance, code_hash } = account;
        leaves.push((hash, TrieAccount { nonce, balance, storage_root, code_hash }));
        Ok(ControlFlow::Continue(()))
    })?;
    verified.accounts = leaves.len() as u64;
    rows.expect_len::<Storage>(verified.slots)?;
    rows.expect_len::<StorageNodes>(storage_nodes)?;
    leaves.sort_unstable_by_key(|(hash, _)| *hash);
    let mut tries = StateTrie::default();
    tries.accounts = Trie::from_sorted(&leaves);
    drop(leaves);
    let root = tries.root();
    if root != newest.state_root {
        return Err(fault::<Accounts>(format!("expected state root {}, found {root}", newest.state_root)));
    }
    let found = rows.collect::<AccountNodes>(&[])?;
    let expected = tries.known_nodes().accounts;
    verified.nodes = storage_nodes + expected.len() as u64;
    compare_nodes::<AccountNodes>(&expected, found, "the account trie")
}

/// The storage root of an account from its slots, and the number of its trie's nodes.
fn verify_storage(
    rows: &Reading<'_, Ro>,
    address: Address,
    hash: B256,
    verified: &mut Verified,
) -> Result<(B256, u64), StoreError> {
    let slots = rows.newest_slots(&address)?;
    if slots.is_empty() {
        return Ok((EMPTY_ROOT_HASH, 0));
    }
    verified.slots += slots.len() as u64;
    let accounts = AddressMap::from_iter([(address, Account::default())]);
    let mut tries = StateTrie::from_state(&accounts, &AddressMap::from_iter([(address, slots)]));
    let storage_root = tries.storages.get_mut(&hash).map_or(EMPTY_ROOT_HASH, Trie::root);
    let expected = tries.known_nodes().storages.remove(&hash).unwrap_or_default().nodes;
    let found = rows.collect::<StorageNodes>(hash.as_slice())?;
    let found = found.into_iter().map(|((_, path), rlp)| (path, rlp)).collect();
    compare_nodes::<StorageNodes>(&expected, found, &format!("the storage trie of {address}"))?;
    Ok((storage_root, expected.len() as u64))
}

fn compare_nodes<T: Table>(
    expected: &NodeUpdates,
    mut found: Vec<(alloy_trie::Nibbles, alloy_primitives::Bytes)>,
    trie: &str,
) -> Result<(), StoreError> {
    found.sort_unstable_by_key(|(path, _)| *path);
    let is_same = |((path, rlp), (found_path, found_rlp)): (&(_, Option<_>), &(_, _))| {
        path == found_path && rlp.as_ref() == Some(found_rlp)
    };
    if expected.len() == found.len() && expected.iter().zip(&found).all(is_same) {
        return Ok(());
    }
    let place = expected.iter().zip(&found).position(|pair| !is_same(pair)).unwrap_or(expected.len().min(found.len()));
    let path = expected.get(place).map(|(path, _)| *path).or(found.get(place).map(|(path, _)| *path));
    Err(fault::<T>(format!("{trie} differs from the plain values at path {:?}", path.unwrap_or_default())))
}

impl Reading<'_, Ro> {
    /// Whether a table has so many rows.
    fn expect_len<T: Table>(&self, expected: u64) -> Result<(), StoreError> {
        let stat = self.tx.db_stat(&self.tables.of::<T>());
        let found = stat.map_err(|error| super::env::database_error("count rows", error))?.entries() as u64;
        if found == expected { Ok(()) } else { Err(fault::<T>(format!("expected {expected} rows, found {found}"))) }
    }
}

fn fault<T: Table>(what: String) -> StoreError {
    StoreError::Corrupt { table: T::ID.name(), what }
}
