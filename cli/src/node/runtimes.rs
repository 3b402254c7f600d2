//! The threads that serve: some for the consensus client, others for everybody else.
//!
//! Place in the flow: made by `mod` before anything listens; the executor's workers and the engine's thread are not among them.
//! Invariant: where there are too few cores for all, the threads of the public ports wait for those that follow the chain.

use anyhow::Context as _;
use tokio::runtime::{Builder, Handle, Runtime};

/// How nice public threads are (`nice(2)`): they get what is left of the cores, and a seventieth of one that others want.
#[cfg(target_os = "linux")]
const NICE: i32 = 19;

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
        // Of this thread: elsewhere it would be the whole process.
        #[cfg(target_os = "linux")]
        public.on_thread_start(|| {
            if let Err(error) = rustix::process::setpriority_process(None, NICE) {
                tracing::debug!(%error, "a thread keeps its priority");
            }
        });
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

fn start(mut builder: Builder) -> anyhow::Result<Runtime> {
    builder.build().context("starting the server's threads")
}
