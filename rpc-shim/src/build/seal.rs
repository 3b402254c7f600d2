//! The header of a block whose execution is known.
//!
//! Place in the flow: last step of building.
//! Invariant: every field that the fork has is set, none that it has not; so `check_header` and `check_outcome` accept it.

use alloy_consensus::{
    BlockBody,
    proofs::{calculate_transaction_root, calculate_withdrawals_root},
};
use alloy_eip7928::{BlockAccessList, compute_block_access_list_hash};
use alloy_eips::eip7685::Requests;
use alloy_primitives::B256;
use laminar_executor::{
    Block, Receipt, Transaction,
    chain_spec::{Fork, Rules},
    check_header::summarize_receipts,
    system_calls::requests_hash,
};

/// What execution gave.
#[derive(Debug)]
pub(super) struct Results<'a> {
    pub(super) receipts: &'a [Receipt],
    pub(super) gas_used: u64,
    pub(super) blob_gas_used: u64,
    pub(super) requests: &'a Requests,
    pub(super) block_access_list: Option<&'a BlockAccessList>,
    pub(super) state_root: B256,
}

/// Completes a draft.
pub(super) fn seal(draft: Block, rules: &Rules, transactions: Vec<Transaction>, results: &Results<'_>) -> Block {
    let Block { mut header, body: BlockBody { ommers, withdrawals, .. } } = draft;
    // Before Byzantium receipts carry state roots that nobody keeps; the root is then that of status receipts, and no check
    // looks at it (EIP-658).
    let receipts = summarize_receipts(results.receipts);
    header.state_root = results.state_root;
    header.transactions_root = calculate_transaction_root(&transactions);
    header.receipts_root = receipts.root;
    header.logs_bloom = receipts.logs_bloom;
    header.gas_used = results.gas_used;
    header.withdrawals_root = withdrawals.as_ref().map(|list| calculate_withdrawals_root(list));
    header.blob_gas_used = rules.is_active(Fork::Cancun).then_some(results.blob_gas_used);
    header.requests_hash = rules.is_active(Fork::Prague).then(|| requests_hash(results.requests));
    header.block_access_list_hash = results
        .block_access_list
        .filter(|_| rules.has_block_access_list())
        .map(|list| compute_block_access_list_hash(list));
    Block::new(header, BlockBody { transactions, ommers, withdrawals })
}
