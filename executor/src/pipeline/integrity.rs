//! Whether what a store keeps of a block is what the block's hash stands for.
//!
//! Place in the flow: `laminar db verify` asks it of each committed block; the store itself knows no header.
//! What is checked: the header against the hash; transactions, ommers, withdrawals, requests, access list and receipts against the
//! header. What is not: senders, which would have to be recovered, the total difficulty, and the state.

use super::kept::{Extra, KeptBlock, KeptError};
use crate::check_header::{Envelopes, ReceiptSummary, summarize_receipts};
use alloy_consensus::proofs::calculate_withdrawals_root;
use alloy_primitives::{U256, keccak256};
use laminar_state_db::BlockData;

/// A kept block is not the one that its hash stands for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IntegrityError {
    /// A part cannot be read.
    #[error(transparent)]
    Malformed(#[from] KeptError),
    /// A part is another one than the hash or the header says.
    #[error("{part} of another block")]
    Foreign {
        /// What it is.
        part: &'static str,
    },
}

/// Checks the parts of a kept block against its hash.
///
/// # Errors
/// The first part that does not belong to the block.
pub fn check_integrity(data: &BlockData) -> Result<(), IntegrityError> {
    let extra = Extra::decode(&data.extra)?;
    let access_list_hash = (!extra.block_access_list.is_empty()).then(|| keccak256(&extra.block_access_list));
    let KeptBlock { header, body, receipts, senders, requests, .. } = &KeptBlock::decode_with(data, extra)?;
    let withdrawals_root = body.withdrawals.as_ref().map(|withdrawals| calculate_withdrawals_root(withdrawals));
    let transactions = Envelopes::new(&body.transactions);
    let ReceiptSummary { root: receipts_root, logs_bloom } = summarize_receipts(receipts);
    // CONSENSUS: EIP-658, receipts before Byzantium carry an intermediate state root that nobody keeps. Which fork a block belongs to is
    // not known here, but blocks after the merge have no difficulty.
    let is_root_known = header.difficulty == U256::ZERO;
    let parts = [
        ("header", keccak256(&data.header) == data.id.hash),
        ("number", header.number == data.id.number),
        ("parent", header.parent_hash == data.parent),
        ("transactions", transactions.root() == header.transactions_root),
        ("transaction hashes", transactions.hashes() == data.transactions),
        ("senders", senders.is_empty() || senders.len() == body.transactions.len()),
        ("ommers", body.calculate_ommers_root() == header.ommers_hash),
        ("withdrawals", withdrawals_root == header.withdrawals_root),
        ("receipts", receipts.len() == body.transactions.len() && logs_bloom == header.logs_bloom),
        ("receipts", !is_root_known || receipts_root == header.receipts_root),
        ("requests", header.requests_hash.is_none_or(|hash| hash == requests.requests_hash())),
        (
            "access list",
            header.block_access_list_hash.is_none()
                || access_list_hash.is_none()
                || access_list_hash == header.block_access_list_hash,
        ),
    ];
    let foreign = parts.into_iter().find(|(_, is_right)| !is_right);
    foreign.map_or(Ok(()), |(part, _)| Err(IntegrityError::Foreign { part }))
}
