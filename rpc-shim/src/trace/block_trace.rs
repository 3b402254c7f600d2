//! How a block runs in parallel: every run of every transaction with its worker and times, what each read and wrote, and why runs
//! were thrown away.
//!
//! Place in the flow: what `laminar_getBlockTrace` answers; a known block runs twice more, once on the parallel executor with a
//! clock, once one by one for what it reads and writes.
//! Invariant: times are of the run that was made for the answer. Dependencies are those of the block itself, not predicted ones: a
//! transaction depends on the last one before it that wrote a slot that it reads, or its sender's account. The beneficiary's fees
//! and transfers to somebody else make nobody wait and are no dependency.

use super::replay::{ReplayBlock, prepare, replay};
use crate::call::{CallError, Deadline};
use alloy_primitives::{Address, B256, U256};
use laminar_executor::{
    BlockExecutor, Config, Knowledge, Mode, Predict, Stats,
    outcome::{Span, SpanKind},
};
use revm::{
    database_interface::{DBErrorMarker, DatabaseRef},
    inspector::NoOpInspector,
};
use serde::Serialize;
use std::{collections::BTreeMap, time::Instant};

/// How a block runs in parallel.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct BlockTrace {
    /// Number of the block.
    pub number: u64,
    /// Hash of the block.
    pub hash: B256,
    /// How it ran when it was imported or built, if that was since the node started; without times.
    pub imported: Option<Run>,
    /// How it ran for this answer, in parallel whatever its size.
    pub traced: Run,
    /// Nanoseconds that the traced run took, system calls included.
    pub duration_ns: u64,
    /// Every run of a transaction, by its start.
    pub spans: Vec<SpanRow>,
    /// The transactions in block order.
    pub transactions: Vec<TxRow>,
    /// What the dependencies allow.
    pub bound: Bound,
}

/// The statistics of one execution.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// `parallel` or `sequential`.
    pub path: &'static str,
    /// Workers that took part.
    pub workers: usize,
    /// Runs of transactions.
    pub incarnations: u64,
    /// Transactions whose simulation from before held.
    pub adopted: u64,
    /// Runs whose result was thrown away.
    pub aborted: u64,
    /// Plain transfers without the interpreter.
    pub transfers: u64,
    /// Levels of the predicted conflict graph; zero without a prediction.
    pub predicted_batches: u64,
    /// Gas on its longest path; zero without a prediction.
    pub predicted_critical_path_gas: u64,
}

/// One run of one transaction.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SpanRow {
    /// The worker, from zero.
    pub worker: usize,
    /// Position of the transaction.
    pub transaction: u32,
    /// The how-manieth run of the transaction.
    pub incarnation: u32,
    /// `presimulate`, `execute` or `reexecute`.
    pub kind: &'static str,
    /// Nanoseconds from the start of the block.
    pub start_ns: u64,
    /// Nanoseconds from the start of the block.
    pub end_ns: u64,
}

/// One transaction.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TxRow {
    /// Position in the block.
    pub index: usize,
    /// Its hash.
    pub hash: B256,
    /// Gas that it used.
    pub gas_used: u64,
    /// Slots that it looked at and accounts that it loaded.
    pub reads: Vec<Location>,
    /// Slots and accounts that it changed.
    pub writes: Vec<Location>,
    /// Why it cannot run before others: for each location the last transaction before that wrote it.
    pub depends_on: Vec<Dependency>,
    /// Whether a result of it was thrown away in the traced run.
    pub aborted: bool,
    /// The location that was found stale then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale_at: Option<Location>,
}

/// An account, or one of its slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Location {
    /// The account.
    pub address: Address,
    /// The slot; none for the account itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<U256>,
}

/// What a transaction waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Dependency {
    /// Position of the other transaction.
    pub on: usize,
    /// What that one wrote and this one reads.
    pub location: Location,
}

/// What no executor can beat, however many cores it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bound {
    /// Levels of the graph of dependencies.
    pub batches: usize,
    /// The most expensive chain of dependencies.
    pub critical_path: Vec<usize>,
    /// Its gas.
    pub critical_path_gas: u64,
    /// Gas of the block.
    pub gas_used: u64,
}

/// Runs a known block again on the state `view` of its parent and tells how that went. `imported` are the statistics of its import, where they
/// are known.
///
/// # Errors
/// The block cannot run again.
pub fn block_trace<DB: DatabaseRef<Error: DBErrorMarker> + Clone + Sync>(
    target: &ReplayBlock<'_>,
    view: DB,
    imported: Option<&Stats>,
    deadline: Deadline,
) -> Result<BlockTrace, CallError> {
    let config = Config { mode: Mode::Parallel, predict: Predict::Presimulate, timeline: true, ..Config::default() };
    let executor = BlockExecutor::new(config).map_err(|error| CallError::Internal { what: error.to_string() })?;
    let prepared = prepare(target)?;
    let start = Instant::now();
    let outcome = executor.execute(target.block, &prepared, &view, Knowledge::Nothing)?;
    let duration_ns = nanoseconds(start.elapsed());
    let mut transactions = rows(target, view, deadline)?;
    for span in outcome.stats.timeline.iter().filter(|span| span.kind == SpanKind::Reexecute) {
        if let Some(row) = transactions.get_mut(span.index.as_usize()) {
            row.aborted = true;
        }
    }
    for (index, location) in &outcome.stats.stale {
        if let Some(row) = transactions.get_mut(index.as_usize()) {
            row.stale_at = stale_at(location);
        }
    }
    let mut spans: Vec<SpanRow> = outcome.stats.timeline.iter().map(span_row).collect();
    spans.sort_by_key(|span| span.start_ns);
    Ok(BlockTrace {
        number: target.block.header.number,
        hash: target.hash,
        imported: imported.map(run),
        traced: run(&outcome.stats),
        duration_ns,
        spans,
        bound: bound(&transactions),
        transactions,
    })
}

fn nanoseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

fn run(stats: &Stats) -> Run {
    Run {
        path: stats.path.name(),
        workers: stats.workers,
        incarnations: stats.incarnations,
        adopted: stats.adopted,
        aborted: stats.aborted,
        transfers: stats.transfers,
        predicted_batches: stats.batches,
        predicted_critical_path_gas: stats.critical_path_gas,
    }
}

/// The account or slot of an executor's location.
fn stale_at(location: &laminar_executor::location::Location) -> Option<Location> {
    let slot = if let laminar_executor::location::Location::Slot(_, slot) = location { Some(*slot) } else { None };
    location.address().map(|address| Location { address: *address, slot })
}

fn span_row(span: &Span) -> SpanRow {
    SpanRow {
        worker: span.worker,
        transaction: span.index.0,
        incarnation: span.incarnation.0,
        kind: match span.kind {
            SpanKind::Presimulate => "presimulate",
            SpanKind::Execute => "execute",
            SpanKind::Reexecute => "reexecute",
        },
        start_ns: nanoseconds(span.start),
        end_ns: nanoseconds(span.end),
    }
}

/// What each transaction reads and writes where it stands, and what it depends on.
fn rows<DB: DatabaseRef<Error: DBErrorMarker>>(
    target: &ReplayBlock<'_>,
    view: DB,
    deadline: Deadline,
) -> Result<Vec<TxRow>, CallError> {
    let beneficiary = target.block.header.beneficiary;
    let mut last_writer = BTreeMap::<Location, usize>::new();
    let mut rows = Vec::with_capacity(target.senders.len());
    replay(target, view, deadline, 0..target.senders.len(), NoOpInspector::default, |replayed| {
        let (mut reads, mut writes, mut depends_on) = (Vec::new(), Vec::new(), Vec::new());
        for (address, account) in &replayed.ran.state {
            let location = Location { address: *address, slot: None };
            reads.push(location);
            let before = replayed.machine.state().basic_ref(*address).map_err(CallError::state)?.unwrap_or_default();
            let info = &account.info;
            let same = (before.balance, before.nonce, before.code_hash) == (info.balance, info.nonce, info.code_hash);
            if !same && *address != beneficiary {
                writes.push(location);
            }
            for (slot, value) in &account.storage {
                let location = Location { address: *address, slot: Some(*slot) };
                reads.push(location);
                if value.is_changed() {
                    writes.push(location);
                }
            }
        }
        reads.sort_unstable();
        writes.sort_unstable();
        let sender = Location { address: replayed.tx.caller, slot: None };
        for location in reads.iter().filter(|location| location.slot.is_some() || **location == sender) {
            depends_on.extend(last_writer.get(location).map(|on| Dependency { on: *on, location: *location }));
        }
        last_writer.extend(writes.iter().map(|location| (*location, replayed.index)));
        let hash = *target.block.body.transactions[replayed.index].tx_hash();
        let gas_used = replayed.ran.result.tx_gas_used();
        rows.push(TxRow {
            index: replayed.index,
            hash,
            gas_used,
            reads,
            writes,
            depends_on,
            aborted: false,
            stale_at: None,
        });
        Ok(())
    })?;
    Ok(rows)
}

fn bound(rows: &[TxRow]) -> Bound {
    // Level, gas of the dearest path up to and including the transaction, and the one before on it.
    let mut paths: Vec<(usize, u64, Option<usize>)> = Vec::with_capacity(rows.len());
    for row in rows {
        let before = row.depends_on.iter().map(|dependency| dependency.on);
        let level = before.clone().map(|on| paths[on].0 + 1).max().unwrap_or(0);
        let on = before.max_by_key(|on| paths[*on].1);
        paths.push((level, on.map_or(0, |on| paths[on].1) + row.gas_used, on));
    }
    let last = (0..rows.len()).max_by_key(|index| paths[*index].1);
    let mut critical_path: Vec<usize> = std::iter::successors(last, |index| paths[*index].2).collect();
    critical_path.reverse();
    Bound {
        batches: paths.iter().map(|path| path.0 + 1).max().unwrap_or(0),
        critical_path_gas: last.map_or(0, |index| paths[index].1),
        critical_path,
        gas_used: rows.iter().map(|row| row.gas_used).sum(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_the_dearest_chain() {
        let location = Location { address: Address::ZERO, slot: None };
        let row = |index, gas_used, on: &[usize]| TxRow {
            index,
            hash: B256::ZERO,
            gas_used,
            reads: vec![],
            writes: vec![],
            depends_on: on.iter().map(|on| Dependency { on: *on, location }).collect(),
            aborted: false,
            stale_at: None,
        };
        let rows = [row(0, 10, &[]), row(1, 50, &[]), row(2, 10, &[0]), row(3, 5, &[2, 1]), row(4, 1, &[])];
        let expected = Bound { batches: 3, critical_path: vec![1, 3], critical_path_gas: 55, gas_used: 76 };
        assert_eq!(bound(&rows), expected);
        assert_eq!(bound(&[]).critical_path, Vec::<usize>::new());
    }
}
