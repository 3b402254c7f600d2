//! A block against its own commitments, before and after execution.
//!
//! Place in the flow: `run` calls [`check_before`], executes, then calls [`check_after`].
//! Invariant: what the data cannot prove is unknown, never right.

use super::input::Input;
use crate::{clock::Samples, report::Verified};
use alloy_consensus::EMPTY_OMMER_ROOT_HASH;
use alloy_primitives::B256;
use laminar_executor::{
    ExecuteError, Outcome,
    chain_spec::{ChainSpec, Fork, Rules},
    check_header::{
        self, Computed, check_body, check_header, check_outcome, check_transactions_root, summarize_receipts,
    },
    rule::{Field, Rule},
    system_calls::requests_hash,
};

/// Checks the header against the parent's, where that is known, and the body against the header.
///
/// # Errors
/// The first broken rule.
pub(super) fn check_before(spec: &ChainSpec, rules: &Rules, input: &Input) -> Result<(), ExecuteError> {
    if let Some(parent) = &input.parent {
        check_header(spec, &input.block.header, parent).map_err(ExecuteError::invalid)?;
    }
    check_transactions_root(&input.block).map_err(ExecuteError::invalid)?;
    if !input.ommers_missing {
        return check_body(rules, &input.block);
    }
    // The ommers' hash is the one commitment that cannot be checked without them.
    let mut block = input.block.clone();
    block.header.ommers_hash = EMPTY_OMMER_ROOT_HASH;
    check_body(rules, &block)
}

/// What an outcome says of its header.
#[derive(Debug)]
pub(super) struct Verdicts {
    /// The fields, one by one.
    pub(super) verified: Verified,
    /// The first field that is wrong.
    pub(super) broken: Option<Rule>,
}

/// Checks the header's claims about the execution. `receipts` times the receipts' root.
pub(super) fn check_after(
    rules: &Rules,
    input: &Input,
    outcome: &Outcome,
    state_root: Option<B256>,
    receipts: &mut Samples,
) -> Verdicts {
    let computed = Computed {
        gas_used: Some(outcome.gas_used),
        receipts: Some(receipts.time(|| summarize_receipts(&outcome.receipts))),
        requests_hash: rules.is_active(Fork::Prague).then(|| requests_hash(&outcome.requests)),
        block_access_list_hash: None,
        state_root,
    };
    let found: check_header::Verified = check_outcome(rules, &input.block.header, &computed);
    let verified = Verified {
        gas: found.is_right(Field::GasUsed),
        receipts_root: found.is_right(Field::ReceiptsRoot),
        logs_bloom: found.is_right(Field::LogsBloom),
        state_root: found.is_right(Field::StateRoot),
        requests_hash: found.is_right(Field::RequestsHash),
    };
    Verdicts { verified, broken: found.first_broken() }
}
