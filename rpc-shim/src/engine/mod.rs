//! The Engine API without a server: parameters in, statuses out.
//!
//! Place in the flow: above the chain; the server hands parameters in and writes answers out, the conformance runner does the
//! same with the official fixtures.
//! Invariant: a call that is refused by an error changes nothing but an applied fork choice; an invalid payload is remembered,
//! never executed twice.
//! Source: execution-apis `src/engine/{paris,shanghai,cancun,prague,osaka,amsterdam}.md`.

mod attributes;
mod blobs;
mod bodies;
mod building;
mod envelope;
mod execution_payload;
mod handshake;
mod invalid;
mod methods;
mod payload;
mod processes;
mod service;
mod slow_block;
mod status;
mod tracker;
mod version;
mod waiting;

pub use attributes::{ForkchoiceCall, ForkchoiceVersion, payload_id};
pub use bodies::{Body, BodyVersion, bodies_by_hash, bodies_by_range};
pub use building::{BuilderSettings, PoolBuilder};
pub use envelope::{Answer, BlobsBundle, BuiltPayload, Envelope, GetPayloadVersion};
pub use execution_payload::ExecutionPayload;
pub use handshake::ClientVersion;
pub use invalid::KeepInvalid;
pub use methods::module;
pub use payload::{NewPayload, PayloadFault};
pub use processes::{BuildPayload, BuildProcesses, Contents};
pub use service::EngineApi;
pub use status::{PayloadStatus, Status};
pub use tracker::{Engine, ForkchoiceState, ForkchoiceUpdated};
pub use version::NewPayloadVersion;
