//! A header against its parent.
//!
//! Place in the flow: first check of an import; the block builder asks for the expected values.
//! Invariant: reads two headers and the schedule, nothing else.

use super::difficulty::expected_difficulty;
use crate::{
    chain_spec::{ChainSpec, DaoSupport, Fork, Rules},
    rule::{Field, Mismatch, Rule},
};
use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header, constants::MAXIMUM_EXTRA_DATA_SIZE};
use alloy_eips::eip1559::{
    BaseFeeParams, DEFAULT_ELASTICITY_MULTIPLIER, GAS_LIMIT_BOUND_DIVISOR, INITIAL_BASE_FEE, calc_next_block_base_fee,
};
use alloy_primitives::{Sealed, U256};

const GAS_LIMIT_MIN: u64 = 5000;
const GAS_LIMIT_MAX: u64 = i64::MAX as u64;
const DAO_EXTRA_DATA: &[u8] = b"dao-hard-fork";

/// Checks a header against its parent under the schedule.
///
/// # Errors
/// The first broken rule, in an order in which no later check relies on something unchecked.
pub fn check_header(spec: &ChainSpec, header: &Header, parent: &Sealed<Header>) -> Result<(), Rule> {
    Mismatch::check(Field::ParentHash, parent.hash(), header.parent_hash)
        .map_err(|mismatch| Rule::UnknownParent(Box::new(mismatch)))?;
    let parent = parent.inner();
    let number = parent.number.saturating_add(1);
    Mismatch::check(Field::Number, number, header.number)?;
    if header.timestamp <= parent.timestamp {
        let expected = parent.timestamp.saturating_add(1);
        return Err(Rule::Timestamp { expected, found: header.timestamp });
    }
    let rules = spec.rules_for(header);
    check_presence(&rules, header)?;
    check_seal(&rules, header, parent)?;
    check_extra_data(&rules, header)?;
    check_gas(spec, &rules, header, parent)?;
    check_blob_gas(&rules, header, parent)
}

/// Checks that the block stands on the right side of the merge, given its parent's total difficulty.
///
/// CONSENSUS: EIP-3675. Nothing is checked where the merge is not decided by total difficulty.
///
/// # Errors
/// [`Rule::WrongSideOfMerge`].
pub fn check_terminal_difficulty(spec: &ChainSpec, header: &Header, parent_total: U256) -> Result<(), Rule> {
    let Some(terminal) = spec.merge().by_difficulty() else {
        return Ok(());
    };
    let proof_of_stake = header.difficulty.is_zero();
    if proof_of_stake == (parent_total >= terminal) { Ok(()) } else { Err(Rule::WrongSideOfMerge { proof_of_stake }) }
}

/// Every fork field is there from its fork on and absent before it.
///
/// CONSENSUS: EIP-1559, 4895, 4844, 4788, 7685, 7928. The slot number (EIP-7843) came to Amsterdam after its official tests, whose
/// blocks lack it: from there on it may be there.
fn check_presence(rules: &Rules, header: &Header) -> Result<(), Rule> {
    let fields = [
        (Field::BaseFee, Fork::London, header.base_fee_per_gas.is_some()),
        (Field::WithdrawalsRoot, Fork::Shanghai, header.withdrawals_root.is_some()),
        (Field::BlobGasUsed, Fork::Cancun, header.blob_gas_used.is_some()),
        (Field::ExcessBlobGas, Fork::Cancun, header.excess_blob_gas.is_some()),
        (Field::ParentBeaconBlockRoot, Fork::Cancun, header.parent_beacon_block_root.is_some()),
        (Field::RequestsHash, Fork::Prague, header.requests_hash.is_some()),
        (Field::BlockAccessListHash, Fork::Amsterdam, header.block_access_list_hash.is_some()),
    ];
    for (field, fork, present) in fields {
        let required = rules.is_active(fork);
        if present != required {
            return Err(Rule::FieldPresence { field, required });
        }
    }
    if header.slot_number.is_some() && !rules.is_active(Fork::Amsterdam) {
        return Err(Rule::FieldPresence { field: Field::SlotNumber, required: false });
    }
    Ok(())
}

/// Difficulty, and what the merge fixes with it.
fn check_seal(rules: &Rules, header: &Header, parent: &Header) -> Result<(), Rule> {
    if rules.is_post_merge() {
        // CONSENSUS: EIP-3675, difficulty and nonce are zero and there are no ommers.
        Mismatch::check(Field::Difficulty, U256::ZERO, header.difficulty)?;
        Mismatch::check(Field::Nonce, 0, u64::from(header.nonce))?;
        return Ok(Mismatch::check(Field::OmmersHash, EMPTY_OMMER_ROOT_HASH, header.ommers_hash)?);
    }
    let expected = expected_difficulty(rules, header.number, header.timestamp, parent);
    Ok(Mismatch::check(Field::Difficulty, expected, header.difficulty)?)
}

fn check_extra_data(rules: &Rules, header: &Header) -> Result<(), Rule> {
    let found = header.extra_data.len();
    if found > MAXIMUM_EXTRA_DATA_SIZE {
        return Err(Rule::ExtraDataTooLong { expected: MAXIMUM_EXTRA_DATA_SIZE, found });
    }
    let marked = header.extra_data.as_ref() == DAO_EXTRA_DATA;
    // CONSENSUS: EIP-779, ten blocks of the supporting chain carry the mark; the other chain's first block must not.
    match rules.dao_extra_data() {
        Some(DaoSupport::For) if !marked => Err(Rule::ExtraDataDao),
        Some(DaoSupport::Against) if marked => Err(Rule::ExtraDataDao),
        _ => Ok(()),
    }
}

fn check_gas(spec: &ChainSpec, rules: &Rules, header: &Header, parent: &Header) -> Result<(), Rule> {
    let found = header.gas_limit;
    if found > GAS_LIMIT_MAX {
        return Err(Rule::GasLimitTooBig { expected: GAS_LIMIT_MAX, found });
    }
    let (min, max) = gas_limit_bounds(rules, spec, parent);
    if !(min..=max).contains(&found) {
        return Err(Rule::GasLimitBounds { min, max, found });
    }
    if header.gas_used > found {
        return Err(Rule::GasUsedAboveLimit { expected: found, found: header.gas_used });
    }
    if let (Some(expected), Some(found)) = (expected_base_fee(rules, parent), header.base_fee_per_gas) {
        Mismatch::check(Field::BaseFee, expected, found)?;
    }
    Ok(())
}

/// The least and the greatest gas limit that may follow `parent`.
///
/// CONSENSUS: it moves by less than 1/1024 and is at least 5000; EIP-1559 doubles the parent's at the London block.
pub fn gas_limit_bounds(rules: &Rules, spec: &ChainSpec, parent: &Header) -> (u64, u64) {
    let transition = rules.is_active(Fork::London) && !spec.rules_for(parent).is_active(Fork::London);
    let factor = if transition { DEFAULT_ELASTICITY_MULTIPLIER } else { 1 };
    let from = parent.gas_limit.saturating_mul(factor);
    let step = (from / GAS_LIMIT_BOUND_DIVISOR).saturating_sub(1);
    (from.saturating_sub(step).max(GAS_LIMIT_MIN), from.saturating_add(step).min(GAS_LIMIT_MAX))
}

/// The base fee of the block after `parent`, in wei per gas; none before London.
///
/// CONSENSUS: EIP-1559, one gwei in the first block, then by the parent's use of gas.
pub fn expected_base_fee(rules: &Rules, parent: &Header) -> Option<u64> {
    if !rules.is_active(Fork::London) {
        return None;
    }
    let Some(base_fee) = parent.base_fee_per_gas else {
        return Some(INITIAL_BASE_FEE);
    };
    Some(calc_next_block_base_fee(parent.gas_used, parent.gas_limit, base_fee, BaseFeeParams::ethereum()))
}

/// The blob gas used is the body's to check: it is a sum over transactions.
fn check_blob_gas(rules: &Rules, header: &Header, parent: &Header) -> Result<(), Rule> {
    if let (Some(expected), Some(found)) = (expected_excess_blob_gas(rules, parent), header.excess_blob_gas) {
        Mismatch::check(Field::ExcessBlobGas, expected, found)?;
    }
    Ok(())
}

/// The excess blob gas of the block after `parent`; none before Cancun.
///
/// CONSENSUS: EIP-4844 with the parameters of the child's fork (EIP-7691, EIP-7892) and, from Osaka on, the reserve
/// price of EIP-7918. The first Cancun block starts from zero.
pub fn expected_excess_blob_gas(rules: &Rules, parent: &Header) -> Option<u64> {
    let params = rules.blob_params?;
    let excess = parent.excess_blob_gas.unwrap_or_default();
    let used = parent.blob_gas_used.unwrap_or_default();
    // Saturated so that a made-up parent cannot overflow; real values are far below.
    let (excess, used) = (excess.min(u64::MAX / 2), used.min(u64::from(u32::MAX)));
    Some(params.next_block_excess_blob_gas_osaka(excess, used, parent.base_fee_per_gas.unwrap_or_default()))
}

#[cfg(test)]
mod tests;
