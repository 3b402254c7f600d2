//! Serving: who may speak, over what, and within which limits.
//!
//! Place in the flow: the top; the methods are behind it.
//! Invariant: a server knows sets of methods, never a single one's meaning.

pub mod auth;

mod engine;
mod virtual_hosts;

pub use engine::{EngineSettings, serve_engine};
pub use jsonrpsee::server::ServerHandle;
pub use virtual_hosts::VirtualHosts;

mod public;

pub use public::{Settings, namespaces, serve};
