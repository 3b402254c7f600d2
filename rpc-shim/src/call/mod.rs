//! Calls: transactions that run on a state and are thrown away.
//!
//! Place in the flow: above a state view, below the methods `eth_call`, `eth_estimateGas`, `eth_createAccessList`,
//! `eth_simulateV1`, `eth_fillTransaction` and the tracers.
//! Invariant: nothing here writes to a store; what a call changes lives in its own [`CallState`]. Rules, messages and codes are
//! geth's, for that is what clients were written against.
//!
//! | module | what it is |
//! | --- | --- |
//! | `error` | why a call has no result, in geth's words |
//! | `environment` | block and rules under which a call runs; the block after the head; block overrides |
//! | `request` | the caller's fields, with defaults filled in, as revm's transaction |
//! | `deadline`, `precompiles` | what stops a run; precompiles that can be moved |
//! | `machine` | one revm instance over a [`CallState`] |
//! | `system` | the rules around the transactions on a [`CallState`] |
//! | `overrides` | state overrides |
//! | `changes` | what a state that was called on changed, for the state root |
//! | `execute`, `estimate`, `access_list`, `simulate` | the methods |

mod access_list;
pub(crate) mod changes;
mod deadline;
mod environment;
mod error;
mod estimate;
mod execute;
mod machine;
mod overrides;
mod precompiles;
mod request;
mod simulate;
pub(crate) mod system;

pub use access_list::{AccessListOutcome, create_access_list};
pub use deadline::Deadline;
pub use environment::{Environment, SLOT_SECONDS, header_after};
pub use error::{CallError, Invalid, InvalidKind, Sequence, halt_reason};
pub use estimate::estimate_gas;
pub use execute::{Call, call, call_on};
pub use machine::{CallState, Machine, MachineContext, Ran};
pub(crate) use machine::{EXCEEDED, TRACE_LEN_MAX};
pub use overrides::override_state;
pub use precompiles::MovablePrecompiles;
pub use request::{Defaults, fill};
pub use simulate::{Base, RootAfter, simulate};

/// Limits of one call.
#[derive(Clone, Copy, Debug)]
pub struct CallLimits {
    /// The most gas that a call may be given; what a call that names none gets.
    pub gas_cap: u64,
    /// When it must be done.
    pub deadline: Deadline,
}
