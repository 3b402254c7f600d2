//! The block builder behind build processes: the best of the pool on a parent, executed in parallel and sealed.
//!
//! Place in the flow: what a build process runs; below it [`crate::build`], which leaves out what is not valid where its turn comes.
//! Invariant: a built block passes import: its header promises what its execution gave. Nothing of it is kept here.
//! It does not: order transactions (the pool does) or judge what a payload is worth to others.

use super::{
    envelope::BuiltPayload,
    processes::{BuildPayload, Contents},
};
use crate::{
    build::{self, Attributes, GasLimit},
    error::RpcError,
    node::{BlockRecord, Node},
    pool::Pool,
};
use alloy_primitives::Bytes;
use alloy_rpc_types_engine::PayloadAttributes;
use std::sync::Arc;
use tokio::sync::broadcast::error::TryRecvError;

/// The gas limit that geth and reth move to.
const GAS_LIMIT: u64 = 60_000_000;

/// Builds payloads from a pool.
#[derive(Debug)]
pub struct PoolBuilder {
    node: Arc<Node>,
    pool: Arc<Pool>,
    settings: BuilderSettings,
}

/// What an operator decides about own blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuilderSettings {
    /// The gas limit to move to where the attributes name none.
    pub gas_limit: u64,
    /// At most 32 bytes.
    pub extra_data: Bytes,
}

impl Default for BuilderSettings {
    fn default() -> Self {
        Self { gas_limit: GAS_LIMIT, extra_data: Bytes::from_static(b"laminar") }
    }
}

impl PoolBuilder {
    /// Builds on the blocks of `node` from the transactions of `pool`.
    pub const fn new(node: Arc<Node>, pool: Arc<Pool>, settings: BuilderSettings) -> Self {
        Self { node, pool, settings }
    }

    /// What is fixed before the first transaction.
    fn attributes(&self, given: &PayloadAttributes) -> Attributes {
        Attributes {
            timestamp: given.timestamp,
            same_second: false,
            beneficiary: given.suggested_fee_recipient,
            prev_randao: given.prev_randao,
            withdrawals: given.withdrawals.clone().unwrap_or_default(),
            parent_beacon_block_root: given.parent_beacon_block_root.unwrap_or_default(),
            gas_limit: GasLimit::Towards(given.target_gas_limit.unwrap_or(self.settings.gas_limit)),
            extra_data: self.settings.extra_data.clone(),
            base_fee: None,
            slot_number: given.slot_number,
        }
    }
}

impl BuildPayload for PoolBuilder {
    fn build(
        &self,
        parent: &BlockRecord,
        attributes: &PayloadAttributes,
        contents: Contents,
    ) -> Result<BuiltPayload, RpcError> {
        let attributes = self.attributes(attributes);
        let candidates = match contents {
            Contents::Empty => Vec::new(),
            Contents::Pool => build::candidates(&self.pool, parent.header.gas_limit),
        };
        let built = self.node.build(parent, &attributes, candidates).map_err(|error| RpcError::internal(&error))?;
        Ok(BuiltPayload::new(self.node.spec(), built))
    }

    fn watch(&self) -> Box<dyn FnMut() -> bool + Send> {
        let mut events = self.pool.subscribe();
        Box::new(move || {
            let mut has_news = false;
            loop {
                match events.try_recv() {
                    Ok(_) | Err(TryRecvError::Lagged(_)) => has_news = true,
                    Err(TryRecvError::Empty | TryRecvError::Closed) => return has_news,
                }
            }
        })
    }
}
