//! The chain and the Engine API from outside.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod attributes;
mod auth;
mod bad_blocks;
mod branches;
mod build;
mod calls;
mod chain;
mod compat;
mod controls;
mod data;
mod dev;
mod durable;
mod engine;
mod engine_besu;
mod engine_http;
mod engine_rules;
mod engine_versions;
mod forge;
mod hostile;
#[cfg(unix)]
mod ipc;
mod payloads;
mod pending;
mod pool;
mod pool_model;
mod server;
mod simulations;
mod traced_block;
mod tracers;
mod transports;
