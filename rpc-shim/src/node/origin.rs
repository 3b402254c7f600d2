//! Where a chain begins, and the folder that keeps it.
//!
//! Place in the flow: before the first block; creates the store from the genesis where there is none.
//! Invariant: a folder is opened only as the chain with the same block 0, and it says by itself which chain it holds: the
//! genesis without its accounts is noted in it, so that the next time the folder alone is enough.

use super::{chain::Node, error::ChainError};
use alloy_consensus::constants::{
    HOLESKY_GENESIS_HASH, HOODI_GENESIS_HASH, MAINNET_GENESIS_HASH, SEPOLIA_GENESIS_HASH,
};
use alloy_genesis::Genesis;
use alloy_primitives::{B256, Bytes};
use laminar_executor::{BlockExecutor, chain_spec::ChainSpec, pipeline::genesis_data};
use laminar_state_db::{BlockData, MemoryState, Note, Store, StoreError, StoreOptions};
use std::{path::Path, sync::Arc};

/// The rules of a chain and its block 0.
#[derive(Debug)]
pub struct Origin {
    spec: ChainSpec,
    hash: B256,
    /// What a new store starts with; a network that is named has none here.
    start: Option<Start>,
}

#[derive(Debug)]
struct Start {
    state: MemoryState,
    block: BlockData,
    /// The genesis without its accounts, as JSON.
    note: Bytes,
}

impl Origin {
    /// A geth-style genesis.
    ///
    /// # Errors
    /// [`ChainError::Spec`] if its schedule is not supported, [`ChainError::GenesisNumber`].
    pub fn from_genesis(genesis: &Genesis) -> Result<Self, ChainError> {
        let spec = ChainSpec::from_genesis(genesis)?;
        let mut state = MemoryState::from_genesis(genesis);
        let header = spec.genesis_header(genesis, state.state_root());
        if header.number != 0 {
            return Err(ChainError::GenesisNumber { found: header.number });
        }
        let hash = header.hash_slow();
        let start = Start { state, block: genesis_data(&header, hash), note: note(genesis) };
        Ok(Self { spec, hash, start: Some(start) })
    }

    /// A public network by its name or chain id, if it is known. A store of it is opened and not created, since what its
    /// accounts start with is not known here.
    pub fn known(name: &str) -> Option<Self> {
        let spec = ChainSpec::known(name)?;
        let hash = match spec.chain_id() {
            1 => MAINNET_GENESIS_HASH,
            17_000 => HOLESKY_GENESIS_HASH,
            560_048 => HOODI_GENESIS_HASH,
            11_155_111 => SEPOLIA_GENESIS_HASH,
            _ => return None,
        };
        Some(Self { spec, hash, start: None })
    }

    /// The chain that a folder says it holds.
    fn noted(dir: &Path, store: &Store) -> Result<Self, ChainError> {
        let no_chain = || ChainError::NoChain { dir: dir.to_owned() };
        let note = store.note(Note::Chain)?.ok_or_else(no_chain)?;
        let genesis: Genesis = serde_json::from_slice(&note).map_err(|_| no_chain())?;
        let hash = store.canonical_hash(0)?.ok_or_else(no_chain)?;
        Ok(Self { spec: ChainSpec::from_genesis(&genesis)?, hash, start: None })
    }

    /// The chain's rules.
    pub const fn spec(&self) -> &ChainSpec {
        &self.spec
    }

    /// The store in a folder, which is created where there is none.
    ///
    /// # Errors
    /// [`ChainError::OtherChain`]; [`ChainError::NoGenesis`] if nothing to start with is known; the store cannot be used.
    pub fn store(&mut self, dir: &Path, options: StoreOptions) -> Result<Store, ChainError> {
        match (Store::open(dir, options), self.start.take()) {
            (Err(StoreError::NotFound { .. }), None) => Err(ChainError::NoGenesis { dir: dir.to_owned() }),
            (Err(StoreError::NotFound { .. }), Some(Start { state, block, note })) => {
                let store = Store::create(dir, options, state, block)?;
                store.set_note(Note::Chain, note);
                store.flush()?;
                Ok(store)
            }
            (opened, start) => self.checked(dir, opened?, start.map(|start| start.note)),
        }
    }

    /// A store that was there, if it is of this chain. The rules that hold from now on are noted.
    fn checked(&self, dir: &Path, store: Store, note: Option<Bytes>) -> Result<Store, ChainError> {
        let found = store.canonical_hash(0)?;
        if found != Some(self.hash) {
            return Err(ChainError::OtherChain { dir: dir.to_owned(), expected: self.hash, found });
        }
        if let Some(note) = note
            && store.note(Note::Chain)?.as_ref() != Some(&note)
        {
            store.set_note(Note::Chain, note);
            store.flush()?;
        }
        Ok(store)
    }
}

impl Node {
    /// A chain in memory.
    ///
    /// # Errors
    /// [`ChainError::NoAccounts`] if nothing to start with is known.
    pub fn in_memory(origin: Origin, executor: Arc<BlockExecutor>) -> Result<Self, ChainError> {
        let Origin { spec, hash, start } = origin;
        let Start { state, block, note } = start.ok_or(ChainError::NoAccounts)?;
        let store = Store::memory(state, block)?;
        store.set_note(Note::Chain, note);
        Self::on_store(spec, store, hash, executor)
    }

    /// The chain in a folder, at the block that was durable last. `origin` says what the chain is, and what it starts with if the
    /// folder holds no store yet; without it, the folder says what it holds.
    ///
    /// # Errors
    /// [`ChainError::OtherChain`], [`ChainError::NoGenesis`], [`ChainError::NoChain`]; [`ChainError::Store`] if another process has
    /// the folder open, or it cannot be used.
    pub fn open(
        dir: &Path,
        options: StoreOptions,
        origin: Option<Origin>,
        executor: Arc<BlockExecutor>,
    ) -> Result<Self, ChainError> {
        let (origin, store) = match origin {
            Some(mut origin) => {
                let store = origin.store(dir, options)?;
                (origin, store)
            }
            None => {
                let store = Store::open(dir, options).map_err(|error| match error {
                    StoreError::NotFound { .. } => ChainError::NoGenesis { dir: dir.to_owned() },
                    error => error.into(),
                })?;
                (Origin::noted(dir, &store)?, store)
            }
        };
        Self::on_store(origin.spec, store, origin.hash, executor)
    }
}

/// The genesis without its accounts, as JSON.
fn note(genesis: &Genesis) -> Bytes {
    let bare = Genesis { alloc: Default::default(), ..genesis.clone() };
    serde_json::to_vec(&bare).expect("a genesis is JSON").into()
}
