//! The block that would be next if it were made now: what callers mean by `pending`.
//!
//! Place in the flow: above node, pool and dev; methods that read blocks and states come here where a caller says `pending`.
//! Invariant: nothing of it enters the chain. One is built at a time, whoever else asks waits for it; it is kept for as long as
//! head, attributes and the pool's best are the same.

use crate::{
    build::{self, Attributes},
    call::SLOT_SECONDS,
    dev::Dev,
    error::RpcError,
    node::{BlockRecord, Node, StateView},
    pool::{Pool, Pooled},
};
use parking_lot::Mutex;
use std::sync::Arc;

/// The pending block that was built last.
#[derive(Debug, Default)]
pub(crate) struct Pending(Mutex<Option<(Ground, PendingBlock)>>);

/// A pending block, executed.
#[derive(Clone, Debug)]
pub(crate) struct PendingBlock {
    /// Header, body, receipts.
    pub(crate) record: Arc<BlockRecord>,
    /// The state after it, without proofs.
    pub(crate) view: StateView,
}

/// What a pending block follows from.
#[derive(Debug)]
struct Ground {
    parent: Arc<BlockRecord>,
    attributes: Attributes,
    /// How often the pool was moved: an edit of the head's state moves it too.
    moves: u64,
    candidates: Vec<Arc<Pooled>>,
}

impl Ground {
    fn is_same(&self, other: &Self) -> bool {
        let mut both = self.candidates.iter().zip(&other.candidates);
        self.moves == other.moves
            && self.parent.hash() == other.parent.hash()
            && self.attributes == other.attributes
            && self.candidates.len() == other.candidates.len()
            && both.all(|(own, other)| Arc::ptr_eq(own, other))
    }
}

impl Pending {
    /// The pending block.
    ///
    /// # Errors
    /// -32000 if the head cannot be built on, -32603 if the state cannot be read.
    pub(crate) fn block(&self, node: &Node, pool: &Pool, dev: Option<&Dev>) -> Result<PendingBlock, RpcError> {
        let mut last = self.0.lock();
        let (moves, parent) = (pool.moves(), node.head());
        let attributes = dev.map_or_else(|| after(&parent), |dev| dev.next_attributes(&parent));
        let candidates = build::candidates(pool, pool.head().gas_limit);
        let ground = Ground { parent, attributes, moves, candidates };
        if let Some((_, block)) = last.as_ref().filter(|(known, _)| known.is_same(&ground)) {
            return Ok(block.clone());
        }
        let (record, view) = node
            .preview(&ground.parent, &ground.attributes, ground.candidates.clone())
            .map_err(|error| RpcError::server(format_args!("no pending block: {error}")))?;
        let block = PendingBlock { record: Arc::new(record), view };
        *last = Some((ground, block.clone()));
        Ok(block)
    }
}

/// The next block of a chain that others lead: as the head, one slot later.
fn after(parent: &BlockRecord) -> Attributes {
    let header = &parent.header;
    Attributes {
        beneficiary: header.beneficiary,
        prev_randao: header.mix_hash,
        ..Attributes::new(header.timestamp.saturating_add(SLOT_SECONDS), header.gas_limit)
    }
}
