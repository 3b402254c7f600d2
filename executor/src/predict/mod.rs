//! Predictions: what transactions will read and do, from where it can be known.
//!
//! Place in the flow: before partition. Simulations on the parent state are made by `presimulate`; this module reads what the
//! transactions declare, and turns a delivered block access list (EIP-7928) into the effects that it promises.
//! Invariant: a prediction is a hint. A wrong one is found by validation and costs a second run.

mod block_access_list;
mod declared;

pub(crate) use block_access_list::Promises;
pub(crate) use declared::{Declared, Likeness};
