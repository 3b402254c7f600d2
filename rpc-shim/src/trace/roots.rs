//! The state root after each transaction of a block.
//!
//! Place in the flow: what receipts carry before Byzantium; nobody keeps it.
//! Invariant: one root a transaction, in block order.

use super::replay::{ReplayBlock, replay};
use crate::call::{CallError, Deadline, RootAfter, changes::changes_of};
use alloy_primitives::B256;
use revm::{
    database_interface::{DBErrorMarker, DatabaseRef},
    inspector::NoOpInspector,
};

/// The state roots after the transactions of a block on the state `view` of its parent.
///
/// # Errors
/// The block cannot run again.
pub fn intermediate_roots<DB: RootAfter + DatabaseRef<Error: DBErrorMarker>>(
    target: &ReplayBlock<'_>,
    view: DB,
    deadline: Deadline,
) -> Result<Vec<B256>, CallError> {
    let clears_empty = target.spec.rules_for(&target.block.header).clears_empty_accounts();
    let mut roots = Vec::with_capacity(target.senders.len());
    replay(target, view, deadline, 0..target.senders.len(), NoOpInspector::default, |replayed| {
        // The visit stands before the changes of its transaction, so they are committed here; once more does no harm.
        replayed.machine.commit(replayed.ran.state.clone());
        let state = replayed.machine.state();
        roots.push(state.db.root_after(&changes_of(state, clears_empty)?)?);
        Ok(())
    })?;
    Ok(roots)
}
