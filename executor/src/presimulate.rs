//! Simulations: every transaction of a block alone on the parent state, before its turn.
//!
//! Place in the flow: predictions with values. A mempool's come before the block, presimulation's at its start; both are
//! adopted by merge if their reads hold.
//! Invariant: a simulation that was made on another parent is used only where everything that it saw is so in this one.

use crate::{
    clock::Clock,
    effects::{Attempt, Fate, Simulation},
    env::PreparedBlock,
    execute::{self, Instance, PrecompileOutputs},
    merge::Surroundings,
    mv_memory::MvMemory,
    outcome::{Span, SpanKind},
    schedule::{Election, Pool},
    sync::Mutex,
    types::TxIndex,
};
use alloy_primitives::{Address, B256, U256};
use revm::{DatabaseRef, context::BlockEnv};

/// Simulations on a state, one a transaction: what presimulation gives and what a mempool would keep.
///
/// They say on which parent and under which block environment they were made. Under another environment they are not used;
/// on another parent each is checked against it first.
#[derive(Debug)]
pub struct Simulations {
    attempts: Vec<Attempt>,
    pub(crate) spans: Vec<Span>,
    parent_hash: B256,
    block_env: BlockEnv,
    outputs: PrecompileOutputs,
}

impl Simulations {
    /// Attempts for the transactions of `block` in block order, made where they may be adopted if their reads hold.
    pub(crate) fn of(block: &PreparedBlock, attempts: Vec<Attempt>) -> Self {
        let PreparedBlock { parent_hash, block_env, .. } = block;
        let (parent_hash, block_env) = (*parent_hash, block_env.clone());
        Self { attempts, spans: Vec::new(), parent_hash, block_env, outputs: PrecompileOutputs::default() }
    }

    /// One a transaction, in block order.
    pub(crate) fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// Calls `name` for what simulations through the interpreter wrote: an account, or with its number a slot of it.
    pub(crate) fn for_each_written(&self, mut name: impl FnMut(Address, Option<U256>)) {
        let runs = self.attempts.iter().filter_map(Attempt::simulation);
        for (account, slots) in runs.flat_map(Simulation::iter) {
            let written = slots.iter().filter(|slot| slot.after != slot.seen);
            let count = written.map(|slot| name(account.address, Some(slot.slot))).count();
            if count > 0 || account.fate != Fate::Read {
                name(account.address, None);
            }
        }
    }

    /// Those that can be adopted on `parent` if their reads hold in the block, with what precompiles gave in them; `None` if
    /// none can.
    pub(crate) fn into_attempts<DB: DatabaseRef + Sync>(
        self,
        pool: &Pool,
        around: Surroundings<'_, DB>,
    ) -> Option<(Vec<Attempt>, PrecompileOutputs)> {
        let same_block = self.attempts.len() == around.block.txs.len() && self.block_env == around.block.block_env;
        if !same_block {
            return None;
        }
        if self.parent_hash == around.block.parent_hash {
            return Some((self.attempts, self.outputs));
        }
        // Only what was checked is kept: whatever a panic leaves unchecked stays refused.
        let kept: Vec<_> = self.attempts.iter().map(|_| Mutex::new(Attempt::Refused)).collect();
        let check = |(): &mut (), index: TxIndex| {
            let attempt = &self.attempts[index.as_usize()];
            if execute::holds_on_parent(attempt, around.parent) {
                *kept[index.as_usize()].lock() = attempt.clone();
            }
        };
        for_each_tx(pool, self.attempts.len(), |_| (), check);
        Some((kept.into_iter().map(Mutex::into_inner).collect(), self.outputs))
    }
}

/// Simulates every transaction alone on the parent state, on all workers.
pub(crate) fn presimulate<DB: DatabaseRef + Sync>(
    pool: &Pool,
    around: Surroundings<'_, DB>,
    clock: Clock,
) -> Simulations {
    let txs = around.block.txs.len();
    let (memory, outputs) = (MvMemory::new(0), PrecompileOutputs::default());
    let done: Vec<Mutex<(Attempt, Option<Span>)>> = (0..txs).map(|_| Mutex::new((Attempt::Refused, None))).collect();
    let worker = |worker| (worker, Instance::new(around.block, around.parent, &memory, &outputs));
    for_each_tx(pool, txs, worker, |(worker, instance), index| {
        let simulated = clock.span(*worker, index, SpanKind::Presimulate, || instance.speculate(index));
        *done[index.as_usize()].lock() = simulated;
    });
    let mut simulations = Simulations { outputs, ..Simulations::of(around.block, Vec::with_capacity(txs)) };
    for (attempt, span) in done.into_iter().map(Mutex::into_inner) {
        simulations.attempts.push(attempt);
        simulations.spans.extend(span);
    }
    simulations
}

/// Calls `work` once for each of `txs` transactions, in any order, on all workers. A worker that panics leaves its transaction
/// undone: the caller's default for it must be right.
fn for_each_tx<W>(pool: &Pool, txs: usize, worker: impl Fn(usize) -> W + Sync, work: impl Fn(&mut W, TxIndex) + Sync) {
    let next = Election::default();
    if txs == 0 {
        return;
    }
    pool.run(pool.workers(), |id| {
        let mut state = worker(id);
        while let Some(at) = next.take(txs) {
            work(&mut state, TxIndex::from_usize(at));
        }
    });
}
