//! The conflict graph of predicted accesses: who reads what whom writes.
//!
//! Place in the flow: between predictions and the [`super::Plan`].
//! Invariant: an edge w → r means that r is predicted to read a value that w, the last before it, is predicted to write.
//! Writes after reads and writes after writes are no conflicts, because multi-version memory keeps every version; ether
//! moves are none either, unless the reader looks at the exact balance.

use crate::{
    effects::{AccountAccess, Fate, Simulation, SlotAccess},
    read_set::{BalanceRule, NonceRule},
    types::TxIndex,
};
use alloy_primitives::{
    U256,
    map::{AddressMap, HashMap},
};

/// Predicted conflicts of one block.
#[derive(Clone, Debug, Default)]
pub(crate) struct ConflictGraph {
    predecessors: Vec<Vec<TxIndex>>,
    gas: Vec<u64>,
}

/// Collects predictions in block order.
#[derive(Debug, Default)]
pub(crate) struct GraphBuilder {
    graph: ConflictGraph,
    accounts: AddressMap<Writers>,
}

/// The last transactions that are predicted to write what belongs to one account.
#[derive(Debug, Default)]
struct Writers {
    /// Existence, emptiness and code, as [`Location::Code`](crate::location::Location::Code).
    code: Option<TxIndex>,
    nonce: Option<TxIndex>,
    balance: Option<TxIndex>,
    slots: HashMap<U256, TxIndex>,
}

impl GraphBuilder {
    /// Adds the next transaction by its predicted run.
    pub(crate) fn push(&mut self, run: &Simulation) {
        let index = TxIndex::from_usize(self.graph.predecessors.len());
        let mut before = Vec::new();
        for (access, slots) in run.iter() {
            let writes = access.fate != Fate::Read || slots.iter().any(is_written);
            let writers = match writes {
                true => Some(self.accounts.entry(access.address).or_default()),
                false => self.accounts.get_mut(&access.address),
            };
            // An account and each of its slots appear once in a run, so nobody finds his own writes.
            if let Some(writers) = writers {
                writers.read(access, &mut before);
                writers.write(access, index);
                writers.pass_slots(access, slots, index, &mut before);
            }
        }
        before.sort_unstable();
        before.dedup();
        self.graph.predecessors.push(before);
        self.graph.gas.push(run.result.gas_used);
    }

    /// Adds the next transaction as one that conflicts with nobody.
    pub(crate) fn push_independent(&mut self, gas: u64) {
        self.graph.predecessors.push(Vec::new());
        self.graph.gas.push(gas);
    }

    /// The finished graph.
    pub(crate) fn finish(self) -> ConflictGraph {
        self.graph
    }
}

fn is_written(slot: &SlotAccess) -> bool {
    slot.after != slot.seen
}

impl Writers {
    fn read(&self, access: &AccountAccess, before: &mut Vec<TxIndex>) {
        before.extend(self.code);
        if access.nonce == NonceRule::Exact {
            before.extend(self.nonce);
        }
        if access.balance == BalanceRule::Exact {
            before.extend(self.balance);
        }
    }

    fn write(&mut self, access: &AccountAccess, index: TxIndex) {
        if access.fate == Fate::Read {
            return;
        }
        let (before, after) = (access.seen_or_empty(), access.after);
        let gone = access.fate == Fate::Destroyed;
        if gone || access.changes_code() || before.is_empty() != after.is_empty() {
            self.code = Some(index);
        }
        if gone || before.nonce != after.nonce {
            self.nonce = Some(index);
        }
        if gone || before.balance != after.balance {
            self.balance = Some(index);
        }
    }

    fn pass_slots(&mut self, access: &AccountAccess, slots: &[SlotAccess], index: TxIndex, before: &mut Vec<TxIndex>) {
        // A created account starts with empty storage: nothing of it is read from the state.
        let reads = access.fate != Fate::Created;
        for slot in slots {
            let writer = match is_written(slot) {
                true => self.slots.insert(slot.slot, index),
                false => self.slots.get(&slot.slot).copied(),
            };
            before.extend(writer.filter(|_| reads));
        }
    }
}

impl ConflictGraph {
    /// The graph with the given predecessors, each list ascending and below its transaction, and no known gas.
    ///
    /// # Panics
    /// If a predecessor does not stand before its transaction: the graph would not be a plan.
    #[cfg(test)]
    pub(crate) fn from_predecessors(predecessors: Vec<Vec<TxIndex>>) -> Self {
        for (at, before) in predecessors.iter().enumerate() {
            assert!(before.iter().all(|before| before.as_usize() < at), "tx {at} waits for a later one: {before:?}");
        }
        let gas = vec![0; predecessors.len()];
        Self { predecessors, gas }
    }

    /// Number of transactions.
    pub(crate) const fn len(&self) -> usize {
        self.predecessors.len()
    }

    /// Predecessors of the transaction at `at`, ascending, unique, all below it.
    pub(crate) fn predecessors(&self, at: usize) -> &[TxIndex] {
        &self.predecessors[at]
    }

    /// Predicted gas of the transaction at `at`.
    pub(crate) fn gas(&self, at: usize) -> u64 {
        self.gas[at]
    }

    /// Number of levels: the conflict-free batches.
    pub(crate) fn levels(&self) -> u64 {
        let mut level = vec![0u64; self.len()];
        for at in 0..self.len() {
            level[at] =
                1 + self.predecessors[at].iter().map(|before| level[before.as_usize()]).max().unwrap_or_default();
        }
        level.into_iter().max().unwrap_or_default()
    }

    /// For each transaction the gas on the longest path that starts with it.
    pub(crate) fn path_gas(&self) -> Vec<u64> {
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
    pub(crate) fn critical_path_gas(&self) -> u64 {
        self.path_gas().into_iter().max().unwrap_or_default()
    }
}
