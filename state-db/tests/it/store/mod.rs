//! Stores against a naive model, and stores on disk against what happens to disks.

mod chain;
mod check;
mod crash;
mod durability;
mod model;
mod naive;
