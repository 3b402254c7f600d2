//! A node that a consensus client leads: it delivers payloads and chooses the head over the Engine API.
//!
//! Place in the flow: beside `dev`; puts node, pool, builder and the authenticated server together.
//! Invariant: the pool follows each fork choice before that is answered, so that the payload built next knows what is new.

use super::{Args, http::Defaults, runtimes::give_way, servers::Servers};
use anyhow::Context as _;
use laminar_executor::BlockExecutor;
use laminar_rpc_shim::{
    api::Context,
    engine::{BuildProcesses, Engine, EngineApi, PoolBuilder},
    pool::{Pool, Settings},
};
use std::sync::Arc;
use tokio::runtime::Handle;

/// Starts the node and its servers, the authenticated one on `runtime`; what an operator wants to see first.
///
/// # Errors
/// The genesis cannot be used, an address is taken, or the system gives no threads.
pub(super) async fn start(
    args: &Args,
    executor: Arc<BlockExecutor>,
    runtime: &Handle,
    servers: &mut Servers,
) -> anyhow::Result<String> {
    let node = Arc::new(args.chain.open(None, executor)?);
    let pool = Arc::new(Pool::new(args.pool.settings(Settings::default()), node.pool_head()?));
    let builder = PoolBuilder::new(Arc::clone(&node), Arc::clone(&pool), args.builder.settings());
    let processes = Arc::new(BuildProcesses::new(Arc::new(builder)));
    let engine = Engine::new(Arc::clone(&node)).building(Arc::clone(&processes));
    let engine = args.inspect.watch(engine, args.chain.datadir())?;
    let api = EngineApi::start(engine, Arc::clone(&pool), processes).context("starting the engine's thread")?;
    laminar_rpc_shim::metrics::follow(&node, &pool).context("starting to follow the head")?;
    let context = Context::new(Arc::clone(&node), args.rpc.limits()).with_pool(pool).with_call_threads(give_way);
    args.authrpc.serve(args.chain.datadir(), api, context.clone(), runtime, servers).await?;
    args.ipc.serve(&context, &args.rpc, servers).await?;
    args.http.serve(context, &args.rpc, Defaults::Closed, servers).await?;
    let head = node.head();
    Ok(format!(
        "Chain ID: {}\nGenesis: {}\nHead: {} {}",
        node.spec().chain_id(),
        node.genesis().hash(),
        head.header.number,
        head.hash()
    ))
}
