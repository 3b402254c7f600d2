//! EIP-7002: withdrawals that the execution layer asks for.
//!
//! Place in the flow: after the withdrawals, from Prague on.

use super::{SystemState, checked_call};
use crate::error::ExecuteError;
use alloy_eips::{eip7002::WITHDRAWAL_REQUEST_TYPE, eip7685::Requests};
use alloy_primitives::Address;

/// Takes the requests of this block out of the queue of `contract`.
///
/// CONSENSUS: EIP-7002, a contract without code or a failing call makes the block invalid.
pub(super) fn dequeue_withdrawal_requests(
    contract: Address,
    state: &mut impl SystemState,
    requests: &mut Requests,
) -> Result<(), ExecuteError> {
    let output = checked_call(state, contract)?;
    requests.push_request_with_type(WITHDRAWAL_REQUEST_TYPE, output);
    Ok(())
}
