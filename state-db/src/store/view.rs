//! The state after one block, as a snapshot.
//!
//! Place in the flow: `Store::view_at` makes it; executors, calls, traces and proofs read it, on any number of threads.
//! Invariant: what it says never changes, whatever is staged, committed, unwound or discarded meanwhile. It holds the layers
//! of its branch and a snapshot of what was committed below them; reading looks through the layers, newest first.

use super::{
    backend::{Kept, Snapshot},
    block::{BlockData, BlockRef},
    error::StoreError,
    proof::AccountProof,
};
use crate::{
    changes::{Account, BlockChanges, SlotMap, storage_only_id},
    overlay::{Found, Layer},
    trie::IndexedUpdates,
    witness::TouchedKeys,
};
use alloy_primitives::{Address, B256, Bytes, U256, map::AddressSet};
use revm::{bytecode::Bytecode, database_interface::DatabaseRef, primitives::KECCAK_EMPTY, state::AccountInfo};
use std::sync::Arc;

/// The state after a block. A clone costs a reference count.
#[derive(Clone, Debug)]
pub struct StateView(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    block: BlockRef,
    state_root: B256,
    /// Newest first; the last one stands on `base`.
    layers: Vec<Arc<Layer>>,
    base: Kept,
    snapshot: Arc<dyn Snapshot>,
}

impl StateView {
    /// The view of the newest of `layers`, or of the committed block below them.
    ///
    /// # Errors
    /// [`StoreError::UnknownBlock`] if `below` is not kept.
    pub(crate) fn new(layers: Vec<Arc<Layer>>, below: B256, snapshot: Arc<dyn Snapshot>) -> Result<Self, StoreError> {
        let unknown = layers.first().map_or(below, |layer| layer.block.id.hash);
        let base = snapshot.find(&below)?.ok_or(StoreError::UnknownBlock { hash: unknown })?;
        let (block, state_root) =
            layers.first().map_or((base.id, base.state_root), |layer| (layer.block.id, layer.state_root));
        Ok(Self(Arc::new(Parts { block, state_root, layers, base, snapshot })))
    }

    /// The staged blocks of the branch, newest first.
    pub(crate) fn layers(&self) -> &[Arc<Layer>] {
        &self.0.layers
    }

    /// The committed block below the layers.
    pub(crate) fn base(&self) -> &Kept {
        &self.0.base
    }

    pub(crate) fn snapshot(&self) -> &dyn Snapshot {
        &*self.0.snapshot
    }

    /// The state after an executed block that is not staged yet, on this one. `state_root` is what the block's header claims;
    /// nothing has computed it.
    pub fn with_block(&self, block: Arc<BlockData>, state_root: B256, changes: Arc<BlockChanges>) -> Self {
        let Parts { layers, base, snapshot, .. } = &*self.0;
        let id = block.id;
        let layer =
            Arc::new(Layer { block, state_root, changes, wiped: Arc::default(), trie: IndexedUpdates::default() });
        let layers = std::iter::once(layer).chain(layers.iter().cloned()).collect();
        Self(Arc::new(Parts { block: id, state_root, layers, base: *base, snapshot: snapshot.clone() }))
    }

    /// The block whose state this is.
    pub fn block(&self) -> BlockRef {
        self.0.block
    }

    /// The state root.
    pub fn state_root(&self) -> B256 {
        self.0.state_root
    }

    /// The account, if it exists.
    ///
    /// # Errors
    /// The backend failed.
    pub fn account(&self, address: &Address) -> Result<Option<Account>, StoreError> {
        for layer in &self.0.layers {
            if let Found::Value(account) = layer.account(address) {
                return Ok(account);
            }
        }
        self.0.snapshot.account(self.0.base.moment, address)
    }

    /// The slot's value, zero if it is not set.
    ///
    /// # Errors
    /// The backend failed.
    pub fn slot(&self, address: &Address, slot: U256) -> Result<U256, StoreError> {
        for layer in &self.0.layers {
            if let Found::Value(value) = layer.slot(address, &slot) {
                return Ok(value);
            }
        }
        self.0.snapshot.slot(self.0.base.moment, address, &slot)
    }

    /// All slots of an account that are not zero.
    ///
    /// # Errors
    /// The backend failed.
    pub fn slots(&self, address: &Address) -> Result<SlotMap<U256>, StoreError> {
        let mut slots = self.0.snapshot.slots(self.0.base.moment, address)?;
        for layer in self.0.layers.iter().rev() {
            layer.cover_slots(address, &mut slots);
        }
        Ok(slots)
    }

    /// All accounts that exist; takes as long as the state is large.
    ///
    /// # Errors
    /// The backend failed.
    pub fn addresses(&self) -> Result<AddressSet, StoreError> {
        let mut addresses = self.0.snapshot.addresses(self.0.base.moment)?;
        for layer in self.0.layers.iter().rev() {
            for (address, change) in &layer.changes.accounts {
                match change.after {
                    Some(_) => addresses.insert(*address),
                    None => addresses.remove(address),
                };
            }
        }
        Ok(addresses)
    }

    /// The code with this hash.
    ///
    /// # Errors
    /// [`StoreError::MissingCode`] if no account of the branch ever had it; the backend failed.
    pub fn code(&self, hash: &B256) -> Result<Bytecode, StoreError> {
        if *hash == KECCAK_EMPTY {
            return Ok(Bytecode::default());
        }
        let staged = self.0.layers.iter().find_map(|layer| layer.changes.contracts.get(hash));
        let code = match staged {
            Some(code) => Some(code.clone()),
            None => self.0.snapshot.code(hash)?,
        };
        code.ok_or(StoreError::MissingCode { hash: *hash })
    }

    /// Hash of the block with this number on the view's own branch, its own block included.
    ///
    /// # Errors
    /// [`StoreError::MissingBlockHash`] if there is none or it is not kept; the backend failed.
    pub fn block_hash(&self, number: u64) -> Result<B256, StoreError> {
        let missing = StoreError::MissingBlockHash { number };
        if number > self.0.block.number {
            return Err(missing);
        }
        if number <= self.0.base.id.number {
            return self.0.snapshot.block_hash(self.0.base.moment, number)?.ok_or(missing);
        }
        let layer = self.0.layers.iter().find(|layer| layer.block.id.number == number);
        layer.map(|layer| layer.block.id.hash).ok_or(missing)
    }

    /// The state root after further changes, of which nothing is kept.
    ///
    /// # Errors
    /// [`StoreError::UnknownBlock`] or [`StoreError::Amended`] in memory, if the block was discarded or its state changed; the
    /// backend failed.
    pub fn root_after(&self, changes: &BlockChanges) -> Result<B256, StoreError> {
        self.0.snapshot.root_after(self, changes)
    }

    /// The account and the slots with their proofs under the state root (EIP-1186), also of absence.
    ///
    /// # Errors
    /// The backend failed.
    pub fn proof(&self, address: &Address, slots: &[U256]) -> Result<AccountProof, StoreError> {
        self.0.snapshot.proof(self, address, slots)
    }

    /// The trie nodes that a replay of a block on this state needs which reads `touched` and makes `changes`; ascending by hash,
    /// each once.
    ///
    /// # Errors
    /// The backend failed, or the changes do not fit the state.
    pub fn witness(&self, touched: &TouchedKeys, changes: &BlockChanges) -> Result<Vec<Bytes>, StoreError> {
        self.0.snapshot.witness(self, touched, changes)
    }
}

impl DatabaseRef for StateView {
    type Error = StoreError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StoreError> {
        let Some(account) = self.account(&address)? else { return Ok(None) };
        let mut info = AccountInfo::from(account);
        // CONSENSUS: EIP-7610, see `storage_only_id`.
        let is_bare = account.nonce == 0 && !account.has_code();
        if is_bare && self.0.snapshot.had_bare_storage(&address) && !self.slots(&address)?.is_empty() {
            info.account_id = storage_only_id();
        }
        Ok(Some(info))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, StoreError> {
        self.code(&hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, StoreError> {
        self.slot(&address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, StoreError> {
        self.block_hash(number)
    }
}
