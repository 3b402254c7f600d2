//! One block over the worker pool: the steps that the scheduler drives, bound to revm, multi-version memory and merge.
//!
//! Place in the flow: between the executor, which chooses the path, and schedule, which knows neither revm nor state.
//! Invariant: what comes out is what merge committed in block order; runs, plans and earlier simulations only decide when.

mod delivered;
mod in_turn;
mod writer;

use crate::{
    clock::Clock,
    contention::{Contention, HotGroups},
    effects::{Attempt, Simulation, Transfer},
    error::ExecuteError,
    execute::{Instance, PrecompileOutputs},
    merge::{Committer, Surroundings},
    mv_memory::{MvMemory, Revoked, Supply},
    outcome::{Fallback, Path, Span, SpanKind, Stats},
    partition::Plan,
    predict::{Declared, Promises},
    prepared::Prepared,
    schedule::{Pool, Schedule, Slots, Steps},
    sync::Mutex,
    types::TxIndex,
    validate::is_outdated,
};
use delivered::{Delivered, Origin, Rare};
pub(crate) use in_turn::run_rest;
use laminar_state_db::Account;
use revm::DatabaseRef;
use std::{
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
};
use writer::{Writer, commit_stretch};

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

struct Job<'a, DB> {
    around: Surroundings<'a, DB>,
    memory: &'a MvMemory,
    published: Vec<Mutex<Option<Box<Simulation>>>>,
    promises: Option<Promises>,
    outputs: &'a PrecompileOutputs,
    /// Whether running ahead is given up where it does not pay.
    adapts: bool,
    groups: HotGroups,
    clock: Clock,
}

struct Worker<'a, DB: DatabaseRef> {
    worker: usize,
    instance: Instance<'a, DB>,
    supply: Supply,
}

impl<'a, DB: DatabaseRef + Sync> Steps for Job<'a, DB> {
    type Worker = Worker<'a, DB>;
    type Attempt = Delivered;
    type Committer = Writer;

    fn worker(&self, worker: usize) -> Self::Worker {
        let Surroundings { block, parent } = self.around;
        Worker { worker, instance: Instance::new(block, parent, self.memory, self.outputs), supply: Supply::default() }
    }

    fn foresee(&self, worker: &mut Self::Worker, indices: &[TxIndex]) {
        worker.instance.foresee(indices);
    }

    fn run(&self, worker: &mut Self::Worker, index: TxIndex) -> Option<Delivered> {
        if self.adapts && self.groups.is_hopeless(index) {
            return self.without_run(index);
        }
        let (attempt, span) = self.run_ahead(worker, index);
        let replaced = match &attempt {
            Attempt::Simulation(run) if self.is_foretold() => self.memory.publish(index, run),
            Attempt::Simulation(run) => self.memory.publish_wanted(index, run, &mut worker.supply),
            Attempt::Transfer(transfer) => u32::from(self.was_promised(index, transfer)),
            Attempt::Refused => 0,
        };
        let revoked = self.take_back(index, replaced, &attempt);
        self.groups.note_done(index);
        let rare = (revoked.is_some() || span.is_some()).then(|| {
            let revoked = revoked.unwrap_or_default();
            Box::new(Rare { revoked, spans: span.into_iter().collect(), thrown_away: 0 })
        });
        Some(Delivered { attempt, origin: Origin::Run, rare })
    }

    fn all_started(&self) {
        self.memory.set_closed(self.promises.is_none());
    }

    fn review(
        &self,
        worker: &mut Self::Worker,
        index: TxIndex,
        delivered: Option<Delivered>,
    ) -> (Option<Delivered>, bool) {
        let is_outdated = match &delivered {
            None => true,
            Some(Delivered { attempt: Attempt::Simulation(run), .. }) => is_outdated(run, self.memory, index),
            Some(other) => other.origin == Origin::Skipped,
        };
        if !is_outdated || self.adapts && self.groups.is_hopeless(index) {
            return (delivered, false);
        }
        (Some(self.run_anew(worker, index, delivered.unwrap_or_else(Delivered::skipped))), true)
    }

    fn commit(
        &self,
        worker: &mut Self::Worker,
        writer: &mut Writer,
        index: TxIndex,
        delivered: Option<Delivered>,
    ) -> ControlFlow<(), bool> {
        match self.commit_one(worker, writer, index, delivered) {
            Ok(_) if self.adapts && writer.contention.is_high() => ControlFlow::Break(()),
            Ok(again) => ControlFlow::Continue(again),
            Err(error) => {
                writer.error = Some(error);
                ControlFlow::Break(())
            }
        }
    }
}

impl<'a, DB: DatabaseRef + Sync> Job<'a, DB> {
    /// Whether something was published of the transactions before their runs.
    const fn is_foretold(&self) -> bool {
        self.promises.is_some() || !self.published.is_empty()
    }

    /// Runs a transaction ahead of the committed prefix; nothing of it is published yet. With the time that it took, if that
    /// is kept.
    fn run_ahead(&self, worker: &mut Worker<'a, DB>, index: TxIndex) -> (Attempt, Option<Span>) {
        self.clock.span(worker.worker, index, SpanKind::Execute, || worker.instance.speculate(index))
    }

    /// Runs a transaction once more, ahead of the committed prefix, in place of what is `outdated`.
    fn run_anew(&self, worker: &mut Worker<'a, DB>, index: TxIndex, outdated: Delivered) -> Delivered {
        let (attempt, span) = self.run_ahead(worker, index);
        let mut rare = outdated.rare.unwrap_or_default();
        rare.spans.extend(span);
        let now = attempt.simulation();
        if let Some(run) = now {
            self.memory.publish(index, run);
        }
        if let Attempt::Simulation(earlier) = outdated.attempt {
            self.memory.revoke(index, &earlier, now, &mut rare.revoked);
            rare.thrown_away += u64::from(outdated.origin == Origin::Run);
            worker.instance.recycle(earlier);
        }
        self.groups.note_done(index);
        Delivered { attempt, origin: Origin::Run, rare: Some(rare) }
    }

    /// Takes back what was published of a transaction before its run, where the run, `attempt`, does not do it too. It
    /// `replaced` so many versions. Gives what was taken back, if anything was.
    fn take_back(&self, index: TxIndex, replaced: u32, attempt: &Attempt) -> Option<Revoked> {
        if !self.is_foretold() {
            return None;
        }
        let mut revoked = Revoked::default();
        if let Some(promises) = &self.promises {
            promises.take_back(self.memory, index, replaced, attempt, &mut revoked);
        }
        if let Some(published) = self.published.get(index.as_usize())
            && let Some(published) = published.lock().take()
        {
            self.memory.revoke(index, &published, attempt.simulation(), &mut revoked);
        }
        (!revoked.is_empty()).then_some(revoked)
    }

    /// Whether the account that a plain transfer creates was published as the transfer leaves it. Other effects of transfers
    /// are not published.
    fn was_promised(&self, index: TxIndex, transfer: &Transfer) -> bool {
        let tx = &self.around.block.txs[index.as_usize()];
        let created = tx.kind.to().filter(|_| self.promises.is_some() && transfer.recipient.is_none());
        let account = Account { balance: tx.value, ..Account::default() };
        created.is_some_and(|recipient| self.memory.has_account(index, recipient, &account))
    }

    /// Takes back what was promised of a transaction that is not run ahead; what merge must know of that, if anything.
    fn without_run(&self, index: TxIndex) -> Option<Delivered> {
        let revoked = self.take_back(index, 0, &Attempt::Refused)?;
        let rare = Some(Box::new(Rare { revoked, ..Rare::default() }));
        Some(Delivered { rare, ..Delivered::skipped() })
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
    let Prepared { mut plan, memory, ready, published, promises, outputs } = prepared;
    let Manner { workers, adapts, clock } = manner;
    let txs = around.block.txs.len();
    let published = published.into_iter().map(Mutex::new).collect();
    let groups = HotGroups::new(declared, txs);
    (0..committer.next().0).for_each(|committed| groups.note_done(TxIndex(committed)));
    let job = Job { around, memory: &memory, published, promises, outputs: &outputs, adapts, groups, clock };
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
            slots.put(TxIndex::from_usize(at), Some(Delivered::from_before(attempt)));
        }
    }
    let mut writer = Writer { committer, stats, error: None, contention: Contention::default() };
    loop {
        memory.set_closed(plan.tasks() == 0 && job.promises.is_none());
        let schedule = Schedule::new(&job, &plan, writer.committer.next(), slots, writer, workers);
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
        plan = Plan::in_order(slots.missing(writer.committer.next()).collect());
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
