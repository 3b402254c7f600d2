//! The scheduler on scripted transactions: every interleaving that the model checker tries ends in the sequential state.
//!
//! Place in the flow: a test of [`Schedule`] itself, not of a copy. Built with `--cfg shuttle` the same cases run under the
//! model checker; without it, on real threads, many times.
//! Invariant checked: each transaction is committed once, in order, and the final state is that of running them in order.

use super::{Schedule, Slots, Steps};
use crate::{partition::Plan, sync::Mutex, types::TxIndex};
use std::ops::ControlFlow;

/// Cells of the scripted state.
const CELLS: usize = 3;

/// A transaction: `cells[write] = cells[read] * 3 + add`.
#[derive(Clone, Copy, Debug)]
struct Script {
    read: usize,
    write: usize,
    add: u64,
}

impl Script {
    const fn apply(self, seen: u64) -> u64 {
        seen.wrapping_mul(3).wrapping_add(self.add)
    }
}

/// A finished run: what it saw.
struct Seen(u64);

/// Scripted transactions over a state with versions.
struct Scripted {
    scripts: Vec<Script>,
    published: Mutex<Vec<[Option<u64>; CELLS]>>,
    /// The transaction at which the block turns out to be invalid.
    invalid_at: Option<usize>,
    /// Bit `i` is set if transaction `i` is left to merge.
    left: u32,
}

/// The committed prefix.
#[derive(Debug, Default)]
struct Ledger {
    cells: [u64; CELLS],
    order: Vec<TxIndex>,
    reruns: usize,
}

impl Scripted {
    /// What the newest transaction below `index` published of the cell that `index` reads.
    fn newest_below(&self, index: TxIndex) -> u64 {
        let read = self.scripts[index.as_usize()].read;
        let published = self.published.lock();
        published[..index.as_usize()].iter().rev().find_map(|cells| cells[read]).unwrap_or_default()
    }
}

impl Steps for Scripted {
    type Worker = ();
    type Attempt = Seen;
    type Committer = Ledger;

    fn worker(&self, _: usize) {}

    fn run(&self, (): &mut (), index: TxIndex) -> Option<Seen> {
        if self.left >> index.0 & 1 == 1 {
            return None;
        }
        let seen = self.newest_below(index);
        let script = self.scripts[index.as_usize()];
        self.published.lock()[index.as_usize()][script.write] = Some(script.apply(seen));
        Some(Seen(seen))
    }

    fn review(&self, (): &mut (), index: TxIndex, seen: Option<Seen>) -> (Option<Seen>, bool) {
        match seen {
            Some(Seen(seen)) if self.newest_below(index) != seen => (self.run(&mut (), index), true),
            same => (same, false),
        }
    }

    fn commit(&self, (): &mut (), ledger: &mut Ledger, index: TxIndex, seen: Option<Seen>) -> ControlFlow<(), bool> {
        if self.invalid_at == Some(index.as_usize()) {
            return ControlFlow::Break(());
        }
        let script = self.scripts[index.as_usize()];
        let now = ledger.cells[script.read];
        let again = seen.is_none_or(|Seen(seen)| now != seen);
        if again {
            ledger.reruns += 1;
            self.published.lock()[index.as_usize()][script.write] = Some(script.apply(now));
        }
        ledger.cells[script.write] = script.apply(now);
        ledger.order.push(index);
        ControlFlow::Continue(again)
    }
}

/// A plan with the given predecessors, as a prediction might have it: complete, partial or wrong.
fn plan(predecessors: &[&[u32]]) -> Plan {
    Plan::from_predecessors(predecessors.iter().map(|before| before.iter().copied().map(TxIndex).collect()).collect())
}

fn check_once(scripts: &[Script], plan: &Plan, workers: usize, invalid_at: Option<usize>, left: u32) {
    let published = Mutex::new(vec![[None; CELLS]; scripts.len()]);
    let steps = Scripted { scripts: scripts.to_vec(), published, invalid_at, left };
    let mut slots = Slots::default();
    slots.reset(scripts.len());
    let schedule = Schedule::new(&steps, plan, TxIndex(0), slots, Ledger::default(), workers);
    scope(|worker| schedule.work(worker), workers);
    let complete = schedule.is_complete();
    let ledger = schedule.into_parts().0.expect("nobody panicked");
    let end = invalid_at.unwrap_or(scripts.len());
    assert_eq!(complete, invalid_at.is_none());
    assert_eq!(ledger.order, (0..end).map(TxIndex::from_usize).collect::<Vec<_>>());
    let mut cells = [0; CELLS];
    scripts[..end].iter().for_each(|script| cells[script.write] = script.apply(cells[script.read]));
    assert_eq!(ledger.cells, cells);
}

fn scope(work: impl Fn(usize) + Sync, workers: usize) {
    #[cfg(shuttle)]
    use shuttle::thread;
    #[cfg(not(shuttle))]
    use std::thread;
    thread::scope(|scope| {
        for worker in 0..workers {
            let work = &work;
            scope.spawn(move || work(worker));
        }
    });
}

/// Runs a case in many interleavings.
#[track_caller]
fn check(scripts: &'static [Script], predecessors: &'static [&'static [u32]], invalid_at: Option<usize>) {
    check_left(scripts, predecessors, invalid_at, 0);
}

/// The same, with the transactions of the set bits left to merge.
#[track_caller]
fn check_left(
    scripts: &'static [Script],
    predecessors: &'static [&'static [u32]],
    invalid_at: Option<usize>,
    left: u32,
) {
    for workers in [1, 2, 3] {
        let case = move || {
            let plan = if predecessors.is_empty() { Plan::in_block_order(scripts.len()) } else { plan(predecessors) };
            check_once(scripts, &plan, workers, invalid_at, left);
        };
        #[cfg(shuttle)]
        {
            shuttle::check_random(case, 3_000);
            shuttle::check_pct(case, 1_000, 3);
        }
        #[cfg(not(shuttle))]
        (0..300).for_each(|_| case());
    }
}

const fn script(read: usize, write: usize, add: u64) -> Script {
    Script { read, write, add }
}

const CHAIN: &[Script] = &[script(0, 0, 1), script(0, 0, 2), script(0, 0, 3), script(0, 0, 4)];
const MIXED: &[Script] = &[script(0, 1, 5), script(1, 2, 1), script(0, 0, 7), script(2, 1, 2), script(1, 0, 3)];

#[test]
fn chain_without_a_plan() {
    check(CHAIN, &[], None);
}

#[test]
fn chain_with_its_plan() {
    check(CHAIN, &[&[], &[0], &[1], &[2]], None);
}

#[test]
fn mixed_block_with_a_partial_plan() {
    check(MIXED, &[&[], &[0], &[], &[1], &[2, 3]], None);
}

#[test]
fn mixed_block_with_a_wrong_plan() {
    check(MIXED, &[&[], &[], &[0, 1], &[0], &[0, 1, 2, 3]], None);
}

#[test]
fn transactions_that_are_left_to_merge() {
    for left in [0b1111, 0b0110, 0b1000] {
        check_left(CHAIN, &[], None, left);
    }
    check_left(MIXED, &[&[], &[0], &[], &[1], &[2, 3]], None, 0b01010);
}

#[test]
fn invalid_block_ends_for_everybody() {
    check(MIXED, &[], Some(2));
    check(MIXED, &[&[], &[0], &[1], &[2], &[3]], Some(1));
    check(MIXED, &[], Some(0));
}

#[cfg(not(shuttle))]
#[test]
fn attempts_from_before_are_committed_without_a_run() {
    let published = Mutex::new(vec![[None; CELLS]; CHAIN.len()]);
    let steps = Scripted { scripts: CHAIN.to_vec(), published, invalid_at: None, left: 0 };
    let plan = Plan::default();
    let mut slots = Slots::default();
    slots.reset(CHAIN.len());
    (0..CHAIN.len()).for_each(|at| slots.put(TxIndex::from_usize(at), Some(Seen(0))));
    let schedule = Schedule::new(&steps, &plan, TxIndex(0), slots, Ledger::default(), 1);
    schedule.work(0);
    assert!(schedule.is_complete());
    let ledger = schedule.into_parts().0.expect("nobody panicked");
    assert_eq!((ledger.order.len(), ledger.reruns), (4, 3));
}
