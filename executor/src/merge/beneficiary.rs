//! Who earns the fees of the block.
//!
//! Place in the flow: the committer pays each transaction's fee here; system calls and runs that look at the account settle it.
//! Invariant: fees are an addition, so they may be put off until somebody looks; after [`Beneficiary::settle`] the committed
//! prefix has all that were paid.

use super::{Surroundings, fold::Ledger};
use crate::{block_state::Owed, effects::Simulation, error::ExecuteError, execute};
use alloy_primitives::{Address, U256};
use laminar_state_db::Account;
use revm::DatabaseRef;

/// The account of `COINBASE`, and what it is owed.
#[derive(Debug)]
pub(super) struct Beneficiary {
    address: Address,
    /// In the parent state; read once, so that fees need no read.
    parent: Option<Account>,
    /// Fees not yet added, because nobody looked at it since; `None` if it was not touched either.
    unpaid: Option<U256>,
}

impl Beneficiary {
    /// The beneficiary at the start of the block.
    ///
    /// # Errors
    /// Reading it from the parent failed.
    pub(super) fn of<DB: DatabaseRef>(around: Surroundings<'_, DB>) -> Result<Self, ExecuteError> {
        let address = around.block.block_env.beneficiary;
        Ok(Self { address, parent: execute::parent_account(around.parent, address)?, unpaid: None })
    }

    /// Whether it is this account.
    pub(super) fn is(&self, address: &Address) -> bool {
        self.address == *address
    }

    /// CONSENSUS: a fee of zero touches the beneficiary: without EIP-161 that creates it, with EIP-161 it removes it if it is
    /// empty, and otherwise it is an access without a change (EIP-7928).
    pub(super) fn pay(&mut self, ledger: &mut Ledger, step: u64, fee: U256) {
        if fee.is_zero() && ledger.clears_empty && self.unpaid.is_none() {
            let now = ledger.state.account(&self.address).unwrap_or(self.parent);
            if !now.is_some_and(|account| account.is_empty()) {
                if let Some(list) = &mut ledger.access_list {
                    list.touch(self.address);
                }
                return;
            }
        }
        if ledger.access_list.is_some() {
            ledger.credit(step, self.address, self.parent, fee);
        } else {
            self.unpaid = Some(self.unpaid.unwrap_or_default().saturating_add(fee));
        }
    }

    /// What it is owed beyond what the prefix has, for a run that may look at it. Being touched without a fee is put off no longer.
    pub(super) fn owed(&mut self, ledger: &mut Ledger) -> Option<Owed> {
        if self.unpaid.is_some_and(|fees| fees.is_zero()) {
            self.settle(ledger);
        }
        self.unpaid.map(|wei| Owed { address: self.address, parent: self.parent, wei })
    }

    /// Adds the fees that were put off if `run` looked at the account.
    pub(super) fn settle_if_in(&mut self, ledger: &mut Ledger, run: &Simulation) {
        if run.accounts.iter().any(|access| self.is(&access.address)) {
            self.settle(ledger);
        }
    }

    /// Adds the fees that were put off: the account is about to be looked at.
    pub(super) fn settle(&mut self, ledger: &mut Ledger) {
        if let Some(fees) = self.unpaid.take() {
            ledger.credit(0, self.address, self.parent, fees);
        }
    }
}
