//! Serving: who may speak, over what, and within which limits.
//!
//! Place in the flow: the top; the methods are behind it.
//! Invariant: a server knows sets of methods, never a single one's meaning.

pub mod auth;

mod engine;
mod gate;
mod virtual_hosts;

pub use engine::{EngineSettings, serve_engine};
pub use jsonrpsee::server::ServerHandle;
pub use virtual_hosts::VirtualHosts;

mod measure;
mod origins;
mod patience;
mod public;

pub use public::{Settings, namespaces, serve};

#[cfg(unix)]
mod ipc;

#[cfg(unix)]
pub use ipc::{IpcHandle, IpcSettings, serve_ipc};

use jsonrpsee::{core::traits::IdProvider, types::SubscriptionId};
use std::hash::{BuildHasher, Hasher, RandomState};

/// Ids of subscriptions: hex, as clients know them from geth.
#[derive(Debug)]
struct HexIds;

impl IdProvider for HexIds {
    fn next_id(&self) -> SubscriptionId<'static> {
        let word = || RandomState::new().build_hasher().finish();
        format!("0x{:016x}{:016x}", word(), word()).into()
    }
}
