//! A call as a transaction of a block: unsigned, but with a hash.
//!
//! Place in the flow: made of each simulated call for the transactions root and for the answer.
//! Invariant: the signature is zero. What names no gas price is an EIP-1559 transaction.

use alloy_consensus::{SignableTransaction, TxEip1559, TxEip4844, TxEip7702, TxLegacy};
use alloy_primitives::{Signature, TxKind, U256};
use alloy_rpc_types_eth::TransactionRequest;
use laminar_executor::Transaction;
use revm::context::TxEnv;

/// The transaction of a call that runs as `tx`.
pub(super) fn envelope(request: &TransactionRequest, tx: &TxEnv) -> Transaction {
    let chain_id = tx.chain_id.unwrap_or_default();
    let (max_fee_per_gas, max_priority_fee_per_gas) = (tx.gas_price, tx.gas_priority_fee.unwrap_or_default());
    let (nonce, gas_limit, value, input) = (tx.nonce, tx.gas_limit, tx.value, tx.data.clone());
    let (access_list, to) = (tx.access_list.clone(), tx.kind);
    if request.gas_price.is_some() {
        return unsigned(TxLegacy { chain_id: None, nonce, gas_price: tx.gas_price, gas_limit, to, value, input });
    }
    let target = match to {
        TxKind::Call(target) => target,
        TxKind::Create => Default::default(),
    };
    if let Some(authorization_list) = request.authorization_list.clone() {
        return unsigned(TxEip7702 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to: target,
            value,
            access_list,
            authorization_list,
            input,
        });
    }
    if request.blob_versioned_hashes.is_some() {
        return unsigned(TxEip4844 {
            chain_id,
            nonce,
            gas_limit,
            max_fee_per_gas,
            max_priority_fee_per_gas,
            to: target,
            value,
            access_list,
            blob_versioned_hashes: tx.blob_hashes.clone(),
            max_fee_per_blob_gas: tx.max_fee_per_blob_gas,
            input,
        });
    }
    unsigned(TxEip1559 {
        chain_id,
        nonce,
        gas_limit,
        max_fee_per_gas,
        max_priority_fee_per_gas,
        to,
        value,
        access_list,
        input,
    })
}

fn unsigned<T>(tx: T) -> Transaction
where
    T: SignableTransaction<Signature>,
    Transaction: From<alloy_consensus::Signed<T>>,
{
    tx.into_signed(Signature::new(U256::ZERO, U256::ZERO, false)).into()
}
