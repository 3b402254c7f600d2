//! The edge of Laminar: a node that imports blocks, and the protocols that other programs speak to it.
//!
//! | module | what it is |
//! | --- | --- |
//! | `error` | the one table of JSON-RPC codes |
//! | `pool` | transactions that wait for a block |
//! | `build` | blocks from attributes and candidates |
//! | `node` | the block tree and its states: import, head, tags, snapshots for readers |
//! | `metrics` | what an operator is told about blocks and pool |
//! | `dev` | a development chain: mining, time, snapshots, edits, accounts |
//! | `call` | calls on a state: overrides, gas estimation, access lists, simulated blocks |
//! | `trace` | traces of transactions and calls, from running them again |
//! | `convert` | between the wire's forms and ours |
//! | `gas_oracle` | which tip to suggest |
//! | `filters` | what happened since a client last asked |
//! | `pending` | the block that would be next |
//! | `api` | the JSON-RPC methods, one file a namespace |
//! | `engine` | the Engine API's rules: payload to block, answer to status |
//! | `server` | transports: HTTP and WebSocket, limits, tokens |

pub mod error;

pub mod pool;

pub mod build;

pub mod node;

pub mod metrics;

pub mod dev;

pub mod call;
pub mod trace;

mod convert;

mod gas_oracle;

mod filters;

mod pending;

pub mod api;

pub mod engine;

pub mod server;
