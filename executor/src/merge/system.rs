//! Block state for the rules around the transactions: system calls, withdrawals, rewards.
//!
//! Place in the flow: `system_calls` drives it before the first and after the last transaction, the same for every mode.
//! Invariant: its effects are folded like those of a transaction, by the same code.

use super::{Committer, Surroundings};
use crate::{
    effects::{AccountAccess, Fate, Simulation},
    error::ExecuteError,
    execute,
    read_set::{BalanceRule, NonceRule},
    system_calls::{SystemCallOutput, SystemState},
};
use alloy_primitives::{Address, Bytes, U256};
use laminar_state_db::Account;
use revm::DatabaseRef;

/// The committed prefix at the edge of the transactions.
#[derive(Debug)]
pub(crate) struct SystemView<'a, DB> {
    pub(super) committer: &'a mut Committer,
    pub(super) around: Surroundings<'a, DB>,
    /// Block access index (EIP-7928): 0 before the transactions, their number plus one after them.
    pub(super) step: u64,
}

impl<DB: DatabaseRef> SystemView<'_, DB> {
    fn account(&self, address: Address) -> Result<Option<Account>, ExecuteError> {
        match self.committer.ledger.state.account(&address) {
            Some(account) => Ok(account),
            None => execute::parent_account(self.around.parent, address),
        }
    }
}

impl<DB: DatabaseRef> SystemState for SystemView<'_, DB> {
    fn system_call(&mut self, to: Address, input: Bytes) -> Result<Option<SystemCallOutput>, ExecuteError> {
        if !self.has_code(to)? {
            return Ok(None);
        }
        let Surroundings { block, parent } = self.around;
        let ledger = &mut self.committer.ledger;
        let (run, output) = execute::system_call(block, parent, &mut ledger.state, to, input)?;
        ledger.fold(self.step, &run);
        Ok(Some(output))
    }

    fn has_code(&mut self, address: Address) -> Result<bool, ExecuteError> {
        Ok(self.account(address)?.is_some_and(|account| account.has_code()))
    }

    fn add_balance(&mut self, address: Address, wei: U256) -> Result<(), ExecuteError> {
        let parent = self.account(address)?;
        self.committer.ledger.credit(self.step, address, parent, wei);
        Ok(())
    }

    fn take_balance(&mut self, address: Address) -> Result<U256, ExecuteError> {
        let Some(seen) = self.account(address)? else { return Ok(U256::ZERO) };
        let access = AccountAccess {
            address,
            seen: Some(seen),
            after: Account { balance: U256::ZERO, ..seen },
            fate: Fate::Touched,
            balance: BalanceRule::Exact,
            nonce: NonceRule::Exact,
            slots_end: 0,
        };
        self.committer.ledger.fold(self.step, &Simulation { accounts: vec![access], ..Simulation::default() });
        Ok(seen.balance)
    }
}
