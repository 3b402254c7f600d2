//! A transaction and its sender as revm's transaction environment.
//!
//! Place in the flow: part of env.
//! Invariant: authorities are recovered before, so that execution never touches a curve for them.

use crate::{
    recover::Senders,
    types::{Transaction, TxIndex},
};
use alloy_consensus::Transaction as _;
use revm::context::{TxEnv, either::Either};

/// revm's environment of the transaction at `index`, sent and authorised as `senders` says.
///
/// The access list and the blob hashes are copied; the call data is shared.
pub fn tx_env(transaction: &Transaction, senders: &Senders, index: TxIndex) -> TxEnv {
    let authorizations = senders.authorizations_of(index);
    TxEnv {
        tx_type: transaction.tx_type() as u8,
        caller: senders.addresses.get(index.as_usize()).copied().unwrap_or_default(),
        gas_limit: transaction.gas_limit(),
        // revm has one field for the gas price and for the most that an EIP-1559 transaction pays.
        gas_price: transaction.max_fee_per_gas(),
        gas_priority_fee: transaction.max_priority_fee_per_gas(),
        kind: transaction.kind(),
        value: transaction.value(),
        data: transaction.input().clone(),
        nonce: transaction.nonce(),
        chain_id: transaction.chain_id(),
        access_list: transaction.access_list().cloned().unwrap_or_default(),
        blob_hashes: transaction.blob_versioned_hashes().map(<[_]>::to_vec).unwrap_or_default(),
        max_fee_per_blob_gas: transaction.max_fee_per_blob_gas().unwrap_or_default(),
        authorization_list: authorizations.iter().cloned().map(Either::Right).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::{SignableTransaction, TxEip1559, TxEip4844, TxLegacy};
    use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256};

    fn sign<T: SignableTransaction<Signature>>(tx: T) -> alloy_consensus::Signed<T> {
        tx.into_signed(Signature::test_signature())
    }

    fn senders() -> Senders {
        Senders::from_addresses(vec![Address::repeat_byte(9)])
    }

    #[test]
    fn unprotected_legacy_transaction_has_no_chain_id() {
        let tx = TxLegacy { nonce: 3, gas_price: 5, to: TxKind::Create, value: U256::from(1), ..TxLegacy::default() };
        let env = tx_env(&sign(tx).into(), &senders(), TxIndex(0));
        assert_eq!((env.chain_id, env.tx_type, env.gas_price, env.gas_priority_fee), (None, 0, 5, None));
        assert_eq!((env.kind, env.nonce, env.caller), (TxKind::Create, 3, Address::repeat_byte(9)));
    }

    #[test]
    fn fee_market_transaction_keeps_both_fees() {
        let tx = TxEip1559 {
            chain_id: 1,
            max_fee_per_gas: 70,
            max_priority_fee_per_gas: 2,
            input: Bytes::from_static(&[1, 2]),
            ..TxEip1559::default()
        };
        let env = tx_env(&sign(tx).into(), &senders(), TxIndex(0));
        assert_eq!((env.gas_price, env.gas_priority_fee, env.chain_id), (70, Some(2), Some(1)));
        assert_eq!(env.data.as_ref(), [1, 2]);
    }

    #[test]
    fn blob_transaction_keeps_hashes_and_fee() {
        let tx = TxEip4844 {
            blob_versioned_hashes: vec![B256::repeat_byte(1)],
            max_fee_per_blob_gas: 8,
            ..TxEip4844::default()
        };
        let env = tx_env(&sign(tx).into(), &senders(), TxIndex(0));
        assert_eq!((env.tx_type, env.blob_hashes.len(), env.max_fee_per_blob_gas), (3, 1, 8));
    }
}
