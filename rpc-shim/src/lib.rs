//! The edge of Laminar: a chain that imports blocks, and the protocols that other programs speak to it.
//!
//! | module | what it is |
//! | --- | --- |
//! | `node` | the block tree over a state: import, head, unwind |
//! | `pool` | transactions that wait for a block |
//! | `error` | the one table of JSON-RPC codes |
//! | `engine` | the Engine API's rules: payload to block, answer to status |

pub mod node;

pub mod pool;

pub mod error;

pub mod engine;

pub mod server;
