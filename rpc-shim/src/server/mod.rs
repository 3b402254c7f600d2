//! Serving: who may speak, over what, and within which limits.
//!
//! Place in the flow: the top; the methods are behind it.
//! Invariant: a server knows sets of methods, never a single one's meaning.

pub mod auth;

mod engine;

pub use engine::serve_engine;

mod public;

pub use public::{Settings, namespaces, serve};
