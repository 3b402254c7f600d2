//! `txpool_`: what waits for a block.
//!
//! Place in the flow: answers from the pool alone, in geth's form.

use super::{Args, Context, Deadline, method};
use crate::{
    convert::{RpcTransaction, pending},
    error::RpcError,
    pool::Pooled,
};
use alloy_consensus::Transaction as _;
use alloy_primitives::Address;
use alloy_rpc_types_txpool::{TxpoolContent, TxpoolContentFrom, TxpoolInspect, TxpoolInspectSummary, TxpoolStatus};
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use std::{collections::BTreeMap, sync::Arc};

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::quick(module, "txpool_status", status)?;
    method::heavy(module, "txpool_content", content)?;
    method::heavy(module, "txpool_contentFrom", content_from)?;
    method::heavy(module, "txpool_inspect", inspect)
}

type ByNonce<T> = BTreeMap<String, T>;
type BySender<T> = BTreeMap<Address, ByNonce<T>>;

fn status(context: &Context, args: Args<'_>) -> Result<TxpoolStatus, RpcError> {
    args.read::<()>()?;
    let (pending, queued) = context.pool.status();
    Ok(TxpoolStatus { pending: pending as u64, queued: queued as u64 })
}

fn content(context: &Context, args: Args<'_>, _deadline: Deadline) -> Result<TxpoolContent<RpcTransaction>, RpcError> {
    args.read::<()>()?;
    let content = context.pool.content();
    Ok(TxpoolContent { pending: by_sender(content.pending, pending), queued: by_sender(content.queued, pending) })
}

fn content_from(
    context: &Context,
    args: Args<'_>,
    _deadline: Deadline,
) -> Result<TxpoolContentFrom<RpcTransaction>, RpcError> {
    let (sender,) = args.read::<(Address,)>()?;
    let (ready, waiting) = context.pool.content_of(&sender);
    Ok(TxpoolContentFrom { pending: by_nonce(ready, pending), queued: by_nonce(waiting, pending) })
}

fn inspect(context: &Context, args: Args<'_>, _deadline: Deadline) -> Result<TxpoolInspect, RpcError> {
    args.read::<()>()?;
    let content = context.pool.content();
    Ok(TxpoolInspect { pending: by_sender(content.pending, summary), queued: by_sender(content.queued, summary) })
}

fn summary(tx: &Pooled) -> TxpoolInspectSummary {
    let transaction = tx.transaction();
    TxpoolInspectSummary {
        to: transaction.to(),
        value: transaction.value(),
        gas: transaction.gas_limit(),
        gas_price: transaction.max_fee_per_gas(),
    }
}

fn by_sender<T>(all: BTreeMap<Address, Vec<Arc<Pooled>>>, form: fn(&Pooled) -> T) -> BySender<T> {
    all.into_iter().map(|(sender, txs)| (sender, by_nonce(txs, form))).collect()
}

fn by_nonce<T>(txs: Vec<Arc<Pooled>>, form: fn(&Pooled) -> T) -> ByNonce<T> {
    txs.iter().map(|tx| (tx.nonce().to_string(), form(tx))).collect()
}
