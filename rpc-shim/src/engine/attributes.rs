//! The versions of `engine_forkchoiceUpdated`: which payload attributes each takes, and the id of what is built with them.
//!
//! Place in the flow: after a fork choice was applied, before a build process starts.
//! Invariant: attributes are looked at only when the head is valid, and a refusal of them leaves the fork choice applied.
//!
//! | version | forks of the attributes' timestamp | attributes beside timestamp, randao and fee recipient |
//! | --- | --- | --- |
//! | 1 | Paris | |
//! | 2 | Paris, Shanghai | withdrawals from Shanghai on |
//! | 3 | Cancun up to the last fork before Amsterdam | and parent beacon block root |
//! | 4 | Amsterdam | and slot number, target gas limit |

use crate::error::{Code, RpcError};
use alloy_consensus::Header;
use alloy_primitives::{B64, B128, B256};
use alloy_rpc_types_engine::{PayloadAttributes, PayloadId};
use laminar_executor::chain_spec::{ChainSpec, Fork};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt;

use super::{payload::read, tracker::ForkchoiceState};

/// A version of `engine_forkchoiceUpdated`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ForkchoiceVersion {
    /// Paris.
    V1,
    /// Shanghai; Paris as well.
    V2,
    /// Cancun up to the last fork before Amsterdam.
    V3,
    /// Amsterdam.
    V4,
}

/// The parameters of `engine_forkchoiceUpdated`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForkchoiceCall {
    /// The version that was called.
    pub version: ForkchoiceVersion,
    /// The fork choice.
    pub state: ForkchoiceState,
    /// The attributes, not read yet: whether they are right is asked only for a valid head.
    pub attributes: Option<Value>,
}

impl ForkchoiceCall {
    /// Reads the parameters of a call.
    ///
    /// # Errors
    /// -32602 for a wrong number or shape of parameters, the attributes excepted.
    pub fn from_params(version: ForkchoiceVersion, params: &[Value]) -> Result<Self, RpcError> {
        let len_max = if version >= ForkchoiceVersion::V4 { 3 } else { 2 };
        if params.is_empty() || params.len() > len_max {
            return Err(RpcError::params(format_args!("expected 1 to {len_max} parameters, found {}", params.len())));
        }
        let state = read(params, 0)?.ok_or_else(|| RpcError::params("missing fork choice state"))?;
        // Custody columns tell a node with blob sampling what to fetch; ours gets every blob whole, and checks their form only.
        read::<B128>(params, 2)?;
        Ok(Self { version, state, attributes: params.get(1).filter(|value| !value.is_null()).cloned() })
    }
}

impl ForkchoiceVersion {
    /// Reads payload attributes and checks that the version takes them for a child of `head`.
    ///
    /// # Errors
    /// -38003 for attributes of another structure or a timestamp that does not follow, -38005 for a fork of another version.
    pub fn read_attributes(
        self,
        spec: &ChainSpec,
        head: &Header,
        attributes: &Value,
    ) -> Result<PayloadAttributes, RpcError> {
        let attributes = PayloadAttributes::deserialize(attributes).map_err(refuse)?;
        let rules = spec.rules_at(head.number + 1, attributes.timestamp);
        let has = |fork| rules.is_active(fork);
        let with_withdrawals = match self {
            Self::V1 => false,
            Self::V2 => has(Fork::Shanghai),
            Self::V3 | Self::V4 => true,
        };
        let fields = [
            ("withdrawals", attributes.withdrawals.is_some(), with_withdrawals),
            ("parentBeaconBlockRoot", attributes.parent_beacon_block_root.is_some(), self >= Self::V3),
            ("slotNumber", attributes.slot_number.is_some(), self >= Self::V4),
            ("targetGasLimit", attributes.target_gas_limit.is_some(), self >= Self::V4),
        ];
        for (name, present, required) in fields {
            if present != required {
                return Err(refuse(format_args!("{} {name}", if required { "missing" } else { "unexpected" })));
            }
        }
        let served = match self {
            Self::V1 | Self::V2 => !has(Fork::Cancun),
            Self::V3 => has(Fork::Cancun) && !has(Fork::Amsterdam),
            Self::V4 => has(Fork::Amsterdam),
        };
        if !served {
            return Err(RpcError::unsupported_fork(format_args!("{self:?} does not build for {}", rules.fork())));
        }
        if self == Self::V1 && has(Fork::Shanghai) {
            return Err(refuse("V1 has no withdrawals, which the fork of this timestamp requires"));
        }
        if attributes.timestamp <= head.timestamp {
            let (found, parent) = (attributes.timestamp, head.timestamp);
            return Err(refuse(format_args!("timestamp: expected more than the head's {parent}, found {found}")));
        }
        Ok(attributes)
    }

    /// The first byte of the ids of payloads that are built for this version.
    const fn payload_version(self) -> u8 {
        self as u8 + 1
    }
}

/// The id of a build process, made as geth makes it, so that equal attributes find the process that they started.
///
/// ```text
/// offset  bytes  meaning
///      0      1  version of the call
///      1      7  SHA-256 of what defines the payload, bytes 1 to 7
/// ```
/// The target gas limit is hashed last, where there is one: another target is another payload.
pub fn payload_id(version: ForkchoiceVersion, parent: B256, attributes: &PayloadAttributes) -> PayloadId {
    let mut hasher = Sha256::new();
    hasher.update(parent);
    hasher.update(attributes.timestamp.to_be_bytes());
    hasher.update(attributes.prev_randao);
    hasher.update(attributes.suggested_fee_recipient);
    let mut withdrawals = Vec::new();
    alloy_rlp::encode_list(attributes.withdrawals.as_deref().unwrap_or_default(), &mut withdrawals);
    hasher.update(withdrawals);
    if let Some(root) = attributes.parent_beacon_block_root {
        hasher.update(root);
    }
    for number in [attributes.slot_number, attributes.target_gas_limit].into_iter().flatten() {
        hasher.update(number.to_be_bytes());
    }
    let mut id = B64::from_slice(&hasher.finalize()[..8]);
    id[0] = version.payload_version();
    PayloadId(id)
}

fn refuse(what: impl fmt::Display) -> RpcError {
    RpcError::new(Code::InvalidPayloadAttributes, what)
}
