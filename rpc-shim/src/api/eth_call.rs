//! `eth_`: calls on the state of a block.
//!
//! Place in the flow: one namespace of several with this prefix; reads parameters, everything else is [`crate::call`]'s.
//! Invariant: a call on `pending` sees the block that would be next, and the state after its transactions.

use super::{Args, Context, Deadline, method};
use crate::{
    call::{self, Base, Call, CallError, CallLimits, CallState, header_after},
    error::RpcError,
    node::StateView,
    pending::PendingBlock,
    trace::{self, TraceSource},
};
use alloy_consensus::Header;
use alloy_eips::{BlockId, eip2930::AccessList};
use alloy_primitives::{Bytes, U64};
use alloy_rpc_types_eth::{
    Block, BlockOverrides, Bundle, EthCallResponse, StateContext, TransactionRequest,
    simulate::{SimulatePayload, SimulatedBlock},
    state::StateOverride,
};
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use laminar_executor::TxIndex;
use serde::Serialize;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::heavy(module, "eth_call", eth_call)?;
    method::heavy(module, "eth_estimateGas", estimate_gas)?;
    method::heavy(module, "eth_createAccessList", create_access_list)?;
    method::heavy(module, "eth_callMany", call_many)?;
    method::heavy(module, "eth_simulateV1", simulate)
}

/// The gas of a call where the node sets no limit, as in geth.
const GAS_UNLIMITED: u64 = u64::MAX / 2;

/// Gas and time of one call.
pub(super) fn limits(context: &Context, deadline: Deadline) -> CallLimits {
    let gas_cap = if context.limits.gas_cap == 0 { GAS_UNLIMITED } else { context.limits.gas_cap };
    CallLimits { gas_cap, deadline: call::Deadline::within(deadline.left(), context.limits.call_timeout) }
}

/// The header that a call at `block` sees, and the state that it runs on.
pub(super) fn place(context: &Context, block: BlockId) -> Result<(Header, StateView), RpcError> {
    if block.is_pending() {
        let PendingBlock { record, view } = context.pending_block()?;
        return Ok((record.header.inner().clone(), view));
    }
    let record = context.node.block(block).ok_or_else(|| context.node.no_block(block))?;
    let view = context.node.state_of(&record.hash())?;
    Ok((record.header.inner().clone(), view))
}

/// Request, block, and what the caller pretends.
type CallArgs = (TransactionRequest, Option<BlockId>, Option<StateOverride>, Option<BlockOverrides>);

/// Runs `method` on the call that the parameters describe.
fn on_call<T>(
    context: &Context,
    args: Args<'_>,
    deadline: Deadline,
    method: impl FnOnce(&Call<'_>, StateView) -> Result<T, CallError>,
) -> Result<T, RpcError> {
    let (request, block, state_overrides, block_overrides) = args.read::<CallArgs>()?;
    let (header, view) = place(context, block.unwrap_or_default())?;
    let call = Call {
        spec: context.node.spec(),
        header: &header,
        request: &request,
        state_overrides: state_overrides.as_ref(),
        block_overrides: block_overrides.as_ref(),
        limits: limits(context, deadline),
    };
    Ok(method(&call, view)?)
}

fn eth_call(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Bytes, RpcError> {
    on_call(context, args, deadline, call::call)
}

fn estimate_gas(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<U64, RpcError> {
    on_call(context, args, deadline, call::estimate_gas).map(U64::from)
}

/// An access list on the wire.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct CreatedAccessList {
    access_list: AccessList,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
    gas_used: U64,
}

fn create_access_list(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<CreatedAccessList, RpcError> {
    let made = on_call(context, args, deadline, call::create_access_list)?;
    Ok(CreatedAccessList { access_list: made.access_list, error: made.error, gas_used: U64::from(made.gas_used) })
}

fn simulate(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Vec<SimulatedBlock<Block>>, RpcError> {
    let (payload, block) = args.read::<(SimulatePayload, Option<BlockId>)>()?;
    let block = block.unwrap_or_default();
    let record = context.node.block(block).ok_or_else(|| context.node.no_block(block))?;
    let view = context.node.state_of(&record.hash())?;
    let base = Base { spec: context.node.spec(), header: &record.header };
    call::simulate(base, view, &payload, limits(context, deadline)).map_err(CallError::into_simulation_error)
}

/// Calls in bundles, each on what the ones before it left. A bundle is one block; the first sees the named block, after all of its
/// transactions or before one of them.
fn call_many(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Vec<Vec<EthCallResponse>>, RpcError> {
    let (bundles, at, overrides) = args.read::<(Vec<Bundle>, Option<StateContext>, Option<StateOverride>)>()?;
    let at = at.unwrap_or_default();
    let id = at.block_number.unwrap_or_default();
    let limits = limits(context, deadline);
    let (mut header, mut state) = match at.transaction_index.and_then(|index| index.index()) {
        None => {
            let (header, view) = place(context, id)?;
            (header, CallState::new(view))
        }
        Some(index) => {
            let record = context.node.block(id).ok_or_else(|| context.node.no_block(id))?;
            let source = TraceSource::new(&context.node, record)?;
            let block = source.block(context.node.spec());
            let index = TxIndex(u32::try_from(index.min(source.transactions_len())).unwrap_or(u32::MAX));
            let state = trace::state_before(&block, source.view.clone(), limits.deadline, index)?;
            (block.block.header.clone(), state)
        }
    };
    let mut overrides = overrides.as_ref();
    let mut answers = Vec::with_capacity(bundles.len());
    for bundle in &bundles {
        let mut bundle_answers = Vec::with_capacity(bundle.transactions.len());
        for request in &bundle.transactions {
            deadline.check()?;
            let call = Call {
                spec: context.node.spec(),
                header: &header,
                request,
                // What the first call pretends stays.
                state_overrides: overrides.take(),
                block_overrides: bundle.block_override.as_ref(),
                limits,
            };
            let (answer, left) = call::call_on(&call, state)?;
            state = left;
            bundle_answers.push(match answer {
                Ok(value) => EthCallResponse { value: Some(value), error: None },
                Err(error) => EthCallResponse { value: None, error: Some(error.to_string()) },
            });
        }
        answers.push(bundle_answers);
        header = header_after(context.node.spec(), &header);
    }
    Ok(answers)
}
