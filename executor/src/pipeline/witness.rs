//! The execution witness of a block: what a replay needs that holds nothing but the header before it.
//!
//! Place in the flow: for whoever is asked to prove a block: `laminar db witness`, `debug_executionWitness`.
//! Invariant: complete by construction. The block is executed once more, one transaction after the other, on its parent's state;
//! what it reads there and what it changes decide which nodes, codes and headers belong to it, and nothing else does.

use super::kept::{KeptBlock, KeptError, decode};
use crate::{
    chain_spec::ChainSpec,
    config::{Config, Mode},
    env::PreparedBlock,
    error::ExecuteError,
    executor::{BlockExecutor, Knowledge},
    outcome::Outcome,
    recover::recover_senders,
    sync::Mutex,
    types::Block,
};
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, Bytes, U256, map::AddressMap};
use laminar_state_db::{BlockChanges, StateView, Store, StoreError, TouchedKeys};
use revm::{bytecode::Bytecode, database_interface::DatabaseRef, state::AccountInfo};
use std::{
    collections::{BTreeMap, BTreeSet},
    num::NonZeroUsize,
};

/// What proves a block's execution.
#[derive(Clone, Debug, Default)]
pub struct ExecutionWitness {
    /// RLP of nodes of the account trie and of storage tries; ascending by hash, each once.
    pub nodes: Vec<Bytes>,
    /// Codes that were run or looked at; ascending by hash, each once.
    pub codes: Vec<Bytes>,
    /// The parent, and its ancestors back to the oldest one whose hash was asked for; without gaps.
    pub headers: Vec<Header>,
    /// Accounts and slots that were read.
    pub touched: TouchedKeys,
}

/// There is no witness of the block.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WitnessError {
    /// Block 0 was not executed.
    #[error("block 0 is not executed")]
    Genesis,
    /// The block is not kept, its parent's state is not, or the store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The block, or the header of an ancestor that it looks at, cannot be read back.
    #[error(transparent)]
    Kept(#[from] KeptError),
    /// The block could not be executed, which says nothing about it.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The system gives no more threads.
    #[error(transparent)]
    Threads(#[from] rayon::ThreadPoolBuildError),
}

/// A kept block with its witness: staged or committed, as long as the state before it is kept.
///
/// # Errors
/// See [`WitnessError`].
pub fn kept_witness(spec: &ChainSpec, store: &Store, hash: &B256) -> Result<(Block, ExecutionWitness), WitnessError> {
    let kept = store.block(hash)?.ok_or(StoreError::UnknownBlock { hash: *hash })?;
    if kept.id.number == 0 {
        return Err(WitnessError::Genesis);
    }
    let KeptBlock { header, body, .. } = KeptBlock::decode(&kept)?;
    let block = Block::new(header.into_inner(), body);
    let witness = execution_witness(spec, &block, &store.view_at(&kept.parent)?, |hash| store.header(hash))?;
    Ok((block, witness))
}

/// The witness of `block` on `parent`, the state before it. `header` gives the RLP of an ancestor's header. The block may be
/// invalid.
///
/// # Errors
/// See [`WitnessError`].
pub fn execution_witness(
    spec: &ChainSpec,
    block: &Block,
    parent: &StateView,
    mut header: impl FnMut(&B256) -> Result<Option<Bytes>, StoreError>,
) -> Result<ExecutionWitness, WitnessError> {
    let watched = Watched { state: parent, seen: Mutex::default() };
    let changes = match execute(spec, block, &watched) {
        Ok(outcome) => outcome.changes,
        // A block that breaks a rule is proven to do so by what it read until then.
        Err(WitnessError::Execute(ExecuteError::InvalidBlock { .. })) => BlockChanges::default(),
        Err(error) => return Err(error),
    };
    let Seen { mut accounts, codes, oldest } = watched.seen.into_inner();
    // Every executor looks at who is paid, whether or not there is a fee.
    accounts.entry(block.header.beneficiary).or_default();
    let touched: TouchedKeys =
        accounts.into_iter().map(|(address, slots)| (address, slots.into_iter().collect())).collect();
    let nodes = parent.witness(&touched, &changes)?;
    let oldest = oldest.unwrap_or(u64::MAX).min(block.header.number.saturating_sub(1));
    let mut headers = Vec::new();
    let mut hash = block.header.parent_hash;
    loop {
        let rlp = header(&hash)?.ok_or(StoreError::UnknownBlock { hash })?;
        let ancestor = decode::<Header>(&rlp, "header")?;
        let (number, above) = (ancestor.number, ancestor.parent_hash);
        headers.push(ancestor);
        if number <= oldest {
            return Ok(ExecutionWitness { nodes, codes: codes.into_values().collect(), headers, touched });
        }
        hash = above;
    }
}

fn execute(spec: &ChainSpec, block: &Block, state: &Watched<'_>) -> Result<Outcome, WitnessError> {
    let rules = spec.rules_for(&block.header);
    let senders = recover_senders(&block.body.transactions, &rules)?;
    let prepared = PreparedBlock::new(rules, block, &senders)?;
    let config = Config { threads: NonZeroUsize::MIN, mode: Mode::Sequential, ..Config::default() };
    Ok(BlockExecutor::new(config)?.execute(block, &prepared, state, Knowledge::Nothing)?)
}

/// What was read.
#[derive(Debug, Default)]
struct Seen {
    accounts: AddressMap<BTreeSet<U256>>,
    codes: BTreeMap<B256, Bytes>,
    /// Number of the oldest block whose hash was asked for.
    oldest: Option<u64>,
}

/// A state that notes what is read of it.
#[derive(Debug)]
struct Watched<'a> {
    state: &'a StateView,
    seen: Mutex<Seen>,
}

impl DatabaseRef for Watched<'_> {
    type Error = StoreError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, StoreError> {
        self.seen.lock().accounts.entry(address).or_default();
        self.state.basic_ref(address)
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, StoreError> {
        let code = self.state.code_by_hash_ref(hash)?;
        if !code.is_empty() {
            self.seen.lock().codes.entry(hash).or_insert_with(|| code.original_bytes());
        }
        Ok(code)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, StoreError> {
        self.seen.lock().accounts.entry(address).or_default().insert(slot);
        self.state.storage_ref(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, StoreError> {
        let seen = &mut *self.seen.lock();
        seen.oldest = Some(seen.oldest.map_or(number, |oldest| oldest.min(number)));
        self.state.block_hash_ref(number)
    }
}
