//! Virtual time: threads that take turns, the one whose time is least first.
//!
//! Place in the flow: the steps of a virtual run call it wherever a real run would take time.
//! Invariant: one thread goes on at a time, and what happens, happens in the order of virtual time; among equal times, of
//! worker numbers. So a run is a function of the recording, and shared data needs no care beyond its locks.

use crate::sync::Mutex;
use std::thread::{Thread, current, park};

/// Nanoseconds from the start of the block.
pub(super) type Nanos = u64;

/// What one look of an idle worker takes: a pass through the worker loop.
const LOOK: Nanos = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Doing {
    NotStarted,
    Work,
    Waiting,
    Ended,
}

#[derive(Debug)]
struct Worker {
    now: Nanos,
    doing: Doing,
    thread: Option<Thread>,
}

#[derive(Debug)]
struct State {
    workers: Vec<Worker>,
    turn: Option<usize>,
}

/// The time of all workers.
#[derive(Debug)]
pub(super) struct Clock(Mutex<State>);

impl Clock {
    /// A clock for workers that start at the given times.
    pub(super) fn new(starts: impl Iterator<Item = Nanos>) -> Self {
        let workers = starts.map(|now| Worker { now, doing: Doing::NotStarted, thread: None }).collect();
        Self(Mutex::new(State { workers, turn: None }))
    }

    /// The calling thread is `worker` from now on; waits for its first turn, which nobody gets before all have come.
    pub(super) fn enter(&self, worker: usize) -> Turn<'_> {
        let mut state = self.0.lock();
        state.workers[worker].thread = Some(current());
        state.workers[worker].doing = Doing::Work;
        if state.workers.iter().all(|worker| worker.doing != Doing::NotStarted) {
            state.pass_on();
        }
        drop(state);
        self.wait_for_turn(worker);
        Turn { clock: self, worker }
    }

    /// When the last worker ended.
    pub(super) fn end(&self) -> Nanos {
        self.0.lock().workers.iter().map(|worker| worker.now).max().unwrap_or_default()
    }

    fn wait_for_turn(&self, worker: usize) {
        while self.0.lock().turn != Some(worker) {
            // A permit that came before makes this return at once.
            park();
        }
    }
}

impl State {
    /// Gives the turn to whose time is least.
    fn pass_on(&mut self) {
        let running = self.workers.iter().enumerate().filter(|(_, worker)| worker.doing != Doing::Ended);
        self.turn = running.min_by_key(|(at, worker)| (worker.now, *at)).map(|(at, _)| at);
        if let Some(thread) = self.turn.and_then(|turn| self.workers[turn].thread.as_ref()) {
            thread.unpark();
        }
    }
}

/// A worker's hold on the clock; it ends with it.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    clock: &'a Clock,
    worker: usize,
}

impl Turn<'_> {
    /// Works for so long.
    pub(super) fn work(&self, nanos: Nanos) {
        self.step(Doing::Work, |state| state.workers[self.worker].now + nanos);
    }

    /// Looks in vain: nothing changes before someone who works is done with it.
    pub(super) fn look(&self) {
        self.step(Doing::Waiting, |state| {
            let others = state.workers.iter().enumerate().filter(|(at, _)| *at != self.worker);
            let next = others.filter(|(_, other)| other.doing == Doing::Work).map(|(_, other)| other.now).min();
            let now = state.workers[self.worker].now;
            next.map_or(now, |next| next.max(now)) + LOOK
        });
    }

    fn step(&self, doing: Doing, until: impl FnOnce(&State) -> Nanos) {
        let mut state = self.clock.0.lock();
        let until = until(&state);
        state.workers[self.worker].doing = doing;
        state.workers[self.worker].now = until;
        state.pass_on();
        drop(state);
        self.clock.wait_for_turn(self.worker);
        self.clock.0.lock().workers[self.worker].doing = Doing::Work;
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut state = self.clock.0.lock();
        state.workers[self.worker].doing = Doing::Ended;
        state.pass_on();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    #[test]
    fn events_of_all_threads_come_in_the_order_of_time() {
        for workers in [1, 2, 3, 8] {
            let clock = Clock::new((0..workers).map(|_| 0));
            let events = Mutex::new(Vec::new());
            thread::scope(|scope| {
                for worker in 0..workers {
                    let (clock, events) = (&clock, &events);
                    scope.spawn(move || {
                        let turn = clock.enter(worker);
                        for step in 1..=20 {
                            events.lock().push((step * (worker as u64 + 3), worker));
                            turn.work(worker as u64 + 3);
                        }
                    });
                }
            });
            let events = events.into_inner();
            let starts: Vec<_> = events.iter().map(|(end, worker)| (end - (*worker as u64 + 3), *worker)).collect();
            assert!(starts.is_sorted(), "{starts:?}");
            assert_eq!(clock.end(), 20 * (workers as u64 + 2));
        }
    }

    #[test]
    fn waiting_worker_looks_again_when_someone_is_done() {
        let clock = Clock::new([0, 0].into_iter());
        let done = Mutex::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                let turn = clock.enter(0);
                turn.work(1_000_000);
                *done.lock() = true;
            });
            scope.spawn(|| {
                let turn = clock.enter(1);
                let mut looks = 0;
                while !*done.lock() {
                    turn.look();
                    looks += 1;
                }
                assert!(looks <= 2, "{looks} looks");
            });
        });
        assert_eq!(clock.end(), 1_000_000 + LOOK);
    }
}
