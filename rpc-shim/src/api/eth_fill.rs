//! `eth_fillTransaction`: what a transaction does not say, filled in.
//!
//! Place in the flow: for clients that sign themselves; sending and signing for the accounts of a development chain begin here too.
//! Invariant: what the caller names is kept. Nonce, gas and fees are those with which the transaction can be in the next block.

use super::{Args, Context, Deadline, eth_call, method};
use crate::{
    call::{self, Call},
    convert::RpcTransaction,
    error::RpcError,
};
use alloy_consensus::{Header, SignableTransaction, TxEip4844Variant, TypedTransaction, transaction::Recovered};
use alloy_eips::{BlockId, eip2718::Encodable2718, eip7594::BlobTransactionSidecarVariant};
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};
use alloy_rpc_types_eth::{FillTransaction, TransactionRequest};
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use laminar_executor::{Transaction, chain_spec::Fork};

/// What a transaction pays above the base fee if it does not say, in wei per gas.
const TIP_WEI: u128 = 1_000_000_000;

/// Transactions in the pool that are executed before each estimate.
const WAITING_FEW: usize = 64;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::heavy(module, "eth_fillTransaction", fill_transaction)
}

fn fill_transaction(
    context: &Context,
    args: Args<'_>,
    deadline: Deadline,
) -> Result<FillTransaction<RpcTransaction>, RpcError> {
    let (request,) = args.read::<(TransactionRequest,)>()?;
    let (from, unsigned) = fill(context, request, deadline)?;
    let (transaction, _) = Unsigned::new(unsigned).with_signature(Signature::new(U256::ZERO, U256::ZERO, false));
    let raw: Bytes = transaction.encoded_2718().into();
    let tx = RpcTransaction {
        effective_gas_price: None,
        inner: Recovered::new_unchecked(transaction, from),
        block_hash: None,
        block_number: None,
        transaction_index: None,
        block_timestamp: None,
    };
    Ok(FillTransaction { raw, tx })
}

/// A complete transaction that nobody has signed, its blobs beside it.
#[derive(Debug)]
pub(super) struct Unsigned {
    transaction: TypedTransaction,
    sidecar: Option<BlobTransactionSidecarVariant>,
}

impl Unsigned {
    /// Takes the blobs out of a transaction, which a block does not carry.
    pub(super) fn new(transaction: TypedTransaction) -> Self {
        let TypedTransaction::Eip4844(TxEip4844Variant::TxEip4844WithSidecar(blobs)) = transaction else {
            return Self { transaction, sidecar: None };
        };
        let transaction = TypedTransaction::Eip4844(TxEip4844Variant::TxEip4844(blobs.tx));
        Self { transaction, sidecar: Some(blobs.sidecar) }
    }

    /// What a key signs.
    pub(super) fn signature_hash(&self) -> B256 {
        match &self.transaction {
            TypedTransaction::Legacy(tx) => tx.signature_hash(),
            TypedTransaction::Eip2930(tx) => tx.signature_hash(),
            TypedTransaction::Eip1559(tx) => tx.signature_hash(),
            TypedTransaction::Eip4844(tx) => tx.signature_hash(),
            TypedTransaction::Eip7702(tx) => tx.signature_hash(),
        }
    }

    /// The transaction as a block carries it, and its blobs.
    pub(super) fn with_signature(self, signature: Signature) -> (Transaction, Option<BlobTransactionSidecarVariant>) {
        let transaction = match self.transaction {
            TypedTransaction::Legacy(tx) => tx.into_signed(signature).into(),
            TypedTransaction::Eip2930(tx) => tx.into_signed(signature).into(),
            TypedTransaction::Eip1559(tx) => tx.into_signed(signature).into(),
            TypedTransaction::Eip4844(TxEip4844Variant::TxEip4844(tx)) => tx.into_signed(signature).into(),
            TypedTransaction::Eip4844(TxEip4844Variant::TxEip4844WithSidecar(blobs)) => {
                blobs.tx.into_signed(signature).into()
            }
            TypedTransaction::Eip7702(tx) => tx.into_signed(signature).into(),
        };
        (transaction, self.sidecar)
    }
}

/// Completes a request: sender, nonce, gas, price, chain.
///
/// # Errors
/// The gas cannot be estimated, or the fields contradict each other.
pub(super) fn fill(
    context: &Context,
    mut request: TransactionRequest,
    deadline: Deadline,
) -> Result<(Address, TypedTransaction), RpcError> {
    if request.input.unique_input().is_err() {
        let what =
            "both \"data\" and \"input\" are set and not equal. Please use \"input\" to pass transaction call data";
        return Err(RpcError::server(what));
    }
    let head = context.pool.head();
    let own = || context.dev.as_ref().and_then(|dev| dev.keys().addresses().next());
    let from = *request.from.get_or_insert_with(|| own().unwrap_or_default());
    if request.nonce.is_none() {
        let account = || head.accounts.account(from).map_err(RpcError::server);
        let next = context.pool.next_nonce(&from);
        request.nonce = Some(match next {
            Some(next) => next,
            None => account()?.unwrap_or_default().nonce,
        });
    }
    request.to.get_or_insert(TxKind::Create);
    if let Some(have) = request.chain_id.filter(|have| *have != head.rules.chain_id) {
        let want = head.rules.chain_id;
        return Err(RpcError::server(format_args!("chainId does not match node's (have={have}, want={want})")));
    }
    request.chain_id = Some(head.rules.chain_id);
    if request.gas.is_none() {
        request.gas = Some(estimate(context, &request, deadline)?);
    }
    if request.gas_price.is_none() && head.rules.is_active(Fork::London) {
        let tip =
            *request.max_priority_fee_per_gas.get_or_insert(TIP_WEI.min(request.max_fee_per_gas.unwrap_or(TIP_WEI)));
        request.max_fee_per_gas.get_or_insert(u128::from(head.base_fee).saturating_mul(2).saturating_add(tip));
    } else if request.gas_price.is_none() {
        request.gas_price = Some(TIP_WEI);
    }
    let has_blobs = request.blob_versioned_hashes.is_some() || request.sidecar.is_some();
    if has_blobs && request.max_fee_per_blob_gas.is_none() {
        request.max_fee_per_blob_gas = Some(head.blob_fee.unwrap_or(1).saturating_mul(2));
    }
    let unsigned = request.build_typed_tx().map_err(|_| RpcError::params("not a complete transaction"))?;
    Ok((from, unsigned))
}

/// The gas that a request needs in the next block, after what the pool has. Where that is much, the head says enough for most, and
/// only what fails there is tried after all of it.
fn estimate(context: &Context, request: &TransactionRequest, deadline: Deadline) -> Result<u64, RpcError> {
    let limits = eth_call::limits(context, deadline);
    let spec = context.node.spec();
    let estimate_on = |header: &Header, view| {
        let call = Call { spec, header, request, state_overrides: None, block_overrides: None, limits };
        Ok(call::estimate_gas(&call, view)?)
    };
    let waiting = context.pool.status().0;
    if waiting == 0 || waiting > WAITING_FEW {
        let (head, view) = eth_call::place(context, BlockId::latest())?;
        let gas = estimate_on(&call::header_after(spec, &head), view);
        if gas.is_ok() || waiting == 0 {
            return gas;
        }
    }
    let (header, view) = eth_call::place(context, BlockId::pending())?;
    estimate_on(&header, view)
}
