//! `testing_buildBlockV1`: a block of exactly these transactions, for test generators.
//!
//! Place in the flow: one namespace; builds on any known block and keeps nothing.
//! Invariant: the answer is the `engine_getPayload` envelope of the block's fork; a transaction that cannot stand where it is given
//! makes the call an error.

use super::{Args, Context, Deadline, method};
use crate::{
    build::{self, Attributes, GasLimit},
    engine::{Answer, BuiltPayload, GetPayloadVersion},
    error::RpcError,
    pool::{Origin, Pooled},
};
use alloy_primitives::{B256, Bytes};
use alloy_rpc_types_engine::PayloadAttributes;
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use std::sync::Arc;

/// The gas limit that blocks move to where nobody says.
const GAS_LIMIT: u64 = 60_000_000;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::heavy(module, "testing_buildBlockV1", build_block)
}

fn build_block(context: &Context, args: Args<'_>, _: Deadline) -> Result<Answer, RpcError> {
    let (parent, given, transactions, extra_data) =
        args.read::<(B256, PayloadAttributes, Option<Vec<Bytes>>, Option<Bytes>)>()?;
    let node = &context.node;
    let parent = node.block_by_hash(&parent).ok_or_else(|| RpcError::server("unknown parent"))?;
    let attributes = Attributes {
        timestamp: given.timestamp,
        same_second: false,
        beneficiary: given.suggested_fee_recipient,
        prev_randao: given.prev_randao,
        withdrawals: given.withdrawals.unwrap_or_default(),
        parent_beacon_block_root: given.parent_beacon_block_root.unwrap_or_default(),
        gas_limit: GasLimit::Towards(given.target_gas_limit.unwrap_or(GAS_LIMIT)),
        extra_data: extra_data.unwrap_or_default(),
        base_fee: None,
        slot_number: given.slot_number,
    };
    let rules = node.spec().rules_at(parent.header.number + 1, given.timestamp);
    let is_given = transactions.is_some();
    let candidates = match transactions {
        Some(raw) => {
            let decode = |raw: &Bytes| Ok(Arc::new(Pooled::decode(raw, &rules, Origin::Local)?));
            raw.iter().map(decode).collect::<Result<_, RpcError>>()?
        }
        None => build::candidates(&context.pool, parent.header.gas_limit),
    };
    let built = node.build(&parent, &attributes, candidates).map_err(RpcError::server)?;
    if let Some((tx, rule)) = built.left_out.first().filter(|_| is_given) {
        return Err(RpcError::server(format_args!("transaction {} cannot be in the block: {rule}", tx.hash())));
    }
    let built = BuiltPayload::new(node.spec(), built);
    GetPayloadVersion::of(&built.rules).answer(&built)
}
