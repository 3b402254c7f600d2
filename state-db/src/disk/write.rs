//! What a commit, an unwind, a genesis and pruning write.
//!
//! Place in the flow: the backend opens a transaction, calls these, and commits it; nothing is visible before.
//! Invariant: all tables stand at the same block afterwards; `Writing` stops at the first row that cannot be written.

use super::{
    env::FORMAT,
    rows::Writing,
    table::{
        AccountHistory, AccountNodes, Accounts, BlockExtras, BlockNumbers, BlockRow, Blocks, Bodies, ChangedAccount,
        ChangedKeys, Codes, Headers, Meta, MetaKey, ReceiptLists, Storage, StorageHistory, StorageNodes, Transactions,
    },
};
use crate::{
    changes::{AccountChange, BlockChanges, SlotMap, WipedStorage},
    memory::MemoryState,
    overlay::Layer,
    store::{BlockData, StoreError},
    trie::TrieUpdates,
};
use alloy_primitives::{Address, B256, U256, map::AddressMap};
use std::sync::Arc;

impl Writing<'_> {
    /// A new store's first block and state.
    pub(super) fn write_genesis(&self, mut genesis: MemoryState, block: &BlockData) -> Result<(), StoreError> {
        self.put::<Meta>(&MetaKey::Format, &FORMAT.to_be_bytes().into())?;
        let bare: Vec<u8> = genesis.bare_storage.iter().flat_map(|address| address.0.0).collect();
        self.put::<Meta>(&MetaKey::BareStorage, &bare.into())?;
        for (address, account) in &genesis.accounts {
            self.put::<Accounts>(address, account)?;
        }
        for (address, slots) in &genesis.storage {
            for (slot, value) in slots {
                self.put::<Storage>(&(*address, *slot), value)?;
            }
        }
        for (hash, code) in genesis.codes.iter() {
            self.put::<Codes>(hash, &code.original_bytes())?;
        }
        self.write_nodes(&genesis.tries_mut().known_nodes())?;
        self.write_block_rows(block, genesis.state_root())?;
        self.set_oldest(block.id.number)
    }

    /// Blocks on the newest one, oldest first.
    ///
    /// PERF: rows go in by ascending keys, so that neighbours are written while their page is at hand; of the nodes that
    /// several blocks change, only the last ones are written.
    pub(super) fn write_blocks(&self, layers: &[Arc<Layer>]) -> Result<(), StoreError> {
        for layer in layers {
            let number = layer.block.id.number;
            let mut accounts: Vec<_> = layer.changes.accounts.iter().collect();
            accounts.sort_unstable_by_key(|(address, _)| **address);
            let mut changed = Vec::with_capacity(accounts.len());
            for (address, change) in &accounts {
                let slots = self.write_history(number, address, change, layer)?;
                changed.push(ChangedAccount { address: **address, is_wiped: change.wipes_storage(), slots });
            }
            accounts.iter().try_for_each(|(address, change)| self.write_account(address, change))?;
            self.put::<ChangedKeys>(&number, &changed)?;
            self.write_codes(&layer.changes)?;
            self.write_block_rows(&layer.block, layer.state_root)?;
        }
        match layers {
            [only] => self.write_nodes(&only.trie),
            _ => self.write_nodes(&TrieUpdates::merged(layers.iter().map(|layer| &layer.trie))),
        }
    }

    /// Changes the newest state as if its block had made these changes too.
    pub(super) fn amend(
        &self,
        changes: &BlockChanges,
        wiped: &WipedStorage,
        trie: &TrieUpdates,
        state_root: B256,
    ) -> Result<(), StoreError> {
        let number = self.rows.tip()?.id.number;
        // Nothing leads back below the oldest state.
        if number > self.rows.oldest()? {
            self.amend_history(number, changes, wiped)?;
        }
        changes.accounts.iter().try_for_each(|(address, change)| self.write_account(address, change))?;
        self.write_codes(changes)?;
        self.write_nodes(trie)?;
        let row = self.rows.need::<Blocks>(&number)?;
        self.put::<Blocks>(&number, &BlockRow { state_root, ..row })
    }

    /// Adds what a block has no row for yet: what is there already was before the block as well.
    fn amend_history(&self, number: u64, changes: &BlockChanges, wiped: &WipedStorage) -> Result<(), StoreError> {
        let mut changed = self.rows.need::<ChangedKeys>(&number)?;
        let places = changed.iter().enumerate().map(|(place, account)| (account.address, place));
        let mut places: AddressMap<usize> = places.collect();
        for (address, change) in &changes.accounts {
            let place = *places.entry(*address).or_insert(changed.len());
            if place == changed.len() {
                self.put::<AccountHistory>(&(*address, number), &change.before)?;
                changed.push(ChangedAccount { address: *address, is_wiped: false, slots: Vec::new() });
            }
            let account = &mut changed[place];
            account.is_wiped |= change.wipes_storage();
            for (slot, before) in slots_before(address, change, wiped) {
                let key = (*address, slot, number);
                if self.rows.get::<StorageHistory>(&key)?.is_none() {
                    self.put::<StorageHistory>(&key, &before)?;
                    account.slots.push(slot);
                }
            }
        }
        self.put::<ChangedKeys>(&number, &changed)
    }

    /// What was before the block; returns the slots with a row.
    fn write_history(
        &self,
        number: u64,
        address: &Address,
        change: &AccountChange,
        layer: &Layer,
    ) -> Result<Vec<U256>, StoreError> {
        self.put::<AccountHistory>(&(*address, number), &change.before)?;
        let mut before: Vec<_> = slots_before(address, change, &layer.wiped).into_iter().collect();
        before.sort_unstable_by_key(|(slot, _)| *slot);
        for (slot, value) in &before {
            self.put::<StorageHistory>(&(*address, *slot, number), value)?;
        }
        Ok(before.into_iter().map(|(slot, _)| slot).collect())
    }

    /// The account and its slots after changes.
    fn write_account(&self, address: &Address, change: &AccountChange) -> Result<(), StoreError> {
        if change.wipes_storage() {
            self.delete_prefix::<Storage>(address.as_slice())?;
        }
        let Some(account) = &change.after else { return self.delete::<Accounts>(address) };
        self.put::<Accounts>(address, account)?;
        let mut slots: Vec<_> = change.storage.iter().collect();
        slots.sort_unstable_by_key(|(slot, _)| **slot);
        for (slot, value) in slots {
            let key = (*address, *slot);
            if value.after.is_zero() {
                self.delete::<Storage>(&key)?;
            } else {
                self.put::<Storage>(&key, &value.after)?;
            }
        }
        Ok(())
    }

    fn write_codes(&self, changes: &BlockChanges) -> Result<(), StoreError> {
        let mut codes = changes.contracts.iter();
        codes.try_for_each(|(hash, code)| self.put::<Codes>(hash, &code.original_bytes()))
    }

    fn write_nodes(&self, updates: &TrieUpdates) -> Result<(), StoreError> {
        for (path, rlp) in &updates.accounts {
            match rlp {
                Some(rlp) => self.put::<AccountNodes>(path, rlp)?,
                None => self.delete::<AccountNodes>(path)?,
            }
        }
        for (owner, storage) in &updates.storages {
            if storage.is_wiped {
                self.delete_prefix::<StorageNodes>(owner.as_slice())?;
            }
            for (path, rlp) in &storage.nodes {
                match rlp {
                    Some(rlp) => self.put::<StorageNodes>(&(*owner, *path), rlp)?,
                    None => self.delete::<StorageNodes>(&(*owner, *path))?,
                }
            }
        }
        Ok(())
    }

    fn write_block_rows(&self, block: &BlockData, state_root: B256) -> Result<(), StoreError> {
        let BlockData { id, parent, header, body, receipts, transactions, senders, extra } = block;
        let number = id.number;
        self.put::<Blocks>(&number, &BlockRow { hash: id.hash, parent: *parent, state_root })?;
        self.put::<BlockNumbers>(&id.hash, &number)?;
        self.put::<Headers>(&number, header)?;
        self.put::<Bodies>(&number, body)?;
        self.put::<ReceiptLists>(&number, receipts)?;
        self.put::<BlockExtras>(&number, &(transactions.clone(), senders.clone(), extra.clone()))?;
        for (index, hash) in (0..).zip(transactions) {
            self.put::<Transactions>(hash, &(number, index))?;
        }
        self.set_tip(id)
    }

    /// Takes off the blocks above `to`: `back` leads from the newest state to that after `to`, and so do `updates`.
    pub(super) fn unwind(&self, to: u64, back: &BlockChanges, updates: &TrieUpdates) -> Result<(), StoreError> {
        let newest = self.rows.tip()?.id.number;
        for (address, change) in &back.accounts {
            self.write_account(address, change)?;
        }
        self.write_nodes(updates)?;
        for number in (to + 1..=newest).rev() {
            self.delete_history(number)?;
            let row = self.rows.need::<Blocks>(&number)?;
            for hash in self.rows.need::<BlockExtras>(&number)?.0 {
                self.delete::<Transactions>(&hash)?;
            }
            self.delete::<Blocks>(&number)?;
            self.delete::<BlockNumbers>(&row.hash)?;
            self.delete::<Headers>(&number)?;
            self.delete::<Bodies>(&number)?;
            self.delete::<ReceiptLists>(&number)?;
            self.delete::<BlockExtras>(&number)?;
        }
        self.set_tip(&self.rows.kept(to)?.id)
    }

    /// Drops the history that only states below block `oldest` need; returns the number of blocks.
    pub(super) fn prune(&self, oldest: u64) -> Result<u64, StoreError> {
        let (from, newest) = (self.rows.oldest()?, self.rows.tip()?.id.number);
        let oldest = oldest.min(newest);
        if oldest <= from {
            return Ok(0);
        }
        for number in from + 1..=oldest {
            self.delete_history(number)?;
        }
        self.set_oldest(oldest)?;
        Ok(oldest - from)
    }

    fn delete_history(&self, number: u64) -> Result<(), StoreError> {
        for account in self.rows.need::<ChangedKeys>(&number)? {
            self.delete::<AccountHistory>(&(account.address, number))?;
            for slot in account.slots {
                self.delete::<StorageHistory>(&(account.address, slot, number))?;
            }
        }
        self.delete::<ChangedKeys>(&number)
    }
}

/// The values before a change of all slots that it writes or wipes.
fn slots_before(address: &Address, change: &AccountChange, wiped: &WipedStorage) -> SlotMap<U256> {
    if !change.wipes_storage() {
        return change.storage.iter().map(|(slot, value)| (*slot, value.before)).collect();
    }
    let mut before: SlotMap<U256> = change.storage.keys().map(|slot| (*slot, U256::ZERO)).collect();
    before.extend(wiped.0.get(address).into_iter().flatten());
    before
}
