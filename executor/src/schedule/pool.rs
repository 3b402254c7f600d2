//! The worker pool: threads that live as long as the executor and join the calling thread for a block.
//!
//! Place in the flow: the executor owns one; schedule's worker loop runs on it, presimulation too.
//! Invariant: [`Pool::run`] returns when every worker has returned; a worker's panic is reported, not propagated.
//! The threads are a rayon pool of its own, never rayon's global one: so workers may wait for each other without starving
//! anybody else's jobs, and borrowed data can be shared without unsafe code.

use crate::sync::{AtomicUsize, Ordering};
use std::{
    num::NonZeroUsize,
    panic::{AssertUnwindSafe, catch_unwind},
};

/// Named worker threads, started once.
#[derive(Debug)]
pub struct Pool {
    threads: Option<rayon::ThreadPool>,
    workers: usize,
}

impl Pool {
    /// A pool of `workers`, of which the caller of [`Self::run`] is one.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn new(workers: NonZeroUsize) -> Result<Self, rayon::ThreadPoolBuildError> {
        let helpers = workers.get() - 1;
        let builder =
            rayon::ThreadPoolBuilder::new().num_threads(helpers).thread_name(|i| format!("laminar-worker-{}", i + 1));
        let threads = if helpers == 0 { None } else { Some(builder.build()?) };
        Ok(Self { threads, workers: workers.get() })
    }

    /// Number of workers, the calling thread included.
    pub const fn workers(&self) -> usize {
        self.workers
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
            Some(threads) if workers > 1 => threads.in_place_scope(|scope| {
                for worker in 1..workers.min(self.workers) {
                    let guarded = &guarded;
                    scope.spawn(move |_| guarded(worker));
                }
                guarded(0);
            }),
            _ => guarded(0),
        }
        panics.into_inner()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_worker_runs_once_and_panics_are_counted() {
        for workers in [1, 2, 3, 8] {
            let pool = Pool::new(NonZeroUsize::new(workers).unwrap()).unwrap();
            let runs = AtomicUsize::new(0);
            let panics = pool.run(workers, |worker| {
                runs.fetch_add(1, Ordering::Relaxed);
                assert!(worker != workers - 1, "provoked");
            });
            assert_eq!((runs.into_inner(), panics), (workers, 1));
        }
    }
}
