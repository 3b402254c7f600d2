//! What `memory` and `disk` do for a store.
//!
//! Place in the flow: the store keeps staged blocks and the order of calls; a backend keeps committed blocks. Views read a
//! [`Snapshot`] below their layers.
//! Pairing: `append` and `unwind` are called by one thread at a time, everything else by any, also meanwhile.

use super::{
    block::{BlockData, BlockPart, BlockRef, Note, Notes, TransactionPlace},
    error::StoreError,
    prepare::StateKey,
    proof::AccountProof,
    view::StateView,
};
use crate::{
    changes::{Account, BlockChanges, SlotMap, WipedStorage},
    overlay::Layer,
    trie::IndexedUpdates,
    witness::TouchedKeys,
};
use alloy_primitives::{Address, B256, Bytes, U256, map::AddressSet};
use revm::bytecode::Bytecode;
use std::{fmt::Debug, sync::Arc};

/// A committed block that is kept.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kept {
    pub(crate) id: BlockRef,
    pub(crate) state_root: B256,
    /// Where the snapshot reads the state after it.
    pub(crate) moment: Moment,
}

/// A state in a snapshot, in the backend's own count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub(crate) u64);

/// A block on its way into the overlay.
#[derive(Debug)]
pub(crate) struct Staging<'a> {
    pub(crate) id: BlockRef,
    pub(crate) changes: &'a Arc<BlockChanges>,
    pub(crate) wiped: &'a Arc<WipedStorage>,
}

/// What staging a block found.
#[derive(Debug)]
pub(crate) struct Staged {
    pub(crate) state_root: B256,
    /// What the block changes in the tries of its parent; empty where the backend keeps no nodes by path.
    pub(crate) trie: IndexedUpdates,
}

/// Committed blocks and their states.
pub(crate) trait Backend: Debug + Send + Sync {
    /// The newest committed block, and a snapshot that ends with it and stays readable as long as it is held.
    fn newest(&self) -> Result<(Kept, Arc<dyn Snapshot>), StoreError>;

    /// Committed blocks that need not be appended at once.
    fn write_behind_max(&self) -> u64;

    /// Lets go of what [`Snapshot::stage`] kept of a block.
    fn forget(&self, hash: &B256);

    /// Commits blocks on the newest one, oldest first, and notes: all or none.
    fn append(&self, layers: &[Arc<Layer>], notes: &Notes) -> Result<(), StoreError>;

    /// A note that was committed.
    fn note(&self, note: Note) -> Result<Option<Bytes>, StoreError>;

    /// Changes the state after the newest committed block as if the block had made these changes too.
    fn amend(&self, changes: &BlockChanges) -> Result<(), StoreError>;

    /// The committed blocks above this one, newest first.
    fn layers_above(&self, to: &BlockRef) -> Result<Vec<Arc<Layer>>, StoreError>;

    /// Takes off the committed blocks above this one, all or none.
    fn unwind(&self, to: &BlockRef) -> Result<(), StoreError>;
}

/// Committed states up to some block, unchanged by later writes.
pub(crate) trait Snapshot: Debug + Send + Sync {
    /// A kept block.
    fn find(&self, hash: &B256) -> Result<Option<Kept>, StoreError>;
    fn account(&self, at: Moment, address: &Address) -> Result<Option<Account>, StoreError>;
    fn slot(&self, at: Moment, address: &Address, slot: &U256) -> Result<U256, StoreError>;
    /// All slots of an account that are not zero.
    fn slots(&self, at: Moment, address: &Address) -> Result<SlotMap<U256>, StoreError>;
    /// All accounts that exist.
    fn addresses(&self, at: Moment) -> Result<AddressSet, StoreError>;
    fn code(&self, hash: &B256) -> Result<Option<Bytecode>, StoreError>;
    /// Whether the account once had storage inserted while it had neither nonce nor code.
    fn had_bare_storage(&self, address: &Address) -> bool;
    /// Hash of the block with a number on the branch of a state.
    fn block_hash(&self, at: Moment, number: u64) -> Result<Option<B256>, StoreError>;
    fn block(&self, hash: &B256) -> Result<Option<Arc<BlockData>>, StoreError>;
    fn block_part(&self, hash: &B256, part: BlockPart) -> Result<Option<Bytes>, StoreError>;
    fn transaction(&self, hash: &B256) -> Result<Option<TransactionPlace>, StoreError>;
    /// The state root after a block on a view of this snapshot.
    fn stage(&self, parent: &StateView, block: &Staging<'_>) -> Result<Staged, StoreError>;
    /// Whether [`Self::prepare_root`] makes a later [`Self::stage`] on a view faster.
    fn can_prepare(&self, view: &StateView) -> bool;
    /// Makes the ways to some keys in the tries of a view known to the block that is staged on it next.
    fn prepare_root(&self, view: &StateView, keys: &[StateKey]) -> Result<(), StoreError>;
    /// The state root after changes on a view of this snapshot, of which nothing is kept.
    fn root_after(&self, view: &StateView, changes: &BlockChanges) -> Result<B256, StoreError>;
    /// The proof of an account and slots in a view of this snapshot.
    fn proof(&self, view: &StateView, address: &Address, slots: &[U256]) -> Result<AccountProof, StoreError>;
    /// The nodes that a block on a view of this snapshot needs, see [`StateView::witness`].
    fn witness(
        &self,
        view: &StateView,
        touched: &TouchedKeys,
        changes: &BlockChanges,
    ) -> Result<Vec<Bytes>, StoreError>;
}
