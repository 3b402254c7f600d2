//! The transaction pool: what clients sent and no block has yet.
//!
//! Place in the flow: `eth_sendRawTransaction` adds, the block builder takes the best, the node says where the head is;
//! `txpool_*` and subscriptions look at it.
//! Invariant: one mutex around the book, never held over a signature, a proof or an execution; the head that transactions are
//! judged on is the pool's own, so that an addition and a change of the head cannot pass each other.
//!
//! | module | what it is |
//! | --- | --- |
//! | `settings`, `error` | what the pool takes; why it does not |
//! | `transaction`, `sidecar` | a transaction with its sender and blobs |
//! | `head`, `check` | what the next block asks for |
//! | `queue`, `book` | the transactions themselves |
//! | `simulate` | their simulations, made while they wait |

mod book;
mod check;
mod error;
mod head;
mod queue;
mod settings;
mod sidecar;
mod simulate;
mod transaction;

pub use error::PoolError;
pub use head::{Accounts, AccountsError, Head};
pub use settings::{BelowBaseFee, LegacySidecars, Order, Settings};
pub(crate) use simulate::knowledge;
pub use transaction::{Origin, Pooled};

use alloy_eips::eip7594::BlobTransactionSidecarVariant;
use alloy_primitives::{Address, B256};
use book::Book;
use laminar_executor::{Transaction, chain_spec::Fork};
use parking_lot::Mutex;
use simulate::{Desk, Task};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};
use tokio::sync::broadcast;

/// Events that a slow subscriber may lag behind before it misses some.
const EVENTS_MAX: usize = 8192;

/// What happens in the pool.
#[derive(Clone, Debug)]
pub enum PoolEvent {
    /// A transaction became executable.
    Pending(Arc<Pooled>),
    /// A transaction left without being mined: replaced, evicted, unpaid or removed; with the reason where there is one.
    Dropped(Arc<Pooled>, Option<PoolError>),
}

/// All transactions, by sender and nonce.
#[derive(Clone, Debug, Default)]
pub struct Content {
    /// Executable ones.
    pub pending: BTreeMap<Address, Vec<Arc<Pooled>>>,
    /// Those that wait for a nonce or for funds.
    pub queued: BTreeMap<Address, Vec<Arc<Pooled>>>,
}

/// How the head changed, as far as the pool must know it.
#[derive(Clone, Debug, Default)]
pub struct HeadChange {
    /// Hashes of the transactions of new canonical blocks.
    pub included: Vec<B256>,
    /// Transactions of blocks that are no longer canonical, with their senders, in block order.
    pub returned: Vec<(Transaction, Address)>,
    /// The accounts that changed; `None` if that is not known.
    pub touched: Option<Vec<Address>>,
}

/// The pool; share it in an `Arc`.
#[derive(Debug)]
pub struct Pool {
    state: Mutex<State>,
    events: broadcast::Sender<PoolEvent>,
    /// Lock order: `state`, then this.
    desk: Arc<Desk>,
}

#[derive(Debug)]
struct State {
    head: Head,
    book: Book,
    /// Blob transactions that were mined, oldest first: their blobs are in no block.
    mined_blobs: VecDeque<Arc<Pooled>>,
    /// How often the pool was moved: what was begun before a move is not of the state after it.
    moves: u64,
    /// Those that carry a simulation of the state after the head; some may have left the pool.
    simulated: Vec<Arc<Pooled>>,
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.desk.close();
    }
}

impl Pool {
    /// An empty pool on `head`.
    pub fn new(settings: Settings, head: Head) -> Self {
        let (book, mined_blobs, simulated) = (Book::new(settings), VecDeque::new(), Vec::new());
        let state = State { head, book, mined_blobs, moves: 0, simulated };
        Self { state: Mutex::new(state), events: broadcast::Sender::new(EVENTS_MAX), desk: Arc::default() }
    }

    /// The head that transactions are judged on.
    pub fn head(&self) -> Head {
        self.state.lock().head.clone()
    }

    /// Decodes and adds what a client sent; its hash.
    ///
    /// # Errors
    /// See [`PoolError`]; nothing changed.
    pub fn add_raw(&self, bytes: &[u8], origin: Origin) -> Result<B256, PoolError> {
        let rules = self.state.lock().head.rules;
        self.add(Pooled::decode(bytes, &rules, origin)?)
    }

    /// Adds a transaction; its hash.
    ///
    /// # Errors
    /// See [`PoolError`]; nothing changed.
    pub fn add(&self, tx: Pooled) -> Result<B256, PoolError> {
        let hash = tx.hash();
        let (head, settings) = {
            let state = self.state.lock();
            if state.book.get(&hash).is_some() {
                return Err(PoolError::AlreadyKnown);
            }
            (state.head.clone(), state.book.settings().clone())
        };
        check::check(&tx, &head, &settings)?;
        let tx = if sidecar::has_form_of(&head.rules, &tx) { tx } else { tx.with_cell_proofs()? };
        let mut state = self.state.lock();
        let State { head, book, .. } = &mut *state;
        let added = book.add(Arc::new(tx), head)?;
        let simulations_max = book.settings().simulations_max;
        drop(state);
        self.desk.add(added.promoted.iter().map(|tx| (Arc::clone(tx), None)), simulations_max);
        self.tell(added.promoted, added.dropped, Some(PoolError::ReplacementUnderpriced));
        Ok(hash)
    }

    /// How often the pool was put on a head, the same or another.
    pub(crate) fn moves(&self) -> u64 {
        self.state.lock().moves
    }

    /// The transaction, if it is here.
    pub fn get(&self, hash: &B256) -> Option<Arc<Pooled>> {
        self.state.lock().book.get(hash).cloned()
    }

    /// Executable transactions that pay the next block's fees, best first, by nonce within a sender, up to `gas` by their gas
    /// limits and `len` bytes.
    pub fn best(&self, gas: u64, len: usize) -> Vec<Arc<Pooled>> {
        let state = self.state.lock();
        state.book.best(&state.head, gas, len)
    }

    /// The nonce after the sender's executable transactions; `None` if it has none here.
    pub fn next_nonce(&self, sender: &Address) -> Option<u64> {
        self.state.lock().book.queue(sender).map(queue::Queue::next_nonce)
    }

    /// Everything.
    pub fn content(&self) -> Content {
        let state = self.state.lock();
        let mut content = Content::default();
        for (sender, queue) in state.book.queues() {
            let ready: Vec<_> = queue.ready().map(|entry| Arc::clone(&entry.tx)).collect();
            let waiting: Vec<_> = queue.waiting().map(|entry| Arc::clone(&entry.tx)).collect();
            for (list, into) in [(ready, &mut content.pending), (waiting, &mut content.queued)] {
                if !list.is_empty() {
                    into.insert(*sender, list);
                }
            }
        }
        content
    }

    /// One sender's executable and waiting transactions.
    pub fn content_of(&self, sender: &Address) -> (Vec<Arc<Pooled>>, Vec<Arc<Pooled>>) {
        let state = self.state.lock();
        let Some(queue) = state.book.queue(sender) else { return Default::default() };
        (
            queue.ready().map(|entry| Arc::clone(&entry.tx)).collect(),
            queue.waiting().map(|entry| Arc::clone(&entry.tx)).collect(),
        )
    }

    /// Numbers of executable and of waiting transactions.
    pub fn status(&self) -> (usize, usize) {
        let state = self.state.lock();
        let count = |(ready, waiting), queue: &queue::Queue| {
            (ready + queue.ready_len(), waiting + queue.len() - queue.ready_len())
        };
        state.book.queues().map(|(_, queue)| queue).fold((0, 0), count)
    }

    /// Takes a transaction out.
    pub fn remove(&self, hash: &B256, reason: Option<PoolError>) -> Option<Arc<Pooled>> {
        let removed = self.state.lock().book.remove(hash)?;
        self.tell(Vec::new(), vec![Arc::clone(&removed)], reason);
        Some(removed)
    }

    /// Takes out all transactions of a sender, or of everybody; their number.
    pub fn clear(&self, sender: Option<Address>) -> usize {
        let removed = self.state.lock().book.clear(sender);
        let count = removed.len();
        self.tell(Vec::new(), removed, None);
        count
    }

    /// Changes the settings for what arrives from now on.
    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(self.state.lock().book.settings_mut());
    }

    /// The chain has a new head: what was mined leaves, what was unmined returns, the rest is judged anew.
    ///
    /// # Errors
    /// The state could not be read; the pool stands on the new head all the same, and some senders are judged late.
    pub fn set_head(&self, head: Head, change: HeadChange) -> Result<(), PoolError> {
        let mut state = self.state.lock();
        let State { head: own, book, mined_blobs, moves, simulated } = &mut *state;
        let crosses_osaka = !own.rules.is_active(Fork::Osaka) && head.rules.is_active(Fork::Osaka);
        *own = head;
        *moves += 1;
        // Before anything can fail: none of them is of this head.
        let mut tasks = take_off(simulated, &self.desk);
        for tx in change.included.iter().filter_map(|hash| book.remove(hash)) {
            if tx.is_blob() {
                mined_blobs.push_back(tx);
            }
        }
        while mined_blobs.len() > book.settings().mined_blobs_max {
            mined_blobs.pop_front();
        }
        // Before the others are judged, so that a returning transaction does not meet a queue of yesterday.
        let moved = book.refresh(own, change.touched.as_deref());
        let legacy = if crosses_osaka { take_legacy(book, own) } else { Vec::new() };
        let mut promoted = Vec::new();
        for (transaction, sender) in change.returned {
            let kept = mined_blobs.iter().find(|tx| tx.hash() == *transaction.tx_hash());
            let sidecar = kept.and_then(|tx| tx.sidecar().cloned());
            let Ok(tx) = Pooled::sent_by(sender, transaction, sidecar, &own.rules, Origin::Local) else { continue };
            if tx.is_blob() && (tx.sidecar().is_none() || !sidecar::has_form_of(&own.rules, &tx)) {
                continue;
            }
            // What the new branch mined, or made impossible, does not return.
            promoted.extend(book.add(Arc::new(tx), own).map(|added| added.promoted).unwrap_or_default());
        }
        tasks.retain(|(tx, _)| book.get(&tx.hash()).is_some());
        let news = moved.iter().flat_map(|moved| &moved.promoted).chain(&promoted);
        tasks.extend(news.map(|tx| (Arc::clone(tx), None)));
        self.desk.add(tasks, book.settings().simulations_max);
        drop(state);
        crate::metrics::note_pool(self);
        self.tell(Vec::new(), legacy, Some(sidecar::legacy()));
        let moved = moved?;
        self.tell(moved.promoted, Vec::new(), None);
        self.tell(promoted, moved.unpaid, None);
        Ok(())
    }

    /// The blobs behind some hashes (EIP-4844), each with the sidecar that it stands in and its position there.
    pub fn blobs(&self, hashes: &[B256]) -> Vec<Option<(Arc<BlobTransactionSidecarVariant>, usize)>> {
        let state = self.state.lock();
        let pending = state.book.queues().flat_map(|(_, queue)| queue.ready().chain(queue.waiting()));
        let with_blobs: Vec<_> = pending
            .map(|entry| &entry.tx)
            .chain(&state.mined_blobs)
            .filter_map(|tx| Some((tx, tx.sidecar()?)))
            .collect();
        let find = |hash: &B256| {
            with_blobs.iter().find_map(|(tx, sidecar)| {
                let position = tx.env().blob_hashes.iter().position(|own| own == hash)?;
                Some((Arc::clone(sidecar), position))
            })
        };
        hashes.iter().map(find).collect()
    }

    /// What happens from now on. A subscriber that lags too far misses events and is told so.
    pub fn subscribe(&self) -> broadcast::Receiver<PoolEvent> {
        self.events.subscribe()
    }

    fn tell(&self, promoted: Vec<Arc<Pooled>>, dropped: Vec<Arc<Pooled>>, reason: Option<PoolError>) {
        // Nobody may be listening.
        for tx in dropped {
            let _ = self.events.send(PoolEvent::Dropped(tx, reason.clone()));
        }
        for tx in promoted {
            let _ = self.events.send(PoolEvent::Pending(tx));
        }
    }
}

/// Takes out the blob transactions whose proofs are those of before Osaka.
///
/// CONSENSUS: EIP-7594, no block takes them any more. As in geth they are not converted; their sender can send them again with
/// proofs of the cells, which a transaction of the same hash in the pool would prevent.
fn take_legacy(book: &mut Book, head: &Head) -> Vec<Arc<Pooled>> {
    let all = book.queues().flat_map(|(_, queue)| queue.ready().chain(queue.waiting()));
    let legacy = all.filter(|entry| !sidecar::has_form_of(&head.rules, &entry.tx)).map(|entry| entry.tx.hash());
    let hashes: Vec<B256> = legacy.collect();
    hashes.iter().filter_map(|hash| book.remove(hash)).collect()
}

/// Takes the simulations off the transactions that carry them; with them all that is still to be simulated.
fn take_off(simulated: &mut Vec<Arc<Pooled>>, desk: &Desk) -> Vec<Task> {
    let mut tasks: Vec<Task> = simulated
        .drain(..)
        .map(|tx| {
            let earlier = tx.set_simulated(None);
            (tx, earlier)
        })
        .collect();
    tasks.extend(desk.clear());
    tasks
}
