//! For hosts: three ways to use this engine in a program that was built for another one.
//!
//! Place in the flow: on top of everything; nothing here is used by the engine.
//! Invariant: whichever way, the host gets what alloy-evm's own executor gives on the same block and state: receipts,
//! requests, gas and bundle state.
//!
//! | way | a host that | runs with |
//! | --- | --- | --- |
//! | [`execute_block`] | has a block and a state that threads may read | this engine, Ethereum |
//! | [`AheadEvmFactory`] | loops over transactions itself and must stay as it is | its own EVM, any chain |
//! | [`drive_block`] | has an alloy-evm `BlockExecutorFactory` and wants the whole block done | its own executor, any chain |
//!
//! `docs/embedding.md` says what each needs and costs; `executor/examples/` has one program for each.

mod ahead;
mod bundle;
mod driver;
mod evm;
mod evm_factory;
mod native;

pub use bundle::bundle_state;
pub use driver::{Driven, HostBlock, drive_block};
pub use evm::AheadEvm;
pub use evm_factory::{AheadEvmFactory, Announcement};
pub use native::{HostOutput, execute_block};
