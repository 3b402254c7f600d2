//! `eth_`: sending transactions, and signing with the accounts of a development chain.
//!
//! Place in the flow: into the pool; on a development chain the miner is told.
//! Invariant: a hash that is answered is in the pool or already mined. Only accounts of the chain itself, and those that it
//! impersonates, are sent from without a signature.

use super::{Args, Context, Deadline, eth_call, method};
use crate::{
    call::{self, Call},
    convert::Quantity,
    dev::Dev,
    error::{Code, RpcError},
    pool::{Origin, PoolError, Pooled},
};
use alloy_consensus::{SignableTransaction, TypedTransaction};
use alloy_eips::{BlockId, eip2718::Encodable2718};
use alloy_primitives::{Address, B256, Bytes, TxKind};
use alloy_rpc_types_eth::TransactionRequest;
use jsonrpsee::{RpcModule, core::RegisterMethodError, types::ErrorObjectOwned};
use laminar_executor::{Transaction, chain_spec::Fork, env::cfg_env};
use revm::context_interface::Cfg;

/// EIP-2718 type of a blob transaction, whose proofs take milliseconds.
const BLOB_TYPE: u8 = 3;
/// What a transaction pays above the base fee if it does not say, in wei per gas.
const TIP_WEI: u128 = 1_000_000_000;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    module.register_async_method("eth_sendRawTransaction", |params, context, _| async move {
        let read = || Args::new(&params).read::<(Bytes,)>();
        let sent = match read() {
            Ok((raw,)) if raw.first() == Some(&BLOB_TYPE) => {
                context.run_heavy(move |context, _| send_raw(context, &raw)).await
            }
            Ok((raw,)) => send_raw(&context, &raw),
            Err(error) => Err(error),
        };
        sent.map_err(ErrorObjectOwned::from)
    })?;
    method::quick(module, "eth_accounts", accounts)
}

/// The methods that need the accounts of a development chain.
pub(crate) fn register_dev(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::heavy(module, "eth_sendTransaction", |context, args, deadline| {
        send(context, &args, deadline, Signer::Own)
    })?;
    method::heavy(module, "eth_sendUnsignedTransaction", |context, args, deadline| {
        send(context, &args, deadline, Signer::Nobody)
    })?;
    method::heavy(module, "eth_signTransaction", sign_transaction)?;
    method::quick(module, "eth_sign", |context, args| {
        let (address, message) = args.read::<(Address, Bytes)>()?;
        sign(context, address, &message)
    })?;
    method::quick(module, "personal_sign", |context, args| {
        let (message, address) = args.read::<(Bytes, Address)>()?;
        sign(context, address, &message)
    })
}

/// Who must have signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Signer {
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

fn send_raw(context: &Context, raw: &[u8]) -> Result<B256, RpcError> {
    Ok(match &context.dev {
        Some(dev) => dev.send_raw(raw)?,
        None => context.pool.add_raw(raw, Origin::Local)?,
    })
}

fn accounts(context: &Context, args: Args<'_>) -> Result<Vec<Address>, RpcError> {
    args.read::<()>()?;
    Ok(context.dev.iter().flat_map(|dev| dev.keys().addresses()).collect())
}

fn send(context: &Context, args: &Args<'_>, deadline: Deadline, signer: Signer) -> Result<B256, RpcError> {
    let (request,) = args.read::<(TransactionRequest,)>()?;
    let dev = dev(context)?;
    let (from, unsigned) = fill(context, request, deadline)?;
    let rules = dev.pool().head().rules;
    let tx = match sign_with(dev, from, unsigned.clone()) {
        Some(signed) if !dev.impersonates(&from) => Pooled::sent_by(from, signed, None, &rules, Origin::Local)?,
        _ if signer == Signer::Nobody || dev.impersonates(&from) => {
            let signed = with_signature(unsigned, Pooled::impersonation(from))
                .ok_or_else(|| RpcError::params("blob transactions are sent signed"))?;
            Pooled::impersonated(from, signed, &rules)?
        }
        _ => return Err(RpcError::params("No Signer available")),
    };
    Ok(dev.send(tx)?)
}

fn sign_transaction(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Bytes, RpcError> {
    let (request,) = args.read::<(TransactionRequest,)>()?;
    let dev = dev(context)?;
    let (from, unsigned) = fill(context, request, deadline)?;
    let signed = sign_with(dev, from, unsigned).ok_or_else(|| RpcError::params("No Signer available"))?;
    Ok(signed.encoded_2718().into())
}

fn sign(context: &Context, address: Address, message: &[u8]) -> Result<Bytes, RpcError> {
    let signature = dev(context)?.keys().sign_message(&address, message);
    let signature = signature.ok_or_else(|| RpcError::params("No Signer available"))?;
    Ok(Bytes::copy_from_slice(&signature.as_bytes()))
}

/// The development chain; its methods are registered only where there is one.
pub(super) fn dev(context: &Context) -> Result<&Dev, RpcError> {
    context.dev.as_deref().ok_or_else(|| RpcError::new(Code::MethodNotFound, "not a development chain"))
}

/// Completes a request: nonce, gas, price, chain.
fn fill(
    context: &Context,
    mut request: TransactionRequest,
    deadline: Deadline,
) -> Result<(Address, TypedTransaction), RpcError> {
    let dev = dev(context)?;
    let head = dev.pool().head();
    let from = match request.from {
        Some(from) => from,
        None => dev.keys().addresses().next().ok_or_else(|| RpcError::params("missing sender"))?,
    };
    if request.nonce.is_none() {
        let account = || head.accounts.account(from).map_err(RpcError::server);
        let next = dev.pool().next_nonce(&from);
        request.nonce = Some(match next {
            Some(next) => next,
            None => account()?.unwrap_or_default().nonce,
        });
    }
    if request.to.is_none() {
        request.to = Some(TxKind::Create);
    }
    if request.gas.is_none() {
        request.from = Some(from);
        request.gas = Some(match dev.pool().status() {
            (0, _) => estimate(context, &request, deadline)?,
            // What it needs hangs on what is mined before it, so it gets the most that a transaction may use.
            _ => head.gas_limit.min(cfg_env(&head.rules).tx_gas_limit_cap()),
        });
    }
    request.chain_id.get_or_insert(head.rules.chain_id);
    if request.gas_price.is_none() && head.rules.is_active(Fork::London) {
        let tip =
            *request.max_priority_fee_per_gas.get_or_insert(TIP_WEI.min(request.max_fee_per_gas.unwrap_or(TIP_WEI)));
        request.max_fee_per_gas.get_or_insert(u128::from(head.base_fee).saturating_mul(2).saturating_add(tip));
    } else if request.gas_price.is_none() {
        request.gas_price = Some(TIP_WEI);
    }
    let unsigned = request.build_typed_tx().map_err(|_| RpcError::params("not a complete transaction"))?;
    Ok((from, unsigned))
}

/// The gas that a request needs in the next block.
fn estimate(context: &Context, request: &TransactionRequest, deadline: Deadline) -> Result<u64, RpcError> {
    let (header, view) = eth_call::place(context, BlockId::pending())?;
    let limits = eth_call::limits(context, deadline);
    let spec = context.node.spec();
    let call = Call { spec, header: &header, request, state_overrides: None, block_overrides: None, limits };
    Ok(call::estimate_gas(&call, view)?)
}

/// The transaction signed by an account of the chain; `None` if the key is not here.
fn sign_with(dev: &Dev, from: Address, unsigned: TypedTransaction) -> Option<Transaction> {
    let digest = match &unsigned {
        TypedTransaction::Legacy(tx) => tx.signature_hash(),
        TypedTransaction::Eip2930(tx) => tx.signature_hash(),
        TypedTransaction::Eip1559(tx) => tx.signature_hash(),
        TypedTransaction::Eip4844(tx) => tx.signature_hash(),
        TypedTransaction::Eip7702(tx) => tx.signature_hash(),
    };
    with_signature(unsigned, dev.keys().sign_hash(&from, digest)?)
}

/// Blob transactions have no place here: their blobs come with the signed bytes.
fn with_signature(unsigned: TypedTransaction, signature: alloy_primitives::Signature) -> Option<Transaction> {
    Some(match unsigned {
        TypedTransaction::Legacy(tx) => tx.into_signed(signature).into(),
        TypedTransaction::Eip2930(tx) => tx.into_signed(signature).into(),
        TypedTransaction::Eip1559(tx) => tx.into_signed(signature).into(),
        TypedTransaction::Eip7702(tx) => tx.into_signed(signature).into(),
        TypedTransaction::Eip4844(_) => return None,
    })
}

/// A parameter that may be left out.
pub(super) fn number(quantity: Option<Quantity>) -> Option<u64> {
    quantity.map(Quantity::to_u64)
}
