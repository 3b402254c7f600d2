//! The steps of an import that touch no store: check what needs no execution, and check what execution gave.
//!
//! Place in the flow: around [`BlockExecutor::execute`](crate::BlockExecutor); a node and the pipeline both take them from here.
//! Invariant: the order is that of the execution specification: header, body, ommers, senders, execution, transactions root,
//! outcome, state root; the first broken rule is reported.

use crate::{
    chain_spec::{ChainSpec, Rules},
    check_header::{
        Ancestor, Computed, Envelopes, ReceiptSummary, check_access_list_len, check_body, check_header, check_ommers,
        check_outcome, check_terminal_difficulty, check_transactions_root, encode_receipts,
    },
    env::PreparedBlock,
    error::ExecuteError,
    outcome::Outcome,
    recover::{Senders, recover_senders},
    rule::{Field, Mismatch, Rule},
    system_calls::requests_hash,
    types::Block,
};
use alloy_consensus::Header;
use alloy_eip7928::{BlockAccessList, compute_block_access_list_hash, total_bal_items, validate_block_access_list};
use alloy_primitives::{B256, Sealed, U256};

/// The block that a block stands on.
#[derive(Clone, Copy, Debug)]
pub struct Parent<'a> {
    /// Its header.
    pub header: &'a Sealed<Header>,
    /// Sum of the difficulties up to and including it.
    pub total_difficulty: U256,
}

/// A block that passed every check before execution.
#[derive(Debug)]
pub struct Checked {
    /// Hash of its header.
    pub hash: B256,
    /// The rules it runs under.
    pub rules: Rules,
    /// Who sent its transactions.
    pub senders: Senders,
    /// What revm runs.
    pub prepared: PreparedBlock,
    /// Sum of the difficulties up to and including the block.
    pub total_difficulty: U256,
}

/// What the header of an executed block commits to, encoded once: the block that is kept is made of it.
#[derive(Clone, Debug, Default)]
pub struct Encoded {
    /// The transactions.
    pub transactions: Envelopes,
    /// The receipts with their blooms.
    pub receipts: Envelopes,
}

/// Everything that needs no execution, on a block with the hash `hash`. `ancestor` gives a block of this branch by its hash: see
/// [`check_ommers`].
///
/// # Errors
/// [`ExecuteError::InvalidBlock`] with the first rule that is broken.
pub fn check(
    spec: &ChainSpec,
    hash: B256,
    block: &Block,
    parent: Parent<'_>,
    ancestor: impl FnMut(B256) -> Option<Ancestor>,
) -> Result<Checked, ExecuteError> {
    let header = &block.header;
    check_header(spec, header, parent.header).map_err(ExecuteError::invalid)?;
    check_terminal_difficulty(spec, header, parent.total_difficulty).map_err(ExecuteError::invalid)?;
    let rules = spec.rules_for(header);
    check_body(&rules, block)?;
    check_ommers(spec, block, ancestor).map_err(ExecuteError::invalid)?;
    let senders = recover_senders(&block.body.transactions, &rules)?;
    let prepared = PreparedBlock::new(rules, block, &senders)?;
    let total_difficulty = parent.total_difficulty.saturating_add(header.difficulty);
    Ok(Checked { hash, rules, senders, prepared, total_difficulty })
}

/// The state root after the block, which costs most and is checked last.
///
/// # Errors
/// The header names another.
pub fn check_state_root(rules: &Rules, header: &Header, root: B256) -> Result<(), Rule> {
    let computed = Computed { state_root: Some(root), ..Computed::default() };
    check_outcome(rules, header, &computed).into_result()
}

/// A delivered list by its own form: order and hash. Its size is checked with the list that execution builds.
///
/// CONSENSUS: EIP-7928.
///
/// # Errors
/// [`Rule::BlockAccessList`], or the header names the hash of another list.
pub fn check_delivered_list(block: &Block, list: &BlockAccessList) -> Result<(), Rule> {
    validate_block_access_list(list, block.body.transactions.len())
        .map_err(|error| Rule::BlockAccessList { what: error.to_string() })?;
    let Some(found) = block.header.block_access_list_hash else { return Ok(()) };
    Ok(Mismatch::check(Field::BlockAccessListHash, compute_block_access_list_hash(list), found)?)
}

/// What execution gave, but for the state root.
///
/// # Errors
/// The first rule that is broken.
pub fn check_results(
    rules: &Rules,
    block: &Block,
    outcome: &Outcome,
    delivered: Option<&BlockAccessList>,
) -> Result<Encoded, Rule> {
    // CONSENSUS: no rule depends on when this root is checked; like the specification's own, ours comes after the transactions,
    // so that a transaction that cannot be run is the reason that is given.
    let transactions = check_transactions_root(block)?;
    let built = outcome.block_access_list.as_ref().filter(|_| rules.has_block_access_list());
    if let Some(built) = built {
        check_access_list_len(&block.header, total_bal_items(built))?;
        if let Some(what) = delivered.and_then(|delivered| first_difference(built, delivered)) {
            return Err(Rule::BlockAccessList { what });
        }
    }
    let (receipts, logs_bloom) = encode_receipts(&outcome.receipts);
    let computed = Computed {
        gas_used: Some(outcome.gas_used),
        receipts: Some(ReceiptSummary { root: receipts.root(), logs_bloom }),
        requests_hash: Some(requests_hash(&outcome.requests)),
        block_access_list_hash: built.map(|list| compute_block_access_list_hash(list)),
        state_root: None,
    };
    check_outcome(rules, &block.header, &computed).into_result()?;
    Ok(Encoded { transactions, receipts })
}

/// The first account on which the list that execution built and the delivered one differ.
fn first_difference(built: &BlockAccessList, delivered: &BlockAccessList) -> Option<String> {
    let position = (0..built.len().max(delivered.len())).find(|at| built.get(*at) != delivered.get(*at))?;
    let entry = |list: &BlockAccessList| list.get(position).map_or("nothing".to_owned(), |entry| format!("{entry:?}"));
    Some(format!("entry {position}: expected {}, found {}", entry(built), entry(delivered)))
}
