//! Values after blocks below the newest one, and what led from there to here.
//!
//! Place in the flow: a snapshot asks it for older states; proofs and roots on older blocks, and unwinding, take its changes.
//! Invariant: the blocks asked for are not below the oldest whose state is kept; who calls has checked.

use super::{
    rows::Reading,
    table::{AccountHistory, Accounts, ChangedKeys, Storage, StorageHistory, Table},
};
use crate::{
    changes::{Account, AccountChange, BlockChanges, SlotChange, SlotMap, WipedStorage},
    store::StoreError,
};
use alloy_primitives::{
    Address, U256,
    map::{AddressMap, HashSet},
};
use signet_libmdbx::TransactionKind;
use std::ops::ControlFlow;

impl<K: TransactionKind> Reading<'_, K> {
    /// The account after block `number`.
    pub(super) fn account_after(&self, number: u64, address: &Address) -> Result<Option<Account>, StoreError> {
        let from = (*address, number + 1);
        match self.seek::<AccountHistory>(AccountHistory::key(&from).as_ref(), address.as_slice())? {
            Some((_, before)) => Ok(before),
            None => self.get::<Accounts>(address),
        }
    }

    /// The slot after block `number`.
    pub(super) fn slot_after(&self, number: u64, address: &Address, slot: &U256) -> Result<U256, StoreError> {
        let (key, from) = ((*address, *slot), (*address, *slot, number + 1));
        match self.seek::<StorageHistory>(StorageHistory::key(&from).as_ref(), Storage::key(&key).as_ref())? {
            Some((_, before)) => Ok(before),
            None => Ok(self.get::<Storage>(&key)?.unwrap_or_default()),
        }
    }

    /// All slots of an account after the newest block.
    pub(super) fn newest_slots(&self, address: &Address) -> Result<SlotMap<U256>, StoreError> {
        let rows = self.collect::<Storage>(address.as_slice())?;
        Ok(rows.into_iter().map(|((_, slot), value)| (slot, value)).collect())
    }

    /// All slots of an account after block `number`.
    pub(super) fn slots_after(&self, number: u64, address: &Address) -> Result<SlotMap<U256>, StoreError> {
        let mut slots = self.newest_slots(address)?;
        let mut done = None;
        self.walk::<StorageHistory>(address.as_slice(), address.as_slice(), |(_, slot, changed), before| {
            if changed > number && done != Some(slot) {
                slots.insert(slot, before);
                done = Some(slot);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        slots.retain(|_, value| !value.is_zero());
        Ok(slots)
    }

    /// The changes that lead from the state after the newest block back to that after block `number`.
    pub(super) fn changes_back_to(&self, number: u64) -> Result<BlockChanges, StoreError> {
        let mut keys: AddressMap<(bool, HashSet<U256>)> = AddressMap::default();
        self.walk::<ChangedKeys>(ChangedKeys::key(&(number + 1)).as_ref(), &[], |_, accounts| {
            for account in accounts {
                let (is_wiped, slots) = keys.entry(account.address).or_default();
                *is_wiped |= account.is_wiped;
                slots.extend(account.slots);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        let mut changes = BlockChanges::default();
        for (address, (storage_cleared, slots)) in keys {
            let (before, after) = (self.get::<Accounts>(&address)?, self.account_after(number, &address)?);
            let mut storage = SlotMap::default();
            if storage_cleared {
                let all = self.slots_after(number, &address)?;
                storage.extend(all.into_iter().map(|(slot, after)| (slot, SlotChange { before: U256::ZERO, after })));
            } else {
                for slot in slots {
                    let before = self.get::<Storage>(&(address, slot))?.unwrap_or_default();
                    let after = self.slot_after(number, &address, &slot)?;
                    storage.insert(slot, SlotChange { before, after });
                }
            }
            changes.accounts.insert(address, AccountChange { before, after, storage_cleared, storage });
        }
        Ok(changes)
    }

    /// What changes on the newest state wipe.
    pub(super) fn wiped_by(&self, changes: &BlockChanges) -> Result<WipedStorage, StoreError> {
        let mut wiped = WipedStorage::default();
        for (address, _) in changes.accounts.iter().filter(|(_, change)| change.wipes_storage()) {
            wiped.0.insert(*address, self.newest_slots(address)?);
        }
        Ok(wiped)
    }

    /// What block `number` changed, and what it wiped. Its code is in `Codes`.
    pub(super) fn changes_of(&self, number: u64) -> Result<(BlockChanges, WipedStorage), StoreError> {
        let (mut changes, mut wiped) = (BlockChanges::default(), WipedStorage::default());
        for account in self.need::<ChangedKeys>(&number)? {
            let address = account.address;
            let (mut storage, mut gone) = (SlotMap::default(), SlotMap::default());
            for slot in account.slots {
                let before = self.need::<StorageHistory>(&(address, slot, number))?;
                let after = self.slot_after(number, &address, &slot)?;
                if !account.is_wiped {
                    storage.insert(slot, SlotChange { before, after });
                    continue;
                }
                if !before.is_zero() {
                    gone.insert(slot, before);
                }
                if !after.is_zero() {
                    storage.insert(slot, SlotChange { before: U256::ZERO, after });
                }
            }
            if !gone.is_empty() {
                wiped.0.insert(address, gone);
            }
            let before = self.need::<AccountHistory>(&(address, number))?;
            let after = self.account_after(number, &address)?;
            let change = AccountChange { before, after, storage_cleared: account.is_wiped, storage };
            changes.accounts.insert(address, change);
        }
        Ok((changes, wiped))
    }
}
