//! What every method gets: the node, the limits, and the threads that heavy calls run on.
//!
//! Place in the flow: made once for all transports; shared by reference.
//! Invariant: at most [`Limits::heavy_max`] heavy calls that read run at a time, half as many that change something, and a bounded number
//! waits; whatever waits longer than the deadline is refused before it runs. What changes the chain or the pool does not wait for
//! what reads.

use super::workers::{Refused, Workers};
use crate::{
    dev::Dev,
    error::{Code, RpcError},
    filters::Filters,
    gas_oracle::GasOracle,
    node::{BlockRecord, Node, StateView},
    pending::{Pending, PendingBlock},
    pool::{Pool, Settings},
};
use alloy_eips::BlockId;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::oneshot;

/// What methods work with. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Context {
    /// The chain and its states.
    pub node: Arc<Node>,
    /// The transactions that wait for a block.
    pub pool: Arc<Pool>,
    /// The controls of a development chain, where the node is one.
    pub dev: Option<Arc<Dev>>,
    /// What one call may ask for.
    pub limits: Arc<Limits>,
    pub(crate) gas_oracle: Arc<GasOracle>,
    pub(crate) filters: Arc<Filters>,
    pending: Arc<Pending>,
    readers: Arc<Workers>,
    writers: Arc<Workers>,
}

/// What a heavy call does, by which it gets its threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// It reads: a call, a trace, a query.
    Read,
    /// It changes the chain or the pool: a transaction that is sent, a block that is asked for.
    Write,
}

/// What one call may ask for.
#[derive(Clone, Debug)]
pub struct Limits {
    /// Gas that a call may use (`--rpc.gascap`); zero is no limit.
    pub gas_cap: u64,
    /// How long a heavy call may take, waiting included.
    pub call_timeout: Duration,
    /// Heavy calls that run at a time and read; half as many that write have threads of their own.
    pub heavy_max: usize,
    /// Heavy calls that wait for their turn; the next one is refused with -32005.
    pub waiting_max: usize,
    /// Blocks that one query for logs may span.
    pub logs_blocks_max: u64,
    /// Logs that one query may give.
    pub logs_max: usize,
    /// Blocks that one `eth_feeHistory` may ask for.
    pub fee_history_max: u64,
}

impl Default for Limits {
    /// Those of reth and geth.
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            gas_cap: 50_000_000,
            call_timeout: Duration::from_secs(5),
            heavy_max: (2 * cores).max(4),
            waiting_max: 1024,
            logs_blocks_max: 100_000,
            logs_max: 20_000,
            fee_history_max: 1024,
        }
    }
}

/// When a heavy call must have ended.
#[derive(Clone, Copy, Debug)]
pub struct Deadline(Instant);

impl Deadline {
    /// So long from now.
    pub fn after(time: Duration) -> Self {
        // A time that no clock reaches is as good as a year.
        let now = Instant::now();
        Self(now.checked_add(time).unwrap_or(now + Duration::from_secs(365 * 86_400)))
    }

    /// Whether it has passed.
    pub fn is_over(self) -> bool {
        self.left().is_zero()
    }

    /// What is left; zero once it has passed.
    pub fn left(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// Asked between the steps of a loop.
    ///
    /// # Errors
    /// -32002 once it has passed.
    pub fn check(self) -> Result<(), RpcError> {
        if self.is_over() { Err(Self::passed()) } else { Ok(()) }
    }

    /// The refusal of a call that took too long.
    pub fn passed() -> RpcError {
        RpcError::new(Code::ResourceUnavailable, "request timed out")
    }
}

impl Context {
    /// A context with a pool of its own, which follows the head only where somebody makes it: see [`Self::with_pool`].
    ///
    /// # Panics
    /// If the node does not have the state of its head, which is a bug.
    pub fn new(node: Arc<Node>, limits: Limits) -> Self {
        let workers = |most| Arc::new(Workers::new(most, limits.waiting_max, || ()));
        let (readers, writers) = (workers(limits.heavy_max), workers(limits.heavy_max / 2));
        let head = node.pool_head().expect("a node keeps the state of its head");
        let pool = Arc::new(Pool::new(Settings::default(), head));
        let (gas_oracle, filters, pending) = (Arc::default(), Arc::default(), Arc::default());
        Self { node, pool, dev: None, limits: Arc::new(limits), gas_oracle, filters, pending, readers, writers }
    }

    /// The same with a pool that others know too.
    #[must_use]
    pub fn with_pool(self, pool: Arc<Pool>) -> Self {
        Self { pool, ..self }
    }

    /// The same, and each thread that runs heavy calls begins with `started`, which may give it another priority.
    #[must_use]
    pub fn with_call_threads(self, started: fn()) -> Self {
        let workers = |most| Arc::new(Workers::new(most, self.limits.waiting_max, started));
        let (readers, writers) = (workers(self.limits.heavy_max), workers(self.limits.heavy_max / 2));
        Self { readers, writers, ..self }
    }

    /// The same for a development chain: its pool, and the methods that control it.
    #[must_use]
    pub fn with_dev(self, dev: Arc<Dev>) -> Self {
        Self { pool: Arc::clone(dev.pool()), dev: Some(dev), ..self }
    }

    /// The block that would be next if it were made now. Builds it if it has to: not for the thread of a connection.
    ///
    /// # Errors
    /// It cannot be built.
    pub(crate) fn pending_block(&self) -> Result<PendingBlock, RpcError> {
        self.pending.block(&self.node, &self.pool, self.dev.as_deref())
    }

    /// The block of an id; `pending` is the one that would be next.
    ///
    /// # Errors
    /// The pending block cannot be built.
    pub(crate) fn block(&self, id: BlockId) -> Result<Option<Arc<BlockRecord>>, RpcError> {
        if id.is_pending() { Ok(Some(self.pending_block()?.record)) } else { Ok(self.node.block(id)) }
    }

    /// The state after the block of an id, `pending` among them; the latest where none is named.
    ///
    /// # Errors
    /// Those of [`Node::state_at`]; the pending block cannot be built.
    pub(crate) fn state_at(&self, id: Option<BlockId>) -> Result<StateView, RpcError> {
        let id = id.unwrap_or_default();
        if id.is_pending() { Ok(self.pending_block()?.view) } else { self.node.state_at(id) }
    }

    /// Runs `work` on a thread for heavy calls once one is free.
    ///
    /// The thread is not stopped: `work` asks its deadline in every loop whose length a caller decides. Calls before it in the queue
    /// have earlier deadlines, so its turn comes no later than its own.
    ///
    /// # Errors
    /// -32005 if too many wait already, -32002 if the turn does not come in time, -32603 if `work` panics, and its own.
    pub async fn run_heavy<T: Send + 'static>(
        &self,
        kind: Work,
        work: impl FnOnce(&Self, Deadline) -> Result<T, RpcError> + Send + 'static,
    ) -> Result<T, RpcError> {
        let deadline = Deadline::after(self.limits.call_timeout);
        let (answer, answered) = oneshot::channel();
        let context = self.clone();
        let job = move || {
            // Nobody waits any more.
            if answer.is_closed() {
                return;
            }
            let result = if deadline.is_over() { Err(Deadline::passed()) } else { work(&context, deadline) };
            let _ = answer.send(result);
        };
        let workers = match kind {
            Work::Read => &self.readers,
            Work::Write => &self.writers,
        };
        workers.run(Box::new(job)).map_err(|refused| match refused {
            Refused::Full => RpcError::new(Code::LimitExceeded, "too many requests are being served"),
            Refused::NoThread => RpcError::new(Code::ResourceUnavailable, "no thread is left to run the call"),
        })?;
        answered.await.unwrap_or_else(|_| Err(RpcError::new(Code::Internal, "the call ended without an answer")))
    }
}
