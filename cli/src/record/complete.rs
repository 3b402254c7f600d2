//! Filling the gaps of a witness: execute, see what is missing, ask for it, and again.
//!
//! Place in the flow: after the first answers, whichever way they came; system calls, withdrawals and BLOCKHASH are in no
//! transaction trace, and no node gives the neighbours of deleted keys.
//! Invariant: each round adds something that was missing before, or ends in an error; so it ends.

use super::{
    block,
    draft::Draft,
    orphans::{self, Orphan},
    proofs,
    rpc::Client,
};
use crate::{chain, engine};
use alloy_primitives::{Address, B256, U256};
use anyhow::{Context, bail, ensure};
use laminar_executor::{
    BlockExecutor, Config, ExecuteError, Knowledge, Mode, env::PreparedBlock, location::Location,
    recover::recover_senders,
};
use laminar_state_db::{
    BlockChanges, WitnessError, WitnessState,
    trie::{StateTrieError, TrieError},
};
use revm::{bytecode::Bytecode, database_interface::DatabaseRef, state::AccountInfo};
use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    sync::{Mutex, PoisonError},
};

/// Far above what the worst block reads, far below what never ends.
const ROUNDS_MAX: usize = 100_000;

/// What the next round has to ask for.
#[derive(Debug)]
enum Gap {
    /// A read of the execution.
    Read(Location),
    /// Code that this account has.
    Code(Address),
    /// A node beside a deleted key.
    Orphan(Orphan, Box<BlockChanges>),
}

/// Adds whatever execution and state root of the block still need.
///
/// # Errors
/// The block is not valid, or the node does not give what is missing.
pub(super) fn complete(client: &Client, draft: &mut Draft) -> anyhow::Result<()> {
    let spec = chain::by_id(draft.chain_id())?;
    let rules = spec.rules_for(&draft.block().header);
    let senders = recover_senders(&draft.block().body.transactions, &rules)?;
    let prepared = PreparedBlock::new(rules, draft.block(), &senders)?;
    let config = Config { threads: NonZeroUsize::MIN, mode: Mode::Sequential, ..Config::default() };
    let executor = engine::executor(config)?;
    for _ in 0..ROUNDS_MAX {
        let Some(gap) = first_gap(&executor, &prepared, draft)? else { return Ok(()) };
        tracing::debug!("asking for {}", describe(&gap));
        let is_filled = match &gap {
            Gap::Read(location) => fill(client, draft, *location)?,
            Gap::Code(address) => code(client, draft, *address)?,
            Gap::Orphan(orphan, changes) => orphans::fill(client, draft, orphan, changes)?,
        };
        ensure!(is_filled, "the node does not give {}", describe(&gap));
    }
    bail!("expected a witness after {ROUNDS_MAX} rounds, found none")
}

fn describe(gap: &Gap) -> String {
    match gap {
        Gap::Read(location) => location.to_string(),
        Gap::Code(address) => format!("the code of {address}"),
        Gap::Orphan(orphan, _) => orphan.to_string(),
    }
}

/// A state that notes which account has which code: execution asks for code by its hash, nodes give it by address.
struct Watched<'a> {
    state: &'a WitnessState,
    owners: Mutex<BTreeMap<B256, Address>>,
}

impl DatabaseRef for Watched<'_> {
    type Error = WitnessError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, WitnessError> {
        let info = self.state.basic_ref(address)?;
        if let Some(info) = &info {
            self.owners.lock().unwrap_or_else(PoisonError::into_inner).insert(info.code_hash, address);
        }
        Ok(info)
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, WitnessError> {
        self.state.code_by_hash_ref(hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, WitnessError> {
        self.state.storage_ref(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, WitnessError> {
        self.state.block_hash_ref(number)
    }
}

/// The first thing that is missing; none if the witness is complete.
fn first_gap(executor: &BlockExecutor, prepared: &PreparedBlock, draft: &Draft) -> anyhow::Result<Option<Gap>> {
    let state = match draft.state() {
        Ok(state) => state,
        // The root itself: any proof begins with it.
        Err(WitnessError::Trie(StateTrieError { source, .. })) if matches!(*source, TrieError::MissingNode { .. }) => {
            return Ok(Some(Gap::Read(Location::Balance(draft.block().header.beneficiary))));
        }
        Err(error) => return Err(error).context("the node's proofs do not hang together"),
    };
    let watched = Watched { state: &state, owners: Mutex::default() };
    let outcome = match executor.execute(draft.block(), prepared, &watched, Knowledge::Nothing) {
        Ok(outcome) => outcome,
        Err(ExecuteError::State { location: Location::CodeHash(hash), .. }) => {
            let owners = watched.owners.into_inner().unwrap_or_else(PoisonError::into_inner);
            let gap = owners.get(&hash).map_or(Gap::Read(Location::CodeHash(hash)), |owner| Gap::Code(*owner));
            return Ok(Some(gap));
        }
        Err(ExecuteError::State { location, .. }) => return Ok(Some(Gap::Read(location))),
        // A wrong verdict is told by the check before writing, with all that belongs to it.
        Err(ExecuteError::InvalidBlock { .. }) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    match state.post_state_root(&outcome.changes) {
        Ok(_) => Ok(None),
        Err(WitnessError::Trie(StateTrieError { owner, source })) => match *source {
            TrieError::MissingNode { path, hash } => {
                Ok(Some(Gap::Orphan(Orphan { owner, path, hash }, Box::new(outcome.changes))))
            }
            source => Err(StateTrieError { owner, source: Box::new(source) }.into()),
        },
        Err(error) => Err(error.into()),
    }
}

/// Asks for what a read of the execution lacks; whether anything new came.
fn fill(client: &Client, draft: &mut Draft, location: Location) -> anyhow::Result<bool> {
    match location {
        Location::Balance(address) | Location::Nonce(address) | Location::Code(address) => {
            proofs::add(client, draft, address, &[])
        }
        Location::Slot(address, slot) => proofs::add(client, draft, address, &[slot]),
        // Nobody read an account with this code.
        Location::CodeHash(_) => Ok(false),
        Location::BlockHash(number) => ancestors(client, draft, number),
    }
}

/// The code of an account; whether it is new.
fn code(client: &Client, draft: &mut Draft, address: Address) -> anyhow::Result<bool> {
    let number = draft.block().header.number.saturating_sub(1);
    let code = client.call("eth_getCode", serde_json::json!([address, block::hexadecimal(number)]))?;
    Ok(draft.add_code(code))
}

/// Headers back to the one that names the hash of block `number`.
fn ancestors(client: &Client, draft: &mut Draft, number: u64) -> anyhow::Result<bool> {
    let mut is_new = false;
    while let Some((next, hash)) = draft.next_ancestor().filter(|(next, _)| *next > number) {
        is_new |= draft.add_ancestor(block::ancestor(client, next, hash)?, hash);
    }
    Ok(is_new)
}
