//! Traces: what a transaction did on its way, from running it again.
//!
//! Place in the flow: above [`crate::call`], whose machine runs under an inspector of `revm-inspectors`; below the methods of
//! `debug_`, `trace_` and `ots_`.
//! Invariant: a transaction is traced on the state that it ran on: the parent's, then the system calls, then the transactions
//! before it. Nothing here writes to a store.
//!
//! | module | what it is |
//! | --- | --- |
//! | `replay` | a block's transactions once more, one after the other |
//! | `source` | a known block and the state that it ran on |
//! | `debug`, `frames`, `geth_shape` | geth's tracers; what the inspectors do not note of a frame; what geth writes otherwise than they |
//! | `user_operations` | geth's tracer for user operations |
//! | `budget` | what a trace may take in memory |
//! | `prestate` | geth's prestate tracer |
//! | `block_trace` | how a block runs in parallel |
//! | `roots` | state roots between transactions, for receipts before Byzantium |
//! | `parity` | the traces of `trace_` |
//! | `otterscan` | the traces of `ots_` |

mod block_trace;
mod budget;
mod debug;
mod frames;
mod geth_shape;
mod otterscan;
mod parity;
mod prestate;
mod replay;
mod roots;
mod source;
mod user_operations;

pub use block_trace::{BlockTrace, Bound, Dependency, Location, Run, SpanRow, TxRow, block_trace};
pub use budget::{Budget, Recorder};
pub use debug::{trace_call, trace_one, trace_transaction, trace_transactions};
pub use otterscan::{failure_output, otterscan_operations, otterscan_trace};
pub use parity::{block_rewards, call_results, localized_traces, replay_results};
pub use replay::{ReplayBlock, Replayed, replay, state_before};
pub use roots::intermediate_roots;
pub use source::TraceSource;
