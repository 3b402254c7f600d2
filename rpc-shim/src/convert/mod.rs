//! Between the wire's forms and ours.
//!
//! Place in the flow: below the methods; pure functions.
//! Invariant: what goes out has the field names and the number formats of the execution-apis; what comes in is read as geth reads it.

mod block;
mod prefixed_hash;
mod quantity;
mod receipt;
mod storage_key;

pub(crate) use block::{Detail, RpcBlock, RpcTransaction, block, header, ommer, pending, transaction};
pub(crate) use prefixed_hash::PrefixedHash;
pub(crate) use quantity::Quantity;
pub(crate) use receipt::{block_logs, receipt, receipts};
pub(crate) use storage_key::StorageKey;
