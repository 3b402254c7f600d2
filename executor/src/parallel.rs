//! One block over the worker pool: the steps that the scheduler drives, bound to revm, multi-version memory and merge.
//!
//! Place in the flow: between the executor, which chooses the path, and schedule, which knows neither revm nor state.
//! Invariant: what comes out is what merge committed in block order; runs, plans and earlier simulations only decide when.

use crate::{
    clock::Clock,
    contention::Contention,
    effects::{Attempt, Simulation},
    error::ExecuteError,
    execute::{self, Instance},
    merge::{Committer, Surroundings, Taken},
    mv_memory::MvMemory,
    outcome::{Fallback, Path, Span, SpanKind, Stats},
    partition::{GraphBuilder, Plan},
    schedule::{Pool, Schedule, Steps},
    sync::Mutex,
    types::TxIndex,
};
use alloy_primitives::map::AddressSet;
use revm::DatabaseRef;
use std::{
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
};

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
    /// Whether running ahead is given up for a while where it does not pay.
    adapts: bool,
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
    contention: Contention,
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
        self.take_back(index, run, &mut revoked);
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
        match self.commit_one(worker, writer, index, delivered) {
            Ok(()) if self.adapts && writer.contention.is_high() => ControlFlow::Break(()),
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                writer.error = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

impl<'a, DB: DatabaseRef + Sync> Job<'a, DB> {
    fn commit_one(
        &self,
        worker: &mut Worker<'a, DB>,
        writer: &mut Writer,
        index: TxIndex,
        delivered: Delivered,
    ) -> Result<(), ExecuteError> {
        let Delivered { attempt, from_before, rare } = delivered;
        let Rare { revoked, span } = rare.map(|rare| *rare).unwrap_or_default();
        let has_result = !matches!(attempt, Attempt::Refused);
        writer.committer.revoke(revoked);
        let block = self.around.block;
        let (taken, second) = self.clock.span(worker.worker, index, SpanKind::Reexecute, || {
            writer.committer.commit(&mut worker.instance, block, Some(self.memory), attempt)
        });
        let taken = taken?;
        let stats = &mut writer.stats;
        stats.incarnations += u64::from(!from_before);
        stats.timeline.extend(span);
        match taken {
            Taken::AsDelivered => stats.adopted += u64::from(from_before),
            Taken::RunAgain => {
                stats.incarnations += 1;
                stats.aborted += u64::from(has_result);
                stats.timeline.extend(second);
            }
            Taken::LeftOut => {}
        }
        writer.contention.note(taken);
        Ok(())
    }

    /// Takes back what was published of a transaction before its run, where the run does not do it too.
    fn take_back(&self, index: TxIndex, run: Option<&Simulation>, revoked: &mut AddressSet) {
        if let Some(published) = self.published.get(index.as_usize())
            && let Some(published) = published.lock().take()
        {
            self.memory.revoke(index, &published, run, revoked);
        }
    }

    /// What stands for the run of a transaction that was not run ahead: what was promised of it is taken back.
    fn without_run(&self, index: TxIndex) -> Delivered {
        let mut revoked = AddressSet::default();
        self.take_back(index, None, &mut revoked);
        let rare = (!revoked.is_empty()).then(|| Box::new(Rare { revoked, span: None }));
        Delivered { attempt: Attempt::Refused, from_before: true, rare }
    }
}

/// How the block is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Workers, the calling thread included.
    pub(crate) workers: usize,
    /// Whether running ahead is given up for a while where most of it is thrown away.
    pub(crate) adapts: bool,
}

/// Runs and commits all transactions over the pool.
///
/// # Errors
/// The block is invalid, a read failed, or a worker panicked and the rest did not run sequentially either.
pub(crate) fn run<DB: DatabaseRef + Sync>(
    pool: &Pool,
    around: Surroundings<'_, DB>,
    prepared: Prepared,
    committer: Committer,
    manner: Manner,
    clock: Clock,
) -> Result<(Committer, Stats), ExecuteError> {
    let Prepared { mut plan, memory, ready, published } = prepared;
    let Manner { workers, adapts } = manner;
    let published = published.into_iter().map(Mutex::new).collect();
    let job = Job { around, memory: &memory, published, adapts, clock };
    let stats = Stats {
        path: Path::Parallel,
        workers,
        batches: plan.batches(),
        critical_path_gas: plan.critical_path_gas(),
        ..Stats::default()
    };
    let mut ready: Vec<_> = ready.into_iter().map(|attempt| attempt.map(Delivered::from_before)).collect();
    let mut writer = Writer { committer, stats, error: None, contention: Contention::default() };
    loop {
        let schedule = Schedule::new(&job, &plan, writer.committer.next(), ready, writer);
        let panics = pool.run(workers, |worker| schedule.work(worker));
        let complete = schedule.is_complete();
        let (left, attempts) = schedule.into_parts();
        writer = left.ok_or_else(|| bug(format!("{panics} workers panicked while merging")))?;
        match writer.error.take() {
            Some(error) => return Err(error),
            None if complete => return Ok((writer.committer, writer.stats)),
            None if panics > 0 => return fall_back(around, writer),
            None => {}
        }
        ready = attempts;
        catch_unwind(AssertUnwindSafe(|| commit_stretch(&job, &mut writer, &mut ready)))
            .unwrap_or_else(|_| Err(bug("a run panicked where running ahead did not pay".to_owned())))?;
        plan = Plan::of_missing(writer.committer.next(), &ready.iter().map(Option::is_some).collect::<Vec<_>>());
    }
}

fn bug(what: String) -> ExecuteError {
    ExecuteError::Bug { stage: "merge", what }
}

fn fall_back<DB: DatabaseRef>(
    around: Surroundings<'_, DB>,
    writer: Writer,
) -> Result<(Committer, Stats), ExecuteError> {
    let Writer { committer, mut stats, .. } = writer;
    let left = (around.block.txs.len() - committer.next().as_usize()) as u64;
    stats.fallback = Some((Fallback::WorkerPanic, left));
    Ok((run_rest(around, committer)?, stats))
}

/// Commits the next transactions one after the other, where running ahead did not pay. What was run ahead already is used if
/// it holds.
fn commit_stretch<DB: DatabaseRef + Sync>(
    job: &Job<'_, DB>,
    writer: &mut Writer,
    ready: &mut [Option<Delivered>],
) -> Result<(), ExecuteError> {
    let mut worker = job.worker(0);
    for _ in 0..writer.contention.next_stretch() {
        let index = writer.committer.next();
        let Some(slot) = ready.get_mut(index.as_usize()) else { break };
        let delivered = slot.take().unwrap_or_else(|| job.without_run(index));
        job.commit_one(&mut worker, writer, index, delivered)?;
    }
    Ok(())
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
