//! `eth_sendRawTransactionSync` (EIP-7966) and `eth_sendTransactionSync`: sending, and waiting for the receipt.
//!
//! Place in the flow: above `eth_send`; waits for changes of the head without holding a thread.
//! Invariant: the answer is the receipt of a canonical block, an error of the pool, or code 4 with the hash of a transaction that
//! is still waiting.

use super::{
    Args, Context, eth_blocks,
    eth_send::{self, Signer},
};
use crate::{
    convert::Quantity,
    error::{Code, RpcError},
    pool::{PoolError, PoolEvent},
};
use alloy_primitives::{B256, Bytes};
use alloy_rpc_types_eth::{TransactionReceipt, TransactionRequest};
use jsonrpsee::{
    RpcModule,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use std::{future::Future, time::Duration};
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// How long is waited for the receipt where the caller does not say, as in geth.
const WAIT: Duration = Duration::from_secs(20);
/// How long a caller may let wait, as in geth.
const WAIT_MAX: Duration = Duration::from_secs(60);

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    module.register_async_method("eth_sendRawTransactionSync", |params, context, _| async move {
        let (raw, wait) = read::<Bytes>(&params)?;
        wait_for(&context, wait, eth_send::add_raw(&context, raw)).await.map_err(ErrorObjectOwned::from)
    })?;
    Ok(())
}

/// The method that needs the accounts of a development chain.
pub(crate) fn register_dev(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    module.register_async_method("eth_sendTransactionSync", |params, context, _| async move {
        let (request, wait) = read::<TransactionRequest>(&params)?;
        let send = eth_send::send(&context, request, Signer::Own);
        wait_for(&context, wait, send).await.map_err(ErrorObjectOwned::from)
    })?;
    Ok(())
}

/// What is sent, and how many milliseconds its receipt is waited for.
fn read<T: serde::de::DeserializeOwned>(params: &Params<'_>) -> Result<(T, Duration), ErrorObjectOwned> {
    let (sent, milliseconds) = Args::new(params).read::<(T, Option<Quantity>)>()?;
    let asked = milliseconds.map_or(WAIT, |milliseconds| Duration::from_millis(milliseconds.to_u64()));
    Ok((sent, if asked.is_zero() { WAIT } else { asked.min(WAIT_MAX) }))
}

/// Sends, and waits until the transaction is in a canonical block.
async fn wait_for(
    context: &Context,
    wait: Duration,
    send: impl Future<Output = Result<B256, RpcError>>,
) -> Result<TransactionReceipt, RpcError> {
    // Before it is sent, so that nothing that happens to it is missed.
    let (mut heads, mut events) = (context.node.subscribe_heads(), context.pool.subscribe());
    let hash = send.await?;
    let mined = async {
        loop {
            if let Some(receipt) = eth_blocks::receipt(context, hash).await? {
                return Ok(receipt);
            }
            tokio::select! {
                head = heads.recv() => if let Err(RecvError::Closed) = head {
                    return Err(RpcError::new(Code::ResourceUnavailable, "the node is stopping"));
                },
                reason = dropped(&mut events, &hash) => {
                    let what = reason.map_or_else(|| "transaction was dropped".to_owned(), |reason| reason.to_string());
                    return Err(RpcError::new(Code::TransactionRejected, what));
                }
            }
        }
    };
    tokio::time::timeout(wait, mined).await.unwrap_or_else(|_| {
        let message = format!("The transaction was added to the transaction pool but wasn't processed in {wait:?}.");
        Err(RpcError { code: Code::NotMinedInTime, message, data: Some(Bytes::copy_from_slice(hash.as_slice())) })
    })
}

/// Comes back when the pool gives the transaction up; why, where it says.
async fn dropped(events: &mut Receiver<PoolEvent>, hash: &B256) -> Option<PoolError> {
    loop {
        match events.recv().await {
            Ok(PoolEvent::Dropped(tx, reason)) if tx.hash() == *hash => return reason,
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => std::future::pending().await,
        }
    }
}
