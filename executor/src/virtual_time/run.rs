//! One virtual run: the real scheduler on as many threads as there are virtual cores, runs and commits taking their recorded time.
//!
//! Place in the flow: the counterpart of `parallel`, with steps that cost virtual time only.
//! Invariant: who runs what when, who merges, and when running ahead is given up are decided by the code that decides it for
//! real blocks. A run is stale if a transaction that it reads from had not published when it began.

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
    /// It is thrown away.
    Stale,
    /// It was not run ahead, because that would not have paid.
    Skipped,
}

struct Job<'a> {
    recording: &'a Recording,
    clock: &'a Clock,
    published: &'a Mutex<Vec<bool>>,
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

    fn run(&self, turn: &mut Turn<'a>, index: TxIndex) -> Delivered {
        if self.groups.is_hopeless(index) {
            return Delivered::Skipped;
        }
        let stale = self.reads_too_early(index);
        turn.work(self.recording.txs[index.as_usize()].run);
        // A run that will be made again publishes then: what it does now is refused, or not published.
        if !self.recording.txs[index.as_usize()].runs_again {
            self.publish(index);
        }
        self.groups.note_done(index);
        if stale { Delivered::Stale } else { Delivered::Holds }
    }

    fn commit(
        &self,
        turn: &mut Turn<'a>,
        writer: &mut Writer,
        index: TxIndex,
        delivered: Delivered,
    ) -> ControlFlow<()> {
        turn.work(self.commit_time(writer, index, Some(delivered)));
        self.publish(index);
        if writer.contention.is_high() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }
}

impl Job<'_> {
    fn reads_too_early(&self, index: TxIndex) -> bool {
        let published = self.published.lock();
        let before = self.recording.graph.predecessors(index.as_usize());
        before.iter().any(|before| !published[before.as_usize()])
    }

    fn publish(&self, index: TxIndex) {
        self.published.lock()[index.as_usize()] = true;
    }

    /// Commits the next transaction and says how long that takes, a second run included.
    fn commit_time(&self, writer: &mut Writer, index: TxIndex, delivered: Option<Delivered>) -> Nanos {
        let recorded = &self.recording.txs[index.as_usize()];
        let ran_ahead = matches!(delivered, Some(Delivered::Holds | Delivered::Stale));
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
    let published = Mutex::new(vec![false; txs]);
    let (mut writer, mut now) = (Writer::default(), 0);
    let groups = HotGroups::new(recording.declared.clone(), txs);
    let (mut plan, mut slots) = (Plan::in_order(recording.order.clone()), Slots::default());
    slots.reset(txs);
    loop {
        let start = |core: usize| now + if core == 0 { 0 } else { wake };
        let clock = Clock::new((0..cores).map(start));
        let job = Job { recording, clock: &clock, published: &published, groups: &groups };
        let schedule = Schedule::new(&job, &plan, writer.next, slots, writer);
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
            let delivered = slots.take(index);
            now += job.commit_time(&mut writer, index, delivered);
            job.publish(index);
        }
        plan = Plan::of_missing(writer.next, &slots.filled());
    }
    let Writer { incarnations, aborted, .. } = writer;
    Virtual { time: Duration::from_nanos(now + recording.around), incarnations, aborted }
}
