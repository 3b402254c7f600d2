//! Any bytes, read as a block of small programs: parallel execution gives what lean sequential revm gives.
//!
//! `cargo +nightly fuzz run parallel_equals_sequential` in `executor/`. The block and its check are those of the property test.

#![no_main]

#[path = "../../tests/it/check.rs"]
#[expect(dead_code, reason = "the property tests use more of it")]
mod check;
#[path = "../../tests/it/list.rs"]
mod list;
#[path = "../../tests/it/outline.rs"]
mod outline;
#[path = "../../tests/it/program.rs"]
mod program;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| outline::Outline::from_bytes(bytes).check(&[1, 3]));
