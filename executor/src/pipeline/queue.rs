//! Stages on threads, joined by bounded queues.
//!
//! Place in the flow: below `import`, which says what the stages do; this file knows nothing of blocks.
//! Invariants: items leave each stage in the order in which they came. A stage that fails or panics takes no more items; the
//! stages before it stop when they next give something away, those after it finish all that was given to them. So exactly the
//! items before the first that failed are committed.
//! Stages of later items may have failed as well by then; the failure of the earliest item is the one that is reported.

use crate::schedule::unpin;
use std::{
    any::Any,
    fmt,
    sync::mpsc::{Receiver, SyncSender, sync_channel},
    thread::{self, Scope, ScopedJoinHandle},
};

/// Items that wait between two stages at most.
pub const QUEUE_LEN: usize = 4;

/// Items that a commit waits for, unless no more come.
///
/// PERF: a big block changes rows on nearly every page, and a commit writes each page anew: eight blocks at once write about as
/// much as one (`laminar bench import`).
pub const BATCH_LEN_MIN: usize = 8;

/// Items that are committed together at most.
pub const BATCH_LEN_MAX: usize = 64;

/// One of the stages, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Getting the next item.
    Read,
    /// What needs no state.
    Check,
    /// What needs the state before.
    Execute,
    /// The state root.
    Root,
    /// Making it durable.
    Commit,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "reading",
            Self::Check => "checking",
            Self::Execute => "executing",
            Self::Root => "computing the root",
            Self::Commit => "committing",
        })
    }
}

/// What the stages do. Each is called on a thread of its own, one item after the other.
#[derive(Clone, Copy, Debug)]
pub struct Stages<C, E, R, K> {
    /// Takes an item as it was read.
    pub check: C,
    /// Takes what `check` gave.
    pub execute: E,
    /// Takes what `execute` gave.
    pub root: R,
    /// Takes what `root` gave, in order: [`BATCH_LEN_MIN`] or more but for the last, and [`BATCH_LEN_MAX`] at most.
    pub commit: K,
}

/// Why a pipeline stopped before the end. All items before the one that stopped it are committed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stopped<X> {
    /// A stage refused an item.
    Failed(Stage, X),
    /// A stage panicked: our bug.
    Panicked(Stage, String),
}

/// Runs all items through the stages; returns when the last one is committed.
///
/// # Errors
/// [`Stopped`] by the earliest item that failed.
pub fn run<T, C, E, R, X>(
    items: impl Iterator<Item = Result<T, X>> + Send,
    stages: Stages<
        impl FnMut(T) -> Result<C, X> + Send,
        impl FnMut(C) -> Result<E, X> + Send,
        impl FnMut(E) -> Result<R, X> + Send,
        impl FnMut(Vec<R>) -> Result<(), X> + Send,
    >,
) -> Result<(), Stopped<X>>
where
    T: Send,
    C: Send,
    E: Send,
    R: Send,
    X: Send,
{
    let Stages { check, execute, root, commit } = stages;
    let (to_check, checks) = sync_channel(QUEUE_LEN);
    let (to_execute, executions) = sync_channel(QUEUE_LEN);
    let (to_root, roots) = sync_channel(QUEUE_LEN);
    let (to_commit, commits) = sync_channel(BATCH_LEN_MAX);
    thread::scope(|scope| {
        let read = start(scope, Stage::Read, || read_all(items, to_check));
        let check = start(scope, Stage::Check, || work_all(checks, to_execute, check));
        let execute = start(scope, Stage::Execute, || work_all(executions, to_root, execute));
        let root = start(scope, Stage::Root, || work_all(roots, to_commit, root));
        let commit = start(scope, Stage::Commit, || commit_all(commits, commit));
        // All are joined before one is reported. A later stage stopped at an earlier item.
        let ends = [
            end(Stage::Commit, commit),
            end(Stage::Root, root),
            end(Stage::Execute, execute),
            end(Stage::Check, check),
            end(Stage::Read, read),
        ];
        ends.into_iter().collect()
    })
}

/// Runs the stages one after the other on the calling thread, for one item after the other; commits when as many wait as can be
/// committed together, and at the end.
///
/// # Errors
/// [`Stopped::Failed`] by the first item that failed. A panic is passed on.
pub fn run_in_turn<T, C, E, R, X>(
    items: impl Iterator<Item = Result<T, X>>,
    mut stages: Stages<
        impl FnMut(T) -> Result<C, X>,
        impl FnMut(C) -> Result<E, X>,
        impl FnMut(E) -> Result<R, X>,
        impl FnMut(Vec<R>) -> Result<(), X>,
    >,
) -> Result<(), Stopped<X>> {
    let mut waiting = Vec::new();
    let mut stopped = None;
    for item in items {
        let done = item.map_err(|error| Stopped::Failed(Stage::Read, error)).and_then(|item| {
            let checked = (stages.check)(item).map_err(|error| Stopped::Failed(Stage::Check, error))?;
            let executed = (stages.execute)(checked).map_err(|error| Stopped::Failed(Stage::Execute, error))?;
            (stages.root)(executed).map_err(|error| Stopped::Failed(Stage::Root, error))
        });
        match done {
            Ok(done) => waiting.push(done),
            Err(error) => {
                stopped = Some(error);
                break;
            }
        }
        if waiting.len() == BATCH_LEN_MAX {
            (stages.commit)(std::mem::take(&mut waiting)).map_err(|error| Stopped::Failed(Stage::Commit, error))?;
        }
    }
    if !waiting.is_empty() {
        (stages.commit)(waiting).map_err(|error| Stopped::Failed(Stage::Commit, error))?;
    }
    stopped.map_or(Ok(()), Err)
}

/// Starts a stage on a thread with its name. The caller may stay on one core; the stages must not all be there.
fn start<'scope, T: Send + 'scope>(
    scope: &'scope Scope<'scope, '_>,
    stage: Stage,
    work: impl FnOnce() -> T + Send + 'scope,
) -> ScopedJoinHandle<'scope, T> {
    let unpinned = || {
        unpin();
        work()
    };
    // Longer names are cut by the system.
    let named = thread::Builder::new().name(format!("{stage:?}").to_lowercase());
    named.spawn_scoped(scope, unpinned).expect("the system has five threads to give")
}

fn read_all<T, X>(items: impl Iterator<Item = Result<T, X>>, to: SyncSender<T>) -> Result<(), X> {
    for item in items {
        if to.send(item?).is_err() {
            break;
        }
    }
    Ok(())
}

fn work_all<A, B, X>(from: Receiver<A>, to: SyncSender<B>, mut work: impl FnMut(A) -> Result<B, X>) -> Result<(), X> {
    for item in from {
        if to.send(work(item)?).is_err() {
            break;
        }
    }
    Ok(())
}

fn commit_all<A, X>(from: Receiver<A>, mut commit: impl FnMut(Vec<A>) -> Result<(), X>) -> Result<(), X> {
    while let Ok(first) = from.recv() {
        let mut batch = vec![first];
        batch.extend(from.iter().take(BATCH_LEN_MIN - 1));
        batch.extend(from.try_iter().take(BATCH_LEN_MAX - batch.len()));
        commit(batch)?;
    }
    Ok(())
}

fn end<X>(stage: Stage, thread: ScopedJoinHandle<'_, Result<(), X>>) -> Result<(), Stopped<X>> {
    match thread.join() {
        Ok(ended) => ended.map_err(|error| Stopped::Failed(stage, error)),
        Err(panic) => Err(Stopped::Panicked(stage, message(panic.as_ref()))),
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(ToString::to_string);
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "no message".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ITEMS: u32 = 3 * BATCH_LEN_MAX as u32;
    const ALL: [Stage; 5] = [Stage::Read, Stage::Check, Stage::Execute, Stage::Root, Stage::Commit];

    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Fault {
        Error,
        Panic,
    }

    /// Runs numbers through the pipeline; a fault strikes a stage at a number. Returns what was committed and how it ended.
    fn check(faults: &[(Stage, u32, Fault)]) -> (Vec<u32>, Result<(), Stopped<u32>>) {
        check_by(false, faults)
    }

    fn check_by(in_turn: bool, faults: &[(Stage, u32, Fault)]) -> (Vec<u32>, Result<(), Stopped<u32>>) {
        let pass = |stage: Stage, item: u32| match faults.iter().find(|fault| (fault.0, fault.1) == (stage, item)) {
            None => Ok(item),
            Some((_, _, Fault::Error)) => Err(item),
            Some((_, _, Fault::Panic)) => std::panic::resume_unwind(Box::new(format!("panic at {item}"))),
        };
        let mut committed = Vec::new();
        let stages = Stages {
            check: |item| pass(Stage::Check, item),
            execute: |item| pass(Stage::Execute, item),
            root: |item| pass(Stage::Root, item),
            commit: |batch: Vec<u32>| {
                assert!(!batch.is_empty() && batch.len() <= BATCH_LEN_MAX, "{} items", batch.len());
                // All or none, as a store commits.
                for item in &batch {
                    pass(Stage::Commit, *item)?;
                }
                committed.extend(batch);
                Ok(())
            },
        };
        let items = (0..ITEMS).map(|item| pass(Stage::Read, item));
        let ended = if in_turn { run_in_turn(items, stages) } else { run(items, stages) };
        (committed, ended)
    }

    #[test]
    fn without_faults_all_items_are_committed_in_order() {
        assert_eq!(check(&[]), ((0..ITEMS).collect(), Ok(())));
    }

    #[test]
    fn in_turn_everything_before_an_error_is_committed() {
        assert_eq!(check_by(true, &[]), ((0..ITEMS).collect(), Ok(())));
        for stage in [Stage::Read, Stage::Check, Stage::Execute, Stage::Root] {
            for at in [0, 1, 70, ITEMS - 1] {
                let (committed, ended) = check_by(true, &[(stage, at, Fault::Error)]);
                assert_eq!((committed, ended), ((0..at).collect(), Err(Stopped::Failed(stage, at))));
            }
        }
        let (committed, ended) = check_by(true, &[(Stage::Commit, 70, Fault::Error)]);
        assert_eq!((committed.len(), ended), (BATCH_LEN_MAX, Err(Stopped::Failed(Stage::Commit, 70))));
    }

    #[test]
    fn a_fault_in_any_stage_keeps_everything_before_it() {
        for stage in ALL {
            for at in [0, 1, QUEUE_LEN as u32, 70, ITEMS - 1] {
                for fault in [Fault::Error, Fault::Panic] {
                    let (committed, ended) = check(&[(stage, at, fault)]);
                    let want = match fault {
                        Fault::Error => Stopped::Failed(stage, at),
                        Fault::Panic => Stopped::Panicked(stage, format!("panic at {at}")),
                    };
                    assert_eq!(ended, Err(want));
                    // A batch that cannot be committed is not committed in part.
                    let len = committed.len() as u32;
                    assert_eq!(committed, (0..len).collect::<Vec<_>>());
                    let least = if stage == Stage::Commit { at.saturating_sub(BATCH_LEN_MAX as u32 - 1) } else { at };
                    assert!(least <= len && len <= at, "{stage} at {at}: {len} committed");
                }
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn of_several_faults_the_earliest_item_is_reported(
            faults in proptest::collection::vec((0usize..5, 0u32..ITEMS), 1..5),
        ) {
            let faults: Vec<_> = faults.into_iter().map(|(stage, at)| (ALL[stage], at, Fault::Error)).collect();
            let earliest = faults.iter().map(|fault| (fault.1, fault.0)).min();
            let (committed, ended) = check(&faults);
            let Err(Stopped::Failed(stage, at)) = ended else { panic!("{ended:?}") };
            prop_assert_eq!(Some((at, stage)), earliest);
            prop_assert!(committed.len() as u32 <= at);
        }
    }
}
