//! What a transaction must satisfy in its fork before anyone looks at the state and that revm leaves to its host.
//!
//! Place in the flow: part of recover; the pool uses it too.
//! Invariant: pure; depends on the transaction and the rules alone.

use crate::{
    chain_spec::{Fork, Rules},
    rule::Rule,
    types::Transaction,
};
use alloy_consensus::{Transaction as _, TxType};

/// Checks type, chain id and the fields that the type demands, in the order in which a decoder would meet them.
///
/// # Errors
/// The first rule broken.
pub fn check_transaction(tx: &Transaction, rules: &Rules) -> Result<(), Rule> {
    check_type(tx.tx_type(), rules)?;
    check_chain_id(tx, rules)?;
    match tx {
        Transaction::Eip4844(tx) if tx.tx().blob_versioned_hashes.is_empty() => Err(Rule::NoBlobs),
        Transaction::Eip7702(tx) if tx.tx().authorization_list.is_empty() => Err(Rule::NoAuthorizations),
        _ => Ok(()),
    }
}

/// CONSENSUS: EIP-2718, a type is valid from the fork of its own EIP on (2930, 1559, 4844, 7702).
fn check_type(tx_type: TxType, rules: &Rules) -> Result<(), Rule> {
    let fork = match tx_type {
        TxType::Legacy => return Ok(()),
        TxType::Eip2930 => Fork::Berlin,
        TxType::Eip1559 => Fork::London,
        TxType::Eip4844 => Fork::Cancun,
        TxType::Eip7702 => Fork::Prague,
    };
    if rules.is_active(fork) { Ok(()) } else { Err(Rule::TypePreFork { tx_type: tx_type as u8 }) }
}

/// CONSENSUS: EIP-155, a legacy transaction may name the chain from Spurious Dragon on; typed transactions must.
fn check_chain_id(tx: &Transaction, rules: &Rules) -> Result<(), Rule> {
    let Some(found) = tx.chain_id() else { return Ok(()) };
    if !rules.is_active(Fork::SpuriousDragon) {
        // To the rules of that time a v of 35 or more is a broken signature.
        return Err(Rule::Signature);
    }
    if found != rules.chain_id {
        return Err(Rule::ChainId { expected: Some(rules.chain_id), found: Some(found) });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain_spec::ChainSpec;
    use alloy_consensus::{SignableTransaction, TxEip1559, TxEip2930, TxEip4844, TxEip7702, TxLegacy};
    use alloy_primitives::{B256, Signature};

    fn rules(network: &str) -> Rules {
        ChainSpec::for_test_network(network, []).unwrap().rules_at(1, 1)
    }

    fn signed<T: SignableTransaction<Signature>>(tx: T) -> Transaction
    where
        alloy_consensus::Signed<T>: Into<Transaction>,
    {
        tx.into_signed(Signature::test_signature()).into()
    }

    #[test]
    fn typed_transactions_are_refused_before_their_fork() {
        let blobs = vec![B256::repeat_byte(1)];
        let table = [
            (signed(TxEip2930 { chain_id: 1, ..TxEip2930::default() }), "Istanbul", "Berlin"),
            (signed(TxEip1559 { chain_id: 1, ..TxEip1559::default() }), "Berlin", "London"),
            (
                signed(TxEip4844 { chain_id: 1, blob_versioned_hashes: blobs, ..TxEip4844::default() }),
                "Shanghai",
                "Cancun",
            ),
        ];
        for (tx, before, from) in table {
            let tx_type = tx.tx_type() as u8;
            assert_eq!(check_transaction(&tx, &rules(before)), Err(Rule::TypePreFork { tx_type }));
            assert_eq!(check_transaction(&tx, &rules(from)), Ok(()));
        }
        let tx = signed(TxEip7702 { chain_id: 1, ..TxEip7702::default() });
        let refused = check_transaction(&tx, &rules("Cancun")).unwrap_err();
        assert_eq!(refused.exception(), "TransactionException.TYPE_4_TX_PRE_FORK");
        assert_eq!(check_transaction(&tx, &rules("Prague")), Err(Rule::NoAuthorizations));
    }

    #[test]
    fn chain_id_must_be_absent_before_spurious_dragon_and_right_after_it() {
        let named = |id| signed(TxLegacy { chain_id: id, ..TxLegacy::default() });
        for network in ["Frontier", "EIP150", "EIP158", "Osaka"] {
            assert_eq!(check_transaction(&named(None), &rules(network)), Ok(()));
        }
        assert_eq!(check_transaction(&named(Some(1)), &rules("EIP150")), Err(Rule::Signature));
        assert_eq!(check_transaction(&named(Some(1)), &rules("EIP158")), Ok(()));
        let expected = Rule::ChainId { expected: Some(1), found: Some(2) };
        assert_eq!(check_transaction(&named(Some(2)), &rules("Osaka")), Err(expected));
    }

    #[test]
    fn blob_transaction_needs_a_blob() {
        let tx = signed(TxEip4844 { chain_id: 1, ..TxEip4844::default() });
        assert_eq!(check_transaction(&tx, &rules("Cancun")), Err(Rule::NoBlobs));
    }
}
