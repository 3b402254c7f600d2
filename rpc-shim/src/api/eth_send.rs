//! `eth_`: sending transactions.
//!
//! Place in the flow: into the pool; on a development chain the miner is told.
//! Invariant: a hash that is answered is in the pool or already mined. Only accounts of the chain itself, and those that it
//! impersonates, are sent from without a signature.

use super::{
    Args, Context, Deadline, Work,
    eth_fill::{self, Unsigned},
    eth_sign::no_signer,
    method,
};
use crate::{
    convert::Quantity,
    dev::Dev,
    error::{Code, RpcError},
    pool::{Origin, PoolError, Pooled},
};
use alloy_primitives::{Address, B256, Bytes};
use alloy_rpc_types_eth::TransactionRequest;
use jsonrpsee::{RpcModule, core::RegisterMethodError, types::ErrorObjectOwned};
use std::sync::Arc;

/// EIP-2718 type of a blob transaction, whose proofs take milliseconds.
const BLOB_TYPE: u8 = 3;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    module.register_async_method("eth_sendRawTransaction", |params, context, _| async move {
        let read = Args::new(&params).read::<(Bytes,)>();
        let sent = match read {
            Ok((raw,)) => add_raw(&context, raw).await,
            Err(error) => Err(error),
        };
        sent.map_err(ErrorObjectOwned::from)
    })?;
    method::quick(module, "eth_accounts", accounts)
}

/// The methods that need the accounts of a development chain.
pub(crate) fn register_dev(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::quick(module, "eth_requestAccounts", accounts)?;
    for (name, signer) in [("eth_sendTransaction", Signer::Own), ("eth_sendUnsignedTransaction", Signer::Nobody)] {
        module.register_async_method(name, move |params, context, _| async move {
            let (request,) = Args::new(&params).read::<(TransactionRequest,)>()?;
            send(&context, request, signer).await.map_err(ErrorObjectOwned::from)
        })?;
    }
    Ok(())
}

/// Who must have signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Signer {
    /// An account of the chain, or one that it impersonates.
    Own,
    /// Anybody: the caller asks for it by the method.
    Nobody,
}

impl From<PoolError> for RpcError {
    fn from(error: PoolError) -> Self {
        let code = match &error {
            PoolError::Encoding { .. } => Code::InvalidParams,
            PoolError::State { .. } => Code::Internal,
            // geth, whose words they are, has one code for all of them.
            _ => Code::Server,
        };
        Self::new(code, error)
    }
}

/// Adds the bytes of a signed transaction; its hash, as [`Dev::settled`] gives it on a development chain. Proofs of blobs are
/// checked on a blocking thread.
pub(super) async fn add_raw(context: &Context, raw: Bytes) -> Result<B256, RpcError> {
    let is_blob = raw.first() == Some(&BLOB_TYPE);
    let Some(dev) = &context.dev else {
        let add = move |context: &Context| Ok(context.pool.add_raw(&raw, Origin::Local)?);
        return on_fit_thread(context, is_blob, add).await;
    };
    let chain = Arc::clone(dev);
    let sent = on_fit_thread(context, is_blob, move |_| Ok(chain.send_raw(&raw)?)).await?;
    Ok(dev.settled(sent).await)
}

async fn on_fit_thread<T: Send + 'static>(
    context: &Context,
    is_long: bool,
    work: impl FnOnce(&Context) -> Result<T, RpcError> + Send + 'static,
) -> Result<T, RpcError> {
    if is_long { context.run_heavy(Work::Write, move |context, _| work(context)).await } else { work(context) }
}

fn accounts(context: &Context, args: Args<'_>) -> Result<Vec<Address>, RpcError> {
    args.read::<()>()?;
    Ok(context.dev.iter().flat_map(|dev| dev.keys().addresses()).collect())
}

/// Completes, signs and adds a request; its hash, as [`Dev::settled`] gives it.
pub(super) async fn send(context: &Context, request: TransactionRequest, signer: Signer) -> Result<B256, RpcError> {
    let add = move |context: &Context, deadline| {
        let pooled = pooled(context, request, deadline, signer)?;
        Ok(dev(context)?.send(pooled)?)
    };
    let sent = context.run_heavy(Work::Write, add).await?;
    Ok(dev(context)?.settled(sent).await)
}

/// Completes and signs a request, for the pool or for a block of its own.
pub(super) fn pooled(
    context: &Context,
    request: TransactionRequest,
    deadline: Deadline,
    signer: Signer,
) -> Result<Pooled, RpcError> {
    let dev = dev(context)?;
    let (from, unsigned) = eth_fill::fill(context, request, deadline)?;
    let unsigned = Unsigned::new(unsigned);
    let rules = dev.pool().head().rules;
    let is_free = signer == Signer::Nobody || dev.impersonates(&from);
    match dev.keys().sign_hash(&from, unsigned.signature_hash()) {
        Some(signature) if !dev.impersonates(&from) => {
            let (transaction, sidecar) = unsigned.with_signature(signature);
            Ok(Pooled::sent_by(from, transaction, sidecar.map(Arc::new), &rules, Origin::Local)?)
        }
        _ if is_free => {
            let (transaction, sidecar) = unsigned.with_signature(Pooled::impersonation(from));
            if sidecar.is_some() {
                return Err(RpcError::params("blob transactions are sent signed"));
            }
            Ok(Pooled::impersonated(from, transaction, &rules)?)
        }
        _ => Err(no_signer()),
    }
}

/// The development chain; its methods are registered only where there is one.
pub(super) fn dev(context: &Context) -> Result<&Dev, RpcError> {
    context.dev.as_deref().ok_or_else(|| RpcError::new(Code::MethodNotFound, "not a development chain"))
}

/// A parameter that may be left out.
pub(super) fn number(quantity: Option<Quantity>) -> Option<u64> {
    quantity.map(Quantity::to_u64)
}
