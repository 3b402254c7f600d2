//! What an arriving transaction must satisfy before anyone looks at its sender's queue.
//!
//! Place in the flow: after decoding; the book checks nonce, funds and price against the queue.
//! Invariant: what passes is refused by execution only for what the state says when its turn comes.

use super::{
    error::PoolError,
    head::Head,
    settings::{BelowBaseFee, Settings},
    sidecar::check_sidecar,
    transaction::{Origin, Pooled},
};
use alloy_eips::eip4844::VERSIONED_HASH_VERSION_KZG;
use alloy_primitives::U256;
use laminar_executor::{
    env::{cfg_env, check_intrinsic},
    rule::Rule,
};
use revm::{context_interface::Cfg, primitives::eip3860::MAX_INITCODE_SIZE};

/// Checks everything that neither nonce nor balance nor the other transactions decide.
///
/// # Errors
/// The first thing that is wrong, in geth's order.
pub(super) fn check(tx: &Pooled, head: &Head, settings: &Settings) -> Result<(), PoolError> {
    let (env, len) = (tx.env(), tx.len());
    if len > settings.transaction_len_max {
        return Err(PoolError::Size { size: len, limit: settings.transaction_len_max });
    }
    if env.gas_limit > head.gas_limit {
        return Err(PoolError::GasLimit { gas: env.gas_limit, limit: head.gas_limit });
    }
    let cap = cfg_env(&head.rules).tx_gas_limit_cap();
    if env.gas_limit > cap {
        return Err(PoolError::GasCap { cap, gas: env.gas_limit });
    }
    if let Some(tip) = env.gas_priority_fee.filter(|tip| *tip > env.gas_price) {
        return Err(PoolError::TipAboveFee { tip, fee: env.gas_price });
    }
    check_intrinsic(env, &head.rules).map_err(|rule| match rule {
        Rule::InitCodeTooLarge => PoolError::InitCode { size: env.data.len(), limit: MAX_INITCODE_SIZE },
        other => other.into(),
    })?;
    check_price(tx, head, settings)?;
    if tx.is_blob() { check_blobs(tx, head, settings) } else { Ok(()) }
}

fn check_price(tx: &Pooled, head: &Head, settings: &Settings) -> Result<(), PoolError> {
    let env = tx.env();
    if tx.max_fee() < settings.price_min_wei {
        return Err(PoolError::TipTooLow { tip: tx.max_fee(), needed: settings.price_min_wei });
    }
    match tx.origin() {
        Origin::Remote if tx.max_tip() < settings.tip_min_wei => {
            return Err(PoolError::TipTooLow { tip: tx.max_tip(), needed: settings.tip_min_wei });
        }
        Origin::Local if settings.fee_cap_wei > 0 => {
            let fee = U256::from(env.gas_price).saturating_mul(U256::from(env.gas_limit));
            if fee > U256::from(settings.fee_cap_wei) {
                return Err(PoolError::FeeCap { fee, cap: settings.fee_cap_wei });
            }
        }
        Origin::Remote | Origin::Local => {}
    }
    if settings.below_base_fee == BelowBaseFee::Waits {
        return Ok(());
    }
    if tx.max_fee() < u128::from(head.base_fee) {
        return Err(PoolError::BelowBaseFee { fee: tx.max_fee(), base_fee: head.base_fee });
    }
    match head.blob_fee {
        Some(blob_fee) if tx.is_blob() && env.max_fee_per_blob_gas < blob_fee => {
            Err(PoolError::BelowBlobFee { fee: env.max_fee_per_blob_gas, blob_fee })
        }
        _ => Ok(()),
    }
}

/// CONSENSUS: EIP-4844, EIP-7594.
fn check_blobs(tx: &Pooled, head: &Head, settings: &Settings) -> Result<(), PoolError> {
    let hashes = &tx.env().blob_hashes;
    let limit = head.rules.blob_params.map_or(0, |params| params.max_blobs_per_tx.min(params.max_blob_count));
    if hashes.len() as u64 > limit {
        return Err(PoolError::TooManyBlobs { found: hashes.len(), limit });
    }
    if hashes.iter().any(|hash| hash[0] != VERSIONED_HASH_VERSION_KZG) {
        return Err(PoolError::Rule(Rule::BlobHashVersion));
    }
    let sidecar = tx.sidecar().ok_or(PoolError::NoSidecar)?;
    check_sidecar(sidecar, hashes, &head.rules, settings.legacy_sidecars)
}
