//! Bodies of known payloads, by hash and by range.
//!
//! Place in the flow: reads of the node's blocks; beside the calls that follow a consensus client, never behind them.
//! Invariant: one entry per block asked for, `null` where it is not known; a range ends at the head.
//! Source: execution-apis `src/engine/{shanghai,amsterdam}.md`.

use crate::{
    error::{Code, RpcError},
    node::{BlockRecord, Node},
};
use alloy_eips::{eip2718::Encodable2718, eip4895::Withdrawal};
use alloy_primitives::{B256, Bytes};
use serde::Serialize;

/// Bodies that one call may ask for. The specification wants at least 32; this is geth's and reth's bound.
const BODIES_MAX: u64 = 1024;

/// `ExecutionPayloadBodyV1`, and what V2 adds to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Body {
    /// EIP-2718 encodings in block order.
    pub transactions: Vec<Bytes>,
    /// `null` before Shanghai.
    pub withdrawals: Option<Vec<Withdrawal>>,
    /// Absent in V1; in V2 the list in RLP (EIP-7928), `null` before Amsterdam.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_access_list: Option<Option<Bytes>>,
}

/// Which structure a method answers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyVersion {
    /// Transactions and withdrawals.
    V1,
    /// And the block access list.
    V2,
}

impl Body {
    fn of(record: &BlockRecord, version: BodyVersion) -> Self {
        let list = record.header.block_access_list_hash.and(record.block_access_list.as_ref());
        let list = list.map(|list| Bytes::from(alloy_rlp::encode(list)));
        Self {
            transactions: record.body.transactions.iter().map(|tx| tx.encoded_2718().into()).collect(),
            withdrawals: record.body.withdrawals.as_ref().map(|list| list.to_vec()),
            block_access_list: (version == BodyVersion::V2).then_some(list),
        }
    }
}

/// `engine_getPayloadBodiesByHash`.
///
/// # Errors
/// -38004 for too many hashes.
pub fn bodies_by_hash(node: &Node, version: BodyVersion, hashes: &[B256]) -> Result<Vec<Option<Body>>, RpcError> {
    check_len(hashes.len() as u64)?;
    Ok(hashes.iter().map(|hash| node.block_by_hash(hash).map(|record| Body::of(&record, version))).collect())
}

/// `engine_getPayloadBodiesByRange`: canonical blocks from number `start` on.
///
/// # Errors
/// -32602 if either number is zero, -38004 for too many blocks.
pub fn bodies_by_range(
    node: &Node,
    version: BodyVersion,
    start: u64,
    count: u64,
) -> Result<Vec<Option<Body>>, RpcError> {
    if start == 0 || count == 0 {
        return Err(RpcError::params("start and count are at least 1"));
    }
    check_len(count)?;
    let end = start.saturating_add(count - 1).min(node.head().header.number);
    let body = |number| node.block_by_number(number).map(|record| Body::of(&record, version));
    Ok((start..=end).map(body).collect())
}

fn check_len(len: u64) -> Result<(), RpcError> {
    if len > BODIES_MAX {
        return Err(RpcError::new(Code::TooLargeRequest, format!("expected at most {BODIES_MAX} blocks, found {len}")));
    }
    Ok(())
}
