//! EIP-7251: consolidations of validators.
//!
//! Place in the flow: last, from Prague on.

use super::{SystemState, checked_call};
use crate::error::ExecuteError;
use alloy_eips::{
    eip7251::{CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, CONSOLIDATION_REQUEST_TYPE},
    eip7685::Requests,
};

/// Takes the requests of this block out of the contract's queue.
///
/// CONSENSUS: EIP-7251, a contract without code or a failing call makes the block invalid.
pub(super) fn dequeue_consolidation_requests(
    state: &mut impl SystemState,
    requests: &mut Requests,
) -> Result<(), ExecuteError> {
    let output = checked_call(state, CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS)?;
    requests.push_request_with_type(CONSOLIDATION_REQUEST_TYPE, output);
    Ok(())
}
