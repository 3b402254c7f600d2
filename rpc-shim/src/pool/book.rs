//! The pool without locks and events: which transactions there are, who may replace whom, who is given up.
//!
//! Place in the flow: under the pool's mutex; `check` has seen each transaction before.
//! Invariant: a transaction is in `hashes` and in its sender's queue or in neither; if it is remote, in `prices` too. `bytes`
//! is the sum of their sizes. A refused transaction leaves everything as it was.

use super::{
    error::PoolError,
    head::{AccountsError, Head},
    queue::{Entry, Queue},
    settings::{Order, Settings},
    transaction::{Origin, Pooled},
};
use alloy_primitives::{
    Address, B256,
    map::{AddressMap, B256Map},
};
use std::{
    cmp::Reverse,
    collections::{BTreeSet, BinaryHeap},
    sync::Arc,
};

/// What the pool gives up first stands first: least fee, least tip, latest arrival.
type Price = (u128, u128, Reverse<u64>, B256);

/// What happened when a transaction was added.
#[derive(Debug, Default)]
pub(super) struct Added {
    /// Transactions that became executable, in the order of their nonces.
    pub(super) promoted: Vec<Arc<Pooled>>,
    /// Transactions that left for it.
    pub(super) dropped: Vec<Arc<Pooled>>,
}

/// What happened when the head changed.
#[derive(Debug, Default)]
pub(super) struct Moved {
    /// Transactions that became executable.
    pub(super) promoted: Vec<Arc<Pooled>>,
    /// Transactions whose nonce was used.
    pub(super) stale: Vec<Arc<Pooled>>,
    /// Transactions that their sender can no longer pay for.
    pub(super) unpaid: Vec<Arc<Pooled>>,
}

/// All transactions.
#[derive(Debug)]
pub(super) struct Book {
    settings: Settings,
    queues: AddressMap<Queue>,
    hashes: B256Map<Arc<Pooled>>,
    prices: BTreeSet<Price>,
    bytes: usize,
    arrivals: u64,
}

impl Book {
    pub(super) fn new(settings: Settings) -> Self {
        let (queues, hashes) = (AddressMap::default(), B256Map::default());
        Self { settings, queues, hashes, prices: BTreeSet::new(), bytes: 0, arrivals: 0 }
    }

    pub(super) const fn settings(&self) -> &Settings {
        &self.settings
    }

    pub(super) const fn settings_mut(&mut self) -> &mut Settings {
        &mut self.settings
    }

    pub(super) fn get(&self, hash: &B256) -> Option<&Arc<Pooled>> {
        self.hashes.get(hash)
    }

    pub(super) fn queue(&self, sender: &Address) -> Option<&Queue> {
        self.queues.get(sender)
    }

    pub(super) fn queues(&self) -> impl Iterator<Item = (&Address, &Queue)> {
        self.queues.iter()
    }

    /// Adds a transaction that passed the checks before.
    pub(super) fn add(&mut self, tx: Arc<Pooled>, head: &Head) -> Result<Added, PoolError> {
        if self.hashes.contains_key(&tx.hash()) {
            return Err(PoolError::AlreadyKnown);
        }
        let sender = tx.sender();
        let fresh = match self.queues.get(&sender) {
            Some(_) => None,
            None => Some(Queue::new(read(head, sender)?)),
        };
        let queue = fresh.as_ref().unwrap_or_else(|| &self.queues[&sender]);
        check_state(&tx, queue)?;
        check_sender(&tx, head, queue, &self.settings)?;
        let replaced = queue.get(tx.nonce()).cloned();
        if let Some(old) = &replaced {
            check_bump(&old.tx, &tx, &self.settings)?;
        }
        let victims = self.victims(&tx, replaced.as_ref())?;

        let mut added = Added::default();
        for victim in victims {
            added.dropped.extend(self.remove(&victim));
        }
        if let Some(queue) = fresh {
            self.queues.insert(sender, queue);
        }
        let entry = Entry { tx: Arc::clone(&tx), arrival: self.arrivals };
        self.arrivals += 1;
        // The victims may have been all that its sender had.
        let queue = match self.queues.entry(sender) {
            alloy_primitives::map::Entry::Occupied(entry) => entry.into_mut(),
            alloy_primitives::map::Entry::Vacant(entry) => entry.insert(Queue::new(read(head, sender)?)),
        };
        let (old, promoted) = queue.insert(entry.clone());
        self.note(&entry);
        added.promoted = promoted;
        if let Some(old) = old {
            self.forget(&old);
            added.dropped.push(old.tx);
        }
        Ok(added)
    }

    /// Takes a transaction out; those behind it wait.
    pub(super) fn remove(&mut self, hash: &B256) -> Option<Arc<Pooled>> {
        let tx = Arc::clone(self.hashes.get(hash)?);
        let queue = self.queues.get_mut(&tx.sender())?;
        let entry = queue.remove(tx.nonce())?;
        if queue.len() == 0 {
            self.queues.remove(&tx.sender());
        }
        self.forget(&entry);
        Some(tx)
    }

    /// Takes out all transactions of a sender, or of everybody.
    pub(super) fn clear(&mut self, sender: Option<Address>) -> Vec<Arc<Pooled>> {
        let of = |tx: &&Arc<Pooled>| sender.is_none_or(|sender| tx.sender() == sender);
        let all: Vec<_> = self.hashes.values().filter(of).map(|tx| tx.hash()).collect();
        all.iter().filter_map(|hash| self.remove(hash)).collect()
    }

    /// The accounts of some senders, or of all, are those after `head` now.
    pub(super) fn refresh(&mut self, head: &Head, touched: Option<&[Address]>) -> Result<Moved, PoolError> {
        let senders: Vec<Address> = match touched {
            Some(touched) => touched.iter().copied().filter(|sender| self.queues.contains_key(sender)).collect(),
            None => self.queues.keys().copied().collect(),
        };
        let mut moved = Moved::default();
        for sender in senders {
            let account = read(head, sender)?;
            let Some(queue) = self.queues.get_mut(&sender) else { continue };
            let (dropped, promoted) = queue.set_account(account);
            if queue.len() == 0 {
                self.queues.remove(&sender);
            }
            moved.promoted.extend(promoted);
            for entry in dropped {
                self.forget(&entry);
                let stale = entry.tx.nonce() < account.nonce;
                if stale { &mut moved.stale } else { &mut moved.unpaid }.push(entry.tx);
            }
        }
        Ok(moved)
    }

    /// Executable transactions that pay the next block's fees, best first and by nonce within a sender, until `gas` is spent
    /// by their limits or `len` bytes are.
    pub(super) fn best(&self, head: &Head, gas: u64, len: usize) -> Vec<Arc<Pooled>> {
        let mut heads = BinaryHeap::new();
        for queue in self.queues.values() {
            let mut run = queue.ready().cloned().take_while(|entry| entry.tx.covers(head.base_fee, head.blob_fee));
            if let Some(first) = run.next() {
                heads.push(Offer { rank: self.rank(&first, head), entry: first, rest: run });
            }
        }
        let (mut best, mut gas_left, mut len_left) = (Vec::new(), gas, len);
        while let Some(mut offer) = heads.pop() {
            let tx = Arc::clone(&offer.entry.tx);
            if tx.len() > len_left {
                continue;
            }
            len_left -= tx.len();
            gas_left = gas_left.saturating_sub(tx.env().gas_limit);
            best.push(tx);
            if gas_left == 0 {
                break;
            }
            if let Some(next) = offer.rest.next() {
                (offer.rank, offer.entry) = (self.rank(&next, head), next);
                heads.push(offer);
            }
        }
        best
    }

    fn rank(&self, entry: &Entry, head: &Head) -> (u128, Reverse<u64>) {
        let tip = match self.settings.order {
            Order::Fees => entry.tx.tip_at(head.base_fee).unwrap_or_default(),
            Order::Fifo => 0,
        };
        (tip, Reverse(entry.arrival))
    }

    /// Who must leave so that `tx` fits; `replaced` leaves anyway.
    fn victims(&self, tx: &Pooled, replaced: Option<&Entry>) -> Result<Vec<B256>, PoolError> {
        let freed = replaced.map_or(0, |entry| entry.tx.size());
        let mut count = self.hashes.len() + 1 - usize::from(replaced.is_some());
        let mut bytes = self.bytes + tx.size() - freed;
        let fits = |count, bytes| count <= self.settings.transactions_max && bytes <= self.settings.bytes_max;
        let own = (tx.max_fee(), tx.max_tip());
        let mut victims = Vec::new();
        for (fee, tip, _, hash) in &self.prices {
            if fits(count, bytes) {
                break;
            }
            if replaced.is_some_and(|entry| entry.tx.hash() == *hash) {
                continue;
            }
            if tx.origin() == Origin::Remote && (*fee, *tip) >= own {
                return Err(PoolError::Underpriced);
            }
            count -= 1;
            bytes -= self.hashes[hash].size();
            victims.push(*hash);
        }
        if fits(count, bytes) { Ok(victims) } else { Err(PoolError::Full) }
    }

    fn note(&mut self, entry: &Entry) {
        self.hashes.insert(entry.tx.hash(), Arc::clone(&entry.tx));
        self.bytes += entry.tx.size();
        if entry.tx.origin() == Origin::Remote {
            self.prices.insert(price(entry));
        }
    }

    fn forget(&mut self, entry: &Entry) {
        self.hashes.remove(&entry.tx.hash());
        self.bytes -= entry.tx.size();
        self.prices.remove(&price(entry));
    }
}

/// A sender's next transaction and those behind it.
struct Offer<I> {
    rank: (u128, Reverse<u64>),
    entry: Entry,
    rest: I,
}

impl<I> PartialEq for Offer<I> {
    fn eq(&self, other: &Self) -> bool {
        self.rank == other.rank
    }
}

impl<I> Eq for Offer<I> {}

impl<I> PartialOrd for Offer<I> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl<I> Ord for Offer<I> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.rank.cmp(&other.rank)
    }
}

fn price(entry: &Entry) -> Price {
    (entry.tx.max_fee(), entry.tx.max_tip(), Reverse(entry.arrival), entry.tx.hash())
}

fn read(head: &Head, sender: Address) -> Result<laminar_state_db::Account, PoolError> {
    let account = head.accounts.account(sender).map_err(failed)?;
    Ok(account.unwrap_or_default())
}

fn failed(error: AccountsError) -> PoolError {
    PoolError::State { what: error.to_string() }
}

/// Nonce and funds, as geth's pool asks for them.
fn check_state(tx: &Pooled, queue: &Queue) -> Result<(), PoolError> {
    let (next, found) = (queue.account_nonce(), tx.nonce());
    if found < next {
        return Err(PoolError::NonceTooLow { next, found });
    }
    let (balance, cost) = (queue.balance(), tx.cost());
    if cost > balance {
        return Err(PoolError::Funds { balance, cost });
    }
    let queued = queue.ready_cost_without(found);
    if queued.saturating_add(cost) > balance {
        return Err(PoolError::QueuedFunds { balance, queued, cost });
    }
    Ok(())
}

fn check_sender(tx: &Pooled, head: &Head, queue: &Queue, settings: &Settings) -> Result<(), PoolError> {
    let is_new = queue.get(tx.nonce()).is_none();
    if tx.origin() == Origin::Remote && is_new && queue.len() >= settings.sender_max {
        return Err(PoolError::AccountLimit { pooled: queue.len() });
    }
    let account = read(head, tx.sender())?;
    if !account.has_code() || tx.is_impersonated() {
        return Ok(());
    }
    // CONSENSUS: EIP-3607, EIP-7702: a sender has no code, or a delegation.
    if !head.accounts.is_delegation(account.code_hash).map_err(failed)? {
        return Err(PoolError::SenderIsContract { address: tx.sender(), code_hash: account.code_hash });
    }
    match settings.delegated_max {
        Some(most) if is_new && queue.len() >= most => Err(PoolError::DelegatedLimit),
        _ => Ok(()),
    }
}

/// A replacement pays more on every count by the bump.
fn check_bump(old: &Pooled, new: &Pooled, settings: &Settings) -> Result<(), PoolError> {
    let blobs = old.is_blob() || new.is_blob();
    let percent = if blobs { settings.blob_price_bump_percent } else { settings.price_bump_percent };
    let bumped =
        |old: u128| old.saturating_add(old / 100 * u128::from(percent) + old % 100 * u128::from(percent) / 100);
    let pays = |old: u128, new: u128| new > old && new >= bumped(old);
    let blob_fees = !old.is_blob() || pays(old.env().max_fee_per_blob_gas, new.env().max_fee_per_blob_gas);
    if pays(old.max_fee(), new.max_fee()) && pays(old.max_tip(), new.max_tip()) && blob_fees {
        Ok(())
    } else {
        Err(PoolError::ReplacementUnderpriced)
    }
}
