//! Parallel against sequential: one `check_block`, every mode, prediction and worker count.

mod check;
mod divergences;
mod faults;
mod layering;
mod list;
mod mainnet;
mod outline;
mod program;
mod random;
mod world;
