//! The calls that follow a consensus client: new payloads and fork choices.
//!
//! Place in the flow: the top of `engine`; the server locks it for one call at a time.
//! Invariant: the head moves by fork choice alone; a payload that was found invalid stays so, and so does what builds on it.

use super::{
    payload::NewPayload,
    status::{PayloadStatus, Status},
    version::NewPayloadVersion,
};
use crate::{
    error::{Code, RpcError},
    node::{ForkChoice, ImportError, InvalidBlock, Node, Ready},
};
use alloy_primitives::{B256, map::B256Map};
use laminar_executor::Knowledge;
use serde::Deserialize;
use serde_json::Value;
use std::sync::Arc;

/// Invalid blocks that are remembered; above it all are forgotten, which costs a second execution at most.
const INVALID_MAX: usize = 4096;

/// `ForkchoiceStateV1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ForkchoiceState {
    /// The new head.
    pub head_block_hash: B256,
    /// A block that is unlikely to be undone; zero for none.
    pub safe_block_hash: B256,
    /// A block that cannot be undone; zero for none.
    pub finalized_block_hash: B256,
}

/// A chain that follows a consensus client.
#[derive(Debug)]
pub struct Engine {
    node: Arc<Node>,
    /// What was answered to blocks that were found invalid.
    invalid: B256Map<PayloadStatus>,
}

impl Engine {
    /// Follows on the chain of `node`.
    pub fn new(node: Arc<Node>) -> Self {
        Self { node, invalid: B256Map::default() }
    }

    /// The node whose head it moves.
    pub const fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// `engine_newPayload`. A delivered access list is what is known of the block.
    ///
    /// # Errors
    /// Parameters or a fork that the version does not take, or a failure of ours; nothing has changed.
    pub fn new_payload(&mut self, version: NewPayloadVersion, params: &[Value]) -> Result<PayloadStatus, RpcError> {
        self.new_payload_with(version, params, |ready| match ready.access_list {
            Some(list) => Knowledge::BlockAccessList(list.clone()),
            None => Knowledge::Nothing,
        })
    }

    /// `engine_newPayload`; `foresee` says what is known of the block, which changes speed only.
    ///
    /// # Errors
    /// As for [`Self::new_payload`].
    pub fn new_payload_with(
        &mut self,
        version: NewPayloadVersion,
        params: &[Value],
        foresee: impl FnOnce(&Ready<'_>) -> Knowledge,
    ) -> Result<PayloadStatus, RpcError> {
        let call = NewPayload::from_params(version, params)?;
        version.check(self.node.spec(), &call)?;
        let delivered = match call.into_delivered() {
            Ok(delivered) => delivered,
            Err(fault) => return Ok(PayloadStatus { status: Status::Malformed(fault), latest_valid_hash: None }),
        };
        let header = &delivered.block.header;
        let (hash, parent) = (header.hash_slow(), header.parent_hash);
        if let Some(status) = self.invalid.get(&hash) {
            return Ok(status.clone());
        }
        if let Some(status) = self.invalid_ancestor(parent) {
            return Ok(self.remember(hash, status));
        }
        match self.node.import_with(delivered, foresee) {
            Ok(imported) => Ok(PayloadStatus::valid(imported.hash())),
            Err(ImportError::Invalid(invalid)) => Ok(self.refuse(hash, *invalid, parent)),
            Err(ImportError::UnknownParent { .. }) => Ok(PayloadStatus::syncing()),
            Err(error) => Err(RpcError::internal(&error)),
        }
    }

    /// `engine_forkchoiceUpdated` without payload attributes.
    ///
    /// # Errors
    /// -38002 if the safe or the finalised block is not an ancestor of the head; the head stays.
    pub fn forkchoice_updated(&mut self, state: &ForkchoiceState) -> Result<PayloadStatus, RpcError> {
        let head = state.head_block_hash;
        if let Some(status) = self.invalid_ancestor(head) {
            return Ok(status);
        }
        if self.node.block_by_hash(&head).is_none() {
            return Ok(PayloadStatus::syncing());
        }
        for (name, hash) in [("finalized", state.finalized_block_hash), ("safe", state.safe_block_hash)] {
            if !hash.is_zero() && !self.node.is_ancestor_or_same(&hash, &head) {
                let message = format!("{name} block {hash} is not an ancestor of the head");
                return Err(RpcError::new(Code::InvalidForkchoiceState, message));
            }
        }
        let named = |hash: B256| (!hash.is_zero()).then_some(hash);
        let (safe, finalized) = (named(state.safe_block_hash), named(state.finalized_block_hash));
        self.node.choose(ForkChoice { head, safe, finalized }).map_err(|error| RpcError::internal(&error))?;
        Ok(PayloadStatus::valid(head))
    }

    /// The answer to whatever builds on a block that was found invalid.
    fn invalid_ancestor(&self, ancestor: B256) -> Option<PayloadStatus> {
        let latest_valid_hash = self.invalid.get(&ancestor)?.latest_valid_hash;
        Some(PayloadStatus { status: Status::InvalidAncestor { ancestor }, latest_valid_hash })
    }

    fn refuse(&mut self, hash: B256, invalid: InvalidBlock, parent: B256) -> PayloadStatus {
        let rules = self.node.block_by_hash(&parent).map(|parent| self.node.spec().rules_for(&parent.header));
        // CONSENSUS: Engine API, a proof-of-work parent is named as the zero hash.
        let is_stake = rules.is_some_and(|rules| rules.is_post_merge());
        let latest_valid_hash = Some(if is_stake { parent } else { B256::ZERO });
        self.remember(hash, PayloadStatus { status: Status::Invalid(invalid), latest_valid_hash })
    }

    fn remember(&mut self, hash: B256, status: PayloadStatus) -> PayloadStatus {
        if self.invalid.len() >= INVALID_MAX {
            self.invalid.clear();
        }
        self.invalid.insert(hash, status.clone());
        status
    }
}
