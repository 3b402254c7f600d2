//! A block's transactions one after the other, on the committed prefix: no schedule, nothing published.
//!
//! Place in the flow: short blocks, blocks that do not pay for workers, and what is left where a worker panicked.
//! Invariant: the same runs and the same merge as over the pool; a panic becomes an error and nothing is committed halfway.

use crate::{
    effects::Attempt,
    error::ExecuteError,
    execute::{Instance, PrecompileOutputs},
    merge::{Committer, Source, Surroundings},
    mv_memory::MvMemory,
};
use revm::DatabaseRef;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Runs and commits the transactions that are left, one after the other, as long as `goes_on` says so.
///
/// # Errors
/// The block is invalid, a read failed, or a run panicked.
pub(crate) fn run_rest<DB: DatabaseRef>(
    around: Surroundings<'_, DB>,
    mut committer: Committer,
    mut goes_on: impl FnMut(&Committer) -> bool,
) -> Result<Committer, ExecuteError> {
    if committer.next().as_usize() == around.block.txs.len() {
        return Ok(committer);
    }
    let (memory, outputs) = (MvMemory::new(0), PrecompileOutputs::default());
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut instance = Instance::new(around.block, around.parent, &memory, &outputs);
        while committer.next().as_usize() < around.block.txs.len() && goes_on(&committer) {
            committer.commit(&mut instance, around.block, None, Attempt::Refused, Source::Parent)?;
        }
        Ok(committer)
    }));
    outcome.unwrap_or_else(|panic| {
        let what = panic.downcast_ref::<&str>().map(ToString::to_string);
        let what = what.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_default();
        Err(ExecuteError::Bug { stage: "execute", what: format!("a run panicked: {what}") })
    })
}
