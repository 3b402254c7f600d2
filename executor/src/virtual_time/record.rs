//! A block on one thread, transaction by transaction, with a stopwatch.
//!
//! Place in the flow: before virtual runs; the steps are those of the parallel path with one worker.
//! Invariant: the conflict graph is that of the runs that were committed, so in it every value that was read had been written.

use super::{Recorded, clock::Nanos};
use crate::{
    effects::Attempt,
    env::PreparedBlock,
    error::ExecuteError,
    execute::{Instance, PrecompileOutputs, TRANSFER_GAS},
    merge::{Committer, Invalid, Source, Surroundings, Taken},
    mv_memory::MvMemory,
    partition::{ConflictGraph, GraphBuilder},
    system_calls,
    types::{Block, TxIndex},
};
use revm::DatabaseRef;
use std::{num::NonZeroUsize, time::Instant};

/// What a block took.
#[derive(Debug)]
pub(super) struct Times {
    pub(super) txs: Vec<Recorded>,
    /// What is done once a block.
    pub(super) around: Nanos,
    pub(super) graph: ConflictGraph,
}

/// See [`super::Recording::of`].
pub(super) fn record<DB: DatabaseRef>(
    block: &Block,
    prepared: &PreparedBlock,
    parent: &DB,
    passes: NonZeroUsize,
) -> Result<Times, ExecuteError> {
    let passes = (0..passes.get()).map(|_| one_pass(block, prepared, parent)).collect::<Result<Vec<_>, _>>()?;
    let median = |of: &dyn Fn(&Times) -> Nanos| {
        let mut times: Vec<_> = passes.iter().map(of).collect();
        times.sort_unstable();
        times[times.len() / 2]
    };
    let tx = |at: usize| Recorded {
        run: median(&|pass| pass.txs[at].run),
        commit: median(&|pass| pass.txs[at].commit),
        runs_again: passes[0].txs[at].runs_again,
    };
    let txs = (0..prepared.txs.len()).map(tx).collect();
    let around = median(&|pass| pass.around);
    let graph = passes.into_iter().next().map(|pass| pass.graph).unwrap_or_default();
    Ok(Times { txs, around, graph })
}

fn one_pass<DB: DatabaseRef>(block: &Block, prepared: &PreparedBlock, parent: &DB) -> Result<Times, ExecuteError> {
    let around = Surroundings { block: prepared, parent };
    let rules = &prepared.rules;
    let start = Instant::now();
    let mut committer = Committer::new(around, rules.has_block_access_list(), Invalid::EndsBlock)?;
    system_calls::before_transactions(rules, block, &mut committer.before_transactions(around))?;
    let (memory, outputs) = (MvMemory::new(prepared.txs.len()), PrecompileOutputs::default());
    let mut spent = nanos(start);
    let mut graph = GraphBuilder::default();
    let mut txs = Vec::with_capacity(prepared.txs.len());
    let mut instance = (!prepared.txs.is_empty()).then(|| Instance::new(prepared, parent, &memory, &outputs));
    for at in 0..prepared.txs.len() {
        let Some(instance) = &mut instance else { break };
        txs.push(one_tx(instance, prepared, &memory, &mut committer, &mut graph, TxIndex::from_usize(at))?);
    }
    drop(instance);
    let start = Instant::now();
    let receipts = committer.take_receipts();
    system_calls::after_transactions(rules, block, &receipts, &mut committer.after_transactions(around))?;
    drop(committer.finish());
    spent += nanos(start);
    Ok(Times { txs, around: spent, graph: graph.finish() })
}

fn one_tx<DB: DatabaseRef>(
    instance: &mut Instance<'_, DB>,
    prepared: &PreparedBlock,
    memory: &MvMemory,
    committer: &mut Committer,
    graph: &mut GraphBuilder,
    index: TxIndex,
) -> Result<Recorded, ExecuteError> {
    let start = Instant::now();
    let attempt = instance.speculate(index);
    if let Attempt::Simulation(run) = &attempt {
        memory.publish(index, run);
    }
    let run = nanos(start);
    match &attempt {
        Attempt::Simulation(run) => graph.push(run),
        Attempt::Transfer(_) => graph.push_independent(TRANSFER_GAS),
        Attempt::Refused => graph.push_independent(prepared.txs[index.as_usize()].gas_limit),
    }
    let start = Instant::now();
    let taken = committer.commit(instance, prepared, Some(memory), attempt, Source::Published)?;
    Ok(Recorded { run, commit: nanos(start), runs_again: matches!(taken, Taken::RunAgain(_)) })
}

fn nanos(start: Instant) -> Nanos {
    Nanos::try_from(start.elapsed().as_nanos()).unwrap_or(Nanos::MAX)
}
