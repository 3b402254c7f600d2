//! One virtual run: the real scheduler on as many threads as there are virtual cores, runs and commits taking their recorded time.
//!
//! Place in the flow: the counterpart of `parallel`, with steps that cost virtual time only.
//! Invariant: who runs what when, who merges, and when running ahead is given up are decided by the code that decides it for
//! real blocks. A run is stale if, when it began, a transaction that it reads from had not published, or from a stale run.

use super::{
    Recording, Virtual,
    clock::{Clock, Nanos, Turn},
};
use crate::{
    contention::{Contention, HotGroups},
    partition::Plan,
    schedule::{Schedule, Slots, Steps},
    sync::Mutex,
    types::TxIndex,
};
use std::{ops::ControlFlow, thread, time::Duration};

/// A run on its way to merge.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivered {
    /// It holds.
    Holds,
    /// It is thrown away. What it reads from had published so often when it began.
    Stale(u32),
}

/// What a transaction published.
#[derive(Clone, Copy, Debug, Default)]
struct Published {
    times: u32,
    is_right: bool,
}

struct Job<'a> {
    recording: &'a Recording,
    clock: &'a Clock,
    published: &'a Mutex<Vec<Published>>,
    /// Runs that were made again before they came to merge.
    thrown_away: &'a Mutex<u64>,
    groups: &'a HotGroups,
}

/// What the committer knows and counts.
#[derive(Debug, Default)]
struct Writer {
    next: TxIndex,
    incarnations: u64,
    aborted: u64,
    contention: Contention,
}

impl<'a> Steps for Job<'a> {
    type Worker = Turn<'a>;
    type Attempt = Delivered;
    type Committer = Writer;

    fn worker(&self, worker: usize) -> Turn<'a> {
        self.clock.enter(worker)
    }

    fn wait(&self, turn: &mut Turn<'a>, _: &mut u32) {
        turn.look();
    }

    fn run(&self, turn: &mut Turn<'a>, index: TxIndex) -> Option<Delivered> {
        (!self.groups.is_hopeless(index)).then(|| self.run_ahead(turn, index))
    }

    fn review(&self, turn: &mut Turn<'a>, index: TxIndex, delivered: Option<Delivered>) -> (Option<Delivered>, bool) {
        // Looking is part of what committing takes; how much of it was not recorded.
        turn.work(self.recording.txs[index.as_usize()].commit);
        let is_outdated = match delivered {
            Some(Delivered::Holds) => false,
            Some(Delivered::Stale(seen)) => seen != self.reads(index).0,
            None => true,
        };
        if !is_outdated || self.groups.is_hopeless(index) {
            return (delivered, false);
        }
        *self.thrown_away.lock() += u64::from(delivered.is_some());
        (Some(self.run_ahead(turn, index)), true)
    }

    fn commit(
        &self,
        turn: &mut Turn<'a>,
        writer: &mut Writer,
        index: TxIndex,
        delivered: Option<Delivered>,
    ) -> ControlFlow<(), bool> {
        let again = delivered != Some(Delivered::Holds) || self.recording.txs[index.as_usize()].runs_again;
        turn.work(self.commit_time(writer, index, delivered));
        self.publish(index, true);
        if writer.contention.is_high() { ControlFlow::Break(()) } else { ControlFlow::Continue(again) }
    }
}

impl Job<'_> {
    fn run_ahead(&self, turn: &Turn<'_>, index: TxIndex) -> Delivered {
        let (seen, is_right) = self.reads(index);
        turn.work(self.recording.txs[index.as_usize()].run);
        // A run that will be made again publishes then: what it does now is refused, or not published.
        if !self.recording.txs[index.as_usize()].runs_again {
            self.publish(index, is_right);
        }
        self.groups.note_done(index);
        if is_right { Delivered::Holds } else { Delivered::Stale(seen) }
    }

    /// How often what `index` reads from has published, and whether all of it is right by now.
    fn reads(&self, index: TxIndex) -> (u32, bool) {
        let published = self.published.lock();
        let before = self.recording.graph.predecessors(index.as_usize());
        let before = before.iter().map(|before| published[before.as_usize()]);
        before.fold((0, true), |(times, right), one| (times + one.times, right && one.is_right))
    }

    fn publish(&self, index: TxIndex, is_right: bool) {
        let one = &mut self.published.lock()[index.as_usize()];
        *one = Published { times: one.times + 1, is_right };
    }

    /// Commits the next transaction and says how long that takes, a second run included.
    fn commit_time(&self, writer: &mut Writer, index: TxIndex, delivered: Option<Delivered>) -> Nanos {
        let recorded = &self.recording.txs[index.as_usize()];
        let ran_ahead = delivered.is_some();
        let stale = delivered != Some(Delivered::Holds);
        let again = stale || recorded.runs_again;
        writer.next = TxIndex(index.0 + 1);
        writer.incarnations += u64::from(ran_ahead) + u64::from(again);
        writer.aborted += u64::from(ran_ahead && again);
        if again {
            self.groups.note_done(index);
        }
        if ran_ahead {
            writer.contention.note(again);
            self.groups.note(index, again);
        }
        // Where the recorded commit was itself a second run, it has the time of one already.
        recorded.commit + if stale && !recorded.runs_again { recorded.run } else { 0 }
    }
}

/// Runs a block on `cores`, all of which but the first start `wake` after the block.
pub(super) fn run(recording: &Recording, cores: usize, wake: Nanos) -> Virtual {
    let txs = recording.txs.len();
    let published = Mutex::new(vec![Published::default(); txs]);
    let thrown_away = Mutex::new(0);
    let (mut writer, mut now) = (Writer::default(), 0);
    let groups = HotGroups::new(recording.declared.clone(), txs);
    let (mut plan, mut slots) = (Plan::in_order(recording.order.clone()), Slots::default());
    slots.reset(txs);
    loop {
        let start = |core: usize| now + if core == 0 { 0 } else { wake };
        let clock = Clock::new((0..cores).map(start));
        let job = Job { recording, clock: &clock, published: &published, thrown_away: &thrown_away, groups: &groups };
        let schedule = Schedule::new(&job, &plan, writer.next, slots, writer, cores);
        thread::scope(|scope| {
            for core in 0..cores {
                let schedule = &schedule;
                scope.spawn(move || schedule.work(core));
            }
        });
        now = clock.end();
        let complete = schedule.is_complete();
        let (left, attempts) = schedule.into_parts();
        (writer, slots) = (left.expect("nothing in a virtual run panics"), attempts);
        if complete {
            break;
        }
        // As `parallel` does where running ahead did not pay.
        for _ in 0..writer.contention.next_stretch() {
            let index = writer.next;
            if index.as_usize() == txs {
                break;
            }
            let delivered = slots.take(index).flatten();
            now += job.commit_time(&mut writer, index, delivered);
            job.publish(index, true);
        }
        plan = Plan::in_order(slots.missing(writer.next).collect());
    }
    let thrown_away = thrown_away.into_inner();
    let (incarnations, aborted) = (writer.incarnations + thrown_away, writer.aborted + thrown_away);
    Virtual { time: Duration::from_nanos(now + recording.around), incarnations, aborted }
}
