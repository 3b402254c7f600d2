//! The states of all known blocks, in memory.
//!
//! Place in the flow: below the node; an import reads the parent's view and stages what its block changed.
//! Invariant: a view is a snapshot: whatever is staged later, it answers as before. Hashes of blocks are those of the view's own
//! branch.

use alloy_primitives::{
    Address, B256, U256,
    map::{AddressSet, B256Map},
};
use laminar_state_db::{Account, AccountProof, BlockChanges, BlockData, MemoryState, MemoryStateError, SlotMap};
use parking_lot::RwLock;
use revm::{bytecode::Bytecode, database_interface::DatabaseRef, state::AccountInfo};
use std::sync::Arc;

/// States by block hash.
#[derive(Clone, Debug)]
pub struct Store {
    states: Arc<RwLock<B256Map<StateView>>>,
}

/// The state after one block.
#[derive(Clone, Debug)]
pub struct StateView {
    state: Arc<MemoryState>,
}

/// Why a read failed.
pub type StoreError = MemoryStateError;

impl Store {
    /// A store that knows one block.
    pub fn memory(mut genesis: MemoryState, number: u64, hash: B256) -> Self {
        genesis.insert_block_hash(number, hash);
        let view = StateView { state: Arc::new(genesis) };
        Self { states: Arc::new(RwLock::new(B256Map::from_iter([(hash, view)]))) }
    }

    /// The state after a known block.
    pub fn view_at(&self, block: &B256) -> Option<StateView> {
        self.states.read().get(block).cloned()
    }

    /// Adds a block on a known parent; its state root. `None` if the parent is not known.
    pub fn stage(&self, (number, hash): (u64, B256), parent: &B256, changes: &BlockChanges) -> Option<B256> {
        let parent = self.view_at(parent)?;
        let mut state = MemoryState::clone(&parent.state);
        state.apply(changes);
        state.insert_block_hash(number, hash);
        let root = state.state_root();
        self.states.write().insert(hash, StateView { state: Arc::new(state) });
        Some(root)
    }

    /// Changes the state after a known block from now on; false if it is not known. Views that are held stay as they are.
    pub fn amend(&self, block: &B256, changes: &BlockChanges) -> bool {
        let mut states = self.states.write();
        let Some(view) = states.get_mut(block) else { return false };
        let mut state = MemoryState::clone(&view.state);
        state.apply(changes);
        view.state = Arc::new(state);
        true
    }

    /// Forgets a staged block.
    pub fn discard(&self, block: &B256) {
        self.states.write().remove(block);
    }
}

impl StateView {
    /// The whole state.
    pub fn state(&self) -> &MemoryState {
        &self.state
    }

    /// An account.
    ///
    /// # Errors
    /// The backend failed.
    pub fn account(&self, address: Address) -> Result<Option<Account>, StoreError> {
        Ok(self.state.account(&address).copied())
    }

    /// A slot of an account, zero if it is not set.
    ///
    /// # Errors
    /// The backend failed.
    pub fn slot(&self, address: Address, slot: U256) -> Result<U256, StoreError> {
        Ok(self.state.slot(&address, &slot))
    }

    /// All accounts that exist.
    ///
    /// # Errors
    /// The backend failed.
    pub fn addresses(&self) -> Result<AddressSet, StoreError> {
        Ok(self.state.accounts().keys().copied().collect())
    }

    /// All slots of an account that are not zero.
    ///
    /// # Errors
    /// The backend failed.
    pub fn slots(&self, address: &Address) -> Result<SlotMap<U256>, StoreError> {
        Ok(self.state.storage(address).cloned().unwrap_or_default())
    }

    /// The account and the slots with their proofs (EIP-1186).
    ///
    /// # Errors
    /// The backend failed.
    pub fn proof(&self, address: &Address, slots: &[U256]) -> Result<AccountProof, laminar_state_db::StoreError> {
        // The whole state becomes a store of one block, which knows how to prove.
        let store = laminar_state_db::Store::memory(MemoryState::clone(&self.state), BlockData::default())?;
        store.view_at(&B256::ZERO)?.proof(address, slots)
    }

    /// The code with a hash.
    ///
    /// # Errors
    /// The backend failed, or no account has such code.
    pub fn code(&self, hash: B256) -> Result<Bytecode, StoreError> {
        self.state.code_by_hash_ref(hash)
    }
}

impl DatabaseRef for StateView {
    type Error = StoreError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StoreError> {
        self.state.basic_ref(address)
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, StoreError> {
        self.state.code_by_hash_ref(hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, StoreError> {
        self.state.storage_ref(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, StoreError> {
        self.state.block_hash_ref(number)
    }
}
