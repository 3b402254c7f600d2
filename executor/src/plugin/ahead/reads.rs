//! What a run ahead was told, and whether the host's state still says so.
//!
//! Place in the flow: [`super::view`] notes it; whoever adopts the run asks [`Run::check`] of the state as it is then.
//! Invariant: a run that checks out gives, after [`Settled::apply`], what the same EVM would give on that state.
//!
//! Proof sketch. All answers of the state are compared by value, so the EVM would take the same steps. Left out are
//! [`Credit`]s only: accounts that nobody looked at until the outermost frame had ended, and that then only gained balance.
//! Execution was over, so no instruction saw them; settling fees adds to them and asks nothing of them. The beneficiary of an
//! Ethereum block is the usual one, fee vaults of other chains are such too. The sum is made anew on the live balance.

use alloy_primitives::{Address, B256, U256};
use revm::{
    Database,
    state::{Account, AccountInfo, AccountStatus, EvmState},
};

/// The answers of the state to one run.
#[derive(Debug, Default)]
pub(crate) struct Reads {
    accounts: Vec<AccountRead>,
    pub(super) slots: Vec<(Address, U256, U256)>,
    pub(super) block_hashes: Vec<(u64, B256)>,
}

#[derive(Debug)]
struct AccountRead {
    address: Address,
    seen: Option<AccountInfo>,
    /// First looked at when execution was over.
    late: bool,
}

impl Reads {
    pub(super) fn add_account(&mut self, address: Address, info: &Option<AccountInfo>, late: bool) {
        // The code is behind the hash; without it a read is small.
        let seen = info.as_ref().map(|info| AccountInfo { code: None, ..info.clone() });
        self.accounts.push(AccountRead { address, seen, late });
    }

    /// Makes every read exact.
    pub(super) fn forget_lateness(&mut self) {
        self.accounts.iter_mut().for_each(|read| read.late = false);
    }

    /// Takes out the accounts that only gained balance after execution.
    fn take_credits(&mut self, state: &EvmState) -> Vec<Credit> {
        let mut credits = Vec::new();
        self.accounts.retain(|read| {
            let credit = state.get(&read.address).filter(|_| read.late).and_then(|account| credit(read, account));
            credits.extend(credit);
            credit.is_none()
        });
        credits
    }
}

/// Balance that a run adds to an account that it knows nothing of.
#[derive(Clone, Copy, Debug)]
struct Credit {
    address: Address,
    wei: U256,
}

fn credit(read: &AccountRead, account: &Account) -> Option<Credit> {
    let seen = read.seen.clone().unwrap_or_default();
    let only_balance = account.info.nonce == seen.nonce
        && account.info.code_hash == seen.code_hash
        && account.storage.is_empty()
        && account.is_touched()
        && !account.is_created()
        && !account.is_selfdestructed();
    let wei = account.info.balance.checked_sub(seen.balance)?;
    only_balance.then_some(Credit { address: read.address, wei })
}

/// A finished run ahead.
#[derive(Debug)]
pub(crate) struct Run<R> {
    reads: Reads,
    credits: Vec<Credit>,
    /// What the EVM gave.
    pub(crate) output: R,
}

impl<R> Run<R> {
    /// A run that gave `output`, of which `state` is the state.
    pub(crate) fn new(mut reads: Reads, output: R, state: impl Fn(&R) -> &EvmState) -> Self {
        let credits = reads.take_credits(state(&output));
        Self { reads, credits, output }
    }

    /// Whether the run's effect on the account is relative.
    pub(super) fn is_credited(&self, address: &Address) -> bool {
        self.credits.iter().any(|credit| credit.address == *address)
    }

    /// Whether everything that the run was told is so in `state`; `None` if not.
    ///
    /// # Errors
    /// A read failed.
    pub(crate) fn check<DB: Database>(&self, state: &mut DB) -> Result<Option<Settled>, DB::Error> {
        for AccountRead { address, seen, .. } in &self.reads.accounts {
            if state.basic(*address)? != *seen {
                return Ok(None);
            }
        }
        for (address, slot, seen) in &self.reads.slots {
            if state.storage(*address, *slot)? != *seen {
                return Ok(None);
            }
        }
        for (number, seen) in &self.reads.block_hashes {
            if state.block_hash(*number)? != *seen {
                return Ok(None);
            }
        }
        let mut settled = Settled::default();
        for Credit { address, wei } in &self.credits {
            let before = state.basic(*address)?;
            let balance = before.as_ref().map(|info| info.balance).unwrap_or_default();
            let Some(after) = balance.checked_add(*wei) else { return Ok(None) };
            settled.0.push((*address, before, after));
        }
        Ok(Some(settled))
    }
}

/// The credited accounts of a run, on the state that it is adopted on.
#[derive(Debug, Default)]
pub(crate) struct Settled(Vec<(Address, Option<AccountInfo>, U256)>);

impl Settled {
    /// Puts the accounts into the state that the run gave.
    pub(crate) fn apply(self, state: &mut EvmState) {
        for (address, before, balance) in self.0 {
            let Some(account) = state.get_mut(&address) else { continue };
            account.status.set(AccountStatus::LoadedAsNotExisting, before.is_none());
            let before = before.unwrap_or_default();
            account.info = AccountInfo { balance, ..before.clone() };
            *account.original_info_mut() = before;
        }
    }
}
