//! What a header promises and whether it is true: before execution against parent and body, after it against the
//! results.
//!
//! Place in the flow: import checks header, ommers and body, executes, then checks the outcome; `replay` does the last
//! alone.
//! Invariant: a check never changes anything, and gives the first broken rule in the order of the execution
//! specification. It does not check proof-of-work seals.

mod body;
mod difficulty;
mod envelopes;
mod header;
mod ommers;
mod outcome;
mod receipts;

pub use body::{blob_gas_used, check_body, check_transactions_root};
pub use difficulty::expected_difficulty;
pub use envelopes::Envelopes;
pub use header::{
    check_header, check_terminal_difficulty, expected_base_fee, expected_excess_blob_gas, gas_limit_bounds,
};
pub use ommers::{Ancestor, check_ommers};
pub use outcome::{Check, Computed, Verdict, Verified, check_access_list_len, check_outcome};
pub use receipts::{ReceiptSummary, encode_receipts, logs_bloom, receipts_root, summarize_receipts};

#[cfg(test)]
mod real_blocks;
