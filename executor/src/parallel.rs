//! One block over the worker pool: the steps that the scheduler drives, bound to revm, multi-version memory and merge.
//!
//! Place in the flow: between the executor, which chooses the path, and schedule, which knows neither revm nor state.
//! Invariant: what comes out is what merge committed in block order; runs, plans and earlier simulations only decide when.

use crate::{
    effects::{Attempt, Simulation},
    env::PreparedBlock,
    error::ExecuteError,
    execute::{self, Instance},
    merge::{Committer, Surroundings, Taken},
    mv_memory::MvMemory,
    outcome::{Fallback, Path, Span, SpanKind, Stats},
    partition::{GraphBuilder, Plan},
    schedule::{Pool, Schedule, Steps},
    sync::{AtomicUsize, Mutex, Ordering},
    types::{Incarnation, TxIndex},
};
use alloy_primitives::{B256, map::AddressSet};
use revm::{DatabaseRef, context::BlockEnv};
use std::{
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    time::Instant,
};

/// A clock that starts with the block and is read only where a timeline is wanted.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock(Option<Instant>);

impl Clock {
    pub(crate) fn new(timeline: bool) -> Self {
        Self(timeline.then(Instant::now))
    }

    fn span<T>(self, worker: usize, index: TxIndex, kind: SpanKind, work: impl FnOnce() -> T) -> (T, Option<Span>) {
        let Some(block_start) = self.0 else { return (work(), None) };
        let start = block_start.elapsed();
        let done = work();
        let incarnation = Incarnation(u32::from(kind == SpanKind::Reexecute));
        (done, Some(Span { worker, index, incarnation, kind, start, end: block_start.elapsed() }))
    }
}

/// A run on its way to merge, with where it came from.
struct Delivered {
    attempt: Attempt,
    /// Made before scheduling began: adopted if it holds.
    from_before: bool,
    /// What few runs have.
    rare: Option<Box<Rare>>,
}

/// What few runs have beside their result.
#[derive(Default)]
struct Rare {
    /// Accounts whose published versions this run took back.
    revoked: AddressSet,
    span: Option<Span>,
}

impl Delivered {
    fn from_before(attempt: Attempt) -> Self {
        Self { attempt, from_before: true, rare: None }
    }
}

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
}

impl Simulations {
    /// Those that can be adopted on `parent` if their reads hold in the block; `None` if none can.
    pub(crate) fn into_attempts<DB: DatabaseRef + Sync>(
        self,
        pool: &Pool,
        around: Surroundings<'_, DB>,
    ) -> Option<Vec<Attempt>> {
        let same_block = self.attempts.len() == around.block.txs.len() && self.block_env == around.block.block_env;
        if !same_block {
            return None;
        }
        if self.parent_hash == around.block.parent_hash {
            return Some(self.attempts);
        }
        let attempts: Vec<_> = self.attempts.into_iter().map(Mutex::new).collect();
        for_each_tx(
            pool,
            attempts.len(),
            |_| (),
            |(), index| {
                let mut attempt = attempts[index.as_usize()].lock();
                if !execute::holds_on_parent(&attempt, around.parent) {
                    *attempt = Attempt::Refused;
                }
            },
        );
        Some(attempts.into_iter().map(Mutex::into_inner).collect())
    }
}

/// What is known of a block before its first transaction runs.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) plan: Plan,
    pub(crate) memory: MvMemory,
    /// Attempts to adopt if they hold.
    pub(crate) ready: Vec<Option<Attempt>>,
    /// What was published for a transaction that is going to run: taken back where its run differs.
    pub(crate) published: Vec<Option<Box<Simulation>>>,
}

impl Prepared {
    /// Nothing is known: every transaction runs, in block order.
    pub(crate) fn nothing(txs: usize) -> Self {
        let ready = (0..txs).map(|_| None).collect();
        Self { plan: Plan::in_block_order(txs), memory: MvMemory::new(txs), ready, published: Vec::new() }
    }

    /// Simulations are known: those without predicted conflict wait to be adopted, the others run again.
    pub(crate) fn from_simulations(simulations: Vec<Attempt>, gas_limits: impl Fn(usize) -> u64) -> Self {
        let memory = MvMemory::new(simulations.len());
        let mut graph = GraphBuilder::default();
        let mut ready = Vec::with_capacity(simulations.len());
        for (at, attempt) in simulations.into_iter().enumerate() {
            match &attempt {
                Attempt::Simulation(run) => {
                    graph.push(run);
                    memory.publish(TxIndex::from_usize(at), run);
                }
                Attempt::Transfer(_) => graph.push_independent(execute::TRANSFER_GAS),
                Attempt::Refused => graph.push_independent(gas_limits(at)),
            }
            ready.push((!matches!(attempt, Attempt::Refused)).then_some(attempt));
        }
        let graph = graph.finish();
        let plan = Plan::from_graph(&graph, &ready);
        let mut published: Vec<_> = (0..ready.len()).map(|_| None).collect();
        for at in (0..ready.len()).filter(|at| !graph.predecessors(*at).is_empty()) {
            if let Some(Attempt::Simulation(run)) = ready[at].take() {
                published[at] = Some(run);
            }
        }
        Self { plan, memory, ready, published }
    }

    /// The effects of each transaction are predicted: they are published, and every transaction runs, in block order.
    pub(crate) fn from_effects(effects: Vec<Simulation>) -> Self {
        let mut prepared = Self::nothing(effects.len());
        for (at, run) in effects.into_iter().enumerate() {
            prepared.memory.publish(TxIndex::from_usize(at), &run);
            prepared.published.push(Some(Box::new(run)));
        }
        prepared
    }
}

struct Job<'a, DB> {
    around: Surroundings<'a, DB>,
    memory: &'a MvMemory,
    published: Vec<Mutex<Option<Box<Simulation>>>>,
    clock: Clock,
}

struct Worker<'a, DB: DatabaseRef> {
    worker: usize,
    instance: Instance<'a, DB>,
}

/// The committer with what is counted along the way, and the reason if the block ended early.
struct Writer {
    committer: Committer,
    stats: Stats,
    error: Option<ExecuteError>,
}

impl<'a, DB: DatabaseRef + Sync> Steps for Job<'a, DB> {
    type Worker = Worker<'a, DB>;
    type Attempt = Delivered;
    type Committer = Writer;

    fn worker(&self, worker: usize) -> Self::Worker {
        Worker { worker, instance: Instance::new(self.around.block, self.around.parent, self.memory) }
    }

    fn run(&self, worker: &mut Self::Worker, index: TxIndex) -> Delivered {
        let (attempt, span) =
            self.clock.span(worker.worker, index, SpanKind::Execute, || worker.instance.speculate(index));
        let mut revoked = AddressSet::default();
        let run = match &attempt {
            Attempt::Simulation(run) => Some(&**run),
            Attempt::Transfer(_) | Attempt::Refused => None,
        };
        if let Some(run) = run {
            self.memory.publish(index, run);
        }
        if let Some(published) = self.published.get(index.as_usize())
            && let Some(published) = published.lock().take()
        {
            self.memory.revoke(index, &published, run, &mut revoked);
        }
        let rare = (!revoked.is_empty() || span.is_some()).then(|| Box::new(Rare { revoked, span }));
        Delivered { attempt, from_before: false, rare }
    }

    fn commit(
        &self,
        worker: &mut Self::Worker,
        writer: &mut Writer,
        index: TxIndex,
        delivered: Delivered,
    ) -> ControlFlow<()> {
        let Delivered { attempt, from_before, rare } = delivered;
        let Rare { revoked, span } = rare.map(|rare| *rare).unwrap_or_default();
        let was_run = !from_before;
        let has_result = !matches!(attempt, Attempt::Refused);
        writer.committer.revoke(revoked);
        let block = self.around.block;
        let (taken, second) = self.clock.span(worker.worker, index, SpanKind::Reexecute, || {
            writer.committer.commit(&mut worker.instance, block, Some(self.memory), attempt)
        });
        let stats = &mut writer.stats;
        stats.incarnations += u64::from(was_run);
        stats.timeline.extend(span);
        match taken {
            Ok(Taken::AsDelivered) => stats.adopted += u64::from(from_before),
            Ok(Taken::RunAgain) => {
                stats.incarnations += 1;
                stats.aborted += u64::from(has_result);
                stats.timeline.extend(second);
            }
            Err(error) => {
                writer.error = Some(error);
                return ControlFlow::Break(());
            }
        }
        ControlFlow::Continue(())
    }
}

/// Simulates every transaction alone on the parent state, on all workers.
pub(crate) fn presimulate<DB: DatabaseRef + Sync>(
    pool: &Pool,
    around: Surroundings<'_, DB>,
    clock: Clock,
) -> Simulations {
    let txs = around.block.txs.len();
    let memory = MvMemory::new(0);
    let done: Vec<Mutex<(Attempt, Option<Span>)>> = (0..txs).map(|_| Mutex::new((Attempt::Refused, None))).collect();
    let worker = |worker| Worker { worker, instance: Instance::new(around.block, around.parent, &memory) };
    for_each_tx(pool, txs, worker, |Worker { worker, instance }, index| {
        let simulated = clock.span(*worker, index, SpanKind::Presimulate, || instance.speculate(index));
        *done[index.as_usize()].lock() = simulated;
    });
    let PreparedBlock { parent_hash, block_env, .. } = around.block;
    let (parent_hash, block_env) = (*parent_hash, block_env.clone());
    let mut simulations = Simulations { attempts: Vec::with_capacity(txs), spans: Vec::new(), parent_hash, block_env };
    for (attempt, span) in done.into_iter().map(Mutex::into_inner) {
        simulations.attempts.push(attempt);
        simulations.spans.extend(span);
    }
    simulations
}

/// Calls `work` once for each of `txs` transactions, in any order, on all workers. A worker that panics leaves its transaction
/// undone: the caller's default for it must be right.
fn for_each_tx<W>(pool: &Pool, txs: usize, worker: impl Fn(usize) -> W + Sync, work: impl Fn(&mut W, TxIndex) + Sync) {
    let next = AtomicUsize::new(0);
    if txs == 0 {
        return;
    }
    pool.run(pool.workers(), |id| {
        let mut state = worker(id);
        loop {
            // ORDER: Relaxed. An election; results are published by locks and by joining the workers.
            let at = next.fetch_add(1, Ordering::Relaxed);
            if at >= txs {
                break;
            }
            work(&mut state, TxIndex::from_usize(at));
        }
    });
}

/// Runs and commits all transactions on `workers` of the pool.
///
/// # Errors
/// The block is invalid, a read failed, or a worker panicked and the rest did not run sequentially either.
pub(crate) fn run<DB: DatabaseRef + Sync>(
    pool: &Pool,
    around: Surroundings<'_, DB>,
    prepared: Prepared,
    committer: Committer,
    workers: usize,
    clock: Clock,
) -> Result<(Committer, Stats), ExecuteError> {
    let Prepared { plan, memory, ready, published } = prepared;
    let published = published.into_iter().map(Mutex::new).collect();
    let job = Job { around, memory: &memory, published, clock };
    let stats = Stats {
        path: Path::Parallel,
        workers,
        batches: plan.batches(),
        critical_path_gas: plan.critical_path_gas(),
        ..Stats::default()
    };
    let ready = ready.into_iter().map(|attempt| attempt.map(Delivered::from_before)).collect();
    let schedule = Schedule::new(&job, &plan, ready, Writer { committer, stats, error: None });
    let panics = pool.run(workers, |worker| schedule.work(worker));
    let complete = schedule.is_complete();
    let writer = schedule.into_committer();
    match writer {
        Some(Writer { error: Some(error), .. }) => Err(error),
        Some(Writer { committer, stats, .. }) if complete => Ok((committer, stats)),
        Some(Writer { committer, mut stats, .. }) => {
            let left = (around.block.txs.len() - committer.next().as_usize()) as u64;
            stats.fallback = Some((Fallback::WorkerPanic, left));
            let committer = run_rest(around, committer)?;
            Ok((committer, stats))
        }
        None => Err(ExecuteError::Bug { stage: "merge", what: format!("{panics} workers panicked while merging") }),
    }
}

/// Runs and commits the transactions that are left, one after the other.
///
/// # Errors
/// The block is invalid, a read failed, or a run panicked.
pub(crate) fn run_rest<DB: DatabaseRef>(
    around: Surroundings<'_, DB>,
    mut committer: Committer,
) -> Result<Committer, ExecuteError> {
    if committer.next().as_usize() == around.block.txs.len() {
        return Ok(committer);
    }
    let memory = MvMemory::new(0);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut instance = Instance::new(around.block, around.parent, &memory);
        while committer.next().as_usize() < around.block.txs.len() {
            committer.commit(&mut instance, around.block, None, Attempt::Refused)?;
        }
        Ok(committer)
    }));
    outcome.unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<&str>().map(ToString::to_string);
        let what = what.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(ExecuteError::Bug { stage: "execute", what: format!("a run panicked: {what}") })
    })
}
