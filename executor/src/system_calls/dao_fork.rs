//! The irregular state change of the DAO fork (EIP-779).
//!
//! Place in the flow: before the first transaction of the fork block, on chains that support the fork.
//! Invariant: ether is moved, never made.

use super::SystemState;
use crate::error::ExecuteError;
use alloy_evm::eth::dao_fork::{DAO_HARDFORK_ACCOUNTS, DAO_HARDFORK_BENEFICIARY};
use alloy_primitives::U256;

/// Moves the balance of every DAO account to the refund contract.
///
/// CONSENSUS: EIP-779. The refund contract is touched even if it gains nothing.
pub(super) fn drain(state: &mut impl SystemState) -> Result<(), ExecuteError> {
    let mut drained = U256::ZERO;
    for address in DAO_HARDFORK_ACCOUNTS {
        drained = drained.saturating_add(state.take_balance(address)?);
    }
    state.add_balance(DAO_HARDFORK_BENEFICIARY, drained)
}
