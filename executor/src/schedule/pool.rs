//! The persistent worker pool: threads that wait for blocks.
//!
//! Place in the flow: owned by the executor; every parallel loop over a block's transactions runs on it.
//! Invariant: [`Pool::run`] returns when all its workers returned; a worker's panic is reported, not propagated.
//! The threads are a rayon pool of its own, never rayon's global one: so workers may wait for each other without starving
//! anybody else's jobs, and borrowed data can be shared without unsafe code.
//!
//! A sleeping thread takes about 50 us to wake, as long as ten transactions: so [`Pool::wake`] is called when a block comes
//! in, and who waits for work or for the others' end looks for a while before it sleeps.

use super::affinity::pin_to_core;
use crate::{
    config::Pinning,
    sync::{AtomicUsize, Ordering, spin_loop},
};
use std::{
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
    time::{Duration, Instant},
};

/// How long a woken thread looks for work before it sleeps again.
const AWAKE: Duration = Duration::from_micros(150);
/// How long the caller looks whether the others are done before it sleeps until they are.
const JOINING: Duration = Duration::from_micros(200);

/// Named worker threads, started once.
#[derive(Debug)]
pub struct Pool {
    threads: Option<rayon::ThreadPool>,
    workers: usize,
}

impl Pool {
    /// A pool of `workers`, of which the caller of [`Self::run`] is one. Pinned, thread i stays on core i of those
    /// that the process may use; the caller, worker 0, is left as it is.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn new(workers: NonZeroUsize, pinning: Pinning) -> Result<Self, rayon::ThreadPoolBuildError> {
        let helpers = workers.get() - 1;
        let builder = rayon::ThreadPoolBuilder::new()
            .num_threads(helpers)
            .thread_name(|i| format!("laminar-worker-{}", i + 1))
            .start_handler(move |i| {
                if pinning == Pinning::OneCoreEach {
                    pin_to_core(i + 1);
                }
            });
        let threads = if helpers == 0 { None } else { Some(builder.build()?) };
        Ok(Self { threads, workers: workers.get() })
    }

    /// Number of workers, the calling thread included.
    pub const fn workers(&self) -> usize {
        self.workers
    }

    /// Wakes the threads, which look for work for a while: a block is coming. Returns at once.
    pub fn wake(&self) {
        let Some(threads) = &self.threads else { return };
        for _ in 1..self.workers {
            threads.spawn(look_for_work);
        }
    }

    /// Runs `work(worker)` once on each of the first `workers` workers; worker 0 is the calling thread. Gives the number of
    /// workers that panicked.
    pub fn run(&self, workers: usize, work: impl Fn(usize) + Sync) -> usize {
        let panics = AtomicUsize::new(0);
        let guarded = |worker| {
            if catch_unwind(AssertUnwindSafe(|| work(worker))).is_err() {
                // ORDER: Relaxed. A counter, read after the workers were joined.
                panics.fetch_add(1, Ordering::Relaxed);
            }
        };
        match &self.threads {
            Some(threads) if workers > 1 => {
                let busy = AtomicUsize::new(workers.min(self.workers) - 1);
                threads.in_place_scope(|scope| {
                    for worker in 1..workers.min(self.workers) {
                        let (guarded, busy) = (&guarded, &busy);
                        scope.spawn(move |_| {
                            guarded(worker);
                            // ORDER: Relaxed. Only says that waiting is worth while; the scope's end is what joins.
                            busy.fetch_sub(1, Ordering::Relaxed);
                        });
                    }
                    guarded(0);
                    spin_while(JOINING, || busy.load(Ordering::Relaxed) > 0);
                });
            }
            _ => guarded(0),
        }
        panics.into_inner()
    }
}

/// Executes one job of the pool as soon as there is one; gives up after a while.
fn look_for_work() {
    spin_while(AWAKE, || rayon::yield_now() != Some(rayon::Yield::Executed));
}

/// Looks again and again as long as `goes_on`, for at most `limit`.
fn spin_while(limit: Duration, goes_on: impl Fn() -> bool) {
    let start = Instant::now();
    while goes_on() && start.elapsed() < limit {
        spin_loop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_worker_runs_once_and_panics_are_counted() {
        for workers in [1, 2, 3, 8] {
            let pool = Pool::new(NonZeroUsize::new(workers).unwrap(), Pinning::Free).unwrap();
            let runs = AtomicUsize::new(0);
            pool.wake();
            let panics = pool.run(workers, |worker| {
                runs.fetch_add(1, Ordering::Relaxed);
                assert!(worker != workers - 1, "provoked");
            });
            assert_eq!((runs.into_inner(), panics), (workers, 1));
        }
    }
}
