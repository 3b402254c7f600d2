//! The traces of `trace_`: flat lists of calls, as Parity had them.
//!
//! Place in the flow: what `trace_block`, `trace_transaction`, `trace_replay…`, `trace_call…` and `trace_filter` answer.
//! Invariant: traces stand in the order of execution; the rewards of a proof-of-work block come last.

use super::{
    budget::{Recorder, recorder},
    replay::{ReplayBlock, replay},
};
use crate::call::{CallError, Deadline, Machine};
use alloy_primitives::{U256, map::HashSet};
use alloy_rpc_types_eth::TransactionInfo;
use alloy_rpc_types_trace::parity::{
    Action, LocalizedTransactionTrace, RewardAction, RewardType, TraceResults, TraceResultsWithTransactionHash,
    TraceType, TransactionTrace,
};
use laminar_executor::chain_spec::Rules;
use revm::{
    context::TxEnv,
    database_interface::{DBErrorMarker, DatabaseRef},
};
use revm_inspectors::tracing::TracingInspectorConfig;

/// The traces of `range` of a block's transactions.
///
/// # Errors
/// The block cannot run again.
pub fn localized_traces<DB: DatabaseRef<Error: DBErrorMarker>>(
    target: &ReplayBlock<'_>,
    view: DB,
    range: std::ops::Range<usize>,
    deadline: Deadline,
) -> Result<Vec<LocalizedTransactionTrace>, CallError> {
    let mut traces = Vec::new();
    let inspector = || recorder(TracingInspectorConfig::default_parity());
    replay(target, view, deadline, range, inspector, |replayed| {
        let gas_used = replayed.ran.result.tx_gas_used();
        let (inspector, _) = replayed.machine.replace_inspector(inspector());
        let inspector = inspector.with_transaction_gas_used(gas_used);
        let info = TransactionInfo {
            hash: Some(*target.block.body.transactions[replayed.index].tx_hash()),
            index: Some(replayed.index as u64),
            block_hash: Some(target.hash),
            block_number: Some(target.block.header.number),
            base_fee: target.block.header.base_fee_per_gas,
            block_timestamp: Some(target.block.header.timestamp),
        };
        traces.extend(inspector.into_parity_builder().into_localized_transaction_traces_iter(info));
        Ok(())
    })?;
    Ok(traces)
}

/// The rewards of a proof-of-work block as traces: the miner's, then those of the ommers.
pub fn block_rewards(target: &ReplayBlock<'_>, rules: &Rules) -> Vec<LocalizedTransactionTrace> {
    let Some(reward) = rules.block_reward_wei().map(U256::from) else { return Vec::new() };
    let (header, ommers) = (&target.block.header, &target.block.body.ommers);
    let extra = reward / U256::from(32) * U256::from(ommers.len());
    let miner = RewardAction { author: header.beneficiary, reward_type: RewardType::Block, value: reward + extra };
    let ommers = ommers.iter().map(|ommer| RewardAction {
        author: ommer.beneficiary,
        reward_type: RewardType::Uncle,
        value: U256::from((ommer.number + 8).saturating_sub(header.number)) * reward / U256::from(8),
    });
    let traces = std::iter::once(miner).chain(ommers).map(|reward| LocalizedTransactionTrace {
        trace: TransactionTrace { action: Action::Reward(reward), ..TransactionTrace::default() },
        block_hash: Some(target.hash),
        block_number: Some(header.number),
        transaction_hash: None,
        transaction_position: None,
    });
    traces.collect()
}

/// What `range` of a block's transactions did, in the kinds that are asked for.
///
/// # Errors
/// The block cannot run again.
pub fn replay_results<DB: DatabaseRef<Error: DBErrorMarker>>(
    target: &ReplayBlock<'_>,
    view: DB,
    range: std::ops::Range<usize>,
    kinds: &HashSet<TraceType>,
    deadline: Deadline,
) -> Result<Vec<TraceResultsWithTransactionHash>, CallError> {
    let mut all = Vec::with_capacity(range.len());
    let inspector = || recorder(TracingInspectorConfig::from_parity_config(kinds));
    replay(target, view, deadline, range, inspector, |replayed| {
        let (inspector, _) = replayed.machine.replace_inspector(inspector());
        let inspector = inspector.with_transaction_gas_used(replayed.ran.result.tx_gas_used());
        let results = inspector.into_parity_builder().into_trace_results_with_state_parts(
            &replayed.ran.result,
            &replayed.ran.state,
            kinds,
            replayed.machine.state(),
        );
        let full_trace = results.map_err(CallError::state)?;
        let transaction_hash = *target.block.body.transactions[replayed.index].tx_hash();
        all.push(TraceResultsWithTransactionHash { full_trace, transaction_hash });
        Ok(())
    })?;
    Ok(all)
}

/// What a call does, in the kinds that are asked for. Its changes are kept on the machine, for a next call.
///
/// # Errors
/// The call cannot run.
pub fn call_results<DB: DatabaseRef<Error: DBErrorMarker>>(
    machine: &mut Machine<DB, Recorder>,
    tx: TxEnv,
    kinds: &HashSet<TraceType>,
) -> Result<TraceResults, CallError> {
    machine.replace_inspector(recorder(TracingInspectorConfig::from_parity_config(kinds)));
    let ran = machine.inspect(tx)?;
    let (inspector, _) = machine.replace_inspector(Recorder::default());
    let inspector = inspector.with_transaction_gas_used(ran.result.tx_gas_used());
    let results = inspector.into_parity_builder().into_trace_results_with_state_parts(
        &ran.result,
        &ran.state,
        kinds,
        machine.state(),
    );
    let results = results.map_err(CallError::state)?;
    machine.commit(ran.state);
    Ok(results)
}
