//! An execution payload: a block under the names of the Engine API.
//!
//! Place in the flow: what `engine_newPayload` takes and `engine_getPayload` gives.
//! Invariant: one structure for all versions; a field that a version does not know is absent, in both directions. What is
//! written out is read back as the same payload.
//! It does not: check anything (`version` does) or make a block (`payload` does).

use alloy_eips::{eip2718::Encodable2718, eip4895::Withdrawal};
use alloy_primitives::{Address, B256, Bloom, Bytes, U256};
use alloy_serde::quantity;
use laminar_executor::Block;
use serde::{Deserialize, Serialize};

/// `ExecutionPayloadV1` to `V4`; the optional fields are those that later versions add.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(missing_docs, reason = "the fields are those of the header under the names of the Engine API")]
pub struct ExecutionPayload {
    pub parent_hash: B256,
    pub fee_recipient: Address,
    pub state_root: B256,
    pub receipts_root: B256,
    pub logs_bloom: Bloom,
    pub prev_randao: B256,
    #[serde(with = "quantity")]
    pub block_number: u64,
    #[serde(with = "quantity")]
    pub gas_limit: u64,
    #[serde(with = "quantity")]
    pub gas_used: u64,
    #[serde(with = "quantity")]
    pub timestamp: u64,
    pub extra_data: Bytes,
    pub base_fee_per_gas: U256,
    pub block_hash: B256,
    pub transactions: Vec<Bytes>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub withdrawals: Option<Vec<Withdrawal>>,
    #[serde(default, with = "quantity::opt", skip_serializing_if = "Option::is_none")]
    pub blob_gas_used: Option<u64>,
    #[serde(default, with = "quantity::opt", skip_serializing_if = "Option::is_none")]
    pub excess_blob_gas: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub block_access_list: Option<Bytes>,
    #[serde(default, with = "quantity::opt", skip_serializing_if = "Option::is_none")]
    pub slot_number: Option<u64>,
}

impl ExecutionPayload {
    /// The payload of a block whose header hashes to `block_hash`; `block_access_list` is its list in RLP, from Amsterdam on.
    pub fn from_block(block_hash: B256, block: &Block, block_access_list: Option<Bytes>) -> Self {
        let header = &block.header;
        Self {
            parent_hash: header.parent_hash,
            fee_recipient: header.beneficiary,
            state_root: header.state_root,
            receipts_root: header.receipts_root,
            logs_bloom: header.logs_bloom,
            prev_randao: header.mix_hash,
            block_number: header.number,
            gas_limit: header.gas_limit,
            gas_used: header.gas_used,
            timestamp: header.timestamp,
            extra_data: header.extra_data.clone(),
            base_fee_per_gas: U256::from(header.base_fee_per_gas.unwrap_or_default()),
            block_hash,
            transactions: block.body.transactions.iter().map(|tx| tx.encoded_2718().into()).collect(),
            withdrawals: block.body.withdrawals.as_ref().map(|list| list.to_vec()),
            blob_gas_used: header.blob_gas_used,
            excess_blob_gas: header.excess_blob_gas,
            block_access_list,
            slot_number: header.slot_number,
        }
    }
}
