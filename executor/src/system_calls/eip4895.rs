//! EIP-4895: withdrawals from the beacon chain.
//!
//! Place in the flow: after the last transaction, from Shanghai on.

use super::SystemState;
use crate::error::ExecuteError;
use alloy_eips::eip4895::Withdrawal;

/// Adds each withdrawal to its recipient, in order.
///
/// CONSENSUS: EIP-4895, amounts are in gwei, no code runs, nothing can fail. A withdrawal of nothing still touches its
/// recipient.
pub(super) fn pay_withdrawals(withdrawals: &[Withdrawal], state: &mut impl SystemState) -> Result<(), ExecuteError> {
    withdrawals.iter().try_for_each(|withdrawal| state.add_balance(withdrawal.address, withdrawal.amount_wei()))
}
