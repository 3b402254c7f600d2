//! One block over the worker pool: the steps that the scheduler drives, bound to revm, multi-version memory and merge.
//!
//! Place in the flow: between the executor, which chooses the path, and schedule, which knows neither revm nor state.
//! Invariant: what comes out is what merge committed in block order; runs, plans and earlier simulations only decide when.

use crate::{
    clock::Clock,
    contention::{Contention, HotGroups},
    effects::{Attempt, Simulation},
    error::ExecuteError,
    execute::{self, Instance},
    merge::{Committer, Surroundings, Taken},
    mv_memory::MvMemory,
    outcome::{Fallback, Path, Span, SpanKind, Stats},
    partition::{GraphBuilder, Plan},
    predict::Declared,
    schedule::{Pool, Schedule, Slots, Steps},
    sync::Mutex,
    types::TxIndex,
};
use alloy_primitives::map::AddressSet;
use revm::DatabaseRef;
use std::{
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Where a delivered attempt came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// Made before scheduling began: adopted if it holds.
    Before,
    /// A run of the schedule.
    Run,
    /// Not run ahead, because that would not have paid.
    Skipped,
}

/// A run on its way to merge, with where it came from.
#[derive(Debug)]
struct Delivered {
    attempt: Attempt,
    origin: Origin,
    /// What few runs have.
    rare: Option<Box<Rare>>,
}

/// What few runs have beside their result.
#[derive(Debug, Default)]
struct Rare {
    /// Accounts whose published versions this run took back.
    revoked: AddressSet,
    span: Option<Span>,
}

impl Delivered {
    fn from_before(attempt: Attempt) -> Self {
        Self { attempt, origin: Origin::Before, rare: None }
    }
}

/// What is kept from block to block: memory that was touched already.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    slots: Slots<Delivered>,
    memory: Option<MvMemory>,
}

impl Scratch {
    /// An empty multi-version memory for `txs` transactions.
    pub(crate) fn memory(&mut self, txs: usize) -> MvMemory {
        let kept = self.memory.take().map(|mut memory| {
            memory.reset(txs);
            memory
        });
        kept.unwrap_or_else(|| MvMemory::new(txs))
    }
}

/// What is known of a block before its first transaction runs.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) plan: Plan,
    pub(crate) memory: MvMemory,
    /// Attempts to adopt if they hold, one entry a transaction; or none at all.
    pub(crate) ready: Vec<Option<Attempt>>,
    /// What was published for a transaction that is going to run: taken back where its run differs.
    pub(crate) published: Vec<Option<Box<Simulation>>>,
}

impl Prepared {
    /// Nothing is known: every transaction runs, in the order of `plan`.
    pub(crate) const fn nothing(plan: Plan, memory: MvMemory) -> Self {
        Self { plan, memory, ready: Vec::new(), published: Vec::new() }
    }

    /// Simulations are known: those without predicted conflict wait to be adopted, the others run again.
    pub(crate) fn from_simulations(
        simulations: Vec<Attempt>,
        memory: MvMemory,
        gas_limits: impl Fn(usize) -> u64,
    ) -> Self {
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
    pub(crate) fn from_effects(effects: Vec<Simulation>, memory: MvMemory) -> Self {
        let mut prepared = Self::nothing(Plan::in_block_order(effects.len()), memory);
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
    /// Whether running ahead is given up where it does not pay.
    adapts: bool,
    groups: HotGroups,
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
        if self.adapts && self.groups.is_hopeless(index) {
            return self.without_run(index);
        }
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
        self.groups.note_done(index);
        let rare = (!revoked.is_empty() || span.is_some()).then(|| Box::new(Rare { revoked, span }));
        Delivered { attempt, origin: Origin::Run, rare }
    }

    fn all_started(&self) {
        self.memory.set_closed(true);
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
        let Delivered { attempt, origin, rare } = delivered;
        let Rare { revoked, span } = rare.map(|rare| *rare).unwrap_or_default();
        let has_result = !matches!(attempt, Attempt::Refused);
        writer.committer.revoke(revoked);
        let block = self.around.block;
        let (taken, second) = self.clock.span(worker.worker, index, SpanKind::Reexecute, || {
            writer.committer.commit(&mut worker.instance, block, Some(self.memory), attempt)
        });
        let taken = taken?;
        let stats = &mut writer.stats;
        stats.incarnations += u64::from(origin == Origin::Run);
        stats.timeline.extend(span);
        match taken {
            Taken::AsDelivered => stats.adopted += u64::from(origin == Origin::Before),
            Taken::RunAgain => {
                stats.incarnations += 1;
                stats.aborted += u64::from(has_result);
                stats.timeline.extend(second);
            }
            Taken::LeftOut => {}
        }
        if taken == Taken::RunAgain {
            self.groups.note_done(index);
        }
        if origin != Origin::Skipped {
            writer.contention.note(taken == Taken::RunAgain);
            self.groups.note(index, taken == Taken::RunAgain);
        }
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

    /// What stands for the run of a transaction that is not run ahead: what was promised of it is taken back.
    fn without_run(&self, index: TxIndex) -> Delivered {
        let mut revoked = AddressSet::default();
        self.take_back(index, None, &mut revoked);
        let rare = (!revoked.is_empty()).then(|| Box::new(Rare { revoked, span: None }));
        Delivered { attempt: Attempt::Refused, origin: Origin::Skipped, rare }
    }
}

/// How the block is run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Workers, the calling thread included.
    pub(crate) workers: usize,
    /// Whether running ahead is given up where most of it is thrown away.
    pub(crate) adapts: bool,
    pub(crate) clock: Clock,
}

/// Runs and commits all transactions over the pool.
///
/// # Errors
/// The block is invalid, a read failed, or a worker panicked and the rest did not run sequentially either.
pub(crate) fn run<DB: DatabaseRef + Sync>(
    pool: &Pool,
    around: Surroundings<'_, DB>,
    prepared: Prepared,
    declared: Declared,
    committer: Committer,
    manner: Manner,
    scratch: &mut Scratch,
) -> Result<(Committer, Stats), ExecuteError> {
    let Prepared { mut plan, memory, ready, published } = prepared;
    let Manner { workers, adapts, clock } = manner;
    let txs = around.block.txs.len();
    let published = published.into_iter().map(Mutex::new).collect();
    let groups = HotGroups::new(declared, txs);
    (0..committer.next().0).for_each(|committed| groups.note_done(TxIndex(committed)));
    let job = Job { around, memory: &memory, published, adapts, groups, clock };
    let stats = Stats {
        path: Path::Parallel,
        workers,
        batches: plan.batches(),
        critical_path_gas: plan.critical_path_gas(),
        ..Stats::default()
    };
    let mut slots = std::mem::take(&mut scratch.slots);
    slots.reset(txs);
    for (at, attempt) in ready.into_iter().enumerate() {
        if let Some(attempt) = attempt {
            slots.set(TxIndex::from_usize(at), Delivered::from_before(attempt));
        }
    }
    let mut writer = Writer { committer, stats, error: None, contention: Contention::default() };
    loop {
        memory.set_closed(plan.tasks() == 0);
        let schedule = Schedule::new(&job, &plan, writer.committer.next(), slots, writer);
        let panics = pool.run(workers, |worker| schedule.work(worker));
        let complete = schedule.is_complete();
        let (left, attempts) = schedule.into_parts();
        (writer, slots) = (left.ok_or_else(|| bug(format!("{panics} workers panicked while merging")))?, attempts);
        match writer.error.take() {
            Some(error) => return Err(error),
            None if complete => break,
            None if panics > 0 => return fall_back(around, writer),
            None => {}
        }
        memory.set_closed(false);
        catch_unwind(AssertUnwindSafe(|| commit_stretch(&job, &mut writer, &mut slots)))
            .unwrap_or_else(|_| Err(bug("a run panicked where running ahead did not pay".to_owned())))?;
        plan = Plan::of_missing(writer.committer.next(), &slots.filled());
    }
    *scratch = Scratch { slots, memory: Some(memory) };
    Ok((writer.committer, writer.stats))
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
    Ok((run_rest(around, committer, |_| true)?, stats))
}

/// Commits the next transactions one after the other, where running ahead did not pay. What was run ahead already is used if
/// it holds.
fn commit_stretch<DB: DatabaseRef + Sync>(
    job: &Job<'_, DB>,
    writer: &mut Writer,
    slots: &mut Slots<Delivered>,
) -> Result<(), ExecuteError> {
    let mut worker = job.worker(0);
    for _ in 0..writer.contention.next_stretch() {
        let index = writer.committer.next();
        if index.as_usize() == job.around.block.txs.len() {
            break;
        }
        let delivered = slots.take(index).unwrap_or_else(|| job.without_run(index));
        job.commit_one(&mut worker, writer, index, delivered)?;
    }
    Ok(())
}

/// Runs and commits the transactions that are left, one after the other, as long as `goes_on` says so of the gas used so far.
///
/// # Errors
/// The block is invalid, a read failed, or a run panicked.
pub(crate) fn run_rest<DB: DatabaseRef>(
    around: Surroundings<'_, DB>,
    mut committer: Committer,
    mut goes_on: impl FnMut(u64) -> bool,
) -> Result<Committer, ExecuteError> {
    if committer.next().as_usize() == around.block.txs.len() {
        return Ok(committer);
    }
    let memory = MvMemory::new(0);
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut instance = Instance::new(around.block, around.parent, &memory);
        while committer.next().as_usize() < around.block.txs.len() && goes_on(committer.gas_used()) {
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
