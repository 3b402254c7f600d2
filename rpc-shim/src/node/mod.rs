//! The node without a network: blocks in, a head and states out.
//!
//! Place in the flow: above executor and state-db, below everything that speaks a protocol.
//! Invariant: a block that is refused, for whatever reason, changes neither the tree nor the head nor a state. Reads take
//! snapshots: they never wait for an import, and an import never waits for them.
//!
//! ```text
//! bytes ─ decode ─► block ─ header, ommers, body, senders ─► ready ─ execute on the parent's state ─ outcome, root ─► tree
//! ```
//! Every known block can become the head, whatever its branch; whoever reads names the block, and gets its state.

mod adopt;
mod ahead;
mod bad_blocks;
mod chain;
mod costs;
mod error;
mod head;
mod import;
mod lookup;
mod origin;
mod record;
mod tags;
mod tree;

pub use bad_blocks::BadBlock;
pub use chain::Node;
pub use costs::{ImportCosts, Reads};
pub use error::{ChainError, ImportError, InvalidBlock};
pub use head::{ForkChoice, HeadChange};
pub use import::{Delivered, Imported, Ready};
pub use laminar_state_db::{StateView, Store, StoreError, StoreOptions};
pub use origin::Origin;
pub use record::BlockRecord;
