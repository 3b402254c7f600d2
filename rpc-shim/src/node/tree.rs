//! The tree of imported blocks and the branch that is canonical.
//!
//! Place in the flow: below the chain, which owns the state that the tree's changes lead to.
//! Invariant: every block but the genesis has its parent in the tree, one number lower; the canonical branch is a path from the
//! genesis to the head. Blocks are never removed.

use alloy_consensus::{BlockBody, Header, Sealable};
use alloy_eip7928::BlockAccessList;
use alloy_eips::eip7685::Requests;
use alloy_primitives::{Address, B256, Sealed, U256, map::B256Map};
use laminar_executor::{Receipt, Stats, Transaction, check_header::Ancestor};
use laminar_state_db::{BlockChanges, WipedStorage};

/// An imported block with everything that its execution gave.
#[derive(Clone, Debug)]
pub struct BlockRecord {
    /// The header and its hash.
    pub header: Sealed<Header>,
    /// The body.
    pub body: BlockBody<Transaction>,
    /// Senders, one per transaction in block order.
    pub senders: Vec<Address>,
    /// Receipts, one per transaction in block order.
    pub receipts: Vec<Receipt>,
    /// Requests (EIP-7685); empty before Prague.
    pub requests: Requests,
    /// The access list that execution built (EIP-7928), where the fork or the executor's configuration asked for it.
    pub block_access_list: Option<BlockAccessList>,
    /// Sum of the difficulties up to and including this block.
    pub total_difficulty: U256,
    /// How it was executed.
    pub stats: Stats,
    /// What it changes on its parent's state.
    pub changes: BlockChanges,
    /// What the changes wiped when they were applied last.
    pub(super) wiped: WipedStorage,
}

impl BlockRecord {
    /// A genesis: nothing was executed.
    pub(super) fn genesis(header: Sealed<Header>) -> Self {
        Self {
            total_difficulty: header.difficulty,
            header,
            body: BlockBody::default(),
            senders: Vec::new(),
            receipts: Vec::new(),
            requests: Requests::default(),
            block_access_list: None,
            stats: Stats::default(),
            changes: BlockChanges::default(),
            wiped: WipedStorage::default(),
        }
    }

    /// Hash of the header.
    pub const fn hash(&self) -> B256 {
        self.header.hash()
    }

    fn as_ancestor(&self) -> Ancestor {
        let ommers = self.body.ommers.iter().map(Sealable::hash_slow).collect();
        Ancestor { header: self.header.clone(), ommers }
    }
}

/// How to get from one block's state to another's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Route {
    /// Blocks to undo, in this order: newest first.
    pub(super) undo: Vec<B256>,
    /// Blocks to redo, in this order: oldest first.
    pub(super) redo: Vec<B256>,
}

/// All imported blocks.
#[derive(Debug)]
pub struct BlockTree {
    records: B256Map<BlockRecord>,
    /// Hashes of the canonical branch by number, from the genesis on; never empty.
    canonical: Vec<B256>,
    /// Number of the genesis.
    first: u64,
}

impl BlockTree {
    pub(super) fn new(genesis: BlockRecord) -> Self {
        let (hash, first) = (genesis.hash(), genesis.header.number);
        Self { records: B256Map::from_iter([(hash, genesis)]), canonical: vec![hash], first }
    }

    /// A block by its hash, canonical or not.
    pub fn get(&self, hash: &B256) -> Option<&BlockRecord> {
        self.records.get(hash)
    }

    pub(super) fn get_mut(&mut self, hash: &B256) -> Option<&mut BlockRecord> {
        self.records.get_mut(hash)
    }

    /// Hash of the canonical block with a number.
    pub fn canonical_hash(&self, number: u64) -> Option<B256> {
        self.canonical.get(usize::try_from(number.checked_sub(self.first)?).ok()?).copied()
    }

    /// Whether a block is on the canonical branch.
    pub fn is_canonical(&self, hash: &B256) -> bool {
        self.get(hash).is_some_and(|record| self.canonical_hash(record.header.number) == Some(*hash))
    }

    /// The genesis.
    pub fn genesis(&self) -> &BlockRecord {
        &self.records[&self.canonical[0]]
    }

    /// The newest canonical block.
    pub fn head(&self) -> &BlockRecord {
        let last = self.canonical.last().expect("the canonical branch holds the genesis");
        &self.records[last]
    }

    /// A block, its parent, and so on back to the genesis; nothing for an unknown block.
    pub fn branch(&self, hash: B256) -> impl Iterator<Item = &BlockRecord> {
        std::iter::successors(self.get(&hash), |record| self.get(&record.header.parent_hash))
    }

    /// Number of blocks, the genesis included.
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Never true: there is always a genesis.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// The view that the ommer check asks for.
    pub(super) fn ancestor(&self, hash: B256) -> Option<Ancestor> {
        self.get(&hash).map(BlockRecord::as_ancestor)
    }

    pub(super) fn insert(&mut self, record: BlockRecord) {
        debug_assert!(self.records.contains_key(&record.header.parent_hash), "a block joins its parent");
        self.records.insert(record.hash(), record);
    }

    /// The way between two known blocks over their last common ancestor.
    pub(super) fn route(&self, from: B256, to: B256) -> Route {
        let mut route = Route::default();
        let (mut left, mut right) = (self.get(&from), self.get(&to));
        while let (Some(a), Some(b)) = (left, right) {
            if a.hash() == b.hash() {
                break;
            }
            let (a_number, b_number) = (a.header.number, b.header.number);
            if a_number >= b_number {
                route.undo.push(a.hash());
                left = self.get(&a.header.parent_hash);
            }
            if b_number >= a_number {
                route.redo.push(b.hash());
                right = self.get(&b.header.parent_hash);
            }
        }
        route.redo.reverse();
        route
    }

    /// Makes the branch of a known block canonical.
    pub(super) fn set_head(&mut self, hash: B256) {
        let route = self.route(self.head().hash(), hash);
        let kept = self.canonical.len() - route.undo.len();
        self.canonical.truncate(kept);
        self.canonical.extend(route.redo);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(number: u64, parent_hash: B256, miner: u8) -> BlockRecord {
        let beneficiary = Address::repeat_byte(miner);
        BlockRecord::genesis(Header { number, parent_hash, beneficiary, ..Header::default() }.seal_slow())
    }

    /// Genesis, then branch `a` of three blocks and branch `b` of two, both on block 1.
    fn tree() -> (BlockTree, Vec<B256>, Vec<B256>) {
        let genesis = record(7, B256::ZERO, 0);
        let trunk = record(8, genesis.hash(), 1);
        let mut tree = BlockTree::new(genesis);
        let mut branches = Vec::new();
        for (miner, len) in [(2, 3), (3, 2)] {
            let mut parent = trunk.hash();
            let mut branch = Vec::new();
            for number in 9..9 + len {
                let next = record(number, parent, miner);
                parent = next.hash();
                branch.push(next);
            }
            branches.push(branch);
        }
        tree.insert(trunk);
        let mut hashes = branches.into_iter().map(|branch| {
            let hashes = branch.iter().map(BlockRecord::hash).collect();
            branch.into_iter().for_each(|record| tree.insert(record));
            hashes
        });
        let (a, b) = (hashes.next().unwrap(), hashes.next().unwrap());
        drop(hashes);
        (tree, a, b)
    }

    #[test]
    fn route_undoes_newest_first_and_redoes_oldest_first() {
        let (tree, a, b) = tree();
        let route = tree.route(a[2], b[1]);
        assert_eq!(route, Route { undo: vec![a[2], a[1], a[0]], redo: vec![b[0], b[1]] });
        assert_eq!(tree.route(a[0], a[2]), Route { undo: vec![], redo: vec![a[1], a[2]] });
        assert_eq!(tree.route(b[1], b[1]), Route::default());
    }

    #[test]
    fn canonical_branch_follows_the_head() {
        let (mut tree, a, b) = tree();
        tree.set_head(a[2]);
        assert_eq!((tree.canonical_hash(11), tree.is_canonical(&b[0])), (Some(a[2]), false));
        tree.set_head(b[1]);
        assert_eq!((tree.canonical_hash(9), tree.canonical_hash(11)), (Some(b[0]), None));
        assert_eq!(tree.head().hash(), b[1]);
        assert_eq!(tree.canonical_hash(6), None);
        assert_eq!(tree.branch(b[1]).count(), 4);
    }
}
