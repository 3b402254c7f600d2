//! The plan of a block: which transactions must wait for which, the conflict-free batches, the order of starts.
//!
//! Place in the flow: made from predictions before the first run; the scheduler follows it, the report shows it.
//! Invariant: edges point from a lower to a higher transaction index, so the plan has no cycle; a wrong plan costs time only.
//! Batches (the levels of the conflict graph) are for display: a transaction is released when its predecessors are done, not
//! when a batch is.

mod graph;
#[cfg(test)]
mod tests;

use crate::{effects::Attempt, types::TxIndex};
pub(crate) use graph::{ConflictGraph, GraphBuilder};

/// Which of a block's transactions are to be run, in which order, after which others.
#[derive(Clone, Debug, Default)]
pub(crate) struct Plan {
    ready: Vec<TxIndex>,
    predecessors: Vec<u32>,
    successors: Vec<Vec<TxIndex>>,
    priorities: Vec<u64>,
    handful: usize,
    tasks: usize,
    task_gas: u64,
    batches: u64,
    critical_path_gas: u64,
}

impl Plan {
    /// The plan without predictions: `txs` transactions, all ready, in block order.
    #[cfg(test)]
    pub(crate) fn in_block_order(txs: usize) -> Self {
        Self::in_order((0..txs).map(TxIndex::from_usize).collect())
    }

    /// The plan without predicted conflicts: the transactions of `order`, each there at most once, are ready and start in that order.
    pub(crate) fn in_order(order: Vec<TxIndex>) -> Self {
        Self { tasks: order.len(), ready: order, ..Self::default() }
    }

    /// The same plan, where a worker takes so many ready transactions at once: for those that are over sooner than a word
    /// between cores.
    pub(crate) fn in_handfuls(self, handful: usize) -> Self {
        Self { handful, ..self }
    }

    /// A plan from the predicted conflict graph. Transactions that have an attempt and no predecessor are not run; of the
    /// others, those on the longest path by predicted gas start first.
    pub(crate) fn from_graph(graph: &ConflictGraph, attempts: &[Option<Attempt>]) -> Self {
        let txs = graph.len();
        let runs: Vec<bool> = (0..txs).map(|at| attempts[at].is_none() || !graph.predecessors(at).is_empty()).collect();
        let mut plan = Self {
            predecessors: vec![0; txs],
            successors: vec![Vec::new(); txs],
            priorities: graph.path_gas(),
            tasks: runs.iter().filter(|runs| **runs).count(),
            task_gas: (0..txs).filter(|at| runs[*at]).map(|at| graph.gas(at)).fold(0, u64::saturating_add),
            batches: graph.levels(),
            critical_path_gas: graph.critical_path_gas(),
            ..Self::default()
        };
        for at in (0..txs).filter(|at| runs[*at]) {
            // A predecessor that is not run is done already: what it does has been published.
            for before in graph.predecessors(at).iter().filter(|before| runs[before.as_usize()]) {
                plan.predecessors[at] += 1;
                plan.successors[before.as_usize()].push(TxIndex::from_usize(at));
            }
            if plan.predecessors[at] == 0 {
                plan.ready.push(TxIndex::from_usize(at));
            }
        }
        plan.ready.sort_by_key(|index| (std::cmp::Reverse(plan.priorities[index.as_usize()]), *index));
        plan
    }

    /// A plan that runs every transaction after its `predecessors` (one list a transaction, each below it), in block order.
    #[cfg(test)]
    pub(crate) fn from_predecessors(predecessors: Vec<Vec<TxIndex>>) -> Self {
        let attempts: Vec<_> = predecessors.iter().map(|_| None).collect();
        Self::from_graph(&ConflictGraph::from_predecessors(predecessors), &attempts)
    }

    /// Transactions that wait for nobody, in the order of their starts.
    pub(crate) fn ready(&self) -> &[TxIndex] {
        &self.ready
    }

    /// How many ready transactions a worker takes at once, at least one.
    pub(crate) fn handful(&self) -> usize {
        self.handful.max(1)
    }

    /// How many predecessors each transaction waits for; empty without dependencies.
    pub(crate) fn predecessors(&self) -> &[u32] {
        &self.predecessors
    }

    /// Who waits for `index`.
    pub(crate) fn successors(&self, index: TxIndex) -> &[TxIndex] {
        self.successors.get(index.as_usize()).map_or(&[], Vec::as_slice)
    }

    /// Gas on the longest path that starts with `index`: what to start first.
    pub(crate) fn priority(&self, index: TxIndex) -> u64 {
        self.priorities.get(index.as_usize()).copied().unwrap_or_default()
    }

    /// Number of transactions that are run at all.
    pub(crate) const fn tasks(&self) -> usize {
        self.tasks
    }

    /// Predicted gas of the transactions that are run; zero where nothing is predicted.
    pub(crate) const fn task_gas(&self) -> u64 {
        self.task_gas
    }

    /// Whether any transaction waits for another.
    pub(crate) const fn has_dependencies(&self) -> bool {
        self.ready.len() < self.tasks
    }

    /// Number of conflict-free batches; zero without a graph.
    pub(crate) const fn batches(&self) -> u64 {
        self.batches
    }

    /// Gas on the longest path of the graph; zero without a graph.
    pub(crate) const fn critical_path_gas(&self) -> u64 {
        self.critical_path_gas
    }
}
