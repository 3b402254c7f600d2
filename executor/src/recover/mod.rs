//! Decoding blocks and finding out who signed what.
//!
//! Place in the flow: first; env takes the [`Senders`].
//! Invariant: the error is that of the first offending transaction in block order, whatever the number of threads.
//!
//! Recovery costs more than executing the average transaction, so it is a pure parallel loop over chunks.

mod check;
mod decode;

pub use check::check_transaction;
pub use decode::{decode_block, decode_transaction};

use crate::{
    chain_spec::{Fork, Rules},
    error::ExecuteError,
    rule::Rule,
    types::{Transaction, TxIndex},
};
use alloy_consensus::{Transaction as _, crypto::secp256k1, transaction::SignerRecoverable};
use alloy_eips::eip7702::{RecoveredAuthority, RecoveredAuthorization, SignedAuthorization};
use alloy_primitives::Address;
use rayon::prelude::*;
use std::collections::BTreeMap;

/// Signatures that one task recovers; at about 34 us each a task is long enough to pay for its scheduling.
const CHUNK_LEN: usize = 8;

/// Who sent each transaction of a block, and who authorised what in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Senders {
    /// One sender per transaction, in block order.
    pub addresses: Vec<Address>,
    /// The recovered authorizations of set-code transactions (EIP-7702), by transaction.
    pub authorizations: BTreeMap<TxIndex, Vec<RecoveredAuthorization>>,
}

impl Senders {
    /// Senders of a block without set-code transactions.
    pub const fn from_addresses(addresses: Vec<Address>) -> Self {
        Self { addresses, authorizations: BTreeMap::new() }
    }

    /// The authorizations of one transaction; empty unless it is a set-code transaction.
    pub fn authorizations_of(&self, index: TxIndex) -> &[RecoveredAuthorization] {
        self.authorizations.get(&index).map(Vec::as_slice).unwrap_or_default()
    }
}

/// Checks each transaction against the fork and recovers its sender and its authorities.
///
/// # Errors [`ExecuteError::InvalidBlock`] with the first transaction that the fork does not allow or whose signature
/// is not valid.
pub fn recover_senders(transactions: &[Transaction], rules: &Rules) -> Result<Senders, ExecuteError> {
    let chunk = |chunk: &[Transaction]| {
        let mut buffer = Vec::with_capacity(256);
        chunk.iter().map(|tx| recover_sender(tx, rules, &mut buffer)).collect::<Vec<_>>()
    };
    let results: Vec<Vec<Result<Address, Rule>>> = if transactions.len() <= CHUNK_LEN {
        vec![chunk(transactions)]
    } else {
        transactions.par_chunks(CHUNK_LEN).map(chunk).collect()
    };
    let addresses = results
        .into_iter()
        .flatten()
        .enumerate()
        .map(|(position, result)| result.map_err(|rule| ExecuteError::invalid_tx(TxIndex::from_usize(position), rule)))
        .collect::<Result<Vec<_>, _>>()?;
    Ok(Senders { addresses, authorizations: recover_authorities(transactions) })
}

/// Recovers the authorities of every set-code transaction in a block. An authorization with an invalid signature is
/// kept and marked: it costs gas and changes nothing.
pub fn recover_authorities(transactions: &[Transaction]) -> BTreeMap<TxIndex, Vec<RecoveredAuthorization>> {
    let signed: Vec<(TxIndex, &SignedAuthorization)> = transactions
        .iter()
        .enumerate()
        .filter_map(|(position, tx)| Some((TxIndex::from_usize(position), tx.authorization_list()?)))
        .flat_map(|(index, list)| list.iter().map(move |authorization| (index, authorization)))
        .collect();
    let recover = |(index, signed): &(TxIndex, &SignedAuthorization)| (*index, recover_authority(signed));
    let recovered: Vec<_> = if signed.len() <= CHUNK_LEN {
        signed.iter().map(recover).collect()
    } else {
        signed.par_iter().with_min_len(CHUNK_LEN).map(recover).collect()
    };
    let mut by_tx: BTreeMap<TxIndex, Vec<RecoveredAuthorization>> = BTreeMap::new();
    for (index, authorization) in recovered {
        by_tx.entry(index).or_default().push(authorization);
    }
    by_tx
}

fn recover_sender(tx: &Transaction, rules: &Rules, buffer: &mut Vec<u8>) -> Result<Address, Rule> {
    check_transaction(tx, rules)?;
    buffer.clear();
    // CONSENSUS: EIP-2, an s above half the order is invalid from Homestead on and valid before.
    let sender = if rules.is_active(Fork::Homestead) {
        tx.recover_with_buf(buffer)
    } else {
        tx.recover_unchecked_with_buf(buffer)
    };
    sender.map_err(|_| Rule::Signature)
}

/// CONSENSUS: EIP-7702, parity at most one and s at most half the order; alloy's own recovery takes the slow curve
/// library.
fn recover_authority(signed: &SignedAuthorization) -> RecoveredAuthorization {
    let authority = signed
        .signature()
        .ok()
        .and_then(|signature| secp256k1::recover_signer(&signature, signed.signature_hash()).ok())
        .map_or(RecoveredAuthority::Invalid, RecoveredAuthority::Valid);
    RecoveredAuthorization::new_unchecked(signed.inner().clone(), authority)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain_spec::ChainSpec;
    use alloy_consensus::{SignableTransaction, TxEip7702, TxLegacy, crypto::SECP256K1N_HALF};
    use alloy_eips::eip7702::Authorization;
    use alloy_primitives::{B256, Signature, U256, uint};

    const ORDER: U256 = uint!(0xfffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141_U256);

    fn key(seed: u8) -> B256 {
        B256::repeat_byte(seed)
    }

    fn address(seed: u8) -> Address {
        let signature = secp256k1::sign_message(key(seed), B256::ZERO).unwrap();
        secp256k1::recover_signer(&signature, B256::ZERO).unwrap()
    }

    fn legacy(seed: u8, nonce: u64) -> Transaction {
        let tx = TxLegacy { nonce, gas_limit: 21_000, ..TxLegacy::default() };
        let signature = secp256k1::sign_message(key(seed), tx.signature_hash()).unwrap();
        tx.into_signed(signature).into()
    }

    fn high_s(seed: u8) -> Transaction {
        let tx = TxLegacy::default();
        let low = secp256k1::sign_message(key(seed), tx.signature_hash()).unwrap();
        tx.into_signed(Signature::new(low.r(), ORDER - low.s(), !low.v())).into()
    }

    fn frontier() -> Rules {
        ChainSpec::mainnet().rules_at(1, 0)
    }

    fn prague() -> Rules {
        ChainSpec::for_test_network("Prague", []).unwrap().rules_at(1, 1)
    }

    #[test]
    fn senders_come_in_block_order_on_one_and_on_many_threads() {
        for len in [0, 1, CHUNK_LEN, CHUNK_LEN + 1, 5 * CHUNK_LEN + 3] {
            let transactions: Vec<_> = (0..len).map(|n| legacy(1 + (n % 50) as u8, n as u64)).collect();
            let senders = recover_senders(&transactions, &prague()).unwrap();
            let expected: Vec<_> = (0..len).map(|n| address(1 + (n % 50) as u8)).collect();
            assert_eq!(senders.addresses, expected);
        }
    }

    #[test]
    fn high_s_is_valid_before_homestead_only() {
        let transactions = [high_s(7)];
        assert_eq!(recover_senders(&transactions, &frontier()).unwrap().addresses, [address(7)]);
        let error = recover_senders(&transactions, &ChainSpec::mainnet().rules_at(1_150_000, 0)).unwrap_err();
        assert!(matches!(error, ExecuteError::InvalidBlock { index: Some(TxIndex(0)), rule: Rule::Signature }));
    }

    #[test]
    fn first_bad_signature_in_block_order_is_reported() {
        let mut transactions: Vec<_> = (0..40).map(|n| legacy(3, n)).collect();
        transactions[31] = high_s(4);
        transactions[17] = high_s(4);
        let error = recover_senders(&transactions, &prague()).unwrap_err();
        assert!(matches!(error, ExecuteError::InvalidBlock { index: Some(TxIndex(17)), rule: Rule::Signature }));
    }

    #[test]
    fn authority_with_an_invalid_signature_is_kept_and_marked() {
        let authorization = Authorization { chain_id: U256::from(1), address: Address::ZERO, nonce: 4 };
        let signature = secp256k1::sign_message(key(5), authorization.signature_hash()).unwrap();
        let good = authorization.clone().into_signed(signature);
        let odd = |parity, s| SignedAuthorization::new_unchecked(authorization.clone(), parity, signature.r(), s);
        let parity = u8::from(signature.v());
        let list = vec![good, odd(2, signature.s()), odd(1 - parity, ORDER - signature.s()), odd(parity, U256::ZERO)];
        let tx = TxEip7702 { chain_id: 1, authorization_list: list, ..TxEip7702::default() };
        let sent = secp256k1::sign_message(key(6), tx.signature_hash()).unwrap();
        let senders = recover_senders(&[legacy(1, 0), tx.into_signed(sent).into()], &prague()).unwrap();
        let authorities: Vec<_> = senders.authorizations_of(TxIndex(1)).iter().map(|a| a.authority()).collect();
        assert_eq!(authorities, [Some(address(5)), None, None, None]);
        assert!(senders.authorizations_of(TxIndex(0)).is_empty());
        assert!(signature.s() <= SECP256K1N_HALF);
    }
}
