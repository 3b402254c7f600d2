//! Going back: `evm_snapshot` and `evm_revert`.
//!
//! Place in the flow: beside mining, under the same lock.
//! Invariant: a snapshot names a block and how many edits had been made by then; going back makes the block the head and takes
//! back the edits made on it since, newest first. Edits of later blocks go with those blocks. A snapshot serves once, and going
//! back to it ends those that were taken after it, as on anvil and hardhat.

use super::{Clock, Dev, DevError};
use crate::pool::Pooled;
use alloy_primitives::{B256, keccak256};
use laminar_state_db::BlockChanges;
use std::{collections::BTreeMap, sync::Arc};

/// Snapshots and the edits that they may have to take back.
#[derive(Debug, Default)]
pub(super) struct Snapshots {
    taken: BTreeMap<u64, Snapshot>,
    last: u64,
    /// How to take back each edit, with the block on whose state it was made; oldest first.
    edits: Vec<(B256, BlockChanges)>,
}

#[derive(Clone, Copy, Debug)]
struct Snapshot {
    head: B256,
    edits: usize,
    clock: Clock,
}

impl Snapshots {
    /// Remembers how to take back an edit, if a snapshot or a reset may ask for it.
    pub(super) fn note_edit(&mut self, block: B256, genesis: B256, inverse: BlockChanges) {
        if block == genesis || self.taken.values().any(|snapshot| snapshot.head == block) {
            self.edits.push((block, inverse));
        }
    }
}

impl Dev {
    /// Remembers chain, edits and time; the number to go back with.
    pub fn snapshot(&self) -> u64 {
        let mut snapshots = self.chain.lock();
        let snapshot =
            Snapshot { head: self.node.head().hash(), edits: snapshots.edits.len(), clock: self.controls.lock().clock };
        let id = snapshots.last;
        snapshots.last += 1;
        snapshots.taken.insert(id, snapshot);
        id
    }

    /// Goes back to a snapshot; false if there is none with this number. The pool forgets everything, because what it had may
    /// come from the time that is undone.
    ///
    /// # Errors
    /// The head could not be moved.
    pub fn revert(&self, id: u64) -> Result<bool, DevError> {
        let mut snapshots = self.chain.lock();
        let Some(snapshot) = snapshots.taken.get(&id).copied() else { return Ok(false) };
        snapshots.taken.split_off(&id);
        self.go_back(&mut snapshots, snapshot)?;
        Ok(true)
    }

    /// Goes back to the genesis as it was before any edit. Ends all snapshots.
    ///
    /// # Errors
    /// The head could not be moved.
    pub fn reset(&self) -> Result<(), DevError> {
        let mut snapshots = self.chain.lock();
        snapshots.taken.clear();
        let start = Snapshot { head: self.node.genesis().hash(), edits: 0, clock: Clock::default() };
        self.go_back(&mut snapshots, start)
    }

    /// Takes the last blocks off; false if there are not so many. Their transactions do not return to the pool.
    ///
    /// # Errors
    /// The head could not be moved.
    pub fn rollback(&self, depth: u64) -> Result<bool, DevError> {
        let _snapshots = self.chain.lock();
        let head = self.node.head().header.number;
        let Some(target) = head.checked_sub(depth).and_then(|number| self.node.block_by_number(number)) else {
            return Ok(false);
        };
        self.node.set_head(target.hash())?;
        self.pool.clear(None);
        self.judge_anew()?;
        Ok(true)
    }

    /// Takes the blocks above a number off and mines as many others, of these transactions alone. What was in the old blocks does
    /// not return to the pool.
    ///
    /// # Errors
    /// The head could not be moved, or a block not be built; the chain is then shorter.
    pub fn reorg(&self, target: u64, blocks: Vec<Vec<Pooled>>) -> Result<(), DevError> {
        let _snapshots = self.chain.lock();
        let replaced: Vec<_> = (target + 1..).map_while(|number| self.node.block_by_number(number)).collect();
        let Some(target) = self.node.block_by_number(target) else { return Ok(()) };
        self.node.set_head(target.hash())?;
        self.judge_anew()?;
        for (old, transactions) in replaced.iter().zip(blocks) {
            // The randomness makes a block different from the one in whose place it stands.
            self.controls.lock().prev_randao = Some(keccak256(old.hash()));
            self.mine_on_head(|_| transactions.into_iter().map(Arc::new).collect())?;
        }
        Ok(())
    }

    fn go_back(&self, snapshots: &mut Snapshots, to: Snapshot) -> Result<(), DevError> {
        self.node.set_head(to.head)?;
        for (block, inverse) in snapshots.edits.split_off(to.edits).into_iter().rev() {
            if block == to.head {
                self.node.amend(&inverse)?;
            }
        }
        self.controls.lock().clock = to.clock;
        self.pool.clear(None);
        self.judge_anew()
    }
}
