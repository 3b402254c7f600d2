//! A transaction's simulation apart from any block: what a pool keeps until the transaction's block comes.
//!
//! Place in the flow: a pool simulates what arrives on the state after the head, in the block that it foresees; when the block
//! is built or delivered, [`Simulations::gather`] puts together those that could have been made in it.
//! Invariant: a gathered simulation is what simulating in that very block on that very parent would have given. What the run
//! looked at of its block is compared, the state is the parent's by its hash; what the block itself changes is merge's to check.

use crate::{
    effects::Attempt,
    env::PreparedBlock,
    execute::{self, Instance, PrecompileOutputs},
    mv_memory::MvMemory,
    presimulate::Simulations,
    read_set::EnvironmentReads,
    types::TxIndex,
};
use alloy_primitives::{Address, B256};
use revm::{
    DatabaseRef,
    context::{BlockEnv, CfgEnv},
};
use std::sync::Arc;

/// EIP-2718 type of a blob transaction, whose sender pays by the blob base fee.
const BLOB_TYPE: u8 = 3;

/// One transaction's simulation, with the block that it was made in. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Simulated {
    attempt: Arc<Attempt>,
    surroundings: Arc<Surroundings>,
    /// What the run depends on.
    reads: EnvironmentReads,
}

/// What a simulation was made in.
#[derive(Debug)]
struct Surroundings {
    parent_hash: B256,
    block_env: BlockEnv,
    cfg_env: CfgEnv,
}

impl Surroundings {
    fn of(block: &PreparedBlock) -> Arc<Self> {
        let PreparedBlock { parent_hash, block_env, cfg_env, .. } = block;
        Arc::new(Self { parent_hash: *parent_hash, block_env: block_env.clone(), cfg_env: cfg_env.clone() })
    }
}

/// Simulates each transaction of `block` alone on `parent`, one after the other on the calling thread. `earlier` has one entry a
/// transaction, or none at all: simulations of the same transactions on other parents, which are kept where they hold on
/// this one. The state that a hash of a parent names must not change.
///
/// # Panics
/// If the state panics.
pub fn simulate_each<DB: DatabaseRef>(
    block: &PreparedBlock,
    parent: &DB,
    earlier: &[Option<Simulated>],
) -> Vec<Simulated> {
    if block.is_empty() {
        return Vec::new();
    }
    let surroundings = Surroundings::of(block);
    let (memory, outputs) = (MvMemory::new(0), PrecompileOutputs::default());
    let mut instance = Instance::new(block, parent, &memory, &outputs);
    let simulate = |position: usize| {
        let earlier = earlier.get(position).and_then(Option::as_ref);
        if let Some(kept) = earlier.filter(|earlier| earlier.holds_on(block, parent)) {
            return Simulated { surroundings: Arc::clone(&surroundings), ..kept.clone() };
        }
        let attempt = instance.speculate(TxIndex::from_usize(position));
        let mut reads = match &attempt {
            Attempt::Simulation(run) => run.environment,
            Attempt::Transfer(_) | Attempt::Refused => EnvironmentReads::default(),
        };
        if block.txs[position].tx_type == BLOB_TYPE {
            reads.insert(EnvironmentReads::BLOB_FEE);
        }
        Simulated { attempt: Arc::new(attempt), surroundings: Arc::clone(&surroundings), reads }
    };
    (0..block.len()).map(simulate).collect()
}

impl Simulated {
    /// Whether there is a result: without one the transaction could not run on the state that the simulation saw.
    pub fn has_result(&self) -> bool {
        !matches!(*self.attempt, Attempt::Refused)
    }

    /// Whether both come from one run: the later one was kept, not made.
    pub fn is_same_run(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.attempt, &other.attempt)
    }

    /// Hash of the block on whose state it was made.
    pub fn parent_hash(&self) -> B256 {
        self.surroundings.parent_hash
    }

    /// Whether it is what simulating in `block` would give, were the state the same.
    fn fits(&self, block: &PreparedBlock) -> bool {
        let (seen, now) = (&self.surroundings.block_env, &block.block_env);
        seen.basefee == now.basefee
            && self.surroundings.cfg_env == block.cfg_env
            && self.reads.hold(seen, now)
            // CONSENSUS: EIP-3651, the beneficiary is warm.
            && (seen.beneficiary == now.beneficiary || !self.looks_at(&[seen.beneficiary, now.beneficiary]))
    }

    fn looks_at(&self, addresses: &[Address]) -> bool {
        match &*self.attempt {
            Attempt::Simulation(run) => run.accounts.iter().any(|access| addresses.contains(&access.address)),
            Attempt::Transfer(_) | Attempt::Refused => false,
        }
    }

    /// Whether it is what simulating in `block` on `parent` would give.
    fn holds_on<DB: DatabaseRef>(&self, block: &PreparedBlock, parent: &DB) -> bool {
        self.fits(block)
            && !self.reads.contains(EnvironmentReads::ANCESTORS)
            && execute::holds_on_parent(&self.attempt, parent)
    }
}

impl Simulations {
    /// What is known of the transactions of `block`, one entry a transaction in block order; `None` if nothing of it can be
    /// adopted there. Each entry must be of the same transaction.
    pub fn gather<'a>(block: &PreparedBlock, known: impl IntoIterator<Item = Option<&'a Simulated>>) -> Option<Self> {
        let mut attempts = Vec::with_capacity(block.len());
        let mut adoptable = 0;
        for simulated in known {
            let usable = simulated.filter(|known| known.parent_hash() == block.parent_hash && known.fits(block));
            adoptable += usize::from(usable.is_some_and(Simulated::has_result));
            attempts.push(usable.map_or(Attempt::Refused, |usable| Attempt::clone(&usable.attempt)));
        }
        (adoptable > 0 && attempts.len() == block.len()).then(|| Self::of(block, attempts))
    }
}
