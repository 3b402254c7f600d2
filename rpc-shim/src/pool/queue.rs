//! One sender's transactions by nonce.
//!
//! Place in the flow: the book has one for each sender with transactions in the pool.
//! Invariant: every nonce is at least the account's; the first `ready` transactions have the account's nonce and those after
//! it without a gap, and the balance covers all of them together. The others wait.

use super::transaction::Pooled;
use alloy_primitives::U256;
use laminar_state_db::Account;
use std::{collections::BTreeMap, sync::Arc};

/// A transaction in a queue.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) tx: Arc<Pooled>,
    /// How many transactions came to the pool before it.
    pub(super) arrival: u64,
}

/// The transactions of one sender.
#[derive(Debug, Default)]
pub(super) struct Queue {
    nonce: u64,
    balance: U256,
    txs: BTreeMap<u64, Entry>,
    ready: usize,
    ready_cost: U256,
}

impl Queue {
    /// An empty queue of an account.
    pub(super) fn new(account: Account) -> Self {
        Self { nonce: account.nonce, balance: account.balance, ..Self::default() }
    }

    pub(super) const fn account_nonce(&self) -> u64 {
        self.nonce
    }

    pub(super) const fn balance(&self) -> U256 {
        self.balance
    }

    /// The first nonce that no executable transaction has.
    pub(super) const fn next_nonce(&self) -> u64 {
        self.nonce + self.ready as u64
    }

    /// What the executable transactions can cost together, without the one with this nonce.
    pub(super) fn ready_cost_without(&self, nonce: u64) -> U256 {
        let own = if nonce < self.next_nonce() { self.get(nonce).map(|entry| entry.tx.cost()) } else { None };
        self.ready_cost - own.unwrap_or_default()
    }

    pub(super) fn get(&self, nonce: u64) -> Option<&Entry> {
        self.txs.get(&nonce)
    }

    pub(super) fn len(&self) -> usize {
        self.txs.len()
    }

    pub(super) const fn ready_len(&self) -> usize {
        self.ready
    }

    /// Executable transactions by nonce.
    pub(super) fn ready(&self) -> impl Iterator<Item = &Entry> {
        self.txs.values().take(self.ready)
    }

    /// The others by nonce.
    pub(super) fn waiting(&self) -> impl Iterator<Item = &Entry> {
        self.txs.values().skip(self.ready)
    }

    /// Puts a transaction in the place of its nonce. Gives the one that was there, and those that became executable.
    pub(super) fn insert(&mut self, entry: Entry) -> (Option<Entry>, Vec<Arc<Pooled>>) {
        let (nonce, before) = (entry.tx.nonce(), self.ready);
        let tx = Arc::clone(&entry.tx);
        let replaced = self.txs.insert(nonce, entry);
        if replaced.is_some() && nonce < self.next_nonce() {
            self.settle();
            return (replaced, if nonce < self.next_nonce() { vec![tx] } else { Vec::new() });
        }
        self.extend();
        let promoted = self.ready().skip(before).map(|entry| Arc::clone(&entry.tx)).collect();
        (replaced, promoted)
    }

    /// Takes a transaction out; those behind it wait.
    pub(super) fn remove(&mut self, nonce: u64) -> Option<Entry> {
        let removed = self.txs.remove(&nonce)?;
        self.settle();
        Some(removed)
    }

    /// The account changed. Gives what can never run any more: used nonces, and what the balance does not cover alone; and
    /// those that became executable.
    pub(super) fn set_account(&mut self, account: Account) -> (Vec<Entry>, Vec<Arc<Pooled>>) {
        let before: Vec<_> = self.ready().map(|entry| entry.tx.hash()).collect();
        (self.nonce, self.balance) = (account.nonce, account.balance);
        let mut dropped = Vec::new();
        self.txs.retain(|nonce, entry| {
            let stays = *nonce >= account.nonce && entry.tx.cost() <= account.balance;
            if !stays {
                dropped.push(entry.clone());
            }
            stays
        });
        self.settle();
        let new = |entry: &&Entry| !before.contains(&entry.tx.hash());
        let promoted = self.ready().filter(new).map(|entry| Arc::clone(&entry.tx)).collect();
        (dropped, promoted)
    }

    fn settle(&mut self) {
        (self.ready, self.ready_cost) = (0, U256::ZERO);
        self.extend();
    }

    fn extend(&mut self) {
        while let Some(entry) = self.txs.get(&self.next_nonce()) {
            let cost = self.ready_cost.saturating_add(entry.tx.cost());
            if cost > self.balance {
                break;
            }
            self.ready += 1;
            self.ready_cost = cost;
        }
    }
}
