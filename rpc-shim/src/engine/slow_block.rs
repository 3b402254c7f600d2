//! The line about a slow block, in the JSON format that execution clients agreed on, so that the same tools read it from all.
//!
//! Place in the flow: asked by the tracker after each import.
//! Invariant: one line, all keys of the format, times in milliseconds; what Laminar adds stands under `parallel`.
//! Source: the cross-client execution metrics (go-ethereum #33655, reth #21433, nethermind #11400).
//!
//! Reads are those that reached the state before the block, of all workers together; no cache stands in between, so each counts
//! as a miss. Nothing is durable before the next fork choice: `commit_ms` is zero.

use crate::node::{BlockRecord, ImportCosts, Reads};
use laminar_state_db::{Account, BlockChanges};
use revm::bytecode::Bytecode;
use serde_json::{Value, json};
use std::time::Duration;

/// From which time on an import is told of.
#[derive(Clone, Copy, Debug)]
pub(super) struct SlowBlocks {
    threshold: Duration,
}

impl SlowBlocks {
    /// Imports that take as long or longer.
    pub(super) const fn new(threshold: Duration) -> Self {
        Self { threshold }
    }

    /// The line; none for a block that was fast enough.
    pub(super) fn line(&self, record: &BlockRecord, costs: &ImportCosts) -> Option<String> {
        (costs.total() >= self.threshold).then(|| describe(record, costs).to_string())
    }
}

fn describe(record: &BlockRecord, costs: &ImportCosts) -> Value {
    let header = &record.header;
    let seconds = costs.total().as_secs_f64();
    let mgas = header.gas_used as f64 / 1e6;
    let reads = |count: fn(&Reads) -> u64| costs.reads.as_ref().map_or(0, count);
    json!({
        "level": "warn",
        "msg": "Slow block",
        "block": {
            "number": header.number,
            "hash": record.hash(),
            "gas_used": header.gas_used,
            "tx_count": record.body.transactions.len(),
        },
        "timing": {
            "check_ms": ms(costs.check),
            "execution_ms": ms(costs.execute),
            "state_read_ms": ms(costs.reads.as_ref().map_or(Duration::ZERO, Reads::time)),
            "state_hash_ms": ms(costs.root),
            "commit_ms": 0.0,
            "total_ms": ms(costs.total()),
        },
        "throughput": { "mgas_per_sec": if seconds > 0.0 { rounded(mgas / seconds) } else { 0.0 } },
        "state_reads": {
            "accounts": reads(Reads::accounts),
            "storage_slots": reads(Reads::slots),
            "code": reads(Reads::codes),
            "code_bytes": reads(Reads::code_bytes),
        },
        "state_writes": writes(record),
        "cache": {
            "account": misses(reads(Reads::accounts)),
            "storage": misses(reads(Reads::slots)),
            "code": misses(reads(Reads::codes)),
        },
        "parallel": parallel(record, costs),
    })
}

fn writes(record: &BlockRecord) -> Value {
    let Some(changes) = &record.changes else { return Value::Null };
    let deleted = changes.accounts.values().filter(|account| account.after.is_none()).count();
    let slots = || changes.accounts.values().flat_map(|account| account.storage.values());
    json!({
        "accounts": changes.accounts.len(),
        "accounts_deleted": deleted,
        "storage_slots": slots().count(),
        "storage_slots_deleted": slots().filter(|slot| slot.after.is_zero()).count(),
        "code": changes.contracts.len(),
        "code_bytes": changes.contracts.values().map(|code| code.original_byte_slice().len()).sum::<usize>(),
        "eip7702_delegations_set": delegations(changes, |after| is_delegation(changes, after)),
        "eip7702_delegations_cleared": delegations(changes, |after| !after.has_code()),
    })
}

/// Accounts with another code than before, which they have not lost with themselves.
fn delegations(changes: &BlockChanges, is_wanted: impl Fn(&Account) -> bool) -> usize {
    let code = |account: &Option<Account>| account.unwrap_or_default().code_hash;
    let changed = changes.accounts.values().filter(|account| code(&account.before) != code(&account.after));
    changed.filter_map(|account| account.after.as_ref()).filter(|after| is_wanted(after)).count()
}

fn is_delegation(changes: &BlockChanges, account: &Account) -> bool {
    changes.contracts.get(&account.code_hash).is_some_and(Bytecode::is_eip7702)
}

fn misses(reads: u64) -> Value {
    json!({ "hits": 0, "misses": reads, "hit_rate": 0.0 })
}

fn parallel(record: &BlockRecord, costs: &ImportCosts) -> Value {
    let Some(stats) = &record.stats else { return Value::Null };
    json!({
        "path": stats.path.name(),
        "workers": stats.workers,
        "incarnations": stats.incarnations,
        "adopted": stats.adopted,
        "aborted": stats.aborted,
        "transfers": stats.transfers,
        "batches": stats.batches,
        "critical_path_gas": stats.critical_path_gas,
        "root_ahead_ms": ms(costs.ahead),
        "root_ahead_keys": costs.ahead_keys,
    })
}

fn ms(time: Duration) -> f64 {
    rounded(time.as_secs_f64() * 1e3)
}

/// To three digits after the point: microseconds.
fn rounded(number: f64) -> f64 {
    (number * 1e3).round() / 1e3
}
