//! What an import took, stage by stage, and what it read of the state before its block.
//!
//! Place in the flow: filled by `import` for whoever wants to know; the engine tells of slow blocks with it.
//! Invariant: measuring changes nothing of an import. Reads are counted only where that was asked for.

use super::{StateView, StoreError, ahead::Naming};
use alloy_primitives::{Address, B256, U256};
use laminar_state_db::StateKey;
use revm::{bytecode::Bytecode, database_interface::DatabaseRef, state::AccountInfo};
use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::{Duration, Instant},
};

/// What an import took. Nothing is left out but waiting for an import that began before.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct ImportCosts {
    /// Header, body, ommers, senders.
    pub check: Duration,
    /// The transactions, with what the rules do around them and what was known of the block before.
    pub execute: Duration,
    /// What of the root was done beside execution, not part of [`Self::total`]: nodes of the tries that were read and decoded.
    pub ahead: Duration,
    /// For so many accounts and slots.
    pub ahead_keys: u64,
    /// What execution gave against the header, the state root, and keeping the block.
    pub root: Duration,
    /// What execution read; none if that was not asked for.
    pub reads: Option<Reads>,
}

impl ImportCosts {
    /// The same with reads, which cost an import some fifty nanoseconds each to count.
    pub fn counting() -> Self {
        Self { reads: Some(Reads::default()), ..Self::default() }
    }

    /// All stages together.
    pub fn total(&self) -> Duration {
        self.check + self.execute + self.root
    }
}

/// How often execution asked the state before its block; what a block asks a second time it mostly has by itself.
#[derive(Debug, Default)]
pub struct Reads {
    accounts: AtomicU64,
    slots: AtomicU64,
    codes: AtomicU64,
    code_bytes: AtomicU64,
    nanoseconds: AtomicU64,
}

impl Reads {
    /// Accounts that were read.
    pub fn accounts(&self) -> u64 {
        self.accounts.load(Relaxed)
    }

    /// Slots that were read.
    pub fn slots(&self) -> u64 {
        self.slots.load(Relaxed)
    }

    /// Codes that were read.
    pub fn codes(&self) -> u64 {
        self.codes.load(Relaxed)
    }

    /// Bytes of those codes.
    pub fn code_bytes(&self) -> u64 {
        self.code_bytes.load(Relaxed)
    }

    /// Time that they took, that of all workers together.
    pub fn time(&self) -> Duration {
        Duration::from_nanos(self.nanoseconds.load(Relaxed))
    }

    fn note(&self, count: &AtomicU64, start: Instant) {
        // ORDER: Relaxed. Sums that are read after the workers ended.
        count.fetch_add(1, Relaxed);
        self.nanoseconds.fetch_add(start.elapsed().as_nanos() as u64, Relaxed);
    }
}

/// A state whose reads may be counted, and are named to the root that begins beside execution.
pub(super) struct Counted<'s, 'a> {
    pub(super) state: &'a StateView,
    pub(super) reads: Option<&'s Reads>,
    pub(super) naming: Option<Naming<'s, 'a>>,
}

impl Counted<'_, '_> {
    fn name(&self, address: Address, slot: Option<U256>) {
        if let Some(naming) = self.naming {
            naming.name(StateKey { address, slot });
        }
    }

    fn timed<T>(&self, count: fn(&Reads) -> &AtomicU64, read: impl FnOnce(&StateView) -> T) -> T {
        let Some(reads) = self.reads else { return read(self.state) };
        let start = Instant::now();
        let value = read(self.state);
        reads.note(count(reads), start);
        value
    }
}

impl DatabaseRef for Counted<'_, '_> {
    type Error = StoreError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StoreError> {
        self.name(address, None);
        self.timed(|reads| &reads.accounts, |state| state.basic_ref(address))
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, StoreError> {
        let code = self.timed(|reads| &reads.codes, |state| state.code_by_hash_ref(hash))?;
        if let Some(reads) = self.reads {
            // ORDER: Relaxed. As above.
            reads.code_bytes.fetch_add(code.original_byte_slice().len() as u64, Relaxed);
        }
        Ok(code)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, StoreError> {
        self.name(address, Some(slot));
        self.timed(|reads| &reads.slots, |state| state.storage_ref(address, slot))
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, StoreError> {
        self.state.block_hash_ref(number)
    }
}
