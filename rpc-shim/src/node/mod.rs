//! The chain without a network: blocks in, a head and its state out.
//!
//! Place in the flow: above executor and state-db, below everything that speaks a protocol.
//! Invariant: a block that is refused, for whatever reason, changes neither the tree nor the head nor the state. Nothing here
//! is async, reads a clock or starts a thread; the executor that a chain is given has its own workers.
//!
//! ```text
//! bytes ─ decode ─► block ─ header, ommers, body, senders ─► ready ─ execute on the parent's state ─ outcome, root ─► tree
//! ```
//! Every known block can become the head, whatever its branch: the state moves there by undoing and redoing blocks.

mod chain;
mod error;
mod import;
mod parent_state;
mod tree;

pub use chain::{Chain, Reorg};
pub use error::{ChainError, ImportError, InvalidBlock};
pub use import::{Delivered, Imported, Ready};
pub use parent_state::{ParentState, ParentStateError};
pub use tree::{BlockRecord, BlockTree};
