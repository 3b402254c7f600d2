//! The whole state in memory: plain accounts and slots for reading, tries for the root.
//!
//! Place in the flow: official tests, generated blocks and small chains execute on it.
//! Invariants: an account that is not there reads as not existing, a slot as zero, since nothing else exists; slots with
//! value zero are not kept; `apply` and then `revert` with what it gave back is nothing at all. The tries are built at the
//! first root and follow the changes from then on. It has no history and does not check that changes fit the state; a store
//! that starts from it has (`backend`).

mod backend;
mod tries;
mod versions;

pub(crate) use backend::MemoryBackend;

use crate::{
    changes::{Account, BlockChanges, SlotMap, WipedStorage, storage_only_id},
    code::{CodeMap, analyse},
    trie::{NoSource, StateTrie},
    witness::TouchedKeys,
};
use alloy_genesis::{Genesis, GenesisAccount};
use alloy_primitives::{
    Address, B256, Bytes, U256, keccak256,
    map::{AddressMap, AddressSet, HashMap},
};
use revm::{
    bytecode::Bytecode,
    database_interface::{DBErrorMarker, DatabaseRef},
    state::AccountInfo,
};

/// A full state.
#[derive(Clone, Debug, Default)]
pub struct MemoryState {
    pub(crate) accounts: AddressMap<Account>,
    pub(crate) storage: AddressMap<SlotMap<U256>>,
    pub(crate) codes: CodeMap,
    block_hashes: HashMap<u64, B256>,
    /// Accounts that once had storage inserted while they had neither nonce nor code: see [`storage_only_id`].
    pub(crate) bare_storage: AddressSet,
    tries: Option<StateTrie>,
}

/// The state does not know something that execution may rely on.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MemoryStateError {
    /// An account names code that was never added.
    #[error("missing code with hash {hash}")]
    MissingCode {
        /// Keccak-256 of the code.
        hash: B256,
    },
    /// The hash of a block was never added.
    #[error("missing hash of block {number}")]
    MissingBlockHash {
        /// The block's number.
        number: u64,
    },
}

impl DBErrorMarker for MemoryStateError {}

impl MemoryState {
    /// The state at block zero.
    pub fn from_genesis(genesis: &Genesis) -> Self {
        Self::from_alloc(genesis.alloc.iter().map(|(address, account)| (*address, account)))
    }

    /// The state with these accounts.
    pub fn from_alloc<'a>(alloc: impl IntoIterator<Item = (Address, &'a GenesisAccount)>) -> Self {
        let mut state = Self::default();
        for (address, account) in alloc {
            let code_hash = account.code.as_ref().map(|code| state.insert_code(code.clone()));
            let nonce = account.nonce.unwrap_or_default();
            let plain = Account { nonce, balance: account.balance, ..Account::default() };
            state.insert_account(address, Account { code_hash: code_hash.unwrap_or(plain.code_hash), ..plain });
            for (slot, value) in account.storage.iter().flatten() {
                state.insert_slot(address, (*slot).into(), (*value).into());
            }
        }
        state
    }

    /// Sets an account.
    pub fn insert_account(&mut self, address: Address, account: Account) {
        self.accounts.insert(address, account);
        self.tries = None;
    }

    /// Sets a slot of an account that exists.
    pub fn insert_slot(&mut self, address: Address, slot: U256, value: U256) {
        if self.account(&address).is_none_or(is_bare) {
            self.bare_storage.insert(address);
        }
        set_slot(&mut self.storage, address, slot, value);
        self.tries = None;
    }

    /// Adds code and returns its hash.
    pub fn insert_code(&mut self, code: Bytes) -> B256 {
        let hash = keccak256(&code);
        self.codes.insert(hash, analyse(code));
        hash
    }

    /// Adds the hash of a block.
    pub fn insert_block_hash(&mut self, number: u64, hash: B256) {
        self.block_hashes.insert(number, hash);
    }

    /// The account, if it exists.
    pub fn account(&self, address: &Address) -> Option<&Account> {
        self.accounts.get(address)
    }

    /// The slot's value, zero if it is not set.
    pub fn slot(&self, address: &Address, slot: &U256) -> U256 {
        self.storage.get(address).and_then(|slots| slots.get(slot)).copied().unwrap_or_default()
    }

    /// All accounts by address.
    pub fn accounts(&self) -> &AddressMap<Account> {
        &self.accounts
    }

    /// The slots of an account that are not zero; `None` if there are none.
    pub fn storage(&self, address: &Address) -> Option<&SlotMap<U256>> {
        self.storage.get(address)
    }

    /// Makes the changes of a block on this state.
    pub fn apply(&mut self, changes: &BlockChanges) -> WipedStorage {
        if let Some(tries) = &mut self.tries {
            tries.apply(changes, &NoSource).expect("all nodes of a full state are known");
        }
        for (hash, code) in &changes.contracts {
            self.codes.insert(*hash, code.clone());
        }
        let mut wiped = WipedStorage::default();
        for (address, change) in &changes.accounts {
            if change.wipes_storage()
                && let Some(slots) = self.storage.remove(address)
            {
                wiped.0.insert(*address, slots);
            }
            match change.after {
                Some(account) => self.accounts.insert(*address, account),
                None => self.accounts.remove(address),
            };
            if change.after.is_some() {
                for (slot, value) in &change.storage {
                    set_slot(&mut self.storage, *address, *slot, value.after);
                }
            }
        }
        wiped
    }

    /// Takes back the block whose changes were applied last; `wiped` is what [`Self::apply`] returned. Code stays.
    pub fn revert(&mut self, changes: &BlockChanges, wiped: WipedStorage) {
        self.apply(&changes.inverse(&wiped));
    }

    /// The state root. The first call builds the tries.
    pub fn state_root(&mut self) -> B256 {
        self.tries_mut().root()
    }

    /// The nodes that a replay of a block needs which reads `touched` on this state and makes `changes`; ascending by hash.
    pub fn witness(&mut self, touched: &TouchedKeys, changes: &BlockChanges) -> Vec<Bytes> {
        self.tries_mut().witness(touched, changes).expect("all nodes of a full state are known")
    }

    fn is_storage_only(&self, address: &Address, account: &Account) -> bool {
        self.bare_storage.contains(address) && is_bare(account) && self.storage.contains_key(address)
    }

    /// The tries, built if they are not there.
    pub(crate) fn tries_mut(&mut self) -> &mut StateTrie {
        self.tries.get_or_insert_with(|| StateTrie::from_state(&self.accounts, &self.storage))
    }
}

impl DatabaseRef for MemoryState {
    type Error = MemoryStateError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, MemoryStateError> {
        let Some(account) = self.account(&address) else { return Ok(None) };
        let mut info = AccountInfo::from(*account);
        if !self.bare_storage.is_empty() && self.is_storage_only(&address, account) {
            info.account_id = storage_only_id();
        }
        Ok(Some(info))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, MemoryStateError> {
        self.codes.get(&hash).ok_or(MemoryStateError::MissingCode { hash })
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, MemoryStateError> {
        Ok(self.slot(&address, &slot))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, MemoryStateError> {
        self.block_hashes.get(&number).copied().ok_or(MemoryStateError::MissingBlockHash { number })
    }
}

/// Without nonce and code.
fn is_bare(account: &Account) -> bool {
    account.nonce == 0 && !account.has_code()
}

fn set_slot(storage: &mut AddressMap<SlotMap<U256>>, address: Address, slot: U256, value: U256) {
    if !value.is_zero() {
        storage.entry(address).or_default().insert(slot, value);
    } else if let Some(slots) = storage.get_mut(&address) {
        slots.remove(&slot);
        if slots.is_empty() {
            storage.remove(&address);
        }
    }
}
