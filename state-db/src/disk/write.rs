//! What an unwind, a genesis, an amendment and pruning write, and what a commit shares with them.
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
    store::{BlockData, StoreError},
    trie::{MergedUpdates, TrieUpdates},
};
use alloy_primitives::{Address, B256, U256, map::AddressMap};

/// The change of an account by one of several blocks, with the block's place among them.
pub(super) type PlacedChange<'a> = (Address, usize, &'a AccountChange);

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
        self.write_nodes([&genesis.tries_mut().known_nodes()])?;
        self.write_block_rows(block, genesis.state_root())?;
        self.write_transactions(std::iter::once(block))?;
        self.set_oldest(block.id.number)
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
        self.write_state(&sorted(changes))?;
        self.write_codes(changes)?;
        self.write_nodes([trie])?;
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

    /// The accounts and their slots after changes, which come by address and then in order of time.
    pub(super) fn write_state(&self, changes: &[PlacedChange<'_>]) -> Result<(), StoreError> {
        let (mut accounts, mut storage) = (self.puts::<Accounts>()?, self.puts::<Storage>()?);
        let mut slots = Vec::new();
        for of_account in changes.chunk_by(|a, b| a.0 == b.0) {
            let (address, _, last) = &of_account[of_account.len() - 1];
            if of_account.iter().any(|(_, _, change)| change.wipes_storage()) {
                self.delete_prefix::<Storage>(address.as_slice())?;
            }
            let Some(account) = &last.after else {
                self.delete::<Accounts>(address)?;
                continue;
            };
            accounts.put(address, account)?;
            slots_after(of_account.iter().map(|(_, _, change)| *change), &mut slots);
            for (slot, value) in &slots {
                let key = (*address, *slot);
                match value.is_zero() {
                    true => self.delete::<Storage>(&key)?,
                    false => storage.put(&key, value)?,
                }
            }
        }
        Ok(())
    }

    pub(super) fn write_codes(&self, changes: &BlockChanges) -> Result<(), StoreError> {
        let mut codes = changes.contracts.iter();
        codes.try_for_each(|(hash, code)| self.put::<Codes>(hash, &code.original_bytes()))
    }

    /// What blocks, oldest first, mean for the nodes of the tries.
    pub(super) fn write_nodes<'a>(&self, blocks: impl IntoIterator<Item = &'a TrieUpdates>) -> Result<(), StoreError> {
        let MergedUpdates { accounts, storages } = MergedUpdates::new(blocks);
        let mut puts = self.puts::<AccountNodes>()?;
        for (path, rlp) in accounts {
            match rlp {
                Some(rlp) => puts.put(path, rlp)?,
                None => self.delete::<AccountNodes>(path)?,
            }
        }
        let mut puts = self.puts::<StorageNodes>()?;
        for (owner, is_wiped, nodes) in storages {
            if is_wiped {
                self.delete_prefix::<StorageNodes>(owner.as_slice())?;
            }
            for (path, rlp) in nodes {
                match rlp {
                    Some(rlp) => puts.put(&(owner, *path), rlp)?,
                    None => self.delete::<StorageNodes>(&(owner, *path))?,
                }
            }
        }
        Ok(())
    }

    pub(super) fn write_block_rows(&self, block: &BlockData, state_root: B256) -> Result<(), StoreError> {
        let BlockData { id, parent, header, body, receipts, transactions, senders, extra } = block;
        let number = id.number;
        self.put::<Blocks>(&number, &BlockRow { hash: id.hash, parent: *parent, state_root })?;
        self.put::<BlockNumbers>(&id.hash, &number)?;
        self.put::<Headers>(&number, header)?;
        self.put::<Bodies>(&number, body)?;
        self.put::<ReceiptLists>(&number, receipts)?;
        self.put::<BlockExtras>(&number, &(transactions.clone(), senders.clone(), extra.clone()))?;
        self.set_tip(id)
    }

    /// Where the transactions of blocks stand.
    pub(super) fn write_transactions<'a>(&self, blocks: impl Iterator<Item = &'a BlockData>) -> Result<(), StoreError> {
        let places = |block: &'a BlockData| {
            (0..).zip(&block.transactions).map(|(index, hash)| (*hash, (block.id.number, index)))
        };
        let mut places: Vec<_> = blocks.flat_map(places).collect();
        places.sort_unstable();
        let mut puts = self.puts::<Transactions>()?;
        places.iter().try_for_each(|(hash, place)| puts.put(hash, place))
    }

    /// Takes off the blocks above `to`: `back` leads from the newest state to that after `to`, and so do `updates`.
    pub(super) fn unwind(&self, to: u64, back: &BlockChanges, updates: &TrieUpdates) -> Result<(), StoreError> {
        let newest = self.rows.tip()?.id.number;
        self.write_state(&sorted(back))?;
        self.write_nodes([updates])?;
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

/// The slots that changes leave behind, with zero for those that they clear; `slots` is overwritten, ascending. The last change
/// lets the account live on.
fn slots_after<'a>(changes: impl Iterator<Item = &'a AccountChange>, slots: &mut Vec<(U256, U256)>) {
    slots.clear();
    for change in changes {
        if change.wipes_storage() {
            slots.clear();
        }
        slots
            .extend(change.storage.iter().filter(|_| change.after.is_some()).map(|(slot, value)| (*slot, value.after)));
    }
    slots.sort_by_key(|(slot, _)| *slot);
    // Of several changes of a slot the last one counts.
    slots.dedup_by(|later, earlier| {
        let is_same = later.0 == earlier.0;
        if is_same {
            *earlier = *later;
        }
        is_same
    });
}

/// The changes of one block by address.
fn sorted(changes: &BlockChanges) -> Vec<PlacedChange<'_>> {
    let mut sorted: Vec<_> = changes.accounts.iter().map(|(address, change)| (*address, 0, change)).collect();
    sorted.sort_unstable_by_key(|(address, ..)| *address);
    sorted
}

/// The values before a change of all slots that it writes or wipes, ascending.
pub(super) fn slots_before(address: &Address, change: &AccountChange, wiped: &WipedStorage) -> Vec<(U256, U256)> {
    let mut before: Vec<_> = if change.wipes_storage() {
        let mut before: SlotMap<U256> = change.storage.keys().map(|slot| (*slot, U256::ZERO)).collect();
        before.extend(wiped.0.get(address).into_iter().flatten());
        before.into_iter().collect()
    } else {
        change.storage.iter().map(|(slot, value)| (*slot, value.before)).collect()
    };
    before.sort_unstable_by_key(|(slot, _)| *slot);
    before
}
