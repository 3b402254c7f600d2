//! Ethereum state for Laminar: sparse Merkle Patricia tries, batched Keccak, and the stores that blocks are read from and
//! committed to.
//!
//! `changes` is what a block does to the state; `keccak` and `trie` make a root of it; `witness` proves one block's state,
//! `memory` holds a whole one. `store` keeps blocks and the states after them, staged, committed and taken back. All are read
//! through revm's `DatabaseRef`, by any number of threads.

mod changes;
mod code;
mod disk;
mod keccak;
mod memory;
mod overlay;
mod store;
pub mod trie;
mod witness;

pub use changes::{Account, AccountChange, BlockChanges, SlotChange, SlotMap, WipedStorage, storage_only_id};
pub use disk::{Access, Maintenance, StoreOptions, StoreStats, TableStats, Verified};
pub use keccak::{Dispatch, keccak256_batch, keccak256_batch_with};
pub use memory::{MemoryState, MemoryStateError};
pub use store::{
    AccountProof, BlockData, BlockRef, Note, SlotProof, StateKey, StateView, Store, StoreError, TransactionPlace,
};
pub use witness::{TouchedKeys, WitnessError, WitnessState};
