//! An execution payload and the block that it stands for.
//!
//! Place in the flow: first half of `engine_newPayload`; `version` checks the fields, this makes the block, the chain imports it.
//! Invariant: the block that comes out hashes to the payload's `blockHash`; what the payload leaves out of a header is what the
//! merge fixes (no ommers, difficulty and nonce zero) or what the other parameters give.

use super::{execution_payload::ExecutionPayload, version::NewPayloadVersion};
use crate::{error::RpcError, node::Delivered};
use alloy_consensus::{
    BlockBody, EMPTY_OMMER_ROOT_HASH, Header, Transaction as _,
    proofs::{calculate_transaction_root, calculate_withdrawals_root},
};
use alloy_eip7928::BlockAccessList;
use alloy_eips::{eip4895::Withdrawals, eip7685::Requests};
use alloy_primitives::{B256, Bytes, U256, keccak256};
use alloy_rlp::Decodable;
use laminar_executor::{
    Block, Transaction, TxIndex,
    recover::decode_transaction,
    rule::{Field, Mismatch, Rule},
};
use serde::{Deserialize as _, de::DeserializeOwned};
use serde_json::Value;

/// The parameters of `engine_newPayload`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPayload {
    /// The payload.
    pub payload: ExecutionPayload,
    /// Hashes of all blobs of the block in block order (EIP-4844).
    pub versioned_hashes: Option<Vec<B256>>,
    /// Root of the parent beacon block (EIP-4788).
    pub parent_beacon_block_root: Option<B256>,
    /// Requests (EIP-7685), each `type byte || data`.
    pub execution_requests: Option<Vec<Bytes>>,
}

/// Why a payload is no block.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PayloadFault {
    /// A part does not decode, or the block does not hash to the payload's hash.
    #[error("invalid payload{}: {rule}", index.map(|index| format!(" at tx {index}")).unwrap_or_default())]
    Rule {
        /// The transaction, where one is at fault.
        index: Option<TxIndex>,
        /// What is wrong.
        rule: Rule,
    },
    /// The blob hashes that the caller expects are not those of the transactions (EIP-4844).
    #[error("wrong blob versioned hashes: expected {expected:?}, found {found:?}")]
    VersionedHashes {
        /// The caller's.
        expected: Vec<B256>,
        /// Those of the transactions.
        found: Vec<B256>,
    },
}

impl PayloadFault {
    fn block(rule: impl Into<Rule>) -> Self {
        Self::Rule { index: None, rule: rule.into() }
    }

    /// Whether a fixture that expects `expected` (official names separated by `|`) accepts this fault.
    pub fn matches(&self, expected: &str) -> bool {
        match self {
            Self::Rule { rule, .. } => rule.matches(expected),
            Self::VersionedHashes { .. } => expected.contains("BlockException.INVALID_VERSIONED_HASHES"),
        }
    }
}

impl NewPayload {
    /// Reads the parameters of a call and checks them against its version.
    ///
    /// # Errors
    /// -32602 for a wrong number or shape of parameters.
    pub fn from_params(version: NewPayloadVersion, params: &[Value]) -> Result<Self, RpcError> {
        if params.len() != version.params_len() {
            let expected = version.params_len();
            return Err(RpcError::params(format_args!("expected {expected} parameters, found {}", params.len())));
        }
        let payload = read(params, 0)?.ok_or_else(|| RpcError::params("missing execution payload"))?;
        Ok(Self {
            payload,
            versioned_hashes: read(params, 1)?,
            parent_beacon_block_root: read(params, 2)?,
            execution_requests: read(params, 3)?,
        })
    }

    /// CONSENSUS: EIP-7685, requests are in strictly ascending order of type and none is empty.
    pub(super) fn check_requests(&self) -> Result<(), RpcError> {
        let mut previous = None;
        for (position, request) in self.execution_requests.iter().flatten().enumerate() {
            let [kind, _, ..] = request.as_ref() else {
                return Err(RpcError::params(format_args!("execution request {position} has no data")));
            };
            if previous.is_some_and(|previous| previous >= *kind) {
                return Err(RpcError::params(format_args!("execution request {position} is out of order")));
            }
            previous = Some(*kind);
        }
        Ok(())
    }

    /// The block with its access list.
    ///
    /// # Errors
    /// The payload is INVALID, with no valid ancestor to name.
    pub fn into_delivered(self) -> Result<Delivered, PayloadFault> {
        let Self { payload, versioned_hashes, parent_beacon_block_root, execution_requests } = self;
        let transactions = decode_transactions(&payload.transactions)?;
        if let Some(expected) = versioned_hashes {
            let found: Vec<B256> =
                transactions.iter().filter_map(|tx| tx.blob_versioned_hashes()).flatten().copied().collect();
            if expected != found {
                return Err(PayloadFault::VersionedHashes { expected, found });
            }
        }
        let withdrawals = payload.withdrawals.map(Withdrawals::new);
        let header = Header {
            parent_hash: payload.parent_hash,
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: payload.fee_recipient,
            state_root: payload.state_root,
            transactions_root: calculate_transaction_root(&transactions),
            receipts_root: payload.receipts_root,
            logs_bloom: payload.logs_bloom,
            number: payload.block_number,
            gas_limit: payload.gas_limit,
            gas_used: payload.gas_used,
            timestamp: payload.timestamp,
            extra_data: payload.extra_data,
            mix_hash: payload.prev_randao,
            base_fee_per_gas: Some(base_fee(payload.base_fee_per_gas)?),
            withdrawals_root: withdrawals.as_ref().map(|list| calculate_withdrawals_root(list)),
            blob_gas_used: payload.blob_gas_used,
            excess_blob_gas: payload.excess_blob_gas,
            parent_beacon_block_root,
            requests_hash: execution_requests.map(|requests| Requests::new(requests).requests_hash()),
            block_access_list_hash: payload.block_access_list.as_ref().map(keccak256),
            slot_number: payload.slot_number,
            ..Header::default()
        };
        Mismatch::check(Field::BlockHash, header.hash_slow(), payload.block_hash).map_err(PayloadFault::block)?;
        let access_list = payload.block_access_list.map(|bytes| decode_list(&bytes)).transpose()?;
        Ok(Delivered {
            block: Block::new(header, BlockBody { transactions, ommers: Vec::new(), withdrawals }),
            access_list,
        })
    }
}

fn decode_transactions(raw: &[Bytes]) -> Result<Vec<Transaction>, PayloadFault> {
    let decode = |(position, bytes): (usize, &Bytes)| {
        decode_transaction(bytes)
            .map_err(|rule| PayloadFault::Rule { index: Some(TxIndex::from_usize(position)), rule })
    };
    raw.iter().enumerate().map(decode).collect()
}

fn decode_list(bytes: &[u8]) -> Result<BlockAccessList, PayloadFault> {
    let mut rest = bytes;
    let list = BlockAccessList::decode(&mut rest);
    list.ok().filter(|_| rest.is_empty()).ok_or_else(|| {
        PayloadFault::block(Rule::BlockAccessList { what: "its bytes are not a list of account changes".to_owned() })
    })
}

fn base_fee(wei: U256) -> Result<u64, PayloadFault> {
    u64::try_from(wei).map_err(|_| {
        PayloadFault::block(Rule::Encoding { what: format!("base fee of {wei} wei does not fit 64 bits") })
    })
}

/// A parameter; `null` and a parameter beyond the end are nothing.
pub(super) fn read<T: DeserializeOwned>(params: &[Value], at: usize) -> Result<Option<T>, RpcError> {
    let Some(value) = params.get(at) else { return Ok(None) };
    Option::deserialize(value).map_err(|error| RpcError::params(format_args!("parameter {at}: {error}")))
}
