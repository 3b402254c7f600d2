//! The answers of `engine_getPayload`.
//!
//! Place in the flow: from a built block to what goes on the wire.
//! Invariant: a version answers for its own forks only, with exactly its fields.
//! Source: execution-apis `src/engine/{paris,shanghai,cancun,prague,osaka,amsterdam}.md`.
//!
//! | version | forks | fields beside the payload |
//! | --- | --- | --- |
//! | 1 | Paris | (the payload alone) |
//! | 2 | Paris, Shanghai | block value |
//! | 3 | Cancun | and blobs with blob proofs, override flag |
//! | 4 | Prague | and execution requests |
//! | 5 | Osaka up to the last fork before Amsterdam | with cell proofs instead of blob proofs |
//! | 6 | Amsterdam | |

use super::execution_payload::ExecutionPayload;
use crate::{build::Built, error::RpcError};
use alloy_eips::{eip4844::Blob, eip7594::BlobTransactionSidecarVariant};
use alloy_primitives::{Bytes, FixedBytes, U256};
use laminar_executor::{
    Block,
    chain_spec::{ChainSpec, Fork, Rules},
};
use serde::Serialize;
use std::sync::Arc;

/// A version of `engine_getPayload`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "the table above says what each is")]
pub enum GetPayloadVersion {
    V1,
    V2,
    V3,
    V4,
    V5,
    V6,
}

/// A block that was built, with what is known of it besides.
#[derive(Clone, Debug)]
pub struct BuiltPayload {
    /// The block; its header is complete.
    pub block: Block,
    /// The rules of the block.
    pub rules: Rules,
    /// What the fee recipient earns with it, in wei.
    pub value: U256,
    /// Requests (EIP-7685) in order of type, each `type byte || data`; empty ones are left out.
    pub requests: Vec<Bytes>,
    /// The block access list in RLP (EIP-7928), from Amsterdam on.
    pub block_access_list: Option<Bytes>,
    /// The blobs of its blob transactions in block order.
    pub sidecars: Vec<Arc<BlobTransactionSidecarVariant>>,
}

/// What a consensus client gets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum Answer {
    /// Version 1.
    Payload(Box<ExecutionPayload>),
    /// All later ones.
    Envelope(Box<Envelope>),
}

/// The structure of the versions from 2 on; fields that a version does not have are absent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of the specification")]
pub struct Envelope {
    pub execution_payload: ExecutionPayload,
    pub block_value: U256,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blobs_bundle: Option<BlobsBundle>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub should_override_builder: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub execution_requests: Option<Vec<Bytes>>,
}

/// `BlobsBundleV1` with one proof a blob, `BlobsBundleV2` with one proof a cell.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the fields are those of the specification")]
pub struct BlobsBundle {
    pub commitments: Vec<FixedBytes<48>>,
    pub proofs: Vec<FixedBytes<48>>,
    pub blobs: Vec<Blob>,
}

impl BlobsBundle {
    fn of(sidecars: &[Arc<BlobTransactionSidecarVariant>]) -> Self {
        let mut bundle = Self::default();
        for sidecar in sidecars {
            bundle.commitments.extend_from_slice(sidecar.commitments());
            bundle.blobs.extend_from_slice(sidecar.blobs());
            bundle.proofs.extend_from_slice(match &**sidecar {
                BlobTransactionSidecarVariant::Eip4844(sidecar) => &sidecar.proofs,
                BlobTransactionSidecarVariant::Eip7594(sidecar) => &sidecar.cell_proofs,
            });
        }
        bundle
    }
}

impl BuiltPayload {
    /// A built block under the rules that the schedule gives it.
    pub fn new(spec: &ChainSpec, built: Built) -> Self {
        let rules = spec.rules_for(&built.block.header);
        let list = built.block_access_list.filter(|_| rules.has_block_access_list());
        Self {
            rules,
            value: built.value_wei,
            requests: built.requests.iter().filter(|request| request.len() > 1).cloned().collect(),
            block_access_list: list.map(|list| alloy_rlp::encode(list).into()),
            sidecars: built.sidecars,
            block: built.block,
        }
    }
}

impl GetPayloadVersion {
    /// The version that answers for blocks under these rules.
    pub fn of(rules: &Rules) -> Self {
        let all = [Self::V1, Self::V2, Self::V3, Self::V4, Self::V5];
        all.into_iter().find(|version| version.serves(rules)).unwrap_or(Self::V6)
    }

    /// Whether the version answers for blocks under these rules.
    fn serves(self, rules: &Rules) -> bool {
        let has = |fork| rules.is_active(fork);
        match self {
            Self::V1 => !has(Fork::Shanghai),
            Self::V2 => !has(Fork::Cancun),
            Self::V3 => has(Fork::Cancun) && !has(Fork::Prague),
            Self::V4 => has(Fork::Prague) && !has(Fork::Osaka),
            Self::V5 => has(Fork::Osaka) && !has(Fork::Amsterdam),
            Self::V6 => has(Fork::Amsterdam),
        }
    }

    /// The answer for a built payload.
    ///
    /// # Errors
    /// -38005 if the payload's fork belongs to another version.
    pub fn answer(self, built: &BuiltPayload) -> Result<Answer, RpcError> {
        if !self.serves(&built.rules) {
            let what = format_args!("{self:?} does not give payloads of {}", built.rules.fork());
            return Err(RpcError::unsupported_fork(what));
        }
        let hash = built.block.header.hash_slow();
        let list = built.block_access_list.clone();
        let execution_payload = ExecutionPayload::from_block(hash, &built.block, list);
        if self == Self::V1 {
            return Ok(Answer::Payload(Box::new(execution_payload)));
        }
        Ok(Answer::Envelope(Box::new(Envelope {
            execution_payload,
            block_value: built.value,
            blobs_bundle: (self >= Self::V3).then(|| BlobsBundle::of(&built.sidecars)),
            should_override_builder: (self >= Self::V3).then_some(false),
            execution_requests: (self >= Self::V4).then(|| built.requests.clone()),
        })))
    }
}
