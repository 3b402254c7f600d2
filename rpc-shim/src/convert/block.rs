//! Blocks, headers and transactions as callers see them.
//!
//! Place in the flow: answers of `eth_getBlock…`, `eth_getTransaction…`, and of `eth_subscribe`.
//! Invariant: fields that the block's fork does not have are absent, as in geth.

use crate::{node::BlockRecord, pool::Pooled};
use alloy_consensus::{
    Block, BlockBody, Header, Sealable, Transaction as _, transaction::Recovered, transaction::TransactionInfo,
};
use alloy_primitives::{B256, U256};
use alloy_rpc_types_eth::BlockTransactions;
use laminar_executor::Transaction;

/// A transaction in a block.
pub(crate) type RpcTransaction = alloy_rpc_types_eth::Transaction<Transaction>;
/// A block with hashes or transactions.
pub(crate) type RpcBlock = alloy_rpc_types_eth::Block<RpcTransaction>;

/// What a block's answer says of its transactions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Detail {
    /// Their hashes.
    Hashes,
    /// All of them.
    Full,
}

impl Detail {
    /// From the second parameter of `eth_getBlockBy…`.
    pub(crate) const fn from_flag(full: bool) -> Self {
        if full { Self::Full } else { Self::Hashes }
    }
}

/// A block.
pub(crate) fn block(record: &BlockRecord, detail: Detail) -> RpcBlock {
    let transactions = match detail {
        Detail::Hashes => BlockTransactions::Hashes(record.transaction_hashes().collect()),
        Detail::Full => {
            let all = 0..record.body.transactions.len();
            BlockTransactions::Full(all.filter_map(|index| transaction(record, index)).collect())
        }
    };
    RpcBlock {
        header: header(record),
        uncles: record.body.ommers.iter().map(Sealable::hash_slow).collect(),
        transactions,
        withdrawals: record.body.withdrawals.clone(),
    }
}

/// A header, with the size of its block.
pub(crate) fn header(record: &BlockRecord) -> alloy_rpc_types_eth::Header {
    let size = Block::rlp_length_for(record.header.inner(), &record.body);
    with_size(record.hash(), record.header.inner().clone(), size)
}

/// A transaction without a block, as methods give it.
pub(crate) fn pending(tx: &Pooled) -> RpcTransaction {
    RpcTransaction {
        inner: Recovered::new_unchecked(tx.transaction().clone(), tx.sender()),
        block_hash: None,
        block_number: None,
        transaction_index: None,
        // As geth: what it would pay at most.
        effective_gas_price: Some(tx.transaction().max_fee_per_gas()),
        block_timestamp: None,
    }
}

/// An ommer, as a block without transactions; `None` beyond the last one.
pub(crate) fn ommer(record: &BlockRecord, index: usize) -> Option<RpcBlock> {
    let inner = record.body.ommers.get(index)?;
    let size = Block::<Transaction>::rlp_length_for(inner, &BlockBody::default());
    Some(RpcBlock {
        header: with_size(inner.hash_slow(), inner.clone(), size),
        uncles: Vec::new(),
        transactions: BlockTransactions::Uncle,
        withdrawals: None,
    })
}

fn with_size(hash: B256, inner: Header, size: usize) -> alloy_rpc_types_eth::Header {
    alloy_rpc_types_eth::Header { hash, inner, total_difficulty: None, size: Some(U256::from(size)) }
}

/// A transaction of a block; `None` beyond the last one.
pub(crate) fn transaction(record: &BlockRecord, index: usize) -> Option<RpcTransaction> {
    let (tx, sender) = (record.body.transactions.get(index)?, record.senders.get(index)?);
    let info = TransactionInfo {
        hash: Some(*tx.tx_hash()),
        index: Some(index as u64),
        block_hash: Some(record.hash()),
        block_number: Some(record.header.number),
        base_fee: record.header.base_fee_per_gas,
        block_timestamp: Some(record.header.timestamp),
    };
    Some(RpcTransaction::from_transaction(Recovered::new_unchecked(tx.clone(), *sender), info))
}
