//! Parallel against sequential: one `check_block`, every mode, prediction and worker count.

#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a test stops at what cannot be, and says what it skips")]

mod build;
mod check;
mod contended;
mod divergences;
mod edges;
mod faults;
mod foreign;
mod foreseen;
mod layering;
mod list;
mod mainnet;
mod once;
mod outline;
mod pipeline;
mod plugin;
mod program;
mod promises;
mod random;
mod witness;
mod world;
