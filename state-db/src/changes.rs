//! What one block does to the state: the bundle that execution produces and every store, trie and history table consumes.
//!
//! Place in the flow: `executor::merge` builds it, in block order, once per block; [`crate::trie`] turns it into a root and
//! a store commits or unwinds it.
//! Invariant: `before` is the value in the parent state and `after` the value after the block, so a change carries its own
//! revert; an account that ends as it began, with no slot changed, is not in the map.
//! It does not know transactions, tries or tables.

use alloy_primitives::{
    Address, B256, U256,
    map::{AddressIndexMap, AddressMap, B256Map, HashMap},
};
use revm::{
    bytecode::Bytecode,
    primitives::KECCAK_EMPTY,
    state::{AccountId, AccountInfo},
};

/// Storage slots of one account by slot number.
pub type SlotMap<V> = HashMap<U256, V>;

/// A plain account as the state holds it: no storage root (the trie knows it), no code (found by its hash).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Transactions sent, or for contracts, contracts created plus one (EIP-161).
    pub nonce: u64,
    /// Balance in wei.
    pub balance: U256,
    /// Keccak-256 of the code; the hash of nothing for an account without code.
    pub code_hash: B256,
}

impl Default for Account {
    fn default() -> Self {
        Self { nonce: 0, balance: U256::ZERO, code_hash: KECCAK_EMPTY }
    }
}

impl Account {
    /// Empty by EIP-161: nonce zero, balance zero, no code.
    pub fn is_empty(&self) -> bool {
        self.nonce == 0 && self.balance.is_zero() && self.code_hash == KECCAK_EMPTY
    }

    /// Whether the account carries code or an EIP-7702 delegation.
    pub fn has_code(&self) -> bool {
        self.code_hash != KECCAK_EMPTY
    }
}

impl From<&AccountInfo> for Account {
    fn from(info: &AccountInfo) -> Self {
        Self { nonce: info.nonce, balance: info.balance, code_hash: info.code_hash }
    }
}

impl From<Account> for AccountInfo {
    /// The code stays unloaded; revm asks for it by hash.
    fn from(account: Account) -> Self {
        Self {
            nonce: account.nonce,
            balance: account.balance,
            code_hash: account.code_hash,
            code: None,
            account_id: None,
        }
    }
}

/// The `account_id` by which a state tells revm's host of an account that has storage but neither nonce nor code.
///
/// CONSENSUS: EIP-7610, nothing can be created there. No transaction can make such an account since EIP-161, so only states
/// that were not grown by execution need to say so; the id is the largest there is, which no state numbers an account with.
pub fn storage_only_id() -> Option<AccountId> {
    AccountId::new(u32::MAX as usize - 1)
}

/// One slot over a block; `before != after` unless the account's storage was cleared in between.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SlotChange {
    /// The value in the parent state; zero for a slot that the block first wrote after the account's storage was cleared.
    pub before: U256,
    /// The value after the block; zero means that the slot is gone.
    pub after: U256,
}

/// One account over a block.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountChange {
    /// The account in the parent state; `None` if it did not exist.
    pub before: Option<Account>,
    /// The account after the block; `None` if it does not exist.
    pub after: Option<Account>,
    /// The parent's storage was cleared by a self-destruction: every slot of the parent that is not in `storage` is gone too.
    pub storage_cleared: bool,
    /// Slots by number. Where `storage_cleared` holds, a slot may have `before == after`: it was wiped and written again.
    pub storage: SlotMap<SlotChange>,
}

impl AccountChange {
    /// Whether slots of the parent are gone that the change does not name.
    pub const fn wipes_storage(&self) -> bool {
        self.storage_cleared || self.after.is_none()
    }
}

/// What a block wiped beyond the slots in its changes: all slots of the parent of accounts that were cleared or ended.
/// [`BlockChanges::inverse`] brings it back.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WipedStorage(pub(crate) AddressMap<SlotMap<U256>>);

/// Everything a block changes: the bundle state, with the reverts inside it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BlockChanges {
    /// Changed accounts by address, in the order of their first change: the order of insertion costs no scattered memory.
    pub accounts: AddressIndexMap<AccountChange>,
    /// Code that the block deployed, by its hash. Delegations (EIP-7702) included.
    pub contracts: B256Map<Bytecode>,
}

impl BlockChanges {
    /// The change of one account, if the block changed it.
    pub fn account(&self, address: &Address) -> Option<&AccountChange> {
        self.accounts.get(address)
    }

    /// The changes that take these back: from the state after the block to its parent's. Code stays.
    ///
    /// `wiped` holds all slots that the accounts which [wipe their storage](AccountChange::wipes_storage) had in the parent.
    pub fn inverse(&self, wiped: &WipedStorage) -> Self {
        let back =
            |(slot, value): (&U256, &SlotChange)| (*slot, SlotChange { before: value.after, after: value.before });
        let restored = |(slot, value): (&U256, &U256)| (*slot, SlotChange { before: U256::ZERO, after: *value });
        let accounts = self.accounts.iter().map(|(address, change)| {
            let storage_cleared = change.wipes_storage();
            let storage = if storage_cleared {
                wiped.0.get(address).into_iter().flatten().map(restored).collect()
            } else {
                change.storage.iter().map(back).collect()
            };
            (*address, AccountChange { before: change.after, after: change.before, storage_cleared, storage })
        });
        Self { accounts: accounts.collect(), contracts: B256Map::default() }
    }

    /// These changes and then `later` ones as one set.
    pub fn then(&self, later: &Self) -> Self {
        let mut both = self.clone();
        for (address, change) in &later.accounts {
            let ended = both.accounts.get(address).is_some_and(|change| change.after.is_none());
            let whole = both.accounts.entry(*address).or_insert_with(|| AccountChange {
                before: change.before,
                after: change.before,
                ..AccountChange::default()
            });
            // What ended and lives again has storage of its own.
            if ended || change.wipes_storage() {
                whole.storage_cleared = true;
                whole.storage.clear();
            }
            whole.after = change.after;
            for (slot, value) in &change.storage {
                let before = if whole.storage_cleared { U256::ZERO } else { value.before };
                whole.storage.entry(*slot).or_insert(SlotChange { before, after: value.after }).after = value.after;
            }
        }
        both.contracts.extend(later.contracts.iter().map(|(hash, code)| (*hash, code.clone())));
        both
    }

    /// Number of slots over all accounts that the block changed.
    pub fn slots_len(&self) -> usize {
        self.accounts.values().map(|account| account.storage.len()).sum()
    }
}
