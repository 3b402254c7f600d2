//! What the transactions say themselves: whom they call, with what, and how much gas they may use.
//!
//! Place in the flow: the prediction that costs nothing, for blocks of which nothing else is known. It gives the order of
//! starts, and says which transactions make the same call.
//! Invariant: it looks at no state, and a wrong guess costs time only. Plain transfers are left out: they conflict by balances,
//! which are relative.

use crate::{env::PreparedBlock, execute::TRANSFER_GAS, types::TxIndex};
use alloy_primitives::{
    Address,
    map::{FbBuildHasher, HashMap},
};

/// A transaction is large if it may use this share of the gas that all may use.
const LARGE_SHARE: u64 = 50;
/// Gas below which no transaction is large: starting it early saves less than it risks.
const LARGE_GAS_MIN: u64 = 250_000;
/// Bytes of calldata that name the function and its first argument, in a token transfer the recipient.
const CALL_LEN: usize = 4 + 32;

/// Groups for which there is room from the start: for more, growing costs less than fresh memory for all would, had they few.
const GROUPS_EXPECTED: usize = 512;

/// Marks a transaction that is in no group, or the first of its group.
const NONE: u32 = u32::MAX;

/// How alike two transactions are that are expected to conflict.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Likeness {
    /// They call the same function of the same contract with the same first argument.
    SameCall,
    /// They call the same contract.
    SameTarget,
}

impl Likeness {
    /// Both, the closer one first.
    pub(crate) const ALL: [Self; 2] = [Self::SameCall, Self::SameTarget];
}

/// The transactions of a block in groups, each transaction in at most one of a kind.
#[derive(Clone, Debug, Default)]
struct Groups {
    /// For each transaction the number of its group; empty if there are only plain transfers.
    numbers: Vec<u32>,
    /// For each transaction the last one before it in its group.
    previous: Vec<u32>,
    len: usize,
}

impl Groups {
    fn reserve(txs: usize) -> Self {
        Self { numbers: vec![NONE; txs], previous: vec![NONE; txs], len: 0 }
    }

    /// Adds a transaction to the group of which `group` holds the number and the last member.
    fn join(&mut self, at: usize, group: &mut (u32, u32)) {
        if group.0 == NONE {
            group.0 = self.len as u32;
            self.len += 1;
        }
        (self.numbers[at], self.previous[at]) = *group;
        group.1 = at as u32;
    }
}

/// What is declared in a block.
#[derive(Clone, Debug, Default)]
pub(crate) struct Declared {
    calls: Groups,
    targets: Groups,
}

type Key = [u8; Address::len_bytes() + CALL_LEN];

impl Declared {
    /// Reads the transactions of a block.
    pub(crate) fn of(block: &PreparedBlock) -> Self {
        let callers = || block.txs.iter().enumerate().filter(|(_, tx)| tx.gas_limit > TRANSFER_GAS);
        let count = callers().count();
        if count == 0 {
            return Self::default();
        }
        let txs = block.txs.len();
        let mut declared = Self { calls: Groups::reserve(txs), targets: Groups::reserve(txs) };
        let mut calls: HashMap<Key, (u32, u32), FbBuildHasher<{ Address::len_bytes() + CALL_LEN }>> =
            HashMap::default();
        let mut targets: HashMap<Address, (u32, u32), FbBuildHasher<20>> = HashMap::default();
        calls.reserve(count.min(GROUPS_EXPECTED));
        targets.reserve(count.min(GROUPS_EXPECTED));
        for (at, tx) in callers() {
            let Some(target) = tx.kind.to() else { continue };
            declared.targets.join(at, targets.entry(*target).or_insert((NONE, NONE)));
            if let Some(call) = tx.data.get(..CALL_LEN) {
                let mut key = [0; Address::len_bytes() + CALL_LEN];
                key[..CALL_LEN].copy_from_slice(call);
                key[CALL_LEN..].copy_from_slice(target.as_slice());
                declared.calls.join(at, calls.entry(key).or_insert((NONE, NONE)));
            }
        }
        declared
    }

    fn groups(&self, likeness: Likeness) -> &Groups {
        match likeness {
            Likeness::SameCall => &self.calls,
            Likeness::SameTarget => &self.targets,
        }
    }

    /// The number of a transaction's group, below [`Self::groups_len`].
    pub(crate) fn group(&self, likeness: Likeness, index: TxIndex) -> Option<usize> {
        known(&self.groups(likeness).numbers, index).map(|number| number as usize)
    }

    /// The last transaction before `index` that is so alike.
    pub(crate) fn previous(&self, likeness: Likeness, index: TxIndex) -> Option<TxIndex> {
        known(&self.groups(likeness).previous, index).map(TxIndex)
    }

    /// Number of groups.
    pub(crate) fn groups_len(&self, likeness: Likeness) -> usize {
        self.groups(likeness).len
    }

    /// The transactions from `start` on in the order in which to start them: in block order, but large ones that nobody before
    /// seems to concern first, so that the block does not end with one worker on a late large one.
    pub(crate) fn order(&self, block: &PreparedBlock, start: TxIndex) -> Vec<TxIndex> {
        let txs = &block.txs;
        let total: u64 = txs.iter().map(|tx| tx.gas_limit).fold(0, u64::saturating_add);
        let least = (total / LARGE_SHARE).max(LARGE_GAS_MIN);
        let is_large = |index: &TxIndex| {
            let tx = &txs[index.as_usize()];
            let alone = || self.previous(Likeness::SameTarget, *index).is_none() && is_first_of(block, *index);
            tx.gas_limit >= least && alone()
        };
        let all = || (start.as_usize()..txs.len()).map(TxIndex::from_usize);
        // At most `LARGE_SHARE` of them.
        let mut order: Vec<_> = all().filter(is_large).collect();
        let large = order.len();
        order.reserve_exact(txs.len() - start.as_usize() - large);
        for index in all() {
            if !order[..large].contains(&index) {
                order.push(index);
            }
        }
        order
    }
}

fn known(values: &[u32], index: TxIndex) -> Option<u32> {
    values.get(index.as_usize()).copied().filter(|value| *value != NONE)
}

/// Whether nobody before `index` has its sender.
fn is_first_of(block: &PreparedBlock, index: TxIndex) -> bool {
    let (before, tx) = (&block.txs[..index.as_usize()], &block.txs[index.as_usize()]);
    before.iter().all(|other| other.caller != tx.caller)
}
