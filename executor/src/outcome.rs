//! What the execution of a block gives: all that the header can be checked against and the state be updated with.
//!
//! Place in the flow: merge's last word; header checks, tries and stores start from here.
//! Invariant: the whole describes the whole block, or there is no outcome.

use crate::{
    location::Location,
    rule::Rule,
    types::{Incarnation, Receipt, TxIndex},
};
use alloy_eip7928::BlockAccessList;
use alloy_eips::eip7685::Requests;
use laminar_state_db::BlockChanges;
use std::time::Duration;

/// The result of executing a block.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// Receipts in block order, without blooms.
    pub receipts: Vec<Receipt>,
    /// Gas of all transactions.
    pub gas_used: u64,
    /// Blob gas of all transactions (EIP-4844).
    pub blob_gas_used: u64,
    /// Requests to the consensus layer (EIP-7685); empty before Prague.
    pub requests: Requests,
    /// The bundle state: every changed account and slot with the value before and after.
    pub changes: BlockChanges,
    /// The block's access list (EIP-7928), where the configuration or the fork asks for it.
    pub block_access_list: Option<BlockAccessList>,
    /// How the block was executed.
    pub stats: Stats,
}

/// The result of building a block from candidates.
#[derive(Clone, Debug, Default)]
pub struct Drafted {
    /// What execution gives for the transactions that are in the block.
    pub outcome: Outcome,
    /// The candidates that are not, ascending, each with the rule that it broke when its turn came. All others are in the
    /// block, in their order.
    pub left_out: Vec<(TxIndex, Rule)>,
}

/// The path that a block took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Path {
    /// One transaction after the other.
    #[default]
    Sequential,
    /// Over the worker pool.
    Parallel,
}

impl Path {
    /// In reports: `sequential` or `parallel`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sequential => "sequential",
            Self::Parallel => "parallel",
        }
    }
}

/// Why transactions ran one after the other although the block was to run in parallel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fallback {
    /// A worker panicked: our bug. The committed prefix was kept.
    WorkerPanic,
}

/// How a block was executed. Numbers only; they differ from run to run where the outcome may not.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    /// The path taken.
    pub path: Path,
    /// Workers that took part.
    pub workers: usize,
    /// Runs of transactions, plain transfers included.
    pub incarnations: u64,
    /// Transactions whose simulation from before was adopted without a run in the block.
    pub adopted: u64,
    /// Runs whose result was thrown away because a read had become stale.
    pub aborted: u64,
    /// Those of them that were found when their turn to commit came, in block order, each with the first location that was
    /// found stale. For a plain transfer that did not stand it is the sender's balance.
    pub stale: Vec<(TxIndex, Location)>,
    /// Transactions done as plain transfers.
    pub transfers: u64,
    /// Levels of the predicted conflict graph; zero without a plan.
    pub batches: u64,
    /// Gas on the longest path of the predicted conflict graph; zero without a plan.
    pub critical_path_gas: u64,
    /// Transactions committed by the sequential fallback, and why.
    pub fallback: Option<(Fallback, u64)>,
    /// Every run, if the configuration asked for it.
    pub timeline: Vec<Span>,
}

/// What a worker did during a [`Span`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpanKind {
    /// A simulation on the parent state.
    Presimulate,
    /// A speculative run.
    Execute,
    /// A run on the committed prefix, after a stale result.
    Reexecute,
}

/// One run of one transaction on one worker.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// The worker, from zero.
    pub worker: usize,
    /// The transaction.
    pub index: TxIndex,
    /// The how-manieth run of the transaction.
    pub incarnation: Incarnation,
    /// What it was.
    pub kind: SpanKind,
    /// From the start of the block.
    pub start: Duration,
    /// From the start of the block.
    pub end: Duration,
}
