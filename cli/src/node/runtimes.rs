//! The threads that serve: some for the consensus client, others for everybody else.
//!
//! Place in the flow: made by `mod` before anything listens; the executor's workers and the engine's thread are not among them.
//! Invariant: where there are too few cores for all, the threads of the public ports wait for those that follow the chain.
//!
//! PERF: `cli/acceptance/engine_load.py`, two cores: niceness 19 alone left p95 of newPayload under load at x1.2 to x1.8 of that without,
//! because a nice thread that runs keeps its core for a time slice of milliseconds when another one wakes; an idle one does not.

use anyhow::Context as _;
use tokio::runtime::{Builder, Handle, Runtime};

/// Threads of the authenticated port: they read and write payloads, and wait for the engine's thread.
const ENGINE_THREADS: usize = 2;

/// All of them.
#[derive(Debug)]
pub(super) struct Runtimes {
    /// For the public ports and whatever else is async.
    pub(super) public: Runtime,
    /// For the authenticated port; none on a development chain.
    engine: Option<Runtime>,
}

impl Runtimes {
    /// Threads for a node that a consensus client leads.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub(super) fn followed() -> anyhow::Result<Self> {
        let mut public = Builder::new_multi_thread();
        public.enable_all().thread_name("laminar-rpc");
        public.on_thread_start(give_way);
        let mut engine = Builder::new_multi_thread();
        engine.enable_all().thread_name("laminar-authrpc").worker_threads(ENGINE_THREADS);
        Ok(Self { public: start(public)?, engine: Some(start(engine)?) })
    }

    /// Threads for a node that makes its blocks itself, all with the same priority.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub(super) fn dev() -> anyhow::Result<Self> {
        let mut public = Builder::new_multi_thread();
        public.enable_all().thread_name("laminar-rpc");
        Ok(Self { public: start(public)?, engine: None })
    }

    /// Where the authenticated port is served.
    pub(super) fn engine(&self) -> &Handle {
        self.engine.as_ref().unwrap_or(&self.public).handle()
    }

    /// Ends them; what still runs after `grace` is left behind.
    pub(super) fn shutdown(self, grace: std::time::Duration) {
        self.public.shutdown_timeout(grace);
        if let Some(engine) = self.engine {
            engine.shutdown_timeout(grace);
        }
    }
}

/// Lets the calling thread run on what others leave of the cores, and give its core back at once when they want it (`SCHED_IDLE`).
#[cfg(target_os = "linux")]
pub(super) fn give_way() {
    use thread_priority::{
        NormalThreadSchedulePolicy, ThreadPriority, ThreadSchedulePolicy, set_thread_priority_and_policy,
        thread_native_id,
    };
    let idle = ThreadSchedulePolicy::Normal(NormalThreadSchedulePolicy::Idle);
    if let Err(error) = set_thread_priority_and_policy(thread_native_id(), ThreadPriority::Min, idle) {
        tracing::debug!(%error, "a thread keeps its priority");
    }
}

/// Nothing: elsewhere it would be the whole process.
#[cfg(not(target_os = "linux"))]
pub(super) fn give_way() {}

fn start(mut builder: Builder) -> anyhow::Result<Runtime> {
    builder.build().context("starting the server's threads")
}
