//! A block in the form in which a store keeps it.
//!
//! Place in the flow: after execution, before `stage`; whoever opens the store again reads it back.
//! Invariant: [`KeptBlock::decode`] gives what [`block_data`] put in. Header, body and receipts are the RLP that the network uses.

use super::steps::Encoded;
use crate::{
    check_header::{Envelopes, encode_receipts},
    types::{Receipt, Transaction},
};
use alloy_consensus::{BlockBody, Header, ReceiptWithBloom};
use alloy_eip7928::BlockAccessList;
use alloy_eips::{eip4895::Withdrawals, eip7685::Requests};
use alloy_primitives::{Address, B256, Bytes, Sealable, Sealed, U256};
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

/// An executed block with what is kept of it, borrowed.
#[derive(Clone, Copy, Debug)]
pub struct BlockParts<'a> {
    /// Hash of the header.
    pub hash: B256,
    /// The header.
    pub header: &'a Header,
    /// The body.
    pub body: &'a BlockBody<Transaction>,
    /// Transactions and receipts in block order.
    pub encoded: &'a Encoded,
    /// Senders in block order.
    pub senders: &'a [Address],
    /// Requests (EIP-7685); empty before Prague.
    pub requests: &'a Requests,
    /// The access list (EIP-7928) that execution built.
    pub block_access_list: Option<&'a BlockAccessList>,
    /// Sum of the difficulties up to and including the block.
    pub total_difficulty: U256,
}

/// An executed block with what is kept of it: as it was read back, or before it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptBlock {
    /// The header with its hash.
    pub header: Sealed<Header>,
    /// The body.
    pub body: BlockBody<Transaction>,
    /// Senders in block order.
    pub senders: Vec<Address>,
    /// Receipts in block order.
    pub receipts: Vec<Receipt>,
    /// Requests (EIP-7685); empty before Prague.
    pub requests: Requests,
    /// The access list (EIP-7928) that execution built.
    pub block_access_list: Option<BlockAccessList>,
    /// Sum of the difficulties up to and including the block.
    pub total_difficulty: U256,
}

/// A store's block is not what [`block_data`] writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed {part} of a kept block")]
pub struct KeptError {
    part: &'static str,
    #[source]
    source: alloy_rlp::Error,
}

impl Extra {
    /// Reads [`BlockData::extra`].
    ///
    /// # Errors
    /// The bytes are something else.
    pub fn decode(bytes: &[u8]) -> Result<Self, KeptError> {
        decode(bytes, "extra data")
    }
}

impl KeptBlock {
    /// Reads a whole block.
    ///
    /// # Errors
    /// A part is not what [`block_data`] writes.
    pub fn decode(data: &BlockData) -> Result<Self, KeptError> {
        Self::decode_with(data, Extra::decode(&data.extra)?)
    }

    /// The same with its extra data read already.
    pub(super) fn decode_with(data: &BlockData, extra: Extra) -> Result<Self, KeptError> {
        let Extra { total_difficulty, requests, block_access_list } = extra;
        let receipts: Vec<ReceiptWithBloom<Receipt>> = decode(&data.receipts, "receipts")?;
        let list = (!block_access_list.is_empty()).then(|| decode(&block_access_list, "access list")).transpose()?;
        Ok(Self {
            header: decode::<Header>(&data.header, "header")?.seal_unchecked(data.id.hash),
            body: decode(&data.body, "body")?,
            senders: data.senders.clone(),
            receipts: receipts.into_iter().map(|receipt| receipt.receipt).collect(),
            requests: Requests::new(requests),
            block_access_list: list,
            total_difficulty,
        })
    }

    /// The inverse of [`Self::decode`].
    pub fn to_data(&self) -> BlockData {
        let transactions = Envelopes::new(&self.body.transactions);
        block_data(&BlockParts {
            hash: self.header.hash(),
            header: self.header.inner(),
            body: &self.body,
            encoded: &Encoded { transactions, receipts: encode_receipts(&self.receipts).0 },
            senders: &self.senders,
            requests: &self.requests,
            block_access_list: self.block_access_list.as_ref(),
            total_difficulty: self.total_difficulty,
        })
    }
}

/// Reads a part of a kept block, named in the error.
pub(super) fn decode<T: Decodable>(mut bytes: &[u8], part: &'static str) -> Result<T, KeptError> {
    let malformed = |source| KeptError { part, source };
    let value = T::decode(&mut bytes).map_err(malformed)?;
    if bytes.is_empty() { Ok(value) } else { Err(malformed(alloy_rlp::Error::UnexpectedLength)) }
}

/// A genesis block as a store starts with it.
pub fn genesis_data(header: &Header, hash: B256) -> BlockData {
    // From Shanghai on a block has a list of withdrawals, if an empty one.
    let withdrawals = header.withdrawals_root.map(|_| Withdrawals::default());
    block_data(&BlockParts {
        hash,
        header,
        body: &BlockBody { withdrawals, ..BlockBody::default() },
        encoded: &Encoded::default(),
        senders: &[],
        requests: &Requests::default(),
        block_access_list: None,
        total_difficulty: header.difficulty,
    })
}

/// A body whose transactions are encoded already.
#[derive(RlpEncodable)]
#[rlp(trailing)]
struct EncodedBody<'a> {
    transactions: &'a Envelopes,
    ommers: &'a Vec<Header>,
    withdrawals: Option<&'a Withdrawals>,
}

/// An executed block as a store keeps it. The changes go with it apart.
pub fn block_data(block: &BlockParts<'_>) -> BlockData {
    let Encoded { transactions, receipts } = block.encoded;
    let BlockBody { ommers, withdrawals, .. } = block.body;
    let body = EncodedBody { transactions, ommers, withdrawals: withdrawals.as_ref() };
    let extra = Extra {
        total_difficulty: block.total_difficulty,
        requests: block.requests.iter().cloned().collect(),
        block_access_list: block.block_access_list.map(alloy_rlp::encode).unwrap_or_default().into(),
    };
    BlockData {
        id: BlockRef { number: block.header.number, hash: block.hash },
        parent: block.header.parent_hash,
        header: alloy_rlp::encode(block.header).into(),
        body: alloy_rlp::encode(body).into(),
        receipts: alloy_rlp::encode(receipts).into(),
        transactions: transactions.hashes(),
        senders: block.senders.to_vec(),
        extra: alloy_rlp::encode(extra).into(),
    }
}
