//! The tries of a store in memory: all nodes of one block's state, moved from block to block.
//!
//! Place in the flow: below `backend`, which asks for the root after a block and for proofs.
//! Invariants: the tries are those of the state after `at`; every block that they can be asked for has its step, from the
//! genesis on. Moving undoes and redoes blocks over the last common ancestor, so its cost is that of the blocks between.

use crate::{
    changes::{BlockChanges, WipedStorage},
    store::{AccountProof, BlockRef, StateView, StoreError, wiped_storage},
    trie::{NoSource, StateTrie},
    witness::TouchedKeys,
};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256, map::B256Map};
use std::sync::Arc;

/// A block as a change of the tries.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) number: u64,
    pub(super) parent: B256,
    pub(super) changes: Arc<BlockChanges>,
    pub(super) wiped: Arc<WipedStorage>,
}

/// Tries and the block that they stand at.
#[derive(Debug)]
pub(super) struct MovedTries {
    tries: StateTrie,
    at: B256,
    steps: B256Map<Step>,
}

impl MovedTries {
    pub(super) fn new(tries: StateTrie, genesis: BlockRef) -> Self {
        let step = Step { number: genesis.number, parent: B256::ZERO, changes: Arc::default(), wiped: Arc::default() };
        Self { tries, at: genesis.hash, steps: B256Map::from_iter([(genesis.hash, step)]) }
    }

    /// The state root after a block, which is known from now on.
    pub(super) fn add(&mut self, hash: B256, step: Step) -> Result<B256, StoreError> {
        if !self.steps.contains_key(&step.parent) {
            // The parent was discarded meanwhile.
            return Err(StoreError::UnknownBlock { hash: step.parent });
        }
        self.steps.entry(hash).or_insert(step);
        self.move_to(hash);
        Ok(self.tries.root())
    }

    /// The state root after a known block without children when `changes` are made on top of it; its step is `all` from now on.
    pub(super) fn amend(
        &mut self,
        hash: B256,
        changes: &BlockChanges,
        all: &Arc<BlockChanges>,
        wiped: &Arc<WipedStorage>,
    ) -> B256 {
        self.move_to(hash);
        apply(&mut self.tries, changes);
        if let Some(step) = self.steps.get_mut(&hash) {
            (step.changes, step.wiped) = (all.clone(), wiped.clone());
        }
        self.tries.root()
    }

    /// Forgets a block without children.
    pub(super) fn forget(&mut self, hash: &B256) {
        if let Some(parent) = self.steps.get(hash).map(|step| step.parent) {
            if self.at == *hash {
                self.move_to(parent);
            }
            self.steps.remove(hash);
        }
    }

    /// The proof of an account and slots in a view of a known block.
    pub(super) fn proof(
        &mut self,
        view: &StateView,
        address: &Address,
        slots: &[U256],
    ) -> Result<AccountProof, StoreError> {
        self.move_to_view(view)?;
        let hash = keccak256(address);
        let leaf = self.tries.accounts.get(&hash).expect("all nodes of a full state are known");
        let values = slots.iter().map(|slot| Ok((*slot, view.slot(address, *slot)?)));
        let values: Vec<_> = values.collect::<Result<_, StoreError>>()?;
        let storage = self.tries.storages.get(&hash);
        Ok(AccountProof::new(*address, leaf, &self.tries.accounts, storage, &values))
    }

    /// The nodes that a block on a view of a known block needs.
    pub(super) fn witness(
        &mut self,
        view: &StateView,
        touched: &TouchedKeys,
        changes: &BlockChanges,
    ) -> Result<Vec<Bytes>, StoreError> {
        self.move_to_view(view)?;
        Ok(self.tries.witness(touched, changes)?)
    }

    /// The state root after changes on a view of a known block. The tries stay.
    pub(super) fn root_after(&mut self, view: &StateView, changes: &BlockChanges) -> Result<B256, StoreError> {
        let wiped = wiped_storage(changes, view)?;
        self.move_to_view(view)?;
        apply(&mut self.tries, changes);
        let root = self.tries.root();
        apply(&mut self.tries, &changes.inverse(&wiped));
        Ok(root)
    }

    fn move_to_view(&mut self, view: &StateView) -> Result<(), StoreError> {
        let hash = view.block().hash;
        if !self.steps.contains_key(&hash) {
            return Err(StoreError::UnknownBlock { hash });
        }
        self.move_to(hash);
        if self.tries.root() == view.state_root() { Ok(()) } else { Err(StoreError::Amended { hash }) }
    }

    fn move_to(&mut self, to: B256) {
        let (mut target, mut redo) = (to, Vec::new());
        while self.at != target {
            let (left, right) = (&self.steps[&self.at], &self.steps[&target]);
            let (undoes, redoes) = (left.number >= right.number, right.number >= left.number);
            if redoes {
                redo.push(target);
                target = right.parent;
            }
            if undoes {
                let undone = left.changes.inverse(&left.wiped);
                self.at = left.parent;
                apply(&mut self.tries, &undone);
            }
        }
        for hash in redo.into_iter().rev() {
            apply(&mut self.tries, &self.steps[&hash].changes);
            self.at = hash;
        }
    }
}

fn apply(tries: &mut StateTrie, changes: &BlockChanges) {
    tries.apply(changes, &NoSource).expect("all nodes of a full state are known");
}
