//! The order of engine calls: one thread that follows the consensus client.
//!
//! Place in the flow: between the methods of the authenticated port and the [`Engine`].
//! Invariant: payloads and fork choices are processed one at a time in the order in which they arrived, on a thread of their own;
//! they wait for each other and for nothing else. Everything that only reads goes past this thread.

use super::{
    attributes::ForkchoiceCall,
    processes::BuildProcesses,
    status::PayloadStatus,
    tracker::{Engine, ForkchoiceUpdated},
    version::NewPayloadVersion,
};
use crate::{
    error::{Code, RpcError},
    node::Node,
    pool::Pool,
};
use laminar_executor::chain_spec::Rules;
use serde_json::Value;
use std::{
    fmt, io,
    panic::{self, AssertUnwindSafe},
    sync::Arc,
    thread,
};
use tokio::sync::{mpsc, oneshot};

/// Calls that may wait for their turn; a caller beyond it waits until there is room.
const CALLS_MAX: usize = 64;

type Call = Box<dyn FnOnce(&mut Engine) + Send>;

/// What the methods of the authenticated port work with. Cheap to clone; the thread ends with the last clone.
#[derive(Clone)]
pub struct EngineApi {
    calls: mpsc::Sender<Call>,
    pub(super) node: Arc<Node>,
    pub(super) pool: Arc<Pool>,
    pub(super) processes: Arc<BuildProcesses>,
}

impl EngineApi {
    /// Starts the thread that follows the consensus client; `pool` follows each of its fork choices, and
    /// simulates ahead what it holds.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn start(engine: Engine, pool: Arc<Pool>, processes: Arc<BuildProcesses>) -> io::Result<Self> {
        pool.start_simulating()?;
        let (calls, mut waiting) = mpsc::channel::<Call>(CALLS_MAX);
        let node = Arc::clone(engine.node());
        let mut engine = engine.feeding(Arc::clone(&pool));
        thread::Builder::new().name("laminar-engine".to_owned()).spawn(move || {
            while let Some(call) = waiting.blocking_recv() {
                // A panic is our bug; it costs the call that met it its answer, and no later call.
                if panic::catch_unwind(AssertUnwindSafe(|| call(&mut engine))).is_err() {
                    tracing::error!(target: "laminar::engine", "an engine call ended in a panic");
                }
            }
        })?;
        Ok(Self { calls, node, pool, processes })
    }

    /// `engine_newPayload`.
    ///
    /// # Errors
    /// See [`Engine::new_payload`].
    pub async fn new_payload(&self, version: NewPayloadVersion, params: Vec<Value>) -> Result<PayloadStatus, RpcError> {
        self.in_turn(move |engine| engine.new_payload(version, &params)).await
    }

    /// `engine_forkchoiceUpdated`.
    ///
    /// # Errors
    /// See [`Engine::forkchoice`].
    pub async fn forkchoice(&self, call: ForkchoiceCall) -> Result<ForkchoiceUpdated, RpcError> {
        self.in_turn(move |engine| engine.forkchoice(&call)).await
    }

    /// The rules of the head.
    pub(super) fn head_rules(&self) -> Rules {
        self.node.spec().rules_for(&self.node.head().header)
    }

    async fn in_turn<T: Send + 'static>(
        &self,
        call: impl FnOnce(&mut Engine) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let (tell, answer) = oneshot::channel();
        let call: Call = Box::new(move |engine| {
            // A caller that has gone does not want the answer; what it asked for was done all the same.
            let _ = tell.send(call(engine));
        });
        let ended = || RpcError::new(Code::Internal, "the call ended in a panic");
        self.calls.send(call).await.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

impl fmt::Debug for EngineApi {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("EngineApi").field("node", &self.node).finish_non_exhaustive()
    }
}
