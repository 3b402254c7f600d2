//! EIP-7685: the hash of a block's requests.
//!
//! Place in the flow: check_header compares it with the header.

use alloy_eips::eip7685::Requests;
use alloy_primitives::B256;

/// `sha256(sha256(request) ...)` over the requests in ascending type, each `type byte || data`; those without data do
/// not count.
pub fn requests_hash(requests: &Requests) -> B256 {
    requests.requests_hash()
}
