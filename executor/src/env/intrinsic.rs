//! What a transaction costs before its first instruction.
//!
//! Place in the flow: part of env; the pool, gas estimation and the transaction tests ask. Execution gets it from revm
//! itself.
//! Invariant: the numbers are revm's own, so the pool never admits what execution refuses for them.

use crate::{chain_spec::Rules, rule::Rule};
use revm::{
    context::TxEnv,
    handler::validation::validate_initial_tx_gas,
    interpreter::InitialAndFloorGas,
    primitives::{eip3860::MAX_INITCODE_SIZE, hardfork::SpecId},
};

/// Intrinsic and floor gas of a transaction.
///
/// CONSENSUS: EIP-2028, 2930, 3860, 7623 and 7702, as the fork has them; EIP-2681 for the nonce.
///
/// # Errors
/// If the gas limit does not cover them, the nonce is the last one, or the init code is too long.
pub fn check_intrinsic(tx: &TxEnv, rules: &Rules) -> Result<InitialAndFloorGas, Rule> {
    let gas = validate_initial_tx_gas(tx, rules.spec_id, false, false, u64::MAX, None)?;
    if tx.nonce == u64::MAX {
        return Err(Rule::NonceIsMax);
    }
    let shanghai = rules.spec_id.is_enabled_in(SpecId::SHANGHAI);
    if shanghai && tx.kind.is_create() && tx.data.len() > MAX_INITCODE_SIZE {
        return Err(Rule::InitCodeTooLarge);
    }
    Ok(gas)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain_spec::ChainSpec;
    use alloy_primitives::{Bytes, TxKind};

    fn check(network: &str, tx: TxEnv) -> Result<InitialAndFloorGas, Rule> {
        check_intrinsic(&tx, &ChainSpec::for_test_network(network, []).unwrap().rules_at(1, 1))
    }

    fn call(gas_limit: u64, data: usize) -> TxEnv {
        TxEnv { gas_limit, data: Bytes::from(vec![1; data]), ..TxEnv::default() }
    }

    #[test]
    fn intrinsic_gas_covers_the_call_data_at_the_price_of_the_fork() {
        assert!(check("Osaka", call(21_000, 0)).is_ok());
        assert_eq!(check("Osaka", call(20_999, 0)), Err(Rule::IntrinsicGas { expected: 21_000, found: 20_999 }));
        assert_eq!(check("Berlin", call(21_031, 2)), Err(Rule::IntrinsicGas { expected: 21_032, found: 21_031 }));
        assert_eq!(check("Frontier", call(21_135, 2)), Err(Rule::IntrinsicGas { expected: 21_136, found: 21_135 }));
    }

    #[test]
    fn floor_gas_counts_from_prague_on() {
        assert!(check("Cancun", call(21_032, 2)).is_ok());
        assert_eq!(check("Prague", call(21_040, 2)), Err(Rule::FloorGas { expected: 21_080, found: 21_040 }));
    }

    #[test]
    fn last_nonce_and_long_init_code_are_refused() {
        let last = TxEnv { nonce: u64::MAX, ..call(21_000, 0) };
        assert_eq!(check("Osaka", last), Err(Rule::NonceIsMax));
        let create = |len| TxEnv { kind: TxKind::Create, ..call(30_000_000, len) };
        assert_eq!(check("Shanghai", create(MAX_INITCODE_SIZE + 1)), Err(Rule::InitCodeTooLarge));
        assert!(check("Paris", create(MAX_INITCODE_SIZE + 1)).is_ok());
        assert!(check("Shanghai", create(MAX_INITCODE_SIZE)).is_ok());
    }
}
