//! `eth_simulateV1`: blocks that might follow.
//!
//! Place in the flow: a chain of made-up blocks on one block's state; each runs in a [`super::Machine`] on what the one before it
//! left.
//! Invariant: the blocks link: numbers and timestamps ascend, each names its parent's hash, and state root, receipts root and
//! requests are those of what ran. Gaps in the numbers are filled with empty blocks.
//!
//! | module | what it is |
//! | --- | --- |
//! | `plan` | the blocks with numbers and timestamps, gaps filled |
//! | `block` | one block: overrides, system calls, calls, header |
//! | `envelope` | a call as a transaction with a hash |
//! | `logs` | the logs of a call, ether transfers among them |

mod block;
mod envelope;
mod logs;
mod plan;

use super::{CallError, CallLimits, CallState};
use crate::node::StateView;
use alloy_consensus::Header;
use alloy_primitives::{B256, Sealed, U256};
use alloy_rpc_types_eth::{
    Block,
    simulate::{SimulatePayload, SimulatedBlock},
};
use block::Simulation;
use laminar_executor::chain_spec::ChainSpec;
use laminar_state_db::BlockChanges;
use revm::database_interface::{DBErrorMarker, DatabaseRef};

/// A view that can tell the state root after changes on top of it.
pub trait RootAfter: DatabaseRef {
    /// The state root after `changes`.
    ///
    /// # Errors
    /// The state cannot be read.
    fn root_after(&self, changes: &BlockChanges) -> Result<B256, CallError>;
}

impl<T: RootAfter> RootAfter for &T {
    fn root_after(&self, changes: &BlockChanges) -> Result<B256, CallError> {
        (**self).root_after(changes)
    }
}

impl RootAfter for StateView {
    fn root_after(&self, changes: &BlockChanges) -> Result<B256, CallError> {
        Self::root_after(self, changes).map_err(CallError::state)
    }
}

/// What a simulation stands on.
#[derive(Clone, Copy, Debug)]
pub struct Base<'a> {
    /// The chain's schedule.
    pub spec: &'a ChainSpec,
    /// The block before the first simulated one.
    pub header: &'a Sealed<Header>,
}

/// Runs the blocks of `payload` on the state `view` of the base. All calls together may use as much gas as one call.
///
/// # Errors
/// The blocks are not in order, a call is not valid (a call that runs and fails is a result), or the state cannot be read.
pub fn simulate<DB: RootAfter + Clone>(
    base: Base<'_>,
    view: DB,
    payload: &SimulatePayload,
    limits: CallLimits,
) -> Result<Vec<SimulatedBlock<Block>>, CallError>
where
    DB::Error: DBErrorMarker,
{
    let blocks = plan::plan(base.header, &payload.block_state_calls)?;
    let mut state = CallState::new(view);
    // BLOCKHASH reaches the base and the simulated blocks before.
    state.cache.block_hashes.insert(U256::from(base.header.number), base.header.hash());
    let mut simulation = Simulation {
        spec: base.spec,
        validation: payload.validation,
        trace_transfers: payload.trace_transfers,
        full_transactions: payload.return_full_transactions,
        deadline: limits.deadline,
        gas_left: limits.gas_cap,
        parent: base.header.clone(),
        state,
    };
    blocks.iter().map(|block| simulation.run(block)).collect()
}
