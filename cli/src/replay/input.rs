//! A block that is ready to be replayed: with its parent's header, if that is known, and the state before it.
//!
//! Place in the flow: from fixtures to `run`.
//! Invariant: the state answers what its source proves and nothing else: a witness fails where it has a gap, a prestate is
//! complete by definition, so an account that is not there does not exist.

use alloy_primitives::{B256, Sealed, U256};
use anyhow::Context;
use laminar_executor::types::Block;
use laminar_fixtures::{Fixture, FixtureError, Loaded, Prestate, PrestateBlock, WitnessBlock};
use laminar_state_db::{Account, MemoryState, WitnessState};
use std::collections::BTreeMap;

/// One block to replay.
#[derive(Debug)]
pub(crate) struct Input {
    /// Where it came from.
    pub(crate) name: String,
    pub(crate) chain_id: u64,
    pub(crate) block: Block,
    /// The parent's header, if it is known.
    pub(crate) parent: Option<Sealed<alloy_consensus::Header>>,
    pub(crate) state: ParentState,
    /// The header commits to ommers that are not at hand.
    pub(crate) ommers_missing: bool,
}

/// The state before a block.
#[derive(Debug)]
pub(crate) enum ParentState {
    /// Proven by trie nodes; gives state roots.
    Witness(Box<WitnessState>),
    /// Plain accounts; gives no root.
    Plain(Box<MemoryState>),
}

/// Why there is nothing to replay.
#[derive(Debug)]
pub(crate) enum Unfit {
    /// Sound, but no block with its state; says what it is. Not an error beside blocks.
    Skipped(String),
    /// Broken.
    Unreadable(anyhow::Error),
}

impl From<FixtureError> for Unfit {
    fn from(error: FixtureError) -> Self {
        Self::Unreadable(error.into())
    }
}

impl Input {
    /// Prepares a fixture.
    ///
    /// # Errors
    /// It holds no block with its state, or the state does not hang together.
    pub(crate) fn new(loaded: Loaded) -> Result<Self, Unfit> {
        let Loaded { name, fixture } = loaded;
        match fixture {
            Fixture::Witness(witness) => Self::from_witness(name, *witness).map_err(Unfit::Unreadable),
            Fixture::Prestate(prestate) => Ok(Self::from_prestate(name, *prestate)),
            other => {
                let kind = kind(&other);
                Err(Unfit::Skipped(format!("{name}: expected a witness or prestate block, found {kind}")))
            }
        }
    }

    /// Prepares a block with its witness.
    ///
    /// # Errors
    /// A node is missing or malformed.
    pub(crate) fn from_witness(name: String, witness: WitnessBlock) -> anyhow::Result<Self> {
        let WitnessBlock { chain_id, block, headers, codes, nodes, parent_state_root, block_hashes, .. } = witness;
        let state = WitnessState::new(parent_state_root, nodes, codes, block_hashes).with_context(|| name.clone())?;
        let parent_hash = block.header.parent_hash;
        let parent = headers.into_iter().next().map(|header| Sealed::new_unchecked(header, parent_hash));
        let state = ParentState::Witness(Box::new(state));
        Ok(Self { name, chain_id, block, parent, state, ommers_missing: false })
    }

    fn from_prestate(name: String, prestate: PrestateBlock) -> Self {
        let PrestateBlock { chain_id, block, accounts, block_hashes, ommers_missing, .. } = prestate;
        let state = ParentState::Plain(Box::new(plain_state(accounts, block_hashes)));
        Self { name, chain_id, block, parent: None, state, ommers_missing }
    }
}

/// A prestate and the block hashes that come with it as a state; what it does not name does not exist.
pub(crate) fn plain_state(accounts: Prestate, block_hashes: BTreeMap<u64, B256>) -> MemoryState {
    let mut state = MemoryState::default();
    for (address, account) in accounts {
        let none = Account::default().code_hash;
        let code_hash = if account.code.is_empty() { none } else { state.insert_code(account.code) };
        state.insert_account(address, Account { nonce: account.nonce, balance: account.balance, code_hash });
        for (slot, value) in account.storage.into_iter().filter(|(_, value)| *value != U256::ZERO) {
            state.insert_slot(address, slot, value);
        }
    }
    for (number, hash) in block_hashes {
        state.insert_block_hash(number, hash);
    }
    state
}

const fn kind(fixture: &Fixture) -> &'static str {
    match fixture {
        Fixture::StateTests(_) => "state tests",
        Fixture::BlockchainTests(_) => "blockchain tests",
        Fixture::EngineTests(_) => "engine tests",
        Fixture::TrieTests(_) => "trie tests",
        Fixture::RlpTests(_) => "rlp tests",
        Fixture::TransactionTests(_) => "transaction tests",
        Fixture::Genesis(_) => "a genesis",
        Fixture::ChainRlp(_) => "a chain of blocks without state",
        Fixture::Era1(_) => "an era1 archive of blocks without state",
        _ => "something else",
    }
}
