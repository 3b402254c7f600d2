//! What is known of one block after its replay; as JSON, the command's stable interface.
//!
//! Place in the flow: filled by replay, printed by the tables and files beside this one.
//! Invariant: what was not measured or cannot be known is `null`, never zero or `false`.

use laminar_executor::Stats;
use serde::{Serialize, Serializer, ser::SerializeStruct};
use std::fmt;

/// Which header fields are right; `None` where the data cannot tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Verified {
    /// Gas used.
    pub(crate) gas: Option<bool>,
    /// Root of the receipts.
    pub(crate) receipts_root: Option<bool>,
    /// Bloom of the logs.
    pub(crate) logs_bloom: Option<bool>,
    /// Root of the state after the block.
    pub(crate) state_root: Option<bool>,
    /// Hash of the requests (EIP-7685).
    pub(crate) requests_hash: Option<bool>,
}

impl Verified {
    /// The fields in the order of the table.
    pub(crate) const fn fields(&self) -> [Option<bool>; 5] {
        [self.gas, self.receipts_root, self.logs_bloom, self.state_root, self.requests_hash]
    }
}

/// Medians in milliseconds, of wall time unless named otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Times {
    /// Lean sequential revm, from recovered senders to the outcome.
    pub(crate) sequential_ms: Option<f64>,
    /// The executor, over the same span.
    pub(crate) parallel_ms: Option<f64>,
    /// Processor time of the executor, all threads.
    pub(crate) cpu_ms: Option<f64>,
    /// Processor time of lean sequential revm.
    pub(crate) sequential_cpu_ms: Option<f64>,
    /// Simulations before the executor's clock started.
    pub(crate) simulate_ms: Option<f64>,
    /// Raw block to typed transactions.
    pub(crate) decode_ms: Option<f64>,
    /// Senders and authorities.
    pub(crate) recover_ms: Option<f64>,
    /// Receipts root and bloom.
    pub(crate) receipts_ms: Option<f64>,
    /// State root.
    pub(crate) root_ms: Option<f64>,
    /// Decode, recover, execute, receipts root and state root, one after the other.
    pub(crate) path_ms: Option<f64>,
}

/// Why a block's replay is not a success.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// The block breaks a rule of the chain.
    Refused(String),
    /// Parallel and sequential disagree, or the executor failed by itself.
    Differs(String),
    /// The input does not hold what execution needs.
    Unreadable(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Refused(what) | Self::Differs(what) | Self::Unreadable(what)) = self;
        f.write_str(what)
    }
}

/// One replayed block.
#[derive(Clone, Debug)]
pub(crate) struct BlockReport {
    /// Where it came from.
    pub(crate) file: String,
    /// Its number.
    pub(crate) block: u64,
    pub(crate) chain_id: u64,
    /// Name of the newest fork that is active in it.
    pub(crate) fork: Option<&'static str>,
    /// Number of transactions.
    pub(crate) txs: usize,
    /// Gas that execution used; before it, what the header claims.
    pub(crate) gas_used: u64,
    pub(crate) verified: Verified,
    /// Parallel equals sequential on receipts, requests and every account and slot; in every repetition.
    pub(crate) identical: Option<bool>,
    pub(crate) times: Times,
    /// How the last repetition ran.
    pub(crate) stats: Stats,
    pub(crate) failure: Option<Failure>,
}

impl BlockReport {
    /// A block of which nothing is known yet.
    pub(crate) fn new(file: String, chain_id: u64) -> Self {
        Self {
            file,
            block: 0,
            chain_id,
            fork: None,
            txs: 0,
            gas_used: 0,
            verified: Verified::default(),
            identical: None,
            times: Times::default(),
            stats: Stats::default(),
            failure: None,
        }
    }

    /// Whether the executor ran it.
    pub(crate) const fn is_executed(&self) -> bool {
        self.times.parallel_ms.is_some()
    }

    /// Sequential over parallel time, if both were measured.
    pub(crate) fn speed_up(&self) -> Option<f64> {
        Some(self.times.sequential_ms? / self.times.parallel_ms?)
    }

    /// The path that the executor took, if it ran.
    pub(crate) fn mode(&self) -> Option<&'static str> {
        self.is_executed().then_some(self.stats.path.name())
    }
}

/// Milliseconds with four digits after the point: a tenth of a microsecond.
pub(super) fn rounded(value: Option<f64>) -> Option<f64> {
    value.map(|value| (value * 1e4).round() / 1e4)
}

impl Serialize for BlockReport {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (times, stats) = (&self.times, &self.stats);
        let mut object = serializer.serialize_struct("BlockReport", 32)?;
        object.serialize_field("block", &self.block)?;
        object.serialize_field("chain_id", &self.chain_id)?;
        object.serialize_field("file", &self.file)?;
        object.serialize_field("fork", &self.fork)?;
        object.serialize_field("txs", &self.txs)?;
        object.serialize_field("gas_used", &self.gas_used)?;
        object.serialize_field("verified", &self.verified)?;
        object.serialize_field("identical", &self.identical)?;
        object.serialize_field("sequential_ms", &rounded(times.sequential_ms))?;
        object.serialize_field("parallel_ms", &rounded(times.parallel_ms))?;
        object.serialize_field("speed_up", &rounded(self.speed_up()))?;
        object.serialize_field("cpu_ms", &rounded(times.cpu_ms))?;
        object.serialize_field("sequential_cpu_ms", &rounded(times.sequential_cpu_ms))?;
        object.serialize_field("simulate_ms", &rounded(times.simulate_ms))?;
        object.serialize_field("decode_ms", &rounded(times.decode_ms))?;
        object.serialize_field("recover_ms", &rounded(times.recover_ms))?;
        object.serialize_field("receipts_ms", &rounded(times.receipts_ms))?;
        object.serialize_field("root_ms", &rounded(times.root_ms))?;
        object.serialize_field("path_ms", &rounded(times.path_ms))?;
        object.serialize_field("workers", &stats.workers)?;
        object.serialize_field("mode", &self.mode())?;
        object.serialize_field("incarnations", &stats.incarnations)?;
        object.serialize_field("adopted", &stats.adopted)?;
        object.serialize_field("aborted", &stats.aborted)?;
        object.serialize_field("transfers", &stats.transfers)?;
        object.serialize_field("batches", &stats.batches)?;
        object.serialize_field("critical_path_gas", &stats.critical_path_gas)?;
        object.serialize_field("fallback_txs", &stats.fallback.map(|(_, txs)| txs))?;
        object.serialize_field("error", &self.failure.as_ref().map(ToString::to_string))?;
        object.end()
    }
}
