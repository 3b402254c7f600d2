//! What a block's transactions are worth: whether they pay for workers, and how many a worker takes at once.
//!
//! Place in the flow: the executor asks before it runs a block; the numbers are measured (`docs/performance.md`).
//! Invariant: it looks at gas limits and the gas that the header names, at no state; a wrong answer costs time only.

use crate::{env::PreparedBlock, execute::TRANSFER_GAS};

/// Gas beside plain transfers below which a block runs sequentially by choice: waking the workers costs more than they save.
pub(crate) const PARALLEL_GAS_MIN: u64 = 2_000_000;
/// Gas from which on a block is surely long enough for all workers.
pub(crate) const TRIAL_GAS_MAX: u64 = 10_000_000;
/// Transactions other than plain transfers below which a block runs sequentially by choice.
const PARALLEL_TXS_MIN: usize = 3;
/// Plain transfers from which on they alone are worth the workers: one takes about a microsecond, and only its reads of the
/// parent go to other workers.
const PARALLEL_TRANSFERS_MIN: usize = 2_000;

/// Transactions that a worker takes at once at most. Neighbours share cache lines: their slots, and what they write where the
/// last ones wrote.
const AT_ONCE_MAX: usize = 16;
/// Handfuls that each worker finds at least in a block of other transactions than plain transfers, so that they end together.
const HANDFULS_PER_WORKER_MIN: usize = 64;

/// Whether the block has enough work for more than one worker. A plain transfer is hardly work: much of it is merge's.
pub(crate) fn pays_in_parallel(prepared: &PreparedBlock, gas_used: u64) -> bool {
    let transfers = plain_transfers(prepared);
    let gas = gas_used.saturating_sub(TRANSFER_GAS.saturating_mul(transfers as u64));
    let calls_pay = prepared.txs.len() - transfers >= PARALLEL_TXS_MIN && gas >= PARALLEL_GAS_MIN;
    calls_pay || transfers >= PARALLEL_TRANSFERS_MIN
}

/// Transactions that can be nothing but plain transfers, or fail.
fn plain_transfers(prepared: &PreparedBlock) -> usize {
    prepared.txs.iter().filter(|tx| tx.gas_limit == TRANSFER_GAS).count()
}

/// How many transactions one of `workers` takes at once.
pub(crate) fn handful(prepared: &PreparedBlock, workers: usize) -> usize {
    let txs = prepared.txs.len();
    if plain_transfers(prepared).saturating_mul(10) >= txs.saturating_mul(9) {
        return AT_ONCE_MAX;
    }
    (txs / (workers * HANDFULS_PER_WORKER_MIN)).clamp(1, AT_ONCE_MAX)
}
