//! The store that an import extends, and the rules of its chain.
//!
//! Place in the flow: before the first block; creates the store from the genesis where there is none.
//! Invariant: a store is opened only by a chain with the same block 0.

use alloy_consensus::constants::{
    HOLESKY_GENESIS_HASH, HOODI_GENESIS_HASH, MAINNET_GENESIS_HASH, SEPOLIA_GENESIS_HASH,
};
use alloy_genesis::Genesis;
use alloy_primitives::B256;
use anyhow::{Context, bail, ensure};
use laminar_executor::{chain_spec::ChainSpec, pipeline::genesis_data};
use laminar_fixtures::Fixture;
use laminar_state_db::{BlockData, MemoryState, Store, StoreError, StoreOptions};
use std::path::Path;

/// What `--chain` names.
pub(super) struct Chain {
    pub(super) spec: ChainSpec,
    genesis_hash: B256,
    /// What a store starts with; a network that is named has none here.
    genesis: Option<(MemoryState, BlockData)>,
}

impl Chain {
    /// A public network, or the path of a geth-style genesis.
    ///
    /// # Errors
    /// There is no such network and no genesis at the path, or it asks for rules that are not built in.
    pub(super) fn open(name: &str) -> anyhow::Result<Self> {
        if let Some(spec) = ChainSpec::known(name) {
            let genesis_hash = match spec.chain_id() {
                1 => MAINNET_GENESIS_HASH,
                17_000 => HOLESKY_GENESIS_HASH,
                560_048 => HOODI_GENESIS_HASH,
                11_155_111 => SEPOLIA_GENESIS_HASH,
                other => bail!("{name}: the genesis of chain {other} is not known: give its file"),
            };
            return Ok(Self { spec, genesis_hash, genesis: None });
        }
        let mut loader = laminar_fixtures::open(Path::new(name))?;
        match loader.next().transpose()?.map(|loaded| loaded.fixture) {
            Some(Fixture::Genesis(genesis)) => Self::from_genesis(&genesis).with_context(|| name.to_owned()),
            _ => bail!("{name}: expected a geth-style genesis, found something else"),
        }
    }

    fn from_genesis(genesis: &Genesis) -> anyhow::Result<Self> {
        let spec = ChainSpec::from_genesis(genesis)?;
        let mut state = MemoryState::from_genesis(genesis);
        let header = spec.genesis_header(genesis, state.state_root());
        ensure!(header.number == 0, "number of the genesis: expected 0, found {}", header.number);
        let genesis_hash = header.hash_slow();
        Ok(Self { spec, genesis_hash, genesis: Some((state, genesis_data(&header, genesis_hash))) })
    }

    /// The store in the folder, which is created where there is none.
    ///
    /// # Errors
    /// The folder holds another chain, or nothing to start with is known; the store cannot be used.
    pub(super) fn store(&mut self, dir: &Path, options: StoreOptions) -> anyhow::Result<Store> {
        let store = match (Store::open(dir, options), self.genesis.take()) {
            (Err(StoreError::NotFound { .. }), Some((state, block))) => Store::create(dir, options, state, block)?,
            (Err(StoreError::NotFound { .. }), None) => {
                bail!("{}: holds no store: give the file of the genesis as --chain to create it", dir.display())
            }
            (opened, _) => opened?,
        };
        let found = store.canonical_hash(0)?;
        ensure!(
            found == Some(self.genesis_hash),
            "{}: holds another chain: expected a genesis with hash {}, found {}",
            dir.display(),
            self.genesis_hash,
            found.map_or_else(|| "none".to_owned(), |hash| hash.to_string())
        );
        Ok(store)
    }
}
