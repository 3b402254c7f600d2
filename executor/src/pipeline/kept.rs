//! A block in the form in which a store keeps it.
//!
//! Place in the flow: after execution, before `stage`; whoever opens the store again reads it back.
//! Invariant: [`Extra::decode`] gives what [`block_data`] put in. Header, body and receipts are the RLP that the network uses.

use crate::{
    outcome::Outcome,
    types::{Block, Receipt},
};
use alloy_consensus::{ReceiptWithBloom, TxReceipt};
use alloy_eips::eip7685::Requests;
use alloy_primitives::{Address, B256, Bytes, U256};
use alloy_rlp::{Decodable, RlpDecodable, RlpEncodable};
use laminar_state_db::{BlockData, BlockRef};

/// What is kept of a block beside header, body, receipts and senders: the list `[total difficulty, requests, access list]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, RlpEncodable, RlpDecodable)]
pub struct Extra {
    /// Sum of the difficulties up to and including the block.
    pub total_difficulty: U256,
    /// Requests (EIP-7685), each with its type; empty before Prague.
    pub requests: Vec<Bytes>,
    /// RLP of the block access list (EIP-7928) that execution built; empty if it built none.
    pub block_access_list: Bytes,
}

/// A store's block does not carry what [`block_data`] writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed extra data of a kept block")]
pub struct ExtraError(#[from] alloy_rlp::Error);

impl Extra {
    /// Reads what [`block_data`] wrote to [`BlockData::extra`].
    ///
    /// # Errors
    /// The bytes are something else.
    pub fn decode(mut bytes: &[u8]) -> Result<Self, ExtraError> {
        let extra = <Self as Decodable>::decode(&mut bytes)?;
        if bytes.is_empty() { Ok(extra) } else { Err(alloy_rlp::Error::UnexpectedLength.into()) }
    }
}

/// A genesis block as a store starts with it.
pub fn genesis_data(header: &alloy_consensus::Header, hash: B256) -> BlockData {
    let extra = Extra { total_difficulty: header.difficulty, ..Extra::default() };
    BlockData {
        id: BlockRef { number: header.number, hash },
        parent: header.parent_hash,
        header: alloy_rlp::encode(header).into(),
        body: alloy_rlp::encode(alloy_consensus::BlockBody::<crate::types::Transaction>::default()).into(),
        receipts: alloy_rlp::encode(Vec::<ReceiptWithBloom<Receipt>>::new()).into(),
        extra: alloy_rlp::encode(extra).into(),
        ..BlockData::default()
    }
}

/// An executed block as a store keeps it. The changes go with it apart.
pub fn block_data(
    block: &Block,
    hash: B256,
    senders: Vec<Address>,
    total_difficulty: U256,
    outcome: &Outcome,
) -> BlockData {
    let receipts: Vec<_> = outcome.receipts.iter().map(|receipt| receipt.with_bloom_ref()).collect();
    let requests: &Requests = &outcome.requests;
    let extra = Extra {
        total_difficulty,
        requests: requests.iter().cloned().collect(),
        block_access_list: outcome.block_access_list.as_ref().map(alloy_rlp::encode).unwrap_or_default().into(),
    };
    BlockData {
        id: BlockRef { number: block.header.number, hash },
        parent: block.header.parent_hash,
        header: alloy_rlp::encode(&block.header).into(),
        body: alloy_rlp::encode(&block.body).into(),
        receipts: alloy_rlp::encode(receipts).into(),
        transactions: block.body.transactions.iter().map(|tx| *tx.tx_hash()).collect(),
        senders,
        extra: alloy_rlp::encode(extra).into(),
    }
}
