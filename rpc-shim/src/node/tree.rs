//! The blocks that are in memory: the newest canonical ones, and those on side branches.
//!
//! Place in the flow: below the node, which locks it for look-ups and insertions; older canonical blocks are in the store only.
//! Invariant: the recent blocks are the end of the canonical branch, without gaps, and the last one is the head. Every other
//! block here is staged in the store, on a canonical block or on another one here. What leaves the tree otherwise than by
//! growing old is told, so that the store forgets it too.
//!
//! Bounds: [`RECENT_MAX`] canonical blocks; about [`SIDE_MAX`] others, of which the branches that grew last stay. One branch
//! alone is never cut, since it may be on its way to become canonical.

use super::{head::HeadChange, record::BlockRecord};
use alloy_primitives::{B256, map::B256Map};
use laminar_state_db::BlockRef;
use std::{collections::VecDeque, sync::Arc};

/// Canonical blocks that are kept in memory.
pub(super) const RECENT_MAX: usize = 128;
/// Blocks on side branches that are kept; a longer part of the canonical branch that is taken off is forgotten at once.
pub(super) const SIDE_MAX: usize = 512;
/// Side blocks that are left where some had to go.
const SIDE_LEFT: usize = SIDE_MAX / 4 * 3;

/// The blocks in memory.
#[derive(Debug)]
pub(super) struct BlockTree {
    records: B256Map<Arc<BlockRecord>>,
    /// The end of the canonical branch, the head last; never empty.
    recent: VecDeque<B256>,
    /// Number of the first one of `recent`.
    recent_first: u64,
    /// Where the transactions of `recent` are: block and position.
    transactions: B256Map<(B256, usize)>,
    /// The other blocks, each with the moment at which it came.
    sides: B256Map<u64>,
    moment: u64,
    genesis: Arc<BlockRecord>,
    /// The block that is unlikely to be undone.
    pub(super) safe: Option<BlockRef>,
    /// The block that cannot be undone.
    pub(super) finalized: Option<BlockRef>,
}

impl BlockTree {
    pub(super) fn new(genesis: Arc<BlockRecord>, head: Arc<BlockRecord>) -> Self {
        let (hash, recent_first) = (head.hash(), head.header.number);
        let transactions = head.transaction_hashes().enumerate().map(|(index, tx)| (tx, (hash, index))).collect();
        Self {
            records: B256Map::from_iter([(hash, head)]),
            recent: VecDeque::from([hash]),
            recent_first,
            transactions,
            sides: B256Map::default(),
            moment: 0,
            genesis,
            safe: None,
            finalized: None,
        }
    }

    /// A block that is in memory, canonical or not.
    pub(super) fn get(&self, hash: &B256) -> Option<&Arc<BlockRecord>> {
        self.records.get(hash).or_else(|| (*hash == self.genesis.hash()).then_some(&self.genesis))
    }

    /// Number of the oldest canonical block that is in memory for sure.
    pub(super) fn recent_first(&self) -> u64 {
        self.recent_first
    }

    /// Hash of a recent canonical block.
    pub(super) fn recent_hash(&self, number: u64) -> Option<B256> {
        self.recent.get(usize::try_from(number.checked_sub(self.recent_first)?).ok()?).copied()
    }

    /// Block and position of a transaction in a recent canonical block.
    pub(super) fn transaction(&self, hash: &B256) -> Option<(B256, usize)> {
        self.transactions.get(hash).copied()
    }

    /// The genesis.
    pub(super) fn genesis(&self) -> &Arc<BlockRecord> {
        &self.genesis
    }

    /// The newest canonical block.
    pub(super) fn head(&self) -> &Arc<BlockRecord> {
        let last = self.recent.back().expect("the head is recent");
        &self.records[last]
    }

    /// Whether a block is here and not canonical.
    pub(super) fn is_side(&self, hash: &B256) -> bool {
        self.sides.contains_key(hash)
    }

    /// Number of blocks that are not canonical.
    pub(super) fn sides_len(&self) -> usize {
        self.sides.len()
    }

    /// Adds a block that is staged. The first block of each branch that had to go for it.
    pub(super) fn insert(&mut self, record: Arc<BlockRecord>) -> Vec<B256> {
        self.insert_side(record);
        if self.sides.len() > SIDE_MAX { self.remove_stale() } else { Vec::new() }
    }

    fn insert_side(&mut self, record: Arc<BlockRecord>) {
        self.moment += 1;
        self.sides.insert(record.hash(), self.moment);
        self.records.insert(record.hash(), record);
    }

    /// Makes a change of the canonical branch; `fork` is the last block that stays. Blocks that are taken off stay on the side
    /// if `keeps` says so.
    pub(super) fn set_head(&mut self, change: &HeadChange, fork: &Arc<BlockRecord>, keeps: bool) {
        for record in &change.removed {
            if self.recent.back() == Some(&record.hash()) {
                self.recent.pop_back();
                self.remove_transactions(record);
            }
            self.records.remove(&record.hash());
        }
        if keeps {
            change.removed.iter().rev().for_each(|record| self.insert_side(Arc::clone(record)));
        }
        if self.recent.is_empty() {
            self.recent_first = fork.header.number;
            self.push_recent(fork);
        }
        change.added.iter().for_each(|record| self.push_recent(record));
        while self.recent.len() > RECENT_MAX {
            let Some(record) = self.recent.pop_front().and_then(|hash| self.records.remove(&hash)) else { continue };
            self.recent_first += 1;
            self.remove_transactions(&record);
        }
    }

    fn remove_transactions(&mut self, record: &BlockRecord) {
        for hash in record.transaction_hashes() {
            self.transactions.remove(&hash);
        }
    }

    fn push_recent(&mut self, record: &Arc<BlockRecord>) {
        let hash = record.hash();
        self.sides.remove(&hash);
        self.recent.push_back(hash);
        self.transactions.extend(record.transaction_hashes().enumerate().map(|(index, tx)| (tx, (hash, index))));
        self.records.insert(hash, Arc::clone(record));
    }

    /// Removes the branches that can no longer become canonical; the first block of each.
    pub(super) fn remove_finalized(&mut self) -> Vec<B256> {
        let Some(finalized) = self.finalized else { return Vec::new() };
        let firsts = self.branches().into_values().map(|(first, _)| first);
        let gone: Vec<B256> = firsts.filter(|first| self.records[first].header.number <= finalized.number).collect();
        gone.iter().for_each(|first| self.remove_branch(*first));
        gone
    }

    /// Removes the branches on a block; the first block of each.
    pub(super) fn remove_above(&mut self, hash: &B256) -> Vec<B256> {
        let is_child = |side: &B256| self.records[side].header.parent_hash == *hash;
        let gone: Vec<B256> = self.sides.keys().copied().filter(is_child).collect();
        gone.iter().for_each(|first| self.remove_branch(*first));
        gone
    }

    /// Removes the branches that have not grown for the longest time, but for the last one.
    fn remove_stale(&mut self) -> Vec<B256> {
        let mut branches: Vec<_> = self.branches().into_values().collect();
        branches.sort_unstable_by_key(|(_, grown)| *grown);
        branches.pop();
        let mut gone = Vec::new();
        for (first, _) in branches {
            if self.sides.len() <= SIDE_LEFT {
                break;
            }
            self.remove_branch(first);
            gone.push(first);
        }
        gone
    }

    /// Of each branch its first block, and when it grew last.
    fn branches(&self) -> B256Map<(B256, u64)> {
        let mut sides: Vec<_> = self.sides.iter().map(|(hash, came)| (&self.records[hash], *came)).collect();
        sides.sort_unstable_by_key(|(record, _)| record.header.number);
        let mut firsts: B256Map<B256> = B256Map::default();
        let mut branches: B256Map<(B256, u64)> = B256Map::default();
        for (record, came) in sides {
            let first = firsts.get(&record.header.parent_hash).copied().unwrap_or(record.hash());
            firsts.insert(record.hash(), first);
            let (_, grown) = branches.entry(first).or_insert((first, came));
            *grown = came.max(*grown);
        }
        branches
    }

    fn remove_branch(&mut self, first: B256) {
        let mut gone = vec![first];
        while let Some(parent) = gone.pop() {
            let children = self.sides.keys().filter(|side| self.records[*side].header.parent_hash == parent);
            gone.extend(children.copied().collect::<Vec<_>>());
            self.sides.remove(&parent);
            self.records.remove(&parent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_consensus::Header;
    use laminar_executor::pipeline::genesis_data;

    fn record(number: u64, parent_hash: B256, miner: u8) -> Arc<BlockRecord> {
        let beneficiary = alloy_primitives::Address::repeat_byte(miner);
        let header = Header { number, parent_hash, beneficiary, ..Header::default() };
        Arc::new(BlockRecord::read(&genesis_data(&header, header.hash_slow())).unwrap())
    }

    fn branch(parent: &Arc<BlockRecord>, miner: u8, len: usize) -> Vec<Arc<BlockRecord>> {
        let next = |parent: &Arc<BlockRecord>| Some(record(parent.header.number + 1, parent.hash(), miner));
        std::iter::successors(next(parent), next).take(len).collect()
    }

    fn added(added: &[Arc<BlockRecord>]) -> HeadChange {
        HeadChange { removed: Vec::new(), added: added.to_vec() }
    }

    #[test]
    fn recent_blocks_follow_the_head_and_older_ones_leave() {
        let genesis = record(7, B256::ZERO, 0);
        let mut tree = BlockTree::new(genesis.clone(), genesis.clone());
        let a = branch(&genesis, 1, RECENT_MAX + 10);
        for record in &a {
            let parent = tree.head().clone();
            assert!(tree.insert(record.clone()).is_empty());
            tree.set_head(&added(std::slice::from_ref(record)), &parent, true);
            assert!(tree.recent.len() <= RECENT_MAX && tree.sides_len() == 0);
        }
        assert_eq!((tree.head().hash(), tree.recent_first()), (a[RECENT_MAX + 9].hash(), 7 + 11));
        assert_eq!((tree.recent_hash(17), tree.recent_hash(18)), (None, Some(a[10].hash())));
        assert!(tree.get(&a[9].hash()).is_none() && tree.get(&genesis.hash()).is_some());

        // Back below all of them.
        let removed = a[3..].iter().rev().cloned().collect();
        let b = branch(&a[2], 2, 2);
        tree.set_head(&HeadChange { removed, added: b.clone() }, &a[2], true);
        assert_eq!((tree.recent_first(), tree.recent_hash(10)), (10, Some(a[2].hash())));
        assert_eq!((tree.head().hash(), tree.sides_len()), (b[1].hash(), RECENT_MAX + 7));
        assert!(tree.is_side(&a[3].hash()) && !tree.is_side(&b[0].hash()));
    }

    #[test]
    fn branches_that_do_not_grow_go_first() {
        let genesis = record(0, B256::ZERO, 0);
        let mut tree = BlockTree::new(genesis.clone(), genesis.clone());
        let (old, grows, last) = (branch(&genesis, 1, 20), branch(&genesis, 2, 20), branch(&genesis, 3, SIDE_MAX + 9));
        old.iter().chain(&grows[..19]).for_each(|record| drop(tree.insert(record.clone())));
        let mut gone: Vec<_> = last[..SIDE_MAX - 40].iter().flat_map(|record| tree.insert(record.clone())).collect();
        gone.extend(tree.insert(grows[19].clone()));
        gone.extend(last[SIDE_MAX - 40..].iter().flat_map(|record| tree.insert(record.clone())));
        assert_eq!(gone, [old[0].hash(), grows[0].hash()], "by when they grew last");
        assert_eq!(tree.sides_len(), SIDE_MAX + 9, "the last branch stays whole");
        assert!(tree.get(&old[5].hash()).is_none() && tree.get(&last[0].hash()).is_some());
    }

    #[test]
    fn finality_ends_branches_that_leave_before_it() {
        let genesis = record(0, B256::ZERO, 0);
        let mut tree = BlockTree::new(genesis.clone(), genesis.clone());
        let main = branch(&genesis, 1, 5);
        let (early, late) = (branch(&main[0], 2, 4), branch(&main[2], 3, 2));
        main.iter().chain(&early).chain(&late).for_each(|record| drop(tree.insert(record.clone())));
        tree.set_head(&added(&main), &genesis, true);
        tree.finalized = Some(main[2].id());
        assert_eq!(tree.remove_finalized(), [early[0].hash()]);
        assert_eq!(tree.sides_len(), 2);
        assert_eq!(tree.remove_above(&main[2].hash()), [late[0].hash()]);
        assert_eq!(tree.sides_len(), 0);
    }
}
