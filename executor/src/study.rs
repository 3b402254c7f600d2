//! The steps between a block's prediction and its first run, one at a time.
//!
//! Place in the flow: for benches and studies; what executes blocks takes these steps through `prepared`.
//! Invariant: nothing here executes or changes anything; what comes out says how much was found, so that no work is left out.

use crate::{
    effects::{Attempt, Simulation},
    env::PreparedBlock,
    mv_memory::MvMemory,
    partition::Plan,
    prepared::conflicts,
    presimulate::Simulations,
    types::TxIndex,
};
use alloy_primitives::U256;

/// The plan of a block whose transactions were all simulated, in figures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PlanFigures {
    /// Transactions that wait for another one.
    pub waiting: usize,
    /// Conflict-free batches.
    pub batches: u64,
    /// Gas on the longest path of conflicts.
    pub critical_path_gas: u64,
}

/// Builds the conflict graph of `simulations`, which are those of `block`, and the plan of it.
///
/// # Panics
/// If there are more simulations than transactions.
pub fn plan(block: &PreparedBlock, simulations: &Simulations) -> PlanFigures {
    let graph = conflicts(simulations.attempts(), |at| block.txs[at].gas_limit);
    let nothing: Vec<Option<Attempt>> = simulations.attempts().iter().map(|_| None).collect();
    let plan = Plan::from_graph(&graph, &nothing);
    PlanFigures {
        waiting: plan.tasks() - plan.ready().len(),
        batches: plan.batches(),
        critical_path_gas: plan.critical_path_gas(),
    }
}

/// Multi-version memory with what all simulations of a block wrote.
#[derive(Debug)]
pub struct Published<'a> {
    memory: MvMemory,
    simulations: &'a Simulations,
}

impl<'a> Published<'a> {
    /// Publishes what each simulation wrote as a version of its transaction.
    pub fn new(simulations: &'a Simulations) -> Self {
        let memory = MvMemory::new(simulations.attempts().len());
        for (index, run) in runs(simulations) {
            memory.publish(index, run);
        }
        Self { memory, simulations }
    }

    /// Reads every account and slot that a simulation looked at, as its transaction would; how many of them a transaction before
    /// it wrote.
    pub fn read_all(&self) -> usize {
        let mut found = 0;
        for (index, run) in runs(self.simulations) {
            for (access, slots) in run.iter() {
                found += usize::from(self.memory.account(&access.address, index).is_some());
                let read = |slot: &U256| self.memory.slot(&access.address, slot, index).is_some();
                found += slots.iter().filter(|access| read(&access.slot)).count();
            }
        }
        found
    }
}

fn runs(simulations: &Simulations) -> impl Iterator<Item = (TxIndex, &Simulation)> {
    let attempts = simulations.attempts().iter().enumerate();
    attempts.filter_map(|(at, attempt)| Some((TxIndex::from_usize(at), attempt.simulation()?)))
}
