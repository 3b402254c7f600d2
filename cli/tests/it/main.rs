//! The command from the outside: every test runs the built binary and looks at exit code, stdout and stderr.
//!
//! Invariant, checked in every run by [`command`]: stdout carries the report only, an exit code other than 0 comes with one
//! line for each error on stderr, and nothing panics.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod bad_input;
mod chain;
mod command;
mod compat;
mod crash;
mod damage;
mod data;
mod db;
mod folders;
mod follow;
mod import;
mod node;
mod official;
mod record;
mod replay;
mod restart;
mod samples;
mod serve;
mod tampered;

#[path = "../../examples/make_samples/seal.rs"]
mod seal;
