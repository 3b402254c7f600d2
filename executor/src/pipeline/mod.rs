//! Many blocks in a row: the senders of one, the execution of the one before, the root of the one before that and the commit
//! of older ones at once.
//!
//! Place in the flow: `import` and bulk replay run it over a store; a node that takes one block at a time uses its `steps`.
//! Invariant: blocks pass every stage in order. Whatever stops the pipeline, all blocks before the one that stopped it are
//! committed, and nothing of that one and of those after it is.
//!
//! ```text
//! blocks ─► check, senders ─► execute ─► state root ─► commit, as many as wait
//!               n + 2           n + 1         n          n - 1 and before
//! ```

mod import;
mod integrity;
mod kept;
mod queue;
pub mod steps;
mod witness;

pub use import::{ImportError, Importer, Progress};
pub use integrity::{IntegrityError, check_integrity};
pub use kept::{BlockParts, Extra, KeptBlock, KeptError, block_data, genesis_data};
pub use queue::{BATCH_LEN_MAX, BATCH_LEN_MIN, QUEUE_LEN, Stage, Stages, Stopped, run, run_in_turn};
pub use witness::{ExecutionWitness, WitnessError, execution_witness, kept_witness};
