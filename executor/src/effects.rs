//! What one run of a transaction saw and did: the value that travels from a worker to merge.
//!
//! Place in the flow: `execute` makes a [`Simulation`], [`crate::validate`] asks whether it holds, merge applies it.
//! Kept across time (from a mempool, say) the same value is what gets adopted.
//! Invariant: each account appears once and each of its slots once; `seen` is what the run was told on its first look,
//! whoever wrote in the meantime.
//! It holds no reference to state and knows nothing of other transactions.

use crate::read_set::{BalanceRule, EnvironmentReads, NonceRule};
use alloy_primitives::{Address, B256, Log, U128, U256};
use laminar_state_db::Account;
use revm::bytecode::Bytecode;

/// One storage slot that a run looked at or wrote.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SlotAccess {
    /// Slot number.
    pub slot: U256,
    /// The value before the run. For an account created by the run: zero.
    pub seen: U256,
    /// The value after the run; equal to `seen` for a read.
    pub after: U256,
}

/// What a run did to an account as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Looked at only.
    Read,
    /// Touched in the sense of EIP-161, perhaps changed.
    Touched,
    /// Created by the run: storage starts empty.
    Created,
    /// Self-destructed, and gone when the transaction ends.
    Destroyed,
}

/// One account that a run looked at or wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccountAccess {
    /// The account's address.
    pub address: Address,
    /// The account before the run; `None` if it did not exist.
    pub seen: Option<Account>,
    /// The account after the run, the beneficiary's fee left out. Meaningless where `fate` is `Destroyed`.
    pub after: Account,
    /// What the run did to it.
    pub fate: Fate,
    /// What the run needs of the balance.
    pub balance: BalanceRule,
    /// What the run needs of the nonce.
    pub nonce: NonceRule,
    /// End of this account's slots in [`Simulation::slots`]; they start where the previous account's end.
    pub slots_end: u32,
}

impl AccountAccess {
    /// The account before the run, an absent one as empty.
    pub(crate) fn seen_or_empty(&self) -> Account {
        self.seen.unwrap_or_default()
    }

    /// Whether the run set code here, an EIP-7702 delegation included.
    pub(crate) fn changes_code(&self) -> bool {
        self.after.code_hash != self.seen_or_empty().code_hash
    }
}

/// How a transaction ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct TxResult {
    /// Status of the receipt (EIP-658).
    pub success: bool,
    /// Gas that the sender pays for, refunds deducted.
    pub gas_used: u64,
    /// Logs in order; empty unless successful.
    pub logs: Vec<Log>,
}

/// A finished run, complete enough to be adopted later without running again.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Simulation {
    /// Accounts in the order of the first look being forgotten: no order is promised.
    pub accounts: Vec<AccountAccess>,
    /// Slots, grouped by account in the order of `accounts`.
    pub slots: Vec<SlotAccess>,
    /// Code that the run set, with its hash.
    pub codes: Vec<(B256, Bytecode)>,
    /// Status, gas, logs.
    pub result: TxResult,
    /// What the beneficiary earns, in wei.
    pub fee_wei: U256,
    /// What the run looked at of the block that it was made in.
    pub environment: EnvironmentReads,
}

impl Simulation {
    /// Empties it; the room of its lists stays.
    pub(crate) fn clear(&mut self) {
        let Self { mut accounts, mut slots, mut codes, .. } = std::mem::take(self);
        accounts.clear();
        slots.clear();
        codes.clear();
        *self = Self { accounts, slots, codes, ..Self::default() };
    }

    /// Every account with its slots.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&AccountAccess, &[SlotAccess])> {
        let mut start = 0;
        self.accounts.iter().map(move |account| {
            let end = account.slots_end as usize;
            let slots = &self.slots[start..end];
            start = end;
            (account, slots)
        })
    }
}

/// A plain transfer, done as arithmetic: no code at either end, 21,000 gas. Its amounts follow from the transaction; what
/// travels is what the worker read, and no more, because it travels from one core's cache to another's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Transfer {
    /// The sender as it was seen.
    pub sender: Purse,
    /// The recipient as it was seen; `None` if it did not exist.
    pub recipient: Option<Purse>,
}

/// An account without code.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purse {
    /// Transactions sent.
    pub nonce: u64,
    /// In wei. An account that owns more takes part in no plain transfer.
    pub balance: U128,
}

impl Purse {
    /// The account as a purse; `None` if it has code or owns more than fits.
    pub fn of(account: &Account) -> Option<Self> {
        let balance = U128::checked_from_limbs_slice(account.balance.as_limbs()).filter(|_| !account.has_code())?;
        Some(Self { nonce: account.nonce, balance })
    }
}

impl From<Purse> for Account {
    fn from(purse: Purse) -> Self {
        Self { nonce: purse.nonce, balance: purse.balance.to(), ..Self::default() }
    }
}

/// What a worker hands to merge.
#[derive(Clone, Debug)]
pub(crate) enum Attempt {
    /// A run through the interpreter.
    Simulation(Box<Simulation>),
    /// A plain transfer.
    Transfer(Transfer),
    /// The transaction could not run on the state that the worker saw (funds or nonce missing, a read failed). Says nothing
    /// yet: merge runs it again on the committed state, and only that answer counts.
    Refused,
}

impl Attempt {
    /// The run through the interpreter, if it is one.
    pub(crate) fn simulation(&self) -> Option<&Simulation> {
        if let Self::Simulation(run) = self { Some(run) } else { None }
    }
}
