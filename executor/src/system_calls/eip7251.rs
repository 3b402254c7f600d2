//! EIP-7251: consolidations of validators.
//!
//! Place in the flow: last, from Prague on.

use super::{SystemState, checked_call};
use crate::error::ExecuteError;
use alloy_eips::{eip7251::CONSOLIDATION_REQUEST_TYPE, eip7685::Requests};
use alloy_primitives::Address;

/// Takes the requests of this block out of the queue of `contract`.
///
/// CONSENSUS: EIP-7251, a contract without code or a failing call makes the block invalid.
pub(super) fn dequeue_consolidation_requests(
    contract: Address,
    state: &mut impl SystemState,
    requests: &mut Requests,
) -> Result<(), ExecuteError> {
    let output = checked_call(state, contract)?;
    requests.push_request_with_type(CONSOLIDATION_REQUEST_TYPE, output);
    Ok(())
}
