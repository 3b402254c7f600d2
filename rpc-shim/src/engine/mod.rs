//! The Engine API without a server: parameters in, statuses out.
//!
//! Place in the flow: above the chain; the server hands parameters in and writes answers out, the conformance runner does the
//! same with the official fixtures.
//! Invariant: a call that is refused by an error changes nothing but an applied fork choice; an invalid payload is remembered,
//! never executed twice.
//! Source: execution-apis `src/engine/{paris,shanghai,cancun,prague,osaka,amsterdam}.md`.

mod attributes;
mod execution_payload;
mod payload;
mod status;
mod tracker;
mod version;

pub use attributes::{ForkchoiceCall, ForkchoiceVersion, payload_id};
pub use execution_payload::ExecutionPayload;
pub use payload::{NewPayload, PayloadFault};
pub use status::{PayloadStatus, Status};
pub use tracker::{Engine, ForkchoiceState};
pub use version::NewPayloadVersion;
