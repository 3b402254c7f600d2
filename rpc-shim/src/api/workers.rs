//! The threads that heavy calls run on.
//!
//! Place in the flow: under [`Context::run_heavy`](super::Context::run_heavy); connections wait for what is answered here, without a
//! thread of their own.
//! Invariant: so many calls run at a time as there may be threads, in the order of their arrival, and a bounded number waits. A call
//! that panics costs its own answer, not a thread.
//!
//! PERF: a thread that finished a call takes the next one from the queue by itself. Handing each call to a sleeping thread of the
//! runtime (a semaphore in front of `spawn_blocking`) cost half of the time of a short `eth_call` in switches between threads.

use parking_lot::{Condvar, Mutex};
use std::{
    collections::VecDeque,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
};

/// A call with everything that it needs.
pub(super) type Job = Box<dyn FnOnce() + Send>;

/// The threads; they start when they are needed and end when this is dropped, each after the call that it runs.
#[derive(Debug)]
pub(super) struct Workers(Arc<Desk>);

/// Why a call was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// Too many wait already.
    Full,
    /// The system gives no thread.
    NoThread,
}

/// What threads and callers share.
struct Desk {
    queue: Mutex<Queue>,
    arrived: Condvar,
    threads_max: usize,
    waiting_max: usize,
    /// What each thread does first.
    started: fn(),
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    /// Threads that sleep.
    idle: usize,
    is_closed: bool,
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").field("threads_max", &self.threads_max).finish_non_exhaustive()
    }
}

impl Workers {
    /// At most `threads_max` threads, at least one, each of which begins with `started`; at most `waiting_max` calls wait for one.
    pub(super) fn new(threads_max: usize, waiting_max: usize, started: fn()) -> Self {
        let (queue, arrived) = (Mutex::default(), Condvar::new());
        let (threads_max, waiting_max) = (threads_max.max(1), waiting_max.max(1));
        Self(Arc::new(Desk { queue, arrived, threads_max, waiting_max, started }))
    }

    /// Takes a call, which runs as soon as a thread is free.
    ///
    /// # Errors
    /// See [`Refused`]; `job` is dropped.
    pub(super) fn run(&self, job: Job) -> Result<(), Refused> {
        let mut queue = self.0.queue.lock();
        let free = queue.idle + (self.0.threads_max - queue.threads);
        if queue.jobs.len() >= self.0.waiting_max.saturating_add(free) {
            return Err(Refused::Full);
        }
        if queue.jobs.len() >= queue.idle && queue.threads < self.0.threads_max {
            let desk = Arc::clone(&self.0);
            match thread::Builder::new().name("laminar-call".to_owned()).spawn(move || desk.work()) {
                Ok(_) => queue.threads += 1,
                Err(_) if queue.threads == 0 => return Err(Refused::NoThread),
                Err(error) => tracing::warn!(%error, "fewer threads for calls than wanted"),
            }
        }
        queue.jobs.push_back(job);
        let sleeps = queue.idle > 0;
        drop(queue);
        if sleeps {
            self.0.arrived.notify_one();
        }
        Ok(())
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        let mut queue = self.0.queue.lock();
        queue.is_closed = true;
        let unanswered = std::mem::take(&mut queue.jobs);
        drop(queue);
        drop(unanswered);
        self.0.arrived.notify_all();
    }
}

impl Desk {
    fn work(&self) {
        (self.started)();
        while let Some(job) = self.next() {
            // The caller notices that there is no answer; the panic itself was told by the hook.
            let _ = catch_unwind(AssertUnwindSafe(job));
        }
    }

    /// The next call; `None` at the end.
    fn next(&self) -> Option<Job> {
        let mut queue = self.queue.lock();
        loop {
            if queue.is_closed {
                return None;
            }
            if let Some(job) = queue.jobs.pop_front() {
                return Some(job);
            }
            queue.idle += 1;
            self.arrived.wait(&mut queue);
            queue.idle -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[test]
    fn calls_run_in_order_within_bounds_and_panics_cost_no_thread() {
        let workers = Workers::new(1, 2, || ());
        let (gate, opened) = mpsc::channel::<()>();
        let (done, ran) = mpsc::channel();
        let started = done.clone();
        let wait = move || {
            started.send(0).unwrap();
            opened.recv().unwrap();
            panic!("a call that panics");
        };
        workers.run(Box::new(wait)).unwrap();
        assert_eq!(ran.recv(), Ok(0));
        for at in 1..3 {
            let done = done.clone();
            workers.run(Box::new(move || done.send(at).unwrap())).unwrap();
        }
        assert_eq!(workers.run(Box::new(|| ())), Err(Refused::Full));
        gate.send(()).unwrap();
        assert_eq!((ran.recv(), ran.recv()), (Ok(1), Ok(2)));
        assert_eq!(workers.0.queue.lock().threads, 1);

        drop((workers, done));
        assert!(ran.recv().is_err(), "nothing is left behind");
    }
}
