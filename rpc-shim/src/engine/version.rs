//! The versions of `engine_newPayload`: which parameters each takes and which fork it serves.
//!
//! Place in the flow: checked before a payload is looked at.
//! Invariant: a version either serves the payload's fork with exactly the fields of that fork, or refuses with a code.
//!
//! | version | forks | parameters after the payload | fields of the payload |
//! | --- | --- | --- | --- |
//! | 1 | Paris | | |
//! | 2 | Paris, Shanghai | | withdrawals from Shanghai on |
//! | 3 | Cancun | blob hashes, beacon root | and blob gas |
//! | 4 | Prague, Osaka, BPO | and execution requests | |
//! | 5 | Amsterdam | | and block access list |

use super::payload::NewPayload;
use crate::error::RpcError;
use laminar_executor::chain_spec::{ChainSpec, Fork};

/// A version of `engine_newPayload`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NewPayloadVersion {
    /// Paris.
    V1,
    /// Shanghai; Paris as well.
    V2,
    /// Cancun.
    V3,
    /// Prague up to the last fork before Amsterdam.
    V4,
    /// Amsterdam.
    V5,
}

impl NewPayloadVersion {
    /// The version with a number.
    pub const fn from_number(number: u64) -> Option<Self> {
        Some(match number {
            1 => Self::V1,
            2 => Self::V2,
            3 => Self::V3,
            4 => Self::V4,
            5 => Self::V5,
            _ => return None,
        })
    }

    /// How many parameters the call has.
    pub const fn params_len(self) -> usize {
        match self {
            Self::V1 | Self::V2 => 1,
            Self::V3 => 3,
            Self::V4 | Self::V5 => 4,
        }
    }

    /// Checks that the version serves the payload's fork and that the payload has the fields of the version.
    ///
    /// # Errors
    /// -38005 for a fork of another version, -32602 for missing or foreign fields.
    pub fn check(self, spec: &ChainSpec, call: &NewPayload) -> Result<(), RpcError> {
        let payload = &call.payload;
        let rules = spec.rules_at(payload.block_number, payload.timestamp);
        let has = |fork| rules.is_active(fork);
        let served = match self {
            Self::V1 | Self::V2 => !has(Fork::Cancun),
            Self::V3 => has(Fork::Cancun) && !has(Fork::Prague),
            Self::V4 => has(Fork::Prague) && !has(Fork::Amsterdam),
            Self::V5 => has(Fork::Amsterdam),
        };
        let with_withdrawals = match self {
            Self::V1 => false,
            Self::V2 => has(Fork::Shanghai),
            Self::V3 | Self::V4 | Self::V5 => true,
        };
        let fields = [
            ("withdrawals", payload.withdrawals.is_some(), with_withdrawals),
            ("blobGasUsed", payload.blob_gas_used.is_some(), self >= Self::V3),
            ("excessBlobGas", payload.excess_blob_gas.is_some(), self >= Self::V3),
            ("expectedBlobVersionedHashes", call.versioned_hashes.is_some(), self >= Self::V3),
            ("parentBeaconBlockRoot", call.parent_beacon_block_root.is_some(), self >= Self::V3),
            ("executionRequests", call.execution_requests.is_some(), self >= Self::V4),
            ("blockAccessList", payload.block_access_list.is_some(), self >= Self::V5),
        ];
        for (name, present, required) in fields {
            if present != required {
                let verb = if required { "missing" } else { "unexpected" };
                return Err(RpcError::params(format_args!("{verb} {name}")));
            }
        }
        if self < Self::V5 && payload.slot_number.is_some() {
            return Err(RpcError::params("unexpected slotNumber"));
        }
        if !served {
            return Err(RpcError::unsupported_fork(format_args!("{self:?} does not serve {}", rules.fork())));
        }
        call.check_requests()
    }
}
