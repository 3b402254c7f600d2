//! `eth_call`: one run and its output.
//!
//! Place in the flow: above a [`Machine`]; the other methods prepare their calls here too.
//! Invariant: what comes back is the return data of a run that succeeded; everything else is an error.

use super::{
    CallError, CallLimits, CallState, Defaults, Environment, Machine, MovablePrecompiles, fill, halt_reason,
    override_state,
};
use alloy_consensus::Header;
use alloy_primitives::Bytes;
use alloy_rpc_types_eth::{BlockOverrides, TransactionRequest, state::StateOverride};
use laminar_executor::chain_spec::ChainSpec;
use revm::{
    Database,
    context::{TxEnv, result::ExecutionResult},
    database_interface::{DBErrorMarker, DatabaseRef},
};

/// A call and where it runs.
#[derive(Clone, Copy, Debug)]
pub struct Call<'a> {
    /// The chain's schedule.
    pub spec: &'a ChainSpec,
    /// The block that the call sees.
    pub header: &'a Header,
    /// The caller's fields.
    pub request: &'a TransactionRequest,
    /// What the caller pretends of the state.
    pub state_overrides: Option<&'a StateOverride>,
    /// What the caller pretends of the block.
    pub block_overrides: Option<&'a BlockOverrides>,
    /// Gas and time.
    pub limits: CallLimits,
}

impl Call<'_> {
    /// The machine of the call on `view`, and its transaction.
    ///
    /// # Errors
    /// The request or an override contradicts itself, or the state cannot be read.
    pub fn prepare<DB: DatabaseRef>(&self, view: DB) -> Result<(Machine<DB>, TxEnv), CallError>
    where
        DB::Error: DBErrorMarker,
    {
        self.prepare_on(CallState::new(view))
    }

    /// The machine of the call on a state that others have called on, and its transaction.
    ///
    /// # Errors
    /// As [`Self::prepare`].
    pub fn prepare_on<DB: DatabaseRef>(&self, mut state: CallState<DB>) -> Result<(Machine<DB>, TxEnv), CallError>
    where
        DB::Error: DBErrorMarker,
    {
        let mut environment = Environment::of_call(self.spec, self.header, self.block_overrides)?;
        let mut precompiles = MovablePrecompiles::new(environment.cfg.spec);
        if let Some(overrides) = self.state_overrides {
            override_state(&mut state, &mut precompiles, overrides)?;
        }
        if let Some(hashes) = self.block_overrides.and_then(|overrides| overrides.block_hash.as_ref()) {
            let hashes = hashes.iter().map(|(number, hash)| (alloy_primitives::U256::from(*number), *hash));
            state.cache.block_hashes.extend(hashes);
        }
        let sender = self.request.from.unwrap_or_default();
        let nonce = state.basic(sender).map_err(CallError::state)?.map_or(0, |account| account.nonce);
        let defaults = Defaults { gas_cap: self.limits.gas_cap, nonce, chain_id: self.spec.chain_id() };
        let tx = fill(self.request, &defaults)?;
        environment.waive_fees(&tx);
        Ok((Machine::new(&environment, state, precompiles, self.limits.deadline), tx))
    }
}

/// Runs a call on `view` and gives its return data.
///
/// # Errors
/// [`CallError::Revert`] and [`CallError::Halt`] if it ran and failed; the others if it could not run.
pub fn call<DB: DatabaseRef>(call: &Call<'_>, view: DB) -> Result<Bytes, CallError>
where
    DB::Error: DBErrorMarker,
{
    let (mut machine, tx) = call.prepare(view)?;
    output_of(machine.run(tx)?.result)
}

/// Runs a call on a state that others have called on and keeps what it does; its return data or why there is none, and the state.
///
/// # Errors
/// The call cannot run.
pub fn call_on<DB: DatabaseRef>(
    call: &Call<'_>,
    state: CallState<DB>,
) -> Result<(Result<Bytes, CallError>, CallState<DB>), CallError>
where
    DB::Error: DBErrorMarker,
{
    let (mut machine, tx) = call.prepare_on(state)?;
    let ran = machine.run(tx)?;
    machine.commit(ran.state);
    Ok((output_of(ran.result), machine.into_state()))
}

/// The return data of a run that succeeded.
pub(super) fn output_of(result: ExecutionResult) -> Result<Bytes, CallError> {
    match result {
        ExecutionResult::Success { output, .. } => Ok(output.into_data()),
        ExecutionResult::Revert { output, .. } => Err(CallError::Revert { output }),
        ExecutionResult::Halt { reason, .. } => Err(CallError::Halt { reason: halt_reason(&reason) }),
    }
}
