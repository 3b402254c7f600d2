//! State tests: one transaction on a state, and the state and logs that it leaves.
//!
//! Place in the flow: one kind of case; the transaction runs as a block of one, without the rules around it.
//! Invariant: a transaction that must be refused is refused for the reason that the case names and leaves the state as it was.

use super::{
    accounts, network,
    runner::{Ended, Runner},
};
use alloy_consensus::{BlockBody, Header};
use alloy_primitives::{Address, B256, U256, keccak256};
use anyhow::{Context, bail, ensure};
use laminar_executor::{
    Block, ExecuteError, Receipt,
    chain_spec::Rules,
    env::PreparedBlock,
    recover::{decode_transaction, recover_senders},
    rule::Rule,
};
use laminar_fixtures::official::{StateEnv, StatePost, StateTest};
use laminar_state_db::{MemoryState, MemoryStateError};
use revm::{DatabaseRef, bytecode::Bytecode, state::AccountInfo};

/// Runs one choice of a case under one fork.
///
/// # Errors
/// What differs from the case.
pub(crate) fn run(test: &StateTest, fork: &str, post: &StatePost, runner: &mut Runner) -> anyhow::Result<Ended> {
    let spec = match network::spec(fork, &test.config) {
        Ok(spec) => spec,
        Err(error) => return Ok(Ended::Skipped(error.to_string())),
    };
    let Some(txbytes) = &post.txbytes else { return Ok(Ended::Skipped("no txbytes".to_owned())) };
    let header = header(&test.env);
    let rules = spec.rules_for(&header);
    let mut state = TestState(network::state(&test.pre));
    let ended = match prepare(header, rules, txbytes, test.transaction.sender) {
        Ok(prepared) => execute(&prepared, &mut state, runner)?,
        Err(error) => Err(refusal(error)?),
    };
    let receipts = match (&post.expect_exception, ended) {
        (None, Ok(receipts)) => receipts,
        (None, Err(rule)) => bail!("expected a valid transaction, found {rule}"),
        (Some(expected), Ok(_)) => bail!("expected {expected}, found a valid transaction"),
        (Some(expected), Err(rule)) if rule.matches(&expected.to_string()) => Vec::new(),
        (Some(expected), Err(rule)) => bail!("expected {expected}, found {}: {rule}", rule.exception()),
    };
    check(post, &receipts, &mut state.0)?;
    Ok(Ended::Passed)
}

/// Runs the transaction; a refusal leaves the state alone.
fn execute(
    prepared: &PreparedBlock,
    state: &mut TestState,
    runner: &mut Runner,
) -> anyhow::Result<Result<Vec<Receipt>, Rule>> {
    let knowledge = runner.foresee_transactions(prepared, state);
    match runner.executor().execute_transactions(prepared, state, knowledge) {
        Ok(outcome) => {
            runner.count(prepared.len(), &outcome.stats)?;
            state.0.apply(&outcome.changes);
            Ok(Ok(outcome.receipts))
        }
        Err(error) => Ok(Err(refusal(error)?)),
    }
}

fn check(post: &StatePost, receipts: &[Receipt], state: &mut MemoryState) -> anyhow::Result<()> {
    let found = state.state_root();
    if found != post.hash {
        let difference = post.state.as_ref().and_then(|expected| accounts::first_difference(expected, state));
        let difference = difference.map(|difference| format!("; {difference}")).unwrap_or_default();
        bail!("state root: expected {}, found {found}{difference}", post.hash);
    }
    if let Some(difference) = post.state.as_ref().and_then(|expected| accounts::first_difference(expected, state)) {
        bail!("state: {difference}");
    }
    let logs: Vec<_> = receipts.iter().flat_map(|receipt| &receipt.logs).collect();
    let found = keccak256(alloy_rlp::encode(&logs));
    ensure!(found == post.logs, "logs hash: expected {}, found {found}", post.logs);
    Ok(())
}

/// The block around the transaction.
fn header(env: &StateEnv) -> Header {
    Header {
        beneficiary: env.coinbase,
        difficulty: env.difficulty.unwrap_or_default(),
        mix_hash: env.random.unwrap_or_default(),
        number: env.number,
        gas_limit: env.gas_limit,
        timestamp: env.timestamp,
        base_fee_per_gas: env.base_fee,
        excess_blob_gas: env.excess_blob_gas,
        slot_number: env.slot_number,
        ..Header::default()
    }
}

fn prepare(header: Header, rules: Rules, bytes: &[u8], sender: Option<Address>) -> Result<PreparedBlock, ExecuteError> {
    let transaction = decode_transaction(bytes).map_err(ExecuteError::invalid)?;
    let block = Block::new(header, BlockBody { transactions: vec![transaction], ..BlockBody::default() });
    let senders = recover_senders(&block.body.transactions, &rules)?;
    if let (Some(expected), [found]) = (sender, senders.addresses.as_slice())
        && expected != *found
    {
        return Err(ExecuteError::Bug { stage: "case", what: format!("sender: expected {expected}, found {found}") });
    }
    PreparedBlock::new(rules, &block, &senders)
}

/// The rule of a refusal; any other error fails the case.
fn refusal(error: ExecuteError) -> anyhow::Result<Rule> {
    match error {
        ExecuteError::InvalidBlock { rule, .. } => Ok(rule),
        other => Err(other).context("running the transaction"),
    }
}

/// A state whose chain is made up: the hash of block n is the Keccak-256 of n in decimal digits, as the suite has it.
#[derive(Debug)]
struct TestState(MemoryState);

impl DatabaseRef for TestState {
    type Error = MemoryStateError;

    fn basic_ref(&self, address: Address) -> Result<Option<AccountInfo>, MemoryStateError> {
        self.0.basic_ref(address)
    }

    fn code_by_hash_ref(&self, hash: B256) -> Result<Bytecode, MemoryStateError> {
        self.0.code_by_hash_ref(hash)
    }

    fn storage_ref(&self, address: Address, slot: U256) -> Result<U256, MemoryStateError> {
        self.0.storage_ref(address, slot)
    }

    fn block_hash_ref(&self, number: u64) -> Result<B256, MemoryStateError> {
        Ok(keccak256(number.to_string()))
    }
}
