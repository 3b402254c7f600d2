//! What a node tells an operator about its blocks and its pool: names, meanings, and the thread that follows the head.
//!
//! Place in the flow: beside everything; importing and building note their times here, the metrics port shows them.
//! Invariant: numbers only, under a bounded set of names and labels; without a recorder all of it costs next to nothing.

use crate::{
    node::{BlockRecord, Node},
    pool::Pool,
};
use laminar_executor::Stats;
use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use std::{
    io,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};
use tokio::sync::broadcast::error::RecvError;

/// A step on a block's way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Header, body and senders.
    Check,
    /// The transactions and the rules around them.
    Execute,
    /// What execution gave against the header, and the state root.
    Root,
    /// Building a block, execution and root included.
    Build,
}

impl Stage {
    const fn name(self) -> &'static str {
        match self {
            Self::Check => "check",
            Self::Execute => "execute",
            Self::Root => "root",
            Self::Build => "build",
        }
    }
}

/// Measures the steps of one block.
#[derive(Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// Starts now.
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    /// Ends a step; the next one begins.
    pub(crate) fn lap(&mut self, stage: Stage) -> Duration {
        let now = Instant::now();
        let took = now.duration_since(std::mem::replace(&mut self.0, now));
        histogram!("laminar_block_stage_seconds", "stage" => stage.name()).record(took.as_secs_f64());
        took
    }
}

/// Notes an executed block.
pub(crate) fn executed(gas_used: u64, txs: usize, took: Duration, stats: &Stats) {
    let path = stats.path.name();
    counter!("laminar_blocks_executed_total", "path" => path).increment(1);
    counter!("laminar_gas_executed_total").increment(gas_used);
    counter!("laminar_transactions_executed_total").increment(txs as u64);
    counter!("laminar_runs_total").increment(stats.incarnations);
    counter!("laminar_transactions_adopted_total").increment(stats.adopted);
    counter!("laminar_runs_aborted_total").increment(stats.aborted);
    if !took.is_zero() {
        gauge!("laminar_gas_per_second").set(gas_used as f64 / took.as_secs_f64());
    }
    let runs = stats.incarnations + stats.adopted;
    if runs > 0 {
        gauge!("laminar_parallel_efficiency").set((runs - stats.aborted.min(runs)) as f64 / runs as f64);
    }
}

/// Says what each name means. Call it when there is a recorder.
pub fn describe() {
    describe_histogram!("laminar_block_stage_seconds", Unit::Seconds, "time of a step of a block, by stage");
    describe_histogram!("laminar_rpc_call_seconds", Unit::Seconds, "time of a JSON-RPC call, by method");
    describe_counter!("laminar_rpc_errors_total", "JSON-RPC calls that were answered with an error, by method");
    describe_counter!("laminar_blocks_executed_total", "blocks imported or built, by the path that they took");
    describe_counter!("laminar_gas_executed_total", "gas of the blocks that were executed");
    describe_counter!("laminar_transactions_executed_total", "transactions of the blocks that were executed");
    describe_counter!("laminar_runs_total", "runs of transactions inside blocks");
    describe_counter!("laminar_transactions_adopted_total", "transactions whose simulation from before was adopted");
    describe_counter!("laminar_runs_aborted_total", "results that were thrown away because a read was stale");
    describe_gauge!("laminar_gas_per_second", "gas a second of the last executed block");
    describe_gauge!("laminar_parallel_efficiency", "share of results that counted in the last executed block");
    describe_gauge!("laminar_head_number", "number of the newest canonical block");
    describe_gauge!("laminar_head_timestamp_seconds", Unit::Seconds, "timestamp of the newest canonical block");
    describe_counter!("laminar_reorgs_total", "changes of the head that made blocks non-canonical");
    describe_gauge!("laminar_pool_transactions", "transactions that wait, by state");
    describe_counter!("laminar_pool_simulations_total", "simulations of waiting transactions, by what became of them");
    // What may not happen for long is there from the start.
    counter!("laminar_reorgs_total").increment(0);
    for result in ["kept", "made"] {
        counter!("laminar_pool_simulations_total", "result" => result).increment(0);
    }
}

/// Notes the pool's size. The pool does it when it has followed the head, which is later than the head's own change.
pub fn note_pool(pool: &Pool) {
    let (pending, queued) = pool.status();
    gauge!("laminar_pool_transactions", "state" => "pending").set(pending as f64);
    gauge!("laminar_pool_transactions", "state" => "queued").set(queued as f64);
}

/// Notes the size of the pool, and starts the thread that notes and logs each change of the head; it ends with the node.
///
/// # Errors
/// The system gives no more threads.
pub fn follow(node: &Arc<Node>, pool: &Arc<Pool>) -> io::Result<()> {
    let mut heads = node.subscribe_heads();
    note_head(&node.head());
    note_pool(pool);
    thread::Builder::new().name("laminar-metrics".to_owned()).spawn(move || {
        loop {
            match heads.blocking_recv() {
                Ok(change) => {
                    if !change.removed.is_empty() {
                        counter!("laminar_reorgs_total").increment(1);
                        tracing::info!(blocks = change.removed.len(), "blocks are no longer canonical");
                    }
                    change.added.iter().for_each(|block| log_block(block));
                    let head = change.added.last().or_else(|| change.removed.last());
                    head.into_iter().for_each(|head| note_head(head));
                }
                Err(RecvError::Lagged(_)) => {}
                Err(RecvError::Closed) => return,
            }
        }
    })?;
    Ok(())
}

fn note_head(head: &BlockRecord) {
    gauge!("laminar_head_number").set(head.header.number as f64);
    gauge!("laminar_head_timestamp_seconds").set(head.header.timestamp as f64);
}

fn log_block(block: &BlockRecord) {
    let (adopted, aborted) = block.stats.as_ref().map_or((0, 0), |stats| (stats.adopted, stats.aborted));
    tracing::info!(
        number = block.header.number,
        hash = %block.hash(),
        txs = block.body.transactions.len(),
        gas = block.header.gas_used,
        adopted,
        aborted,
        "new block"
    );
}
