//! What a job runs cases with: an executor of its own, and what it tells it in advance.
//!
//! Place in the flow: one a job; the modules of the kinds borrow it for a case.
//! Invariant: what is told in advance never decides a case, only how its blocks are executed.

use super::work::Work;
use anyhow::{Context, bail};
use laminar_executor::{BlockExecutor, Config, Knowledge, Predict, Stats, env::PreparedBlock};
use laminar_rpc_shim::node::Ready;
use revm::DatabaseRef;
use std::sync::Arc;

/// How a case ended, if it did not fail.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// As expected.
    Passed,
    /// Not run, and why.
    Skipped(String),
}

/// An executor and what was counted with it.
#[derive(Debug)]
pub(crate) struct Runner {
    executor: Arc<BlockExecutor>,
    pub(crate) work: Work,
}

impl Runner {
    /// Starts the executor's threads.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub(crate) fn new(config: Config) -> anyhow::Result<Self> {
        let executor = BlockExecutor::new(config).context("starting workers")?;
        Ok(Self { executor: Arc::new(executor), work: Work::default() })
    }

    /// The executor, for a chain.
    pub(crate) fn executor(&self) -> Arc<BlockExecutor> {
        Arc::clone(&self.executor)
    }

    /// Counts an executed block.
    ///
    /// # Errors
    /// A worker panicked: the block came out all the same, but the case has shown a bug.
    pub(crate) fn count(&mut self, txs: usize, stats: &Stats) -> anyhow::Result<()> {
        self.work.block(txs, stats);
        match stats.fallback {
            Some((cause, txs)) => bail!("{txs} transactions fell back to sequential execution: {cause:?}"),
            None => Ok(()),
        }
    }

    /// What is known of transactions that stand alone on a state.
    pub(crate) fn foresee_transactions<DB: DatabaseRef + Sync>(
        &self,
        prepared: &PreparedBlock,
        parent: &DB,
    ) -> Knowledge {
        match self.executor.config().predict {
            Predict::None | Predict::Presimulate => Knowledge::Nothing,
            Predict::Ahead => Knowledge::Simulations(self.executor.simulate(prepared, parent)),
            Predict::BlockAccessList => {
                let first = self.executor.execute_transactions(prepared, parent, Knowledge::Nothing);
                first
                    .ok()
                    .and_then(|outcome| outcome.block_access_list)
                    .map_or(Knowledge::Nothing, Knowledge::BlockAccessList)
            }
        }
    }
}

/// What the configuration asks to know of a block that is about to run: the delivered access list, or that of a first run.
pub(crate) fn foresee(ready: &Ready<'_>) -> Knowledge {
    match ready.executor.config().predict {
        Predict::None | Predict::Presimulate => Knowledge::Nothing,
        Predict::Ahead => Knowledge::Simulations(ready.executor.simulate(ready.prepared, ready.parent)),
        Predict::BlockAccessList => {
            let list = ready.access_list.cloned().or_else(|| {
                let first = ready.executor.execute(ready.block, ready.prepared, ready.parent, Knowledge::Nothing);
                first.ok()?.block_access_list
            });
            list.map_or(Knowledge::Nothing, Knowledge::BlockAccessList)
        }
    }
}
