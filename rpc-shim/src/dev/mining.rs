//! Mining a block, and editing the state between two.
//!
//! Place in the flow: the miner and `evm_mine` call it.
//! Invariant: after a block is mined the pool stands on it, before the next one begins; a candidate that can never be mined left
//! the pool with the reason.

use super::{
    Dev, DevError,
    edits::{self, Edit},
    now,
};
use crate::{
    build::{self, Attributes, GasLimit},
    node::{BlockRecord, HeadChange},
    pool::{PoolError, Pooled},
};
use alloy_primitives::{Address, keccak256};
use laminar_executor::rule::Rule;
use std::sync::Arc;

impl Dev {
    /// Mines a block of what the pool has; it becomes the head.
    ///
    /// # Errors
    /// See [`DevError`]; the head stays.
    pub fn mine(&self) -> Result<Arc<BlockRecord>, DevError> {
        let _chain = self.chain.lock();
        self.mine_on_head(|head| {
            let gas_limit = self.controls.lock().gas_limit.unwrap_or(head.header.gas_limit);
            build::candidates(&self.pool, gas_limit)
        })
    }

    /// As [`Self::mine`], so many seconds after the head if that is given.
    ///
    /// # Errors
    /// See [`DevError`]; the head stays.
    pub fn mine_after(&self, seconds: Option<u64>) -> Result<Arc<BlockRecord>, DevError> {
        if let Some(seconds) = seconds {
            let parent = self.node.head().header.timestamp;
            self.set_next_timestamp(parent.saturating_add(seconds))?;
        }
        self.mine()
    }

    /// Mines while the pool has executable transactions.
    ///
    /// # Errors
    /// See [`DevError`].
    pub(super) fn mine_all(&self) -> Result<(), DevError> {
        loop {
            let turn = self.signal.turn();
            let is_done = self.pool.best(1, usize::MAX).is_empty();
            if !is_done {
                self.mine()?;
            }
            self.signal.end(turn);
            if is_done {
                return Ok(());
            }
        }
    }

    /// Edits an account in the state after the head.
    ///
    /// # Errors
    /// The state could not be read; nothing has changed.
    pub fn edit(&self, address: Address, edit: Edit) -> Result<(), DevError> {
        let mut snapshots = self.chain.lock();
        let head = self.node.head().hash();
        let state = self.node.state_of(&head)?;
        let changes = edits::changes_of(&state, address, edit)?;
        self.node.amend(&changes)?;
        snapshots.note_edit(head, self.node.genesis().hash(), edits::inverse(&changes));
        self.judge_anew()?;
        drop(snapshots);
        self.signal.wake();
        Ok(())
    }

    pub(super) fn mine_on_head(
        &self,
        choose: impl FnOnce(&BlockRecord) -> Vec<Arc<Pooled>>,
    ) -> Result<Arc<BlockRecord>, DevError> {
        let head = self.node.head();
        let now = now();
        let attributes = self.attributes(&head, now);
        let built = self.node.build(&head, &attributes, choose(&head))?;
        let left_out = built.left_out.clone();
        let record = self.node.adopt(built)?;
        {
            let mut controls = self.controls.lock();
            controls.clock.mined(now, attributes.timestamp);
            (controls.base_fee, controls.prev_randao) = (None, None);
        }
        let change = self.node.set_head(record.hash())?;
        self.follow(&change)?;
        let is_empty = record.body.transactions.is_empty();
        for (tx, rule) in left_out {
            if !may_be_mined_later(&rule, is_empty) {
                self.pool.remove(&tx.hash(), Some(PoolError::from(rule)));
            }
        }
        Ok(record)
    }

    /// The pool follows a change of the head.
    pub(super) fn follow(&self, change: &HeadChange) -> Result<(), DevError> {
        let head = self.next_head()?;
        Ok(self.pool.set_head(head, change.for_pool())?)
    }

    /// What a block that is made now on `head` is made with.
    pub(crate) fn next_attributes(&self, head: &BlockRecord) -> Attributes {
        self.attributes(head, now())
    }

    pub(super) fn attributes(&self, head: &BlockRecord, now: u64) -> Attributes {
        let controls = self.controls.lock();
        let timestamp = controls.clock.peek(now, head.header.timestamp);
        Attributes {
            beneficiary: controls.coinbase,
            // Different in each block and the same in each run.
            prev_randao: controls.prev_randao.unwrap_or_else(|| keccak256(head.hash())),
            gas_limit: GasLimit::Exactly(controls.gas_limit.unwrap_or(head.header.gas_limit)),
            base_fee: controls.base_fee,
            same_second: true,
            ..Attributes::new(timestamp, head.header.gas_limit)
        }
    }
}

/// Whether a candidate that was left out of a block waits for another. In a block without any transaction nothing but the
/// state stood in its way, and the next block finds the same state.
fn may_be_mined_later(rule: &Rule, block_is_empty: bool) -> bool {
    match rule {
        Rule::GasAllowance { .. } | Rule::BlobGasAllowance { .. } => !block_is_empty,
        Rule::NonceTooHigh { .. } | Rule::NonceTooLow { .. } | Rule::InsufficientFunds { .. } => !block_is_empty,
        _ => false,
    }
}
