//! A generated chain of empty blocks, as a file to import.

use super::{
    command::{Ran, laminar},
    samples::Scratch,
};
use alloy_consensus::{BlockBody, Header};
use laminar_executor::{Block, chain_spec::ChainSpec, check_header::expected_base_fee};
use laminar_fixtures::Fixture;
use laminar_state_db::MemoryState;
use std::path::{Path, PathBuf};

/// One account, and rules that empty blocks follow without a change of the state.
pub(crate) const GENESIS: &str = r#"{
    "config": { "chainId": 7, "homesteadBlock": 0, "eip150Block": 0, "eip155Block": 0, "eip158Block": 0,
        "byzantiumBlock": 0, "constantinopleBlock": 0, "petersburgBlock": 0, "istanbulBlock": 0, "berlinBlock": 0,
        "londonBlock": 0, "terminalTotalDifficulty": 0 },
    "nonce": "0x0", "timestamp": "0x1", "extraData": "0x", "gasLimit": "0x1c9c380", "difficulty": "0x0",
    "mixHash": "0x0000000000000000000000000000000000000000000000000000000000000000",
    "coinbase": "0x0000000000000000000000000000000000000000",
    "alloc": { "0x00000000000000000000000000000000000000aa": { "balance": "0x5" } }
}"#;
/// Length of the chain.
pub(crate) const BLOCKS: usize = 200;

/// Empty blocks 1 to [`BLOCKS`] on the genesis.
pub(crate) fn blocks(genesis: &Path) -> Vec<Block> {
    let loaded = laminar_fixtures::open(genesis).unwrap().next().unwrap().unwrap();
    let Fixture::Genesis(genesis) = loaded.fixture else { panic!("a genesis") };
    let spec = ChainSpec::from_genesis(&genesis).unwrap();
    let mut parent = spec.genesis_header(&genesis, MemoryState::from_genesis(&genesis).state_root());
    let next = |_| {
        let timestamp = parent.timestamp + 12;
        let header = Header {
            parent_hash: parent.hash_slow(),
            number: parent.number + 1,
            state_root: parent.state_root,
            gas_limit: parent.gas_limit,
            timestamp,
            base_fee_per_gas: expected_base_fee(&spec.rules_at(parent.number + 1, timestamp), &parent),
            ..Header::default()
        };
        parent = header.clone();
        Block::new(header, BlockBody::default())
    };
    (0..BLOCKS).map(next).collect()
}

/// A chain file.
pub(crate) fn rlp(blocks: &[Block]) -> Vec<u8> {
    blocks.iter().flat_map(alloy_rlp::encode).collect()
}

/// The files of the chain.
pub(crate) struct Chain {
    pub(crate) genesis: PathBuf,
    pub(crate) file: PathBuf,
    /// The first blocks only.
    begin: PathBuf,
}

impl Chain {
    /// Writes the files; `begin_len` blocks are the first ones.
    pub(crate) fn new(scratch: &Scratch, begin_len: usize) -> Self {
        let genesis = scratch.write("genesis.json", GENESIS);
        let blocks = blocks(&genesis);
        let file = scratch.write("chain.rlp", rlp(&blocks));
        Self { file, begin: scratch.write("begin.rlp", rlp(&blocks[..begin_len])), genesis }
    }

    /// The command that imports the whole chain.
    pub(crate) fn args(&self, dir: &Path) -> Vec<String> {
        self.args_of(&self.file, dir)
    }

    /// Imports the whole chain.
    pub(crate) fn import(&self, dir: &Path) -> Ran {
        laminar(self.args(dir))
    }

    /// Imports the first blocks.
    pub(crate) fn import_begin(&self, dir: &Path) -> Ran {
        laminar(self.args_of(&self.begin, dir))
    }

    fn args_of(&self, file: &Path, dir: &Path) -> Vec<String> {
        let [file, genesis, dir] = [file, &self.genesis, dir].map(|path| path.display().to_string());
        vec!["import".to_owned(), file, "--chain".to_owned(), genesis, "--datadir".to_owned(), dir]
    }
}
