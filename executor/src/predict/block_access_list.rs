//! A block access list (EIP-7928) as promises: what it says of each transaction is published before the first one runs.
//!
//! Place in the flow: `Predict::BlockAccessList`; every run then sees the values of its own index, and no two runs wait for
//! each other.
//! Invariant: what the list promises and a run does not do is taken back, and whoever may have read it is run again. A promise
//! is counted before it is published, so none is forgotten.

use crate::{
    effects::{AccountAccess, Attempt, Fate, SlotAccess},
    error::ExecuteError,
    execute::parent_account,
    mv_memory::{MvMemory, Revoked, is_published},
    read_set::{BalanceRule, NonceRule},
    schedule::{Election, Pool},
    sync::{AtomicU32, Mutex, Ordering},
    types::TxIndex,
};
use alloy_eip7928::{AccountChanges, BlockAccessIndex, BlockAccessList};
use alloy_primitives::{Address, Bytes, U256};
use laminar_state_db::Account;
use revm::{DatabaseRef, bytecode::Bytecode, primitives::KECCAK_EMPTY};
use std::{collections::BTreeMap, sync::OnceLock};

/// Accounts of the list that a worker takes at once.
const ACCOUNTS_AT_ONCE: usize = 8;

/// What a list promises of the block's transactions. Indices outside (system calls, withdrawals) are left out, and what cannot
/// be code is not promised.
#[derive(Debug)]
pub(crate) struct Promises {
    list: BlockAccessList,
    /// For each transaction how many versions may have been published for it.
    counts: Box<[AtomicU32]>,
    /// For each transaction the accounts of the list that it changes; made when the first promise is broken.
    by_tx: OnceLock<Vec<Vec<u32>>>,
}

impl Promises {
    /// Publishes what `list` promises of transactions 0 to `txs` - 1, on all workers.
    ///
    /// # Errors
    /// Reading an account of the list from the parent failed.
    pub(crate) fn publish<DB: DatabaseRef + Sync>(
        list: BlockAccessList,
        txs: usize,
        parent: &DB,
        pool: &Pool,
        memory: &MvMemory,
    ) -> Result<Self, ExecuteError> {
        let counts = (0..txs).map(|_| AtomicU32::new(0)).collect();
        let promises = Self { list, counts, by_tx: OnceLock::new() };
        let (next, failed) = (Election::default(), Mutex::new(None));
        let panics = pool.run(pool.workers(), |_| {
            loop {
                let some = next.take_some(ACCOUNTS_AT_ONCE, promises.list.len());
                if some.is_empty() {
                    return;
                }
                for changes in &promises.list[some] {
                    if let Err(error) = promises.publish_account(changes, parent, memory) {
                        *failed.lock() = Some(error);
                        return;
                    }
                }
            }
        });
        match failed.into_inner() {
            Some(error) => Err(error),
            None if panics > 0 => {
                let what = format!("{panics} workers panicked while publishing the block access list");
                Err(ExecuteError::Bug { stage: "predict", what })
            }
            None => Ok(promises),
        }
    }

    /// Takes back what was promised of `index` and `attempt`, its run, does not do; `met` versions were published over.
    /// Gives the locations concerned to `revoked`.
    pub(crate) fn take_back(
        &self,
        memory: &MvMemory,
        index: TxIndex,
        met: u32,
        attempt: &Attempt,
        revoked: &mut Revoked,
    ) {
        // ORDER: Relaxed. Written before the workers were started on the block.
        if self.counts[index.as_usize()].load(Ordering::Relaxed) == met {
            return;
        }
        for at in &self.by_tx.get_or_init(|| self.by_tx())[index.as_usize()] {
            let changes = &self.list[*at as usize];
            let kept = match attempt {
                Attempt::Simulation(run) => run.iter().find(|(access, _)| access.address == changes.address),
                Attempt::Transfer(_) | Attempt::Refused => None,
            };
            withdraw(memory, index, changes, kept, revoked);
        }
    }

    fn publish_account<DB: DatabaseRef>(
        &self,
        changes: &AccountChanges,
        parent: &DB,
        memory: &MvMemory,
    ) -> Result<(), ExecuteError> {
        let address = changes.address;
        for slot in &changes.storage_changes {
            for change in &slot.changes {
                if let Some(index) = self.promise(change.block_access_index) {
                    memory.set_slot(index, address, slot.slot, change.new_value);
                }
            }
        }
        if changes.balance_changes.is_empty() && changes.nonce_changes.is_empty() && changes.code_changes.is_empty() {
            return Ok(());
        }
        let mut seen = parent_account(parent, address)?;
        // The balance and nonce of an account without code are not published: they are taken relatively.
        if seen.is_some_and(|account| !account.has_code()) && changes.code_changes.is_empty() {
            return Ok(());
        }
        for (at, step) in steps(changes) {
            let Some((after, code)) = apply(seen.unwrap_or_default(), &step) else { break };
            let access = access(address, seen, after);
            seen = Some(after);
            if !is_published(&access) {
                continue;
            }
            if let Some(index) = self.promise(at) {
                code.into_iter().for_each(|(hash, code)| memory.set_code(hash, code));
                memory.set_account(index, address, (!after.is_empty()).then_some(after));
            }
        }
        Ok(())
    }

    /// Counts a promise of the transaction at a block access index; `None` if there is none.
    fn promise(&self, at: BlockAccessIndex) -> Option<TxIndex> {
        let index = tx_index(at).filter(|index| *index < self.counts.len())?;
        // ORDER: Relaxed. A counter; read after the workers were joined.
        self.counts[index].fetch_add(1, Ordering::Relaxed);
        Some(TxIndex::from_usize(index))
    }

    fn by_tx(&self) -> Vec<Vec<u32>> {
        let mut by_tx = vec![Vec::new(); self.counts.len()];
        for (account, changes) in self.list.iter().enumerate() {
            let slots = changes.storage_changes.iter().flat_map(|slot| &slot.changes);
            let indices = slots.map(|change| change.block_access_index).chain(steps(changes).into_keys());
            for index in indices.filter_map(tx_index) {
                let account = account as u32;
                if let Some(accounts) =
                    by_tx.get_mut(index).filter(|accounts: &&mut Vec<_>| accounts.last() != Some(&account))
                {
                    accounts.push(account);
                }
            }
        }
        by_tx
    }
}

/// Removes the versions of one account that `index` was promised to leave, except those that its run, `kept`, leaves too.
fn withdraw(
    memory: &MvMemory,
    index: TxIndex,
    changes: &AccountChanges,
    kept: Option<(&AccountAccess, &[SlotAccess])>,
    revoked: &mut Revoked,
) {
    let (access, slots) = kept.unzip();
    if !access.is_some_and(is_published) && memory.remove_account(index, &changes.address) {
        revoked.insert_account(changes.address);
    }
    for promised in &changes.storage_changes {
        let slot = promised.slot;
        let at_index =
            promised.changes.iter().any(|change| tx_index(change.block_access_index) == Some(index.as_usize()));
        let is_kept = slots.into_iter().flatten().any(|kept| kept.slot == slot && kept.after != kept.seen);
        if at_index && !is_kept && memory.remove_slot(index, &changes.address, &slot) {
            revoked.insert_slot(changes.address, slot);
        }
    }
}

/// The position of the transaction with a block access index; zero is before all transactions.
fn tx_index(at: BlockAccessIndex) -> Option<usize> {
    usize::try_from(at.get().checked_sub(1)?).ok()
}

fn access(address: Address, seen: Option<Account>, after: Account) -> AccountAccess {
    AccountAccess {
        address,
        seen,
        after,
        fate: Fate::Touched,
        balance: BalanceRule::default(),
        nonce: NonceRule::Free,
        slots_end: 0,
    }
}

/// What one step does to one account, its storage apart.
#[derive(Default)]
struct Step {
    balance: Option<U256>,
    nonce: Option<u64>,
    code: Option<Bytes>,
}

/// The steps that change an account, in order.
fn steps(changes: &AccountChanges) -> BTreeMap<BlockAccessIndex, Step> {
    let mut steps: BTreeMap<BlockAccessIndex, Step> = BTreeMap::new();
    for change in &changes.balance_changes {
        steps.entry(change.block_access_index).or_default().balance = Some(change.post_balance);
    }
    for change in &changes.nonce_changes {
        steps.entry(change.block_access_index).or_default().nonce = Some(change.new_nonce);
    }
    for change in &changes.code_changes {
        steps.entry(change.block_access_index).or_default().code = Some(change.new_code.clone());
    }
    steps
}

/// The account after a step, with the code that the step set; `None` if the promised code is not valid.
fn apply(before: Account, step: &Step) -> Option<(Account, Option<(alloy_primitives::B256, Bytecode)>)> {
    let mut after = before;
    after.balance = step.balance.unwrap_or(before.balance);
    after.nonce = step.nonce.unwrap_or(before.nonce);
    let Some(bytes) = &step.code else { return Some((after, None)) };
    if bytes.is_empty() {
        after.code_hash = KECCAK_EMPTY;
        return Some((after, None));
    }
    let code = Bytecode::new_raw_checked(bytes.clone()).ok()?;
    after.code_hash = code.hash_slow();
    Some((after, Some((after.code_hash, code))))
}
