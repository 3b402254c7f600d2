//! Parallel execution of Ethereum blocks on revm, bit-exact with sequential execution.
//!
//! A block goes through `recover → env → predict → partition → schedule { adopt | execute ⇄ validate } → merge → outcome`.
//! [`BlockExecutor`] is the way in; each module's doc says what it is, its place in the flow, and its invariant. A module uses
//! only modules that stand above it in the list below.

pub mod config;
mod sync;
pub mod types;

pub mod location;
pub mod rule;

pub mod error;

mod block_state;
mod read_set;

mod effects;

mod mv_memory;

pub mod chain_spec;

pub mod recover;

pub mod env;

pub mod check_header;
pub mod system_calls;

mod execute;
mod validate;

mod partition;

pub mod schedule;

mod predict;

pub mod outcome;

mod clock;
mod merge;

mod choice;
mod contention;
mod presimulate;
mod simulated;
mod trial;

mod prepared;

mod parallel;

mod executor;

pub mod sequential;

pub mod pipeline;

pub mod virtual_time;

pub mod study;

pub mod plugin;

pub use config::{Config, Mode, Pinning, Predict};
pub use error::ExecuteError;
pub use execute::ViewError;
pub use executor::{BlockExecutor, Knowledge};
pub use outcome::{Drafted, Fallback, Outcome, Path, Stats};
pub use presimulate::Simulations;
pub use simulated::{Simulated, simulate_each};
pub use types::{Block, Incarnation, Receipt, Transaction, TxIndex};
