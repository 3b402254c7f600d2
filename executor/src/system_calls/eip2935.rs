//! EIP-2935: the hashes of the last blocks in the state.
//!
//! Place in the flow: before the first transaction, from Prague on.

use super::SystemState;
use crate::error::ExecuteError;
use alloy_consensus::Header;
use alloy_eips::eip2935::HISTORY_STORAGE_ADDRESS;
use alloy_primitives::Bytes;

/// Gives the parent's hash to the history contract.
///
/// CONSENSUS: EIP-2935, where the contract has no code the call is skipped, and a call that fails does not fail the
/// block.
pub(super) fn store_parent_hash(header: &Header, state: &mut impl SystemState) -> Result<(), ExecuteError> {
    state.system_call(HISTORY_STORAGE_ADDRESS, Bytes::from(header.parent_hash))?;
    Ok(())
}
