//! What is known of a block before its first transaction runs: the plan, what is published, what may be adopted.
//!
//! Place in the flow: from predictions to the parallel path.
//! Invariant: it holds hints only. Whatever is in it, the transactions that `parallel` commits come out the same; what was
//! published here and does not come true is taken back there.

use crate::{
    effects::{Attempt, Simulation},
    error::ExecuteError,
    execute::{PrecompileOutputs, TRANSFER_GAS},
    mv_memory::{MvMemory, Revoked},
    partition::{ConflictGraph, GraphBuilder, Plan},
    predict::Promises,
    schedule::{Election, Pool},
    sync::Mutex,
    types::TxIndex,
};

/// Simulations below which one thread publishes them sooner than others would come to help.
const PUBLISHED_ALONE_MAX: usize = 64;

/// What is known of a block before its first transaction runs.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) plan: Plan,
    pub(crate) memory: MvMemory,
    /// Attempts to adopt if they hold, one entry a transaction; or none at all.
    pub(crate) ready: Vec<Option<Attempt>>,
    /// What was published for a transaction that is going to run: taken back where its run differs.
    pub(crate) published: Vec<Option<Box<Simulation>>>,
    /// What was published because a block access list promises it: taken back where the runs differ.
    pub(crate) promises: Option<Promises>,
    /// What precompiles gave in simulations.
    pub(crate) outputs: PrecompileOutputs,
}

impl Prepared {
    /// Whether more than half of the transactions are to be run although they were simulated: their conflicts are so many
    /// that a graph of them only keeps workers waiting.
    pub(crate) fn is_mostly_stale(&self) -> bool {
        self.plan.tasks() * 2 > self.ready.len()
    }

    /// Nothing is known: every transaction runs, in the order of `plan`.
    pub(crate) fn nothing(plan: Plan, memory: MvMemory) -> Self {
        let outputs = PrecompileOutputs::default();
        Self { plan, memory, ready: Vec::new(), published: Vec::new(), promises: None, outputs }
    }

    /// Simulations are known: those without predicted conflict wait to be adopted, the others run again.
    ///
    /// # Errors
    /// A worker panicked: our bug.
    pub(crate) fn from_simulations(
        simulations: Vec<Attempt>,
        outputs: PrecompileOutputs,
        memory: MvMemory,
        pool: &Pool,
        gas_limits: impl Fn(usize) -> u64 + Sync,
    ) -> Result<Self, ExecuteError> {
        let graph = Mutex::new(ConflictGraph::default());
        // Versions may be published in any order, so the other workers do that while one builds the graph.
        let next = Election::default();
        let workers = if simulations.len() < PUBLISHED_ALONE_MAX { 1 } else { pool.workers() };
        let panics = pool.run(workers, |worker| {
            if worker == 0 {
                *graph.lock() = conflicts(&simulations, &gas_limits);
            }
            while let Some(at) = next.take(simulations.len()) {
                if let Attempt::Simulation(run) = &simulations[at] {
                    memory.publish(TxIndex::from_usize(at), run);
                }
            }
        });
        if panics > 0 {
            return Err(ExecuteError::Bug {
                stage: "predict",
                what: format!("{panics} workers panicked over the plan"),
            });
        }
        let graph = graph.into_inner();
        let known = |attempt| (!matches!(attempt, Attempt::Refused)).then_some(attempt);
        let mut ready: Vec<_> = simulations.into_iter().map(known).collect();
        let plan = Plan::from_graph(&graph, &ready);
        let mut published: Vec<_> = (0..ready.len()).map(|_| None).collect();
        for at in (0..ready.len()).filter(|at| !graph.predecessors(*at).is_empty()) {
            if let Some(Attempt::Simulation(run)) = ready[at].take() {
                published[at] = Some(run);
            }
        }
        Ok(Self { plan, memory, ready, published, promises: None, outputs })
    }

    /// The same without the graph: what has predecessors runs from `start` on in block order and waits for nobody. What was
    /// published of it is taken back, before anybody read it.
    pub(crate) fn without_graph(self, start: TxIndex) -> Self {
        for (at, run) in self.published.iter().enumerate() {
            if let Some(run) = run {
                self.memory.revoke(TxIndex::from_usize(at), run, None, &mut Revoked::default());
            }
        }
        let missing = (start.as_usize()..self.ready.len()).filter(|at| self.ready[*at].is_none());
        let plan = Plan::in_order(missing.map(TxIndex::from_usize).collect());
        Self { plan, published: Vec::new(), ..self }
    }

    /// What each transaction leaves was promised and published: every transaction runs, in the order of `plan`.
    pub(crate) fn from_promises(promises: Promises, plan: Plan, memory: MvMemory) -> Self {
        Self { promises: Some(promises), ..Self::nothing(plan, memory) }
    }
}

/// The conflicts between simulations; `gas_limits` gives the gas of those that have no result.
pub(crate) fn conflicts(simulations: &[Attempt], gas_limits: impl Fn(usize) -> u64) -> ConflictGraph {
    let mut graph = GraphBuilder::default();
    for (at, attempt) in simulations.iter().enumerate() {
        match attempt {
            Attempt::Simulation(run) => graph.push(run),
            Attempt::Transfer(_) => graph.push_independent(TRANSFER_GAS),
            Attempt::Refused => graph.push_independent(gas_limits(at)),
        }
    }
    graph.finish()
}
