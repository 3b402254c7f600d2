//! The calls that follow a consensus client: new payloads and fork choices.
//!
//! Place in the flow: the top of `engine`; the server locks it for one call at a time.
//! Invariant: the head moves by fork choice alone; a payload that was found invalid stays so, and so does what builds on it.

use super::{
    attributes::{ForkchoiceCall, payload_id},
    invalid::KeepInvalid,
    payload::NewPayload,
    processes::BuildProcesses,
    slow_block::SlowBlocks,
    status::{PayloadStatus, Status},
    version::NewPayloadVersion,
    waiting::Waiting,
};
use crate::{
    error::{Code, RpcError},
    node::{
        ChainError, Delivered, ForkChoice, HeadChange, ImportCosts, ImportError, Imported, InvalidBlock, Node, Ready,
        StoreError,
    },
    pool::Pool,
};
use alloy_primitives::{B256, map::B256Map};
use alloy_rpc_types_engine::PayloadId;
use laminar_executor::Knowledge;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{sync::Arc, time::Duration};

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

/// The answer of `engine_forkchoiceUpdated`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ForkchoiceUpdated {
    /// What the head is: VALID, INVALID or SYNCING.
    pub payload_status: PayloadStatus,
    /// The build process that the attributes belong to.
    pub payload_id: Option<PayloadId>,
}

/// A chain that follows a consensus client.
#[derive(Debug)]
pub struct Engine {
    node: Arc<Node>,
    /// What builds payloads; without it no attributes are taken.
    processes: Option<Arc<BuildProcesses>>,
    /// What follows the head, so that a payload is built from what its parent left.
    pool: Option<Arc<Pool>>,
    /// Payloads whose parent is not known yet.
    waiting: Waiting,
    /// What was answered to blocks that were found invalid.
    invalid: B256Map<PayloadStatus>,
    /// Which imports are told of.
    slow: Option<SlowBlocks>,
    /// What keeps blocks that are found invalid, for whoever looks into it later.
    keeper: Option<Arc<dyn KeepInvalid>>,
}

impl Engine {
    /// Follows on the chain of `node`.
    pub fn new(node: Arc<Node>) -> Self {
        Self {
            node,
            processes: None,
            pool: None,
            waiting: Waiting::default(),
            invalid: B256Map::default(),
            slow: None,
            keeper: None,
        }
    }

    /// The same, and fork choices with attributes start build processes.
    pub fn building(self, processes: Arc<BuildProcesses>) -> Self {
        Self { processes: Some(processes), ..self }
    }

    /// The same, and `pool` follows every fork choice before that is answered.
    pub fn feeding(self, pool: Arc<Pool>) -> Self {
        Self { pool: Some(pool), ..self }
    }

    /// The same, and an import that takes as long as `threshold` or longer is told of in the log; zero tells of every one.
    pub fn telling_slow_blocks(self, threshold: Duration) -> Self {
        Self { slow: Some(SlowBlocks::new(threshold)), ..self }
    }

    /// The same, and blocks that are found invalid when they are imported are handed to `keeper`.
    pub fn keeping_invalid(self, keeper: Arc<dyn KeepInvalid>) -> Self {
        Self { keeper: Some(keeper), ..self }
    }

    /// The node whose head it moves.
    pub const fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// `engine_newPayload`. A delivered access list is what is known of the block, or else what the pool has simulated of it.
    ///
    /// # Errors
    /// Parameters or a fork that the version does not take, or a failure of ours; nothing has changed.
    pub fn new_payload(&mut self, version: NewPayloadVersion, params: &[Value]) -> Result<PayloadStatus, RpcError> {
        let pool = self.pool.clone();
        self.new_payload_with(version, params, |ready| match pool {
            Some(pool) if ready.access_list.is_none() => {
                let hashes = ready.block.body.transactions.iter().map(|tx| *tx.tx_hash());
                pool.simulations(ready.prepared, hashes)
            }
            _ => declared(ready),
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
        let hash = delivered.block.header.hash_slow();
        let status = self.deliver(hash, delivered, foresee)?;
        if status.status == Status::Valid {
            self.deliver_waiting(hash);
        }
        Ok(status)
    }

    /// Imports a payload, or keeps it until its parent is known.
    fn deliver(
        &mut self,
        hash: B256,
        delivered: Delivered,
        foresee: impl FnOnce(&Ready<'_>) -> Knowledge,
    ) -> Result<PayloadStatus, RpcError> {
        let parent = delivered.block.header.parent_hash;
        if let Some(status) = self.invalid.get(&hash) {
            return Ok(status.clone());
        }
        if let Some(status) = self.invalid_ancestor(parent) {
            return Ok(self.remember(hash, status));
        }
        if self.node.block_by_hash(&parent).is_none() && self.node.block_by_hash(&hash).is_none() {
            self.waiting.insert(hash, delivered);
            return Ok(PayloadStatus::syncing());
        }
        let mut costs = self.slow.as_ref().map_or_else(ImportCosts::default, |_| ImportCosts::counting());
        // Kept for the case that it is refused, of which there is none in a good day.
        let block = self.keeper.as_ref().map(|_| delivered.block.clone());
        match self.node.import_measured(delivered, foresee, &mut costs) {
            Ok(imported) => {
                self.tell_if_slow(imported, &costs);
                Ok(PayloadStatus::valid(imported.hash()))
            }
            Err(ImportError::Invalid(invalid)) => {
                if let (Some(keeper), Some(block)) = (&self.keeper, &block) {
                    keeper.keep(&self.node, block, &invalid);
                }
                Ok(self.refuse(hash, *invalid, parent))
            }
            Err(ImportError::UnknownParent { .. }) => Ok(PayloadStatus::syncing()),
            // CONSENSUS: Engine API, a branch off the canonical one need not be validated.
            Err(ImportError::Store { source: StoreError::Pruned { .. }, .. }) => Ok(PayloadStatus::accepted()),
            Err(error) => Err(RpcError::internal(&error)),
        }
    }

    fn tell_if_slow(&self, imported: Imported, costs: &ImportCosts) {
        if let (Some(slow), Imported::New(hash)) = (&self.slow, imported)
            && let Some(line) = self.node.block_by_hash(&hash).and_then(|record| slow.line(&record, costs))
        {
            tracing::warn!(target: "laminar::slow_block", "{line}");
        }
    }

    /// Delivers what waited for `hash`, and what waited for that. Nobody waits for these answers: a failure of ours drops the
    /// payload, and its consensus client delivers it again.
    fn deliver_waiting(&mut self, hash: B256) {
        let mut known = vec![hash];
        while let Some(parent) = known.pop() {
            for (hash, delivered) in self.waiting.take_children(&parent) {
                match self.deliver(hash, delivered, declared) {
                    Ok(_) => known.push(hash),
                    Err(error) => tracing::warn!(target: "laminar::engine", %hash, %error, "waiting payload dropped"),
                }
            }
        }
    }

    /// `engine_forkchoiceUpdated`: moves the head, and starts a build process if there are attributes and the head is valid.
    ///
    /// # Errors
    /// -38002 if the head's hash is zero, or the safe or the finalised block is not an ancestor of the head, -38006 if the state
    /// where the branches part is not kept; the head stays. -38003 or -38005 for attributes that do not fit; the fork choice stays
    /// applied.
    pub fn forkchoice(&mut self, call: &ForkchoiceCall) -> Result<ForkchoiceUpdated, RpcError> {
        let head = call.state.head_block_hash;
        let is_old = self.is_before_finalized(&head);
        let payload_status = self.forkchoice_updated(&call.state)?;
        let mut updated = ForkchoiceUpdated { payload_status, payload_id: None };
        let is_valid = updated.payload_status.status == Status::Valid;
        let (Some(attributes), Some(processes), true, false) = (&call.attributes, &self.processes, is_valid, is_old)
        else {
            return Ok(updated);
        };
        let parent = self.node.block_by_hash(&head).expect("a valid head is known");
        let attributes = call.version.read_attributes(self.node.spec(), &parent.header, attributes)?;
        let id = payload_id(call.version, head, &attributes);
        processes.start(id, parent, attributes)?;
        updated.payload_id = Some(id);
        Ok(updated)
    }

    /// `engine_forkchoiceUpdated` without payload attributes.
    ///
    /// # Errors
    /// -38002 and -38006 as for [`Self::forkchoice`]; the head stays.
    pub fn forkchoice_updated(&mut self, state: &ForkchoiceState) -> Result<PayloadStatus, RpcError> {
        let head = state.head_block_hash;
        if head.is_zero() {
            // As in reth: no block has this hash, so nothing will ever come of waiting for it.
            return Err(RpcError::new(Code::InvalidForkchoiceState, "the hash of the head is zero"));
        }
        // CONSENSUS: Engine API, the verdict on a head that was found invalid is the one on its payload.
        if let Some(status) = self.invalid.get(&head) {
            return Ok(status.clone());
        }
        if self.node.block_by_hash(&head).is_none() {
            return Ok(PayloadStatus::syncing());
        }
        if self.is_before_finalized(&head) {
            return Ok(PayloadStatus::valid(head));
        }
        for (name, hash) in [("finalized", state.finalized_block_hash), ("safe", state.safe_block_hash)] {
            if !hash.is_zero() && !self.node.is_ancestor_or_same(&hash, &head) {
                let message = format!("{name} block {hash} is not an ancestor of the head");
                return Err(RpcError::new(Code::InvalidForkchoiceState, message));
            }
        }
        let named = |hash: B256| (!hash.is_zero()).then_some(hash);
        let (safe, finalized) = (named(state.safe_block_hash), named(state.finalized_block_hash));
        let choice = ForkChoice { head, safe, finalized };
        let change = self.node.choose(choice).map_err(|error| match error {
            ChainError::Store(StoreError::Pruned { .. }) => RpcError::new(Code::TooDeepReorg, error),
            error => RpcError::internal(&error),
        })?;
        self.follow(&change);
        Ok(PayloadStatus::valid(head))
    }

    /// The pool follows a change of the head. Its failure costs it the judgement of some senders, not the fork choice.
    fn follow(&self, change: &HeadChange) {
        let Some(pool) = &self.pool else { return };
        if change.added.is_empty() && change.removed.is_empty() {
            return;
        }
        let followed = self.node.pool_head().map(|head| pool.set_head(head, change.for_pool()));
        match followed {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(target: "laminar::engine", %error, "the pool does not know all accounts"),
            Err(error) => tracing::warn!(target: "laminar::engine", %error, "the pool does not follow the head"),
        }
    }

    /// Whether a head lies below the finalised block on its branch: such a fork choice is out of date and moves nothing.
    fn is_before_finalized(&self, head: &B256) -> bool {
        let Some(finalized) = self.node.finalized().map(|record| record.hash()) else { return false };
        *head != finalized && self.node.is_ancestor_or_same(head, &finalized)
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

/// What a delivered access list says of its block.
fn declared(ready: &Ready<'_>) -> Knowledge {
    match ready.access_list {
        Some(list) => Knowledge::BlockAccessList(list.clone()),
        None => Knowledge::Nothing,
    }
}
