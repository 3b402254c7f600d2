//! Filters that clients poll.
//!
//! Place in the flow: below `eth_newFilter` and its family.
//! Invariant: a filter remembers the head that its client saw last; what happened since is read from the tree, so that nothing is
//! missed and nothing is kept for a client that does not ask. A filter of arriving transactions reads the pool's events, of which
//! the newest are kept once for everybody: a client that asks too seldom misses some. One that is not asked for [`LIFE`] is
//! forgotten.

use crate::{
    convert::{self, Detail, RpcTransaction, block_logs},
    error::{Code, RpcError},
    node::{BlockRecord, Node},
    pool::{Pool, PoolEvent, Pooled},
};
use alloy_primitives::{B256, U64, map::HashMap};
use alloy_rpc_types_eth::{Filter, FilterChanges, Log};
use parking_lot::Mutex;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::broadcast::{Receiver, error::TryRecvError};

/// How long a filter lives without being asked.
const LIFE: Duration = Duration::from_secs(300);
/// Filters at a time.
const FILTERS_MAX: usize = 10_000;

/// The installed filters.
#[derive(Debug, Default)]
pub(crate) struct Filters(Mutex<Installed>);

#[derive(Debug, Default)]
struct Installed {
    by_id: HashMap<u64, Entry>,
    last: u64,
}

#[derive(Debug)]
struct Entry {
    kind: Kind,
    /// The head when the client asked last.
    seen: B256,
    /// What the client has not seen of the pool, where it asks for that.
    arrivals: Option<Receiver<PoolEvent>>,
    asked: Instant,
}

/// How a client names a filter. What cannot be a name of ours names none: a client that asks another node than before must be told
/// that there is no such filter, so that it makes a new one.
#[derive(Clone, Copy, Debug, serde::Deserialize)]
#[serde(from = "String")]
pub(crate) struct FilterId(u64);

impl From<String> for FilterId {
    fn from(name: String) -> Self {
        let digits = name.strip_prefix("0x").unwrap_or_default();
        // Zero is never given.
        Self(u64::from_str_radix(digits, 16).unwrap_or_default())
    }
}

/// What a filter tells of.
#[derive(Clone, Debug)]
pub(crate) enum Kind {
    /// Hashes of new blocks.
    Blocks,
    /// Logs that fit.
    Logs(Box<Filter>),
    /// Transactions that become executable: whole, or their hashes.
    Transactions(Detail),
}

impl Filters {
    /// Installs a filter; its id.
    ///
    /// # Errors
    /// -32005 if there are too many.
    pub(crate) fn install(&self, node: &Node, pool: &Pool, kind: Kind) -> Result<U64, RpcError> {
        let (seen, asked) = (node.head().hash(), Instant::now());
        let arrivals = matches!(kind, Kind::Transactions(_)).then(|| pool.subscribe());
        let mut installed = self.0.lock();
        if installed.by_id.len() >= FILTERS_MAX {
            installed.by_id.retain(|_, entry| entry.asked.elapsed() < LIFE);
        }
        if installed.by_id.len() >= FILTERS_MAX {
            return Err(RpcError::new(Code::LimitExceeded, format_args!("too many filters (max {FILTERS_MAX})")));
        }
        installed.last += 1;
        let id = installed.last;
        installed.by_id.insert(id, Entry { kind, seen, arrivals, asked });
        Ok(U64::from(id))
    }

    /// Forgets a filter; whether there was one.
    pub(crate) fn uninstall(&self, id: FilterId) -> bool {
        self.0.lock().by_id.remove(&id.0).is_some()
    }

    /// The query of a filter for logs.
    ///
    /// # Errors
    /// -32000 if there is no such filter.
    pub(crate) fn query(&self, id: FilterId) -> Result<Filter, RpcError> {
        match self.0.lock().by_id.get(&id.0).map(|entry| &entry.kind) {
            Some(Kind::Logs(filter)) => Ok(Filter::clone(filter)),
            _ => Err(unknown()),
        }
    }

    /// What happened since the client asked last.
    ///
    /// # Errors
    /// -32000 if there is no such filter.
    pub(crate) fn changes(&self, node: &Node, id: FilterId) -> Result<FilterChanges<RpcTransaction>, RpcError> {
        let (kind, seen, arrived) = {
            let mut installed = self.0.lock();
            let entry = installed.by_id.get_mut(&id.0).filter(|entry| entry.asked.elapsed() < LIFE);
            let entry = entry.ok_or_else(unknown)?;
            entry.asked = Instant::now();
            let arrived = entry.arrivals.as_mut().map(drain).unwrap_or_default();
            (entry.kind.clone(), std::mem::replace(&mut entry.seen, node.head().hash()), arrived)
        };
        let change = node.since(&seen).unwrap_or_default();
        Ok(match kind {
            Kind::Blocks => FilterChanges::Hashes(change.added.iter().map(|record| record.hash()).collect()),
            Kind::Transactions(Detail::Hashes) => FilterChanges::Hashes(arrived.iter().map(|tx| tx.hash()).collect()),
            Kind::Transactions(Detail::Full) => {
                FilterChanges::Transactions(arrived.iter().map(|tx| convert::pending(tx)).collect())
            }
            Kind::Logs(filter) => {
                let removed = change.removed.iter().flat_map(|record| matching(&filter, record, true));
                let added = change.added.iter().flat_map(|record| matching(&filter, record, false));
                FilterChanges::Logs(removed.chain(added).collect())
            }
        })
    }
}

/// The transactions that became executable since the last look.
fn drain(events: &mut Receiver<PoolEvent>) -> Vec<Arc<Pooled>> {
    let mut arrived = Vec::new();
    loop {
        match events.try_recv() {
            Ok(PoolEvent::Pending(tx)) => arrived.push(tx),
            Ok(PoolEvent::Dropped(..)) | Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => return arrived,
        }
    }
}

fn unknown() -> RpcError {
    RpcError::server("filter not found")
}

/// The logs of a block that fit a filter's addresses and topics.
pub(crate) fn matching(filter: &Filter, record: &BlockRecord, removed: bool) -> Vec<Log> {
    if !filter.matches_bloom(record.header.logs_bloom) {
        return Vec::new();
    }
    let fits = |log: &Log| filter.matches_address(log.inner.address) && filter.matches_topics(log.topics());
    block_logs(record, removed).filter(fits).collect()
}
