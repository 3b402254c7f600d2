//! What no scheduler can beat, and what others reach: bounds of a recorded block.
//!
//! Place in the flow: beside a virtual run, from the same recording.
//! Invariant: they know the conflicts beforehand and count the runs alone; merging, starting threads and aborts cost nothing.

use super::clock::Nanos;
use crate::{partition::ConflictGraph, types::TxIndex};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

/// The longest chain of conflicting runs.
pub(super) fn critical_path(graph: &ConflictGraph, runs: &[Nanos]) -> Nanos {
    paths(graph, runs).into_iter().max().unwrap_or_default()
}

/// For each transaction the longest chain that begins with it.
fn paths(graph: &ConflictGraph, runs: &[Nanos]) -> Vec<Nanos> {
    let mut paths = runs.to_vec();
    for at in (0..runs.len()).rev() {
        for before in graph.predecessors(at).iter().map(|before| before.as_usize()) {
            paths[before] = paths[before].max(runs[before] + paths[at]);
        }
    }
    paths
}

/// Every transaction as soon as its predecessors are done and a core is free, the longest chain first.
pub(super) fn list_schedule(graph: &ConflictGraph, runs: &[Nanos], cores: usize) -> Nanos {
    let paths = paths(graph, runs);
    let mut waiting: Vec<usize> = (0..runs.len()).map(|at| graph.predecessors(at).len()).collect();
    let mut successors = vec![Vec::new(); runs.len()];
    for at in 0..runs.len() {
        graph.predecessors(at).iter().for_each(|before| successors[before.as_usize()].push(at));
    }
    let mut ready: BinaryHeap<_> =
        (0..runs.len()).filter(|at| waiting[*at] == 0).map(|at| (paths[at], Reverse(at))).collect();
    let mut running: BinaryHeap<Reverse<(Nanos, usize)>> = BinaryHeap::new();
    let mut now = 0;
    loop {
        while running.len() < cores
            && let Some((_, Reverse(at))) = ready.pop()
        {
            running.push(Reverse((now + runs[at], at)));
        }
        let Some(Reverse((done, at))) = running.pop() else { return now };
        now = done;
        for successor in std::mem::take(&mut successors[at]) {
            waiting[successor] -= 1;
            if waiting[successor] == 0 {
                ready.push((paths[successor], Reverse(successor)));
            }
        }
    }
}

/// One conflict-free batch after the other, each as long as its busiest core, the longest run first.
pub(super) fn barrier_batches(graph: &ConflictGraph, runs: &[Nanos], cores: usize) -> Nanos {
    let mut levels = vec![0usize; runs.len()];
    let mut batches: BTreeMap<usize, Vec<Nanos>> = BTreeMap::new();
    for at in 0..runs.len() {
        let above = |before: &TxIndex| levels[before.as_usize()] + 1;
        levels[at] = graph.predecessors(at).iter().map(above).max().unwrap_or_default();
        batches.entry(levels[at]).or_default().push(runs[at]);
    }
    batches.into_values().map(|batch| longest_core(batch, cores)).sum()
}

fn longest_core(mut batch: Vec<Nanos>, cores: usize) -> Nanos {
    batch.sort_unstable_by_key(|run| Reverse(*run));
    let mut ends: BinaryHeap<Reverse<Nanos>> = (0..cores).map(|_| Reverse(0)).collect();
    for run in batch {
        let Reverse(end) = ends.pop().unwrap_or_default();
        ends.push(Reverse(end + run));
    }
    ends.into_iter().map(|Reverse(end)| end).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(predecessors: &[&[u32]], runs: &[Nanos], cores: usize, want: [Nanos; 3]) {
        let predecessors = predecessors.iter().map(|before| before.iter().copied().map(TxIndex).collect()).collect();
        let graph = ConflictGraph::from_predecessors(predecessors);
        let got =
            [critical_path(&graph, runs), list_schedule(&graph, runs, cores), barrier_batches(&graph, runs, cores)];
        assert_eq!(got, want);
    }

    #[test]
    fn chain_is_its_own_bound() {
        check(&[&[], &[0], &[1]], &[5, 7, 1], 4, [13, 13, 13]);
    }

    #[test]
    fn independent_runs_fill_the_cores() {
        check(&[&[], &[], &[], &[]], &[4, 3, 2, 1], 2, [4, 5, 5]);
        check(&[&[], &[], &[], &[]], &[4, 3, 2, 1], 1, [4, 10, 10]);
    }

    #[test]
    fn barrier_waits_for_the_longest_run_of_a_batch() {
        // 1 waits for 0 only; with a barrier it waits for 2, too.
        check(&[&[], &[0], &[]], &[1, 9, 10], 2, [10, 10, 19]);
    }
}
