//! Merging what workers deliver, and counting it.
//!
//! Place in the flow: the half of a block's steps that only the one who merges takes.
//! Invariant: transactions are committed in block order, each counted once; what was taken back for a run is known to merge before
//! the run is.

use super::{
    Job, Worker,
    delivered::{Delivered, Origin, Rare},
};
use crate::{
    contention::Contention,
    effects::Attempt,
    error::ExecuteError,
    location::Location,
    merge::{Committer, Source, Taken},
    outcome::{SpanKind, Stats},
    schedule::{Slots, Steps},
    types::TxIndex,
};
use revm::DatabaseRef;

/// The share of a second run's gas, as a divisor, from which on what precompiles gave in the first made that one worth while.
const REHEARSED_SHARE: u64 = 4;

/// The committer with what is counted along the way, and the reason if the block ended early.
pub(super) struct Writer {
    pub(super) committer: Committer,
    pub(super) stats: Stats,
    pub(super) error: Option<ExecuteError>,
    pub(super) contention: Contention,
}

impl<'a, DB: DatabaseRef + Sync> Job<'a, DB> {
    /// Commits the next transaction, from what was `delivered` if it was not left to merge, and counts; true if it was run again
    /// for that.
    pub(super) fn commit_one(
        &self,
        worker: &mut Worker<'a, DB>,
        writer: &mut Writer,
        index: TxIndex,
        delivered: Option<Delivered>,
    ) -> Result<bool, ExecuteError> {
        let Delivered { attempt, origin, rare } = delivered.unwrap_or_else(Delivered::skipped);
        let has_result = !matches!(attempt, Attempt::Refused);
        let stats = &mut writer.stats;
        stats.incarnations += u64::from(origin == Origin::Run);
        if let Some(rare) = rare {
            let Rare { revoked, spans, thrown_away } = *rare;
            writer.committer.revoke(revoked);
            stats.incarnations += thrown_away;
            stats.aborted += thrown_away;
            stats.timeline.extend(spans);
        }
        let block = self.around.block;
        let gas_before = writer.committer.gas_used();
        let (taken, second) = self.clock.span(worker.worker, index, SpanKind::Reexecute, || {
            let source = if origin == Origin::Before { Source::Parent } else { Source::Published };
            writer.committer.commit(&mut worker.instance, block, Some(self.memory), attempt, source)
        });
        let taken = taken?;
        let stats = &mut writer.stats;
        match taken {
            Taken::AsDelivered => stats.adopted += u64::from(origin == Origin::Before),
            Taken::RunAgain(at) => {
                stats.incarnations += 1;
                if let Some(Location::Slot(contract, _)) = &at {
                    self.memory.note_missed(contract);
                }
                stats.stale.extend(at.map(|at| (index, at)));
                stats.aborted += u64::from(has_result);
                stats.timeline.extend(second);
            }
            Taken::LeftOut => {}
        }
        let again = matches!(taken, Taken::RunAgain(_));
        if again {
            self.groups.note_done(index);
        }
        if origin != Origin::Skipped {
            let gas = writer.committer.gas_used() - gas_before;
            let in_vain = again && worker.instance.remembered_gas() < gas / REHEARSED_SHARE;
            writer.contention.note(in_vain);
            self.groups.note(index, in_vain);
        }
        Ok(again)
    }
}

/// Commits the next transactions one after the other, where running ahead did not pay. What was run ahead already is used if
/// it holds.
pub(super) fn commit_stretch<DB: DatabaseRef + Sync>(
    job: &Job<'_, DB>,
    writer: &mut Writer,
    slots: &mut Slots<Delivered>,
) -> Result<(), ExecuteError> {
    let mut worker = job.worker(0);
    for _ in 0..writer.contention.next_stretch() {
        let index = writer.committer.next();
        if index.as_usize() == job.around.block.txs.len() {
            break;
        }
        let delivered = match slots.take(index) {
            Some(delivered) => delivered,
            None => job.without_run(index),
        };
        job.commit_one(&mut worker, writer, index, delivered)?;
    }
    Ok(())
}
