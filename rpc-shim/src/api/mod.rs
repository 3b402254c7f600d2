//! The JSON-RPC methods, one file a namespace.
//!
//! Place in the flow: above node, pool and call; below the server, which knows nothing of single methods.
//! Invariant: every method answers from snapshots that it takes itself; a method that executes, walks blocks or waits for the disk
//! runs on blocking threads with a deadline, so that neither imports nor other calls wait for it.
//!
//! # Adding methods
//! A file `api/<namespace>.rs` with
//! ```text
//! pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
//!     method::quick(module, "eth_chainId", chain_id)?;          // answers at once: memory only
//!     method::heavy(module, "eth_call", call)?;                 // blocking thread, deadline
//!     method::change(module, "evm_mine", mine)                  // the same on other threads, since it changes something
//! }
//! fn chain_id(context: &Context, args: Args<'_>) -> Result<U64, RpcError> {
//!     args.read::<()>()?;
//!     Ok(U64::from(context.node.spec().chain_id()))
//! }
//! fn call(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Bytes, RpcError> {
//!     let (request, block) = args.read::<(TransactionRequest, Option<BlockId>)>()?;
//!     ...
//! }
//! ```
//! and a line in [`module`]. Parameters are read by [`Args::read`] into a tuple, trailing `Option`s may be left out; whatever else
//! goes wrong is an [`RpcError`](crate::error::RpcError). A method that waits for something (a receipt) registers itself on the [`RpcModule`].
//! What a namespace needs beyond the node becomes a field of [`Context`].

mod args;
mod context;
mod method;
mod workers;

mod access_lists;
mod admin;
mod anvil;
mod anvil_chain;
mod anvil_mined;
mod anvil_state;
mod anvil_tokens;
mod debug;
mod debug_bad_blocks;
mod debug_dump;
mod eth_blocks;
mod eth_call;
mod eth_fees;
mod eth_fill;
mod eth_logs;
mod eth_node;
mod eth_send;
mod eth_send_sync;
mod eth_sign;
mod eth_state;
mod hardhat;
mod laminar;
mod net;
mod ots;
mod ots_blocks;
mod ots_search;
mod rpc;
mod testing;
mod trace;
mod txpool;
mod web3;

pub use anvil_state::{dump_state, load_state};
pub use args::{Args, ReadArgs};
pub use context::{Context, Deadline, Limits, Work};

use jsonrpsee::{RpcModule, core::RegisterMethodError};

/// All methods of all namespaces.
///
/// # Panics
/// If two namespaces register the same method, which a test would have shown.
pub fn module(context: Context) -> RpcModule<Context> {
    let is_dev = context.dev.is_some();
    let mut module = RpcModule::new(context);
    register(&mut module, is_dev).expect("no method is registered twice");
    module
}

fn register(module: &mut RpcModule<Context>, is_dev: bool) -> Result<(), RegisterMethodError> {
    if is_dev {
        eth_send::register_dev(module)?;
        eth_send_sync::register_dev(module)?;
        eth_sign::register(module)?;
        anvil::register(module)?;
        anvil_chain::register(module)?;
        anvil_mined::register(module)?;
        anvil_state::register(module)?;
        anvil_tokens::register(module)?;
        hardhat::register(module)?;
    }
    eth_send::register(module)?;
    eth_send_sync::register(module)?;
    eth_fill::register(module)?;
    eth_node::register(module)?;
    access_lists::register(module)?;
    debug::register(module)?;
    debug_bad_blocks::register(module)?;
    debug_dump::register(module)?;
    eth_call::register(module)?;
    txpool::register(module)?;
    eth_blocks::register(module)?;
    eth_fees::register(module)?;
    eth_logs::register(module)?;
    eth_state::register(module)?;
    laminar::register(module)?;
    net::register(module)?;
    ots::register(module)?;
    ots_blocks::register(module)?;
    ots_search::register(module)?;
    trace::register(module)?;
    testing::register(module)?;
    web3::register(module)?;
    admin::register(module)?;
    // Last, because it lists what is there.
    rpc::register(module)
}
