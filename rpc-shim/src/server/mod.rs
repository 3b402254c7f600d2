//! Serving.
pub mod auth;
