//! Receipts and logs as callers see them.
//!
//! Place in the flow: answers of `eth_getTransactionReceipt`, `eth_getBlockReceipts`, `eth_getLogs`, filters and subscriptions.
//! Invariant: a log's index counts through the block, a receipt's gas is its own. A receipt before Byzantium has the
//! state root after its transaction (EIP-658), which the caller finds; where it is not known, `status` stands in its place.

use crate::node::BlockRecord;
use alloy_consensus::{Eip658Value, Receipt, ReceiptEnvelope, ReceiptWithBloom, Transaction as _, TxReceipt, TxType};
use alloy_primitives::{B256, TxKind};
use alloy_rpc_types_eth::{Log, TransactionReceipt};
use laminar_executor::chain_spec::Rules;

/// The receipt of one transaction, with the state root after it if that is given; `None` beyond the last one.
pub(crate) fn receipt(
    rules: &Rules,
    record: &BlockRecord,
    index: usize,
    root: Option<B256>,
) -> Option<TransactionReceipt> {
    let logs_before = record.receipts.get(..index)?.iter().map(|receipt| receipt.logs.len()).sum();
    one(rules, record, index, logs_before, root)
}

/// The receipts of a block in order, with the state roots between its transactions if they are given.
pub(crate) fn receipts(rules: &Rules, record: &BlockRecord, roots: &[B256]) -> Vec<TransactionReceipt> {
    let mut logs_before = 0;
    let all = record.receipts.iter().enumerate().filter_map(|(index, receipt)| {
        let answer = one(rules, record, index, logs_before, roots.get(index).copied());
        logs_before += receipt.logs.len();
        answer
    });
    all.collect()
}

/// All logs of a block in order, `removed` if it is no longer canonical.
pub(crate) fn block_logs(record: &BlockRecord, removed: bool) -> impl Iterator<Item = Log> {
    let receipts = record.receipts.iter().zip(record.transaction_hashes()).enumerate();
    let logs = receipts.flat_map(|(tx, (receipt, hash))| receipt.logs.iter().map(move |log| (tx, hash, log)));
    logs.enumerate().map(move |(index, (tx, hash, log))| Log {
        inner: log.clone(),
        block_hash: Some(record.hash()),
        block_number: Some(record.header.number),
        block_timestamp: Some(record.header.timestamp),
        transaction_hash: Some(hash),
        transaction_index: Some(tx as u64),
        log_index: Some(index as u64),
        removed,
    })
}

fn one(
    rules: &Rules,
    record: &BlockRecord,
    index: usize,
    logs_before: usize,
    root: Option<B256>,
) -> Option<TransactionReceipt> {
    let receipt = record.receipts.get(index)?;
    let tx = record.body.transactions.get(index)?;
    let from = *record.senders.get(index)?;
    let before = index.checked_sub(1).and_then(|before| record.receipts.get(before));
    let logs = receipt.logs.iter().enumerate().map(|(at, log)| Log {
        inner: log.clone(),
        block_hash: Some(record.hash()),
        block_number: Some(record.header.number),
        block_timestamp: Some(record.header.timestamp),
        transaction_hash: Some(*tx.tx_hash()),
        transaction_index: Some(index as u64),
        log_index: Some((logs_before + at) as u64),
        removed: false,
    });
    let plain = Receipt {
        status: root.map_or(Eip658Value::Eip658(receipt.success), Eip658Value::PostState),
        cumulative_gas_used: receipt.cumulative_gas_used,
        logs: logs.collect(),
    };
    let blob_params = rules.blob_params.filter(|_| tx.is_eip4844());
    let contract_address = matches!(tx.kind(), TxKind::Create).then(|| from.create(tx.nonce()));
    Some(TransactionReceipt {
        inner: envelope(receipt.tx_type, ReceiptWithBloom { receipt: plain, logs_bloom: receipt.bloom() }),
        transaction_hash: *tx.tx_hash(),
        transaction_index: Some(index as u64),
        block_hash: Some(record.hash()),
        block_number: Some(record.header.number),
        gas_used: receipt.cumulative_gas_used - before.map_or(0, |before| before.cumulative_gas_used),
        effective_gas_price: tx.effective_gas_price(record.header.base_fee_per_gas),
        blob_gas_used: tx.blob_gas_used(),
        blob_gas_price: blob_params.and_then(|params| record.header.blob_fee(params)),
        from,
        to: tx.to(),
        contract_address,
    })
}

fn envelope(tx_type: TxType, receipt: ReceiptWithBloom<Receipt<Log>>) -> ReceiptEnvelope<Log> {
    match tx_type {
        TxType::Legacy => ReceiptEnvelope::Legacy(receipt),
        TxType::Eip2930 => ReceiptEnvelope::Eip2930(receipt),
        TxType::Eip1559 => ReceiptEnvelope::Eip1559(receipt),
        TxType::Eip4844 => ReceiptEnvelope::Eip4844(receipt),
        TxType::Eip7702 => ReceiptEnvelope::Eip7702(receipt),
    }
}
