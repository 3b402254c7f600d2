//! Predictions: what transactions will read and do, from where it can be known.
//!
//! Place in the flow: before partition. Simulations on the parent state are made by `parallel::presimulate`; this module turns
//! a delivered block access list (EIP-7928) into the effects that it promises.
//! Invariant: a prediction is a hint. A wrong one is found by validation and costs a second run.

mod block_access_list;

pub(crate) use block_access_list::effects_of_list;
