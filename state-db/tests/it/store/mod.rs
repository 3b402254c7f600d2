//! Stores against a naive model.

mod check;
mod model;
mod naive;
