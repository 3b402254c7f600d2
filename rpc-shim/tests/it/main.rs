//! The chain and the Engine API from outside.

mod chain;
mod engine;
mod forge;
