//! The native way: a block and its parent state in, what a host keeps out.
//!
//! Place in the flow: recover, prepare, execute, and the outcome in the host's types.
//! Invariant: nothing of the caller's is changed; the state is only read.

use super::bundle_state;
use crate::{
    chain_spec::Rules,
    env::PreparedBlock,
    error::ExecuteError,
    executor::{BlockExecutor, Knowledge},
    outcome::Stats,
    recover::recover_senders,
    types::{Block, Receipt},
};
use alloy_evm::block::BlockExecutionResult;
use revm::{DatabaseRef, database::BundleState};

/// What a host gets for a block.
#[derive(Clone, Debug)]
pub struct HostOutput {
    /// Receipts, requests and gas, as alloy-evm's block executors give them.
    pub result: BlockExecutionResult<Receipt>,
    /// The changed state with its reverts, as revm's `State` gives it.
    pub state: BundleState,
    /// How the block was executed.
    pub stats: Stats,
}

/// Executes a block on `parent`, the state after its parent, on the threads of `executor`.
///
/// Senders are recovered here. The header is taken as it is: whether it fits parent and outcome is for
/// [`check_header`](crate::check_header) or the host to say.
///
/// # Errors
/// See [`ExecuteError`]; nothing was changed.
pub fn execute_block<DB: DatabaseRef + Sync>(
    executor: &BlockExecutor,
    rules: Rules,
    block: &Block,
    parent: &DB,
) -> Result<HostOutput, ExecuteError> {
    let senders = recover_senders(&block.body.transactions, &rules)?;
    let prepared = PreparedBlock::new(rules, block, &senders)?;
    let outcome = executor.execute(block, &prepared, parent, Knowledge::Nothing)?;
    let state = bundle_state(&outcome.changes);
    let result = BlockExecutionResult {
        receipts: outcome.receipts,
        requests: outcome.requests,
        gas_used: outcome.gas_used,
        blob_gas_used: outcome.blob_gas_used,
    };
    Ok(HostOutput { result, state, stats: outcome.stats })
}
