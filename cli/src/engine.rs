//! How blocks are to be executed, as the command line says it.
//!
//! Place in the flow: below the subcommands that execute blocks; turns flags into an executor's configuration.
//! Invariant: one number of threads for everything: the executor's workers and the loops around them.

use anyhow::Context;
use clap::ValueEnum;
use laminar_executor::{
    BlockExecutor, Config, Mode, Pinning, Predict,
    schedule::{self, pin_to_core},
};
use std::num::NonZeroUsize;

/// Threads that anybody may ask for.
const THREADS_MAX: usize = 1024;

/// Flags of an executor.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Flags {
    /// Number of worker threads [default: all cores].
    #[arg(long, value_name = "N", value_parser = parse_threads)]
    pub(crate) threads: Option<NonZeroUsize>,
    /// Which path blocks take.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) executor: ExecutorMode,
    /// What is known of a block before its first transaction runs.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) predict: Prediction,
}

/// Which path blocks take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum ExecutorMode {
    /// Chosen for each block from what is known of it.
    #[default]
    Auto,
    /// In parallel, however small the block.
    Parallel,
    /// One transaction after the other.
    Sequential,
}

/// Where predictions come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(crate) enum Prediction {
    /// Nothing is predicted; the fastest where nothing is known before the block.
    #[default]
    None,
    /// Each transaction is simulated first, inside the block's time.
    Presimulate,
    /// Each transaction was simulated before the block came, as a mempool would; the time of that is reported apart.
    Ahead,
    /// The exact block access list (EIP-7928) of an earlier run is given.
    Bal,
}

/// A number of threads within bounds.
pub(crate) fn parse_threads(text: &str) -> Result<NonZeroUsize, String> {
    let threads: NonZeroUsize = text.parse().map_err(|_| format!("expected a number from 1 to {THREADS_MAX}"))?;
    if threads.get() > THREADS_MAX {
        return Err(format!("expected at most {THREADS_MAX}"));
    }
    Ok(threads)
}

impl Flags {
    /// Number of worker threads.
    pub(crate) fn threads(&self) -> NonZeroUsize {
        self.threads.unwrap_or_else(cores)
    }

    /// The configuration that the flags describe.
    pub(crate) fn config(&self) -> Config {
        Config {
            threads: self.threads(),
            mode: match self.executor {
                ExecutorMode::Auto => Mode::Auto,
                ExecutorMode::Parallel => Mode::Parallel,
                ExecutorMode::Sequential => Mode::Sequential,
            },
            predict: match self.predict {
                Prediction::None => Predict::None,
                Prediction::Presimulate => Predict::Presimulate,
                Prediction::Ahead => Predict::Ahead,
                Prediction::Bal => Predict::BlockAccessList,
            },
            block_access_list: false,
            timeline: false,
            pinning: Pinning::OneCoreEach,
        }
    }

    /// The same for a process that does more than execute: no thread stays on a core, where others would wait for it; and what its
    /// pool or a consensus client knows of a block before it comes is used, unless something else is asked for.
    pub(crate) fn shared_config(&self) -> Config {
        let config = self.config();
        let predict = if config.predict == Predict::None { Predict::Ahead } else { config.predict };
        Config { pinning: Pinning::Free, predict, ..config }
    }

    /// Gives the loops around execution (senders, roots) the same number of threads, and keeps them and this thread, which is worker 0
    /// of every executor, on a core each. Call it once, before an executor is made.
    ///
    /// # Errors
    /// The system gives no more threads, or they were started before.
    pub(crate) fn start_threads(&self) -> anyhow::Result<()> {
        // PERF: updates of a big trie, and most roots of real blocks, are over before a thread that floats gets a core of its own:
        // root/updates 12.5 to 7.9 ms.
        self.build_loops(Pinning::OneCoreEach)?;
        pin_to_core(0);
        Ok(())
    }

    /// The threads of the loops alone, where this one executes no blocks. A thread that is kept on a core hands that on to the
    /// threads that it starts: a server's would all share it.
    ///
    /// # Errors
    /// As for [`Self::start_threads`].
    pub(crate) fn start_loops(&self) -> anyhow::Result<()> {
        self.build_loops(Pinning::Free)
    }

    fn build_loops(&self, pinning: Pinning) -> anyhow::Result<()> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(self.threads().get()).start_handler(move |i| {
            if pinning == Pinning::OneCoreEach {
                pin_to_core(i);
            }
        });
        pool.build_global().context("starting threads")
    }
}

/// The cores that this process may use. Not `available_parallelism`, which is one as soon as this thread is pinned.
pub(crate) fn cores() -> NonZeroUsize {
    NonZeroUsize::new(schedule::cores().len()).unwrap_or(NonZeroUsize::MIN)
}

/// An executor with its threads.
///
/// # Errors
/// The system gives no more threads.
pub(crate) fn executor(config: Config) -> anyhow::Result<BlockExecutor> {
    BlockExecutor::new(config).context("starting workers")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thread_counts_are_bounded() {
        assert_eq!(parse_threads("8").map(NonZeroUsize::get), Ok(8));
        for text in ["0", "-1", "x", "1025", "99999999999999999999999"] {
            assert!(parse_threads(text).is_err(), "{text}");
        }
    }
}
