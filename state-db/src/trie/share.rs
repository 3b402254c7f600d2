//! How the work of an update is shared between threads: from when on, and in which groups.
//!
//! Place in the flow: a block's root enters the pool here; `apply` deals storage tries and parts of the account trie, `parts` and `hash`
//! the parts of any big trie.
//! Invariant: none of it changes a result.

use crate::changes::BlockChanges;
use std::{cmp::Reverse, collections::BinaryHeap};

/// Changes of a block from which its root is worth waking threads.
const PARALLEL_CHANGES_MIN: usize = 48;

/// Works on a block's changes inside the pool, where loops follow each other without their caller going to sleep and being woken
/// for each; on this thread if there are few.
pub(crate) fn in_pool<T: Send>(changes: &BlockChanges, work: impl FnOnce() -> T + Send) -> T {
    let accounts_len = changes.accounts.len();
    if accounts_len < PARALLEL_CHANGES_MIN && accounts_len + changes.slots_len() < PARALLEL_CHANGES_MIN {
        return work();
    }
    rayon::scope(|_| work())
}

/// Deals items with their weights, which are about the changes in them, into groups of about equal weight, the heaviest item first:
/// groups of `weight_min` or more, as many for each thread, or fewer than threads, or one.
pub(super) fn deal<T>(mut items: Vec<(usize, T)>, weight_min: usize) -> Vec<Vec<T>> {
    let total = items.iter().map(|(weight, _)| weight).sum::<usize>();
    let (len, threads) = ((total / weight_min).min(items.len()).max(1), rayon::current_num_threads());
    let len = if len < threads { len } else { len - len % threads };
    items.sort_by_key(|(weight, _)| Reverse(*weight));
    let mut groups: Vec<Vec<T>> = (0..len).map(|_| Vec::new()).collect();
    // The lightest group is on top.
    let mut loads: BinaryHeap<_> = (0..len).map(|group| Reverse((0, group))).collect();
    for (weight, item) in items {
        let mut lightest = loads.peek_mut().expect("there is one group at least");
        let Reverse((load, group)) = &mut *lightest;
        *load += weight + 1;
        groups[*group].push(item);
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_about_equal_and_nothing_is_lost() {
        let groups = deal((0..100).map(|item| (item, item)).collect(), 700);
        let weights: Vec<usize> = groups.iter().map(|group| group.iter().sum()).collect();
        let (least, most) = (weights.iter().min().unwrap(), weights.iter().max().unwrap());
        assert!(most - least <= 50, "{weights:?}");
        let mut dealt = groups.concat();
        dealt.sort_unstable();
        assert_eq!(dealt, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn little_work_and_a_single_item_are_one_group() {
        assert_eq!(deal(Vec::<(usize, ())>::new(), 10).len(), 1);
        assert_eq!(deal(vec![(4, ()); 4], 10).len(), 1);
        assert_eq!(deal(vec![(1000, ())], 10).len(), 1);
    }
}
