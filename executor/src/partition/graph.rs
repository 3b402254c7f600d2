//! The conflict graph of predicted accesses: who reads what whom writes.
//!
//! Place in the flow: between predictions and the [`super::Plan`].
//! Invariant: an edge w → r means that r is predicted to read a value that w, the last before it, is predicted to write.
//! Writes after reads and writes after writes are no conflicts, because multi-version memory keeps every version; ether
//! moves are none either, unless the reader looks at the exact balance.

use crate::{
    effects::{AccountAccess, Fate, Simulation},
    location::Location,
    read_set::{BalanceRule, NonceRule},
    types::TxIndex,
};
use alloy_primitives::map::HashMap;

/// Predicted conflicts of one block.
#[derive(Clone, Debug, Default)]
pub struct ConflictGraph {
    predecessors: Vec<Vec<TxIndex>>,
    gas: Vec<u64>,
}

/// Collects predictions in block order.
#[derive(Debug, Default)]
pub struct GraphBuilder {
    graph: ConflictGraph,
    last_writer: HashMap<Location, TxIndex>,
}

impl GraphBuilder {
    /// Adds the next transaction by its predicted run.
    pub fn push(&mut self, run: &Simulation) {
        let index = TxIndex::from_usize(self.graph.predecessors.len());
        let mut before = Vec::new();
        for (access, slots) in run.iter() {
            let mut read = |location| before.extend(self.last_writer.get(&location).copied());
            for_each_read(access, &mut read);
            if access.fate != Fate::Created {
                slots.iter().for_each(|slot| read(Location::Slot(access.address, slot.slot)));
            }
        }
        before.sort_unstable();
        before.dedup();
        for (access, slots) in run.iter() {
            let mut write = |location| {
                self.last_writer.insert(location, index);
            };
            for_each_write(access, &mut write);
            for slot in slots.iter().filter(|slot| slot.after != slot.seen) {
                write(Location::Slot(access.address, slot.slot));
            }
        }
        self.graph.predecessors.push(before);
        self.graph.gas.push(run.result.gas_used);
    }

    /// Adds the next transaction as one that conflicts with nobody.
    pub fn push_independent(&mut self, gas: u64) {
        self.graph.predecessors.push(Vec::new());
        self.graph.gas.push(gas);
    }

    /// The finished graph.
    pub fn finish(self) -> ConflictGraph {
        self.graph
    }
}

fn for_each_read(access: &AccountAccess, read: &mut impl FnMut(Location)) {
    read(Location::Code(access.address));
    if access.nonce == NonceRule::Exact {
        read(Location::Nonce(access.address));
    }
    if access.balance == BalanceRule::Exact {
        read(Location::Balance(access.address));
    }
}

fn for_each_write(access: &AccountAccess, write: &mut impl FnMut(Location)) {
    if access.fate == Fate::Read {
        return;
    }
    let (before, after) = (access.seen_or_empty(), access.after);
    let gone = access.fate == Fate::Destroyed;
    if gone || access.changes_code() || before.is_empty() != after.is_empty() {
        write(Location::Code(access.address));
    }
    if gone || before.nonce != after.nonce {
        write(Location::Nonce(access.address));
    }
    if gone || before.balance != after.balance {
        write(Location::Balance(access.address));
    }
}

impl ConflictGraph {
    /// The graph with the given predecessors, each list ascending and below its transaction, and no known gas.
    ///
    /// # Panics
    /// If a predecessor does not stand before its transaction: the graph would not be a plan.
    pub fn from_predecessors(predecessors: Vec<Vec<TxIndex>>) -> Self {
        for (at, before) in predecessors.iter().enumerate() {
            assert!(before.iter().all(|before| before.as_usize() < at), "tx {at} waits for a later one: {before:?}");
        }
        let gas = vec![0; predecessors.len()];
        Self { predecessors, gas }
    }

    /// Number of transactions.
    pub const fn len(&self) -> usize {
        self.predecessors.len()
    }

    /// Whether the block is empty.
    pub const fn is_empty(&self) -> bool {
        self.predecessors.is_empty()
    }

    /// Predecessors of the transaction at `at`, ascending, unique, all below it.
    pub fn predecessors(&self, at: usize) -> &[TxIndex] {
        &self.predecessors[at]
    }

    /// Predicted gas of the transaction at `at`.
    pub fn gas(&self, at: usize) -> u64 {
        self.gas[at]
    }

    /// Number of levels: the conflict-free batches.
    pub fn levels(&self) -> u64 {
        let mut level = vec![0u64; self.len()];
        for at in 0..self.len() {
            level[at] =
                1 + self.predecessors[at].iter().map(|before| level[before.as_usize()]).max().unwrap_or_default();
        }
        level.into_iter().max().unwrap_or_default()
    }

    /// For each transaction the gas on the longest path that starts with it.
    pub fn path_gas(&self) -> Vec<u64> {
        let mut path = self.gas.clone();
        for at in (0..self.len()).rev() {
            for before in &self.predecessors[at] {
                let before = before.as_usize();
                path[before] = path[before].max(self.gas[before].saturating_add(path[at]));
            }
        }
        path
    }

    /// Gas on the longest path of all.
    pub fn critical_path_gas(&self) -> u64 {
        self.path_gas().into_iter().max().unwrap_or_default()
    }
}
