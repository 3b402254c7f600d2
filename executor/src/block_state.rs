//! The state of the block so far: the committed prefix over the parent.
//!
//! Place in the flow: merge is its only writer; a run on the committed prefix reads through it.
//! Invariant: it always describes a whole prefix of the block. An account or slot that is absent here is unchanged since the
//! parent, so the first writer's `seen` is the parent's value and no read of the parent is needed to write.
//! It does not read the parent, and does not know transactions.

use alloy_primitives::{Address, B256, U256};
use laminar_state_db::{Account, AccountChange, BlockChanges, SlotChange};
use revm::bytecode::Bytecode;

/// Committed changes of the block, addressed for reading and writing.
#[derive(Clone, Debug, Default)]
pub(crate) struct BlockState {
    changes: BlockChanges,
}

/// What an account is owed and the prefix does not have yet; whoever looks at the account sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Owed {
    /// The account.
    pub(crate) address: Address,
    /// In the parent state.
    pub(crate) parent: Option<Account>,
    /// More than zero.
    pub(crate) wei: U256,
}

impl Owed {
    /// The account with what it is owed, where the prefix has `committed` of it.
    pub(crate) fn added_to(&self, committed: Option<Option<Account>>) -> Account {
        let account = committed.unwrap_or(self.parent).unwrap_or_default();
        Account { balance: account.balance.saturating_add(self.wei), ..account }
    }
}

/// Where an account's entry is. Entries keep their places, for none is removed before the block ends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place(usize);

/// What the block state knows of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SlotNow {
    /// Unchanged since the parent.
    Parent,
    /// Written or cleared in this block.
    Value(U256),
}

impl BlockState {
    /// An empty prefix with room for `accounts` changed accounts.
    pub(crate) fn with_capacity(accounts: usize) -> Self {
        let mut changes = BlockChanges::default();
        changes.accounts.reserve(accounts);
        Self { changes }
    }

    /// The account if the prefix wrote it: `Some(None)` is an account that no longer exists.
    pub(crate) fn account(&self, address: &Address) -> Option<Option<Account>> {
        self.changes.accounts.get(address).map(|change| change.after)
    }

    /// The whole change of an account, for checks that need account and slots.
    pub(crate) fn change(&self, address: &Address) -> Option<&AccountChange> {
        self.changes.accounts.get(address)
    }

    /// A slot of `address`.
    pub(crate) fn slot(&self, address: &Address, slot: &U256) -> SlotNow {
        self.changes.accounts.get(address).map_or(SlotNow::Parent, |change| slot_now(change, slot))
    }

    /// Code that the block set.
    pub(crate) fn code(&self, hash: &B256) -> Option<&Bytecode> {
        self.changes.contracts.get(hash)
    }

    /// The entry of an account for writing. `parent` is used if this is the block's first write to it.
    pub(crate) fn entry(&mut self, address: Address, parent: Option<Account>) -> &mut AccountChange {
        self.place(address, || parent).1
    }

    /// The same with the place of the entry, by which it is found again without hashing.
    pub(crate) fn place(
        &mut self,
        address: Address,
        parent: impl FnOnce() -> Option<Account>,
    ) -> (Place, &mut AccountChange) {
        let entry = self.changes.accounts.entry(address);
        let place = Place(entry.index());
        let change = entry.or_insert_with(|| {
            let parent = parent();
            AccountChange { before: parent, after: parent, ..AccountChange::default() }
        });
        (place, change)
    }

    /// The entry at a place.
    pub(crate) fn at(&mut self, place: Place) -> &mut AccountChange {
        &mut self.changes.accounts[place.0]
    }

    /// Keeps code by its hash.
    pub(crate) fn add_code(&mut self, hash: B256, code: Bytecode) {
        self.changes.contracts.entry(hash).or_insert(code);
    }

    /// The changes of the whole block, accounts that ended as they began left out.
    pub(crate) fn into_changes(mut self) -> BlockChanges {
        self.changes.accounts.retain(|_, change| {
            if !change.storage_cleared {
                change.storage.retain(|_, slot| slot.before != slot.after);
            }
            change.before != change.after || change.storage_cleared || !change.storage.is_empty()
        });
        self.changes
    }
}

/// A slot of an account that the prefix has an entry for.
pub(crate) fn slot_now(change: &AccountChange, slot: &U256) -> SlotNow {
    match change.storage.get(slot) {
        Some(value) => SlotNow::Value(value.after),
        None if change.storage_cleared => SlotNow::Value(U256::ZERO),
        None => SlotNow::Parent,
    }
}

/// Slots of an account from which on it is worth asking how many there will be.
const MANY_SLOTS: usize = 256;
/// A map of slots grows to at most so many times its size at once.
const GROWTH_MAX: usize = 8;

/// Makes room for `more` slots of an account; where there is too little, for as many as the block will write if it goes on as it
/// did in its first `done` of `all` transactions.
///
/// PERF: a map that doubles moves all slots each time, to fresh memory, while nobody else can merge.
pub(crate) fn make_room(change: &mut AccountChange, more: usize, done: u64, all: u64) {
    let (slots, room) = (change.storage.len(), change.storage.capacity());
    if slots >= MANY_SLOTS && slots + more > room {
        let times = usize::try_from(all / done.max(1)).unwrap_or(GROWTH_MAX).clamp(2, GROWTH_MAX);
        change.storage.reserve(slots * (times - 1));
    }
}

/// Writes one slot. `parent` is used if this is the block's first write to it.
pub(crate) fn write_slot(change: &mut AccountChange, slot: U256, parent: U256, after: U256) {
    change.storage.entry(slot).and_modify(|value| value.after = after).or_insert(SlotChange { before: parent, after });
}

/// Removes every slot: what the block wrote is set to zero, what the parent had is cleared.
pub(crate) fn clear_storage(change: &mut AccountChange) {
    change.storage_cleared = change.storage_cleared || change.before.is_some();
    for slot in change.storage.values_mut() {
        slot.after = U256::ZERO;
    }
}
