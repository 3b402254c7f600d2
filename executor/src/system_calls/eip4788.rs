//! EIP-4788: the parent beacon block root in the state.
//!
//! Place in the flow: before the first transaction, from Cancun on.

use super::SystemState;
use crate::{
    error::ExecuteError,
    rule::{Field, Rule},
};
use alloy_consensus::Header;
use alloy_eips::eip4788::BEACON_ROOTS_ADDRESS;
use alloy_primitives::Bytes;

/// Gives the root to the beacon roots contract.
///
/// CONSENSUS: EIP-4788, where the contract has no code the call is skipped, and a call that fails does not fail the
/// block.
pub(super) fn store_beacon_root(header: &Header, state: &mut impl SystemState) -> Result<(), ExecuteError> {
    let Some(root) = header.parent_beacon_block_root else {
        let rule = Rule::FieldPresence { field: Field::ParentBeaconBlockRoot, required: true };
        return Err(ExecuteError::invalid(rule));
    };
    state.system_call(BEACON_ROOTS_ADDRESS, Bytes::from(root))?;
    Ok(())
}
