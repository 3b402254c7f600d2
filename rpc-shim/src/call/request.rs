//! The caller's fields as revm's transaction.
//!
//! Place in the flow: between the decoded request and a [`super::Machine`].
//! Invariant: what the caller names is kept, except for gas above the cap; what it leaves out is geth's default.

use super::CallError;
use alloy_consensus::TxType;
use alloy_primitives::TxKind;
use alloy_rpc_types_eth::TransactionRequest;
use revm::context::{TxEnv, either::Either};

/// What a request does not say.
#[derive(Clone, Copy, Debug)]
pub struct Defaults {
    /// The gas of a call that names none, and the most that one may name.
    pub gas_cap: u64,
    /// The nonce of the sender.
    pub nonce: u64,
    /// The chain.
    pub chain_id: u64,
}

/// revm's transaction of a call.
///
/// # Errors
/// [`CallError::Request`] if fields contradict each other or the chain.
pub fn fill(request: &TransactionRequest, defaults: &Defaults) -> Result<TxEnv, CallError> {
    let TransactionRequest { gas_price, max_fee_per_gas, max_priority_fee_per_gas, .. } = *request;
    if gas_price.is_some() && (max_fee_per_gas.is_some() || max_priority_fee_per_gas.is_some()) {
        return Err(CallError::request("both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified"));
    }
    let chain_id = defaults.chain_id;
    if let Some(have) = request.chain_id.filter(|have| *have != chain_id) {
        return Err(CallError::request(format_args!("chainId does not match node's (have={have}, want={chain_id})")));
    }
    let tx_type = tx_type(request);
    let priority = match (gas_price, tx_type) {
        (_, TxType::Legacy | TxType::Eip2930) => None,
        (price, _) => Some(max_priority_fee_per_gas.or(price).unwrap_or_default()),
    };
    let authorizations = request.authorization_list.iter().flatten().cloned();
    Ok(TxEnv {
        tx_type: tx_type as u8,
        caller: request.from.unwrap_or_default(),
        gas_limit: request.gas.unwrap_or(defaults.gas_cap).min(defaults.gas_cap),
        gas_price: gas_price.or(max_fee_per_gas).unwrap_or_default(),
        gas_priority_fee: priority,
        kind: request.to.unwrap_or(TxKind::Create),
        value: request.value.unwrap_or_default(),
        data: request.input.input().cloned().unwrap_or_default(),
        nonce: request.nonce.unwrap_or(defaults.nonce),
        chain_id: Some(chain_id),
        access_list: request.access_list.clone().unwrap_or_default(),
        blob_hashes: request.blob_versioned_hashes.clone().unwrap_or_default(),
        max_fee_per_blob_gas: request.max_fee_per_blob_gas.unwrap_or_default(),
        authorization_list: authorizations.map(Either::Left).collect(),
    })
}

/// The type that carries all that the request names.
fn tx_type(request: &TransactionRequest) -> TxType {
    if request.authorization_list.is_some() {
        TxType::Eip7702
    } else if request.blob_versioned_hashes.is_some() {
        TxType::Eip4844
    } else if request.max_fee_per_gas.is_some() || request.max_priority_fee_per_gas.is_some() {
        TxType::Eip1559
    } else if request.access_list.is_some() {
        TxType::Eip2930
    } else {
        TxType::Legacy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEFAULTS: Defaults = Defaults { gas_cap: 50_000_000, nonce: 7, chain_id: 5 };

    #[track_caller]
    fn filled(request: TransactionRequest) -> TxEnv {
        fill(&request, &DEFAULTS).unwrap()
    }

    #[test]
    fn what_is_not_named_is_gas_cap_nonce_of_the_state_and_no_fee() {
        let tx = filled(TransactionRequest::default());
        assert_eq!(
            (tx.tx_type, tx.gas_limit, tx.nonce, tx.gas_price, tx.gas_priority_fee),
            (0, 50_000_000, 7, 0, None)
        );
        assert_eq!((tx.kind, tx.chain_id), (TxKind::Create, Some(5)));
    }

    #[test]
    fn gas_is_capped_and_fees_choose_the_type() {
        let named = TransactionRequest { gas: Some(u64::MAX), max_fee_per_gas: Some(9), ..Default::default() };
        let tx = filled(named);
        assert_eq!((tx.tx_type, tx.gas_limit, tx.gas_price, tx.gas_priority_fee), (2, 50_000_000, 9, Some(0)));
    }

    #[test]
    fn contradictions_are_refused() {
        let both = TransactionRequest { gas_price: Some(1), max_fee_per_gas: Some(1), ..Default::default() };
        let foreign = TransactionRequest { chain_id: Some(1), ..Default::default() };
        for (request, expected) in [
            (both, "both gasPrice and (maxFeePerGas or maxPriorityFeePerGas) specified"),
            (foreign, "chainId does not match node's (have=1, want=5)"),
        ] {
            assert_eq!(fill(&request, &DEFAULTS).unwrap_err().to_string(), expected);
        }
    }
}
