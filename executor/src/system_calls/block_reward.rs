//! Rewards of proof-of-work blocks for the miner and for the miners of ommers.
//!
//! Place in the flow: after the last transaction, before the merge.
//! Source: yellow paper section 11.3; EIP-649 and EIP-1234 for the amounts.

use super::SystemState;
use crate::{
    error::ExecuteError,
    rule::{OmmerFault, Rule},
};
use alloy_consensus::Header;
use alloy_primitives::U256;

/// Generations within which an ommer earns something.
const OMMER_GENERATIONS_MAX: u64 = 8;

/// Pays the miner `reward * (1 + ommers / 32)` and each ommer's miner `reward * (8 - depth) / 8`.
///
/// CONSENSUS: all divisions round down, that of the miner's extra once per ommer.
pub(super) fn pay(
    reward_wei: u128,
    header: &Header,
    ommers: &[Header],
    state: &mut impl SystemState,
) -> Result<(), ExecuteError> {
    let reward = U256::from(reward_wei);
    for (position, ommer) in ommers.iter().enumerate() {
        let depth = header.number.checked_sub(ommer.number).filter(|depth| (1..=OMMER_GENERATIONS_MAX).contains(depth));
        let Some(depth) = depth else {
            return Err(ExecuteError::invalid(Rule::Ommer { position, fault: OmmerFault::Parent }));
        };
        let share = U256::from(OMMER_GENERATIONS_MAX - depth) * reward / U256::from(OMMER_GENERATIONS_MAX);
        state.add_balance(ommer.beneficiary, share)?;
    }
    let extra = reward / U256::from(32) * U256::from(ommers.len());
    state.add_balance(header.beneficiary, reward + extra)
}
