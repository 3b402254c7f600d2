//! The tree of imported blocks and the branch that is canonical.
//!
//! Place in the flow: below the node, which locks it for look-ups and insertions.
//! Invariant: every block but the genesis has its parent in the tree, one number lower; the canonical branch is a path from the
//! genesis to the head. Blocks are never removed.

use super::head::HeadChange;
use alloy_consensus::{BlockBody, Header, Sealable};
use alloy_eip7928::BlockAccessList;
use alloy_eips::{eip4895::Withdrawals, eip7685::Requests};
use alloy_primitives::{Address, B256, Sealed, U256, map::B256Map};
use laminar_executor::{Receipt, Stats, Transaction, check_header::Ancestor};
use laminar_state_db::BlockChanges;
use std::sync::Arc;

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
    pub changes: Arc<BlockChanges>,
}

impl BlockRecord {
    /// A genesis: nothing was executed.
    pub(super) fn genesis(header: Sealed<Header>) -> Self {
        // From Shanghai on a block has a list of withdrawals, if an empty one.
        let withdrawals = header.withdrawals_root.map(|_| Withdrawals::default());
        Self {
            total_difficulty: header.difficulty,
            header,
            body: BlockBody { withdrawals, ..BlockBody::default() },
            senders: Vec::new(),
            receipts: Vec::new(),
            requests: Requests::default(),
            block_access_list: None,
            stats: Stats::default(),
            changes: Arc::default(),
        }
    }

    /// Hash of the header.
    pub const fn hash(&self) -> B256 {
        self.header.hash()
    }

    /// Hashes of the transactions in block order.
    pub fn transaction_hashes(&self) -> impl Iterator<Item = B256> {
        self.body.transactions.iter().map(|tx| *tx.tx_hash())
    }

    fn as_ancestor(&self) -> Ancestor {
        let ommers = self.body.ommers.iter().map(Sealable::hash_slow).collect();
        Ancestor { header: self.header.clone(), ommers }
    }
}

/// All imported blocks.
#[derive(Debug)]
pub(super) struct BlockTree {
    records: B256Map<Arc<BlockRecord>>,
    /// Hashes of the canonical branch by number, from the genesis on; never empty.
    canonical: Vec<B256>,
    /// Number of the genesis.
    first: u64,
    /// Where the transactions of the canonical branch are: block and position.
    transactions: B256Map<(B256, usize)>,
    /// The block that is unlikely to be undone.
    pub(super) safe: Option<B256>,
    /// The block that cannot be undone.
    pub(super) finalized: Option<B256>,
}

impl BlockTree {
    pub(super) fn new(genesis: BlockRecord) -> Self {
        let (hash, first) = (genesis.hash(), genesis.header.number);
        Self {
            records: B256Map::from_iter([(hash, Arc::new(genesis))]),
            canonical: vec![hash],
            first,
            transactions: B256Map::default(),
            safe: None,
            finalized: None,
        }
    }

    /// A block by its hash, canonical or not.
    pub(super) fn get(&self, hash: &B256) -> Option<&Arc<BlockRecord>> {
        self.records.get(hash)
    }

    /// Hash of the canonical block with a number.
    pub(super) fn canonical_hash(&self, number: u64) -> Option<B256> {
        self.canonical.get(usize::try_from(number.checked_sub(self.first)?).ok()?).copied()
    }

    /// Block and position of a canonical transaction.
    pub(super) fn transaction(&self, hash: &B256) -> Option<(B256, usize)> {
        self.transactions.get(hash).copied()
    }

    /// The genesis.
    pub(super) fn genesis(&self) -> &Arc<BlockRecord> {
        &self.records[&self.canonical[0]]
    }

    /// The newest canonical block.
    pub(super) fn head(&self) -> &Arc<BlockRecord> {
        let last = self.canonical.last().expect("the canonical branch holds the genesis");
        &self.records[last]
    }

    /// A block, its parent, and so on back to the genesis; nothing for an unknown block.
    pub(super) fn branch(&self, hash: B256) -> impl Iterator<Item = &Arc<BlockRecord>> {
        std::iter::successors(self.get(&hash), |record| self.get(&record.header.parent_hash))
    }

    /// Number of blocks, the genesis included.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// The view that the ommer check asks for.
    pub(super) fn ancestor(&self, hash: B256) -> Option<Ancestor> {
        self.get(&hash).map(|record| record.as_ancestor())
    }

    pub(super) fn insert(&mut self, record: BlockRecord) {
        debug_assert!(self.records.contains_key(&record.header.parent_hash), "a block joins its parent");
        self.records.insert(record.hash(), Arc::new(record));
    }

    /// The way between two known blocks over their last common ancestor.
    pub(super) fn route(&self, from: B256, to: B256) -> HeadChange {
        let mut route = HeadChange::default();
        let (mut left, mut right) = (self.get(&from), self.get(&to));
        while let (Some(a), Some(b)) = (left, right) {
            if a.hash() == b.hash() {
                break;
            }
            let (a_number, b_number) = (a.header.number, b.header.number);
            if a_number >= b_number {
                route.removed.push(Arc::clone(a));
                left = self.get(&a.header.parent_hash);
            }
            if b_number >= a_number {
                route.added.push(Arc::clone(b));
                right = self.get(&b.header.parent_hash);
            }
        }
        route.added.reverse();
        route
    }

    /// Makes the branch of a known block canonical.
    pub(super) fn set_head(&mut self, hash: B256) -> HeadChange {
        let route = self.route(self.head().hash(), hash);
        self.canonical.truncate(self.canonical.len() - route.removed.len());
        for record in &route.removed {
            for hash in record.transaction_hashes() {
                self.transactions.remove(&hash);
            }
        }
        for record in &route.added {
            self.canonical.push(record.hash());
            let places = record.transaction_hashes().enumerate();
            self.transactions.extend(places.map(|(index, hash)| (hash, (record.hash(), index))));
        }
        route
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

    fn hashes(change: &HeadChange) -> (Vec<B256>, Vec<B256>) {
        let of = |records: &[Arc<BlockRecord>]| records.iter().map(|record| record.hash()).collect();
        (of(&change.removed), of(&change.added))
    }

    #[test]
    fn route_undoes_newest_first_and_redoes_oldest_first() {
        let (tree, a, b) = tree();
        assert_eq!(hashes(&tree.route(a[2], b[1])), (vec![a[2], a[1], a[0]], vec![b[0], b[1]]));
        assert_eq!(hashes(&tree.route(a[0], a[2])), (vec![], vec![a[1], a[2]]));
        assert_eq!(hashes(&tree.route(b[1], b[1])), (vec![], vec![]));
    }

    #[test]
    fn canonical_branch_follows_the_head() {
        let (mut tree, a, b) = tree();
        tree.set_head(a[2]);
        assert_eq!(tree.canonical_hash(11), Some(a[2]));
        tree.set_head(b[1]);
        assert_eq!((tree.canonical_hash(9), tree.canonical_hash(11)), (Some(b[0]), None));
        assert_eq!(tree.head().hash(), b[1]);
        assert_eq!(tree.canonical_hash(6), None);
        assert_eq!(tree.branch(b[1]).count(), 4);
    }
}
