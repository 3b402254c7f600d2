//! From a workload to a sealed block with its witness.
//!
//! Place in the flow: the only step between the recipes and the committed files.
//! Invariant: the header is one that a client would accept: every rule of header and body is checked, every root comes from
//! an execution, and the witness holds what that execution read and what the new state root needs.

use alloy_consensus::{
    BlockBody, EMPTY_OMMER_ROOT_HASH, Header,
    proofs::{calculate_transaction_root, calculate_withdrawals_root},
};
use alloy_eips::eip4895::Withdrawals;
use alloy_primitives::{Address, B256, Bytes, Sealed, U256};
use anyhow::{Context, ensure};
use laminar_executor::{
    Block, BlockExecutor, Config, Knowledge, Mode, Outcome,
    chain_spec::{ChainSpec, Rules},
    check_header::{
        blob_gas_used, check_body, check_header, expected_base_fee, expected_excess_blob_gas, summarize_receipts,
    },
    env::PreparedBlock,
    recover::recover_senders,
    system_calls::requests_hash,
};
use laminar_fixtures::{WitnessBlock, workload::Workload};
use laminar_state_db::{MemoryState, TouchedKeys};
use revm::{database_interface::DatabaseRef, primitives::KECCAK_EMPTY};
use std::{collections::BTreeMap, num::NonZeroUsize};

/// Executes block 1 of the workload's chain and writes down all that it commits to.
///
/// # Errors
/// A transaction is not valid, or the block breaks a rule.
pub(crate) fn seal(workload: &Workload) -> anyhow::Result<WitnessBlock> {
    let spec = ChainSpec::from_genesis(&workload.genesis)?;
    let mut state = MemoryState::from_genesis(&workload.genesis);
    let parent = spec.genesis_header(&workload.genesis, state.state_root());
    let parent = Sealed::new(parent);
    state.insert_block_hash(0, parent.hash());
    let mut block = draft(workload, &spec, &parent)?;
    let rules = spec.rules_for(&block.header);
    let outcome = execute(&rules, &block, &state)?;
    let mut after = state.clone();
    after.apply(&outcome.changes);
    commit(&mut block.header, &outcome, after.state_root());
    check_header(&spec, &block.header, &parent)?;
    check_body(&rules, &block)?;
    let touched = touched(&block, &outcome)?;
    Ok(WitnessBlock {
        chain_id: workload.chain_id,
        block_hash: block.header.hash_slow(),
        codes: codes(&state, &touched)?,
        nodes: state.witness(&touched, &outcome.changes),
        parent_state_root: parent.state_root,
        block_hashes: BTreeMap::from([(0, parent.hash())]),
        headers: vec![parent.into_inner()],
        block,
    })
}

/// The block as far as it is known before execution.
fn draft(workload: &Workload, spec: &ChainSpec, parent: &Header) -> anyhow::Result<Block> {
    let withdrawals = Withdrawals::new(workload.withdrawals.clone());
    let rules = spec.rules_at(1, workload.timestamp);
    let base_fee = expected_base_fee(&rules, parent);
    ensure!(base_fee == Some(workload.base_fee), "expected a base fee of {base_fee:?}, found {}", workload.base_fee);
    let header = Header {
        parent_hash: parent.hash_slow(),
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        beneficiary: workload.beneficiary,
        number: 1,
        gas_limit: workload.gas_limit,
        timestamp: workload.timestamp,
        extra_data: Bytes::from_static(b"laminar sample"),
        mix_hash: workload.prev_randao,
        base_fee_per_gas: base_fee,
        transactions_root: calculate_transaction_root(&workload.transactions),
        withdrawals_root: Some(calculate_withdrawals_root(&withdrawals)),
        blob_gas_used: Some(blob_gas_used(&workload.transactions)),
        excess_blob_gas: expected_excess_blob_gas(&rules, parent),
        parent_beacon_block_root: Some(workload.parent_beacon_block_root),
        ..Header::default()
    };
    let body =
        BlockBody { transactions: workload.transactions.clone(), ommers: vec![], withdrawals: Some(withdrawals) };
    Ok(Block::new(header, body))
}

fn execute(rules: &Rules, block: &Block, state: &MemoryState) -> anyhow::Result<Outcome> {
    let senders = recover_senders(&block.body.transactions, rules)?;
    let prepared = PreparedBlock::new(*rules, block, &senders)?;
    let config =
        Config { threads: NonZeroUsize::MIN, mode: Mode::Sequential, block_access_list: true, ..Config::default() };
    let executor = BlockExecutor::new(config)?;
    Ok(executor.execute(block, &prepared, state, Knowledge::Nothing)?)
}

fn commit(header: &mut Header, outcome: &Outcome, state_root: B256) {
    let receipts = summarize_receipts(&outcome.receipts);
    header.gas_used = outcome.gas_used;
    header.receipts_root = receipts.root;
    header.logs_bloom = receipts.logs_bloom;
    header.requests_hash = Some(requests_hash(&outcome.requests));
    header.state_root = state_root;
}

/// What the block read: all that its access list (EIP-7928) names, and the beneficiary, whose account every executor reads.
fn touched(block: &Block, outcome: &Outcome) -> anyhow::Result<TouchedKeys> {
    let list = outcome.block_access_list.as_ref().context("the outcome has no block access list")?;
    let mut touched = TouchedKeys::default();
    touched.insert(block.header.beneficiary, Vec::new());
    for account in list {
        let slots = touched.entry(account.address).or_default();
        slots.extend(account.storage_reads.iter().map(|slot| U256::from(*slot)));
        slots.extend(account.storage_changes.iter().map(|change| U256::from(change.slot)));
    }
    Ok(touched)
}

/// The codes of all touched accounts, in order of their hashes.
fn codes(state: &MemoryState, touched: &TouchedKeys) -> anyhow::Result<Vec<Bytes>> {
    let mut codes = BTreeMap::new();
    for address in touched.keys() {
        let Some(hash) = code_hash(state, address) else { continue };
        codes.insert(hash, state.code_by_hash_ref(hash)?.original_bytes());
    }
    Ok(codes.into_values().collect())
}

fn code_hash(state: &MemoryState, address: &Address) -> Option<B256> {
    state.account(address).map(|account| account.code_hash).filter(|hash| *hash != KECCAK_EMPTY)
}
