//! The rules around the transactions on a machine's state.
//!
//! Place in the flow: what simulated and replayed blocks do before their first and after their last transaction; the rules are
//! the executor's.
//! Invariant: the effects are those of [`SystemState`]'s contract; the inspector sees nothing of them.

use super::{CallError, Machine};
use alloy_primitives::{Address, Bytes, U256};
use laminar_executor::{
    ExecuteError,
    location::Location,
    system_calls::{SYSTEM_CALL_GAS, SystemCallOutput, SystemState},
};
use revm::{
    Database, ExecuteEvm,
    context::{ContextSetters, TxEnv, result::EVMError},
    database_interface::{DBErrorMarker, DatabaseRef},
    handler::{Handler, MainnetHandler, SYSTEM_ADDRESS, SystemCallTx},
    state::AccountInfo,
};

/// A machine's state as the rules around the transactions see it.
#[derive(Debug)]
pub(crate) struct Around<'m, DB: DatabaseRef, I>(pub(crate) &'m mut Machine<DB, I>);

impl<DB: DatabaseRef, I> Around<'_, DB, I>
where
    DB::Error: DBErrorMarker,
{
    fn account(&mut self, address: Address) -> Result<Option<AccountInfo>, ExecuteError> {
        self.0.state_mut().basic(address).map_err(|source| failed_read(address, source))
    }

    fn set_balance(&mut self, address: Address, info: AccountInfo) {
        self.0.state_mut().insert_account_info(address, info);
    }
}

fn failed_read(address: Address, source: impl std::error::Error + Send + Sync + 'static) -> ExecuteError {
    ExecuteError::State { location: Location::Balance(address), source: Box::new(source) }
}

impl<DB: DatabaseRef, I> SystemState for Around<'_, DB, I>
where
    DB::Error: DBErrorMarker,
{
    fn system_call(&mut self, to: Address, input: Bytes) -> Result<Option<SystemCallOutput>, ExecuteError> {
        if !self.has_code(to)? {
            return Ok(None);
        }
        let evm = &mut self.0.evm;
        // CONSENSUS: 30 million gas; revm's own default has more, for a later fork.
        evm.ctx.set_tx(TxEnv { gas_limit: SYSTEM_CALL_GAS, ..TxEnv::new_system_tx(to, input) });
        let ran = MainnetHandler::<_, EVMError<DB::Error>, _>::default().run_system_call(evm);
        let result = ran.map_err(|error| match error {
            EVMError::Database(source) => failed_read(to, source),
            other => ExecuteError::Bug { stage: "system call", what: other.to_string() },
        })?;
        let mut changes = evm.finalize();
        changes.remove(&SYSTEM_ADDRESS);
        self.0.commit(changes);
        let output = result.output().cloned().unwrap_or_default();
        Ok(Some(SystemCallOutput { success: result.is_success(), output }))
    }

    fn has_code(&mut self, address: Address) -> Result<bool, ExecuteError> {
        Ok(self.account(address)?.is_some_and(|account| !account.is_empty_code_hash()))
    }

    fn add_balance(&mut self, address: Address, wei: U256) -> Result<(), ExecuteError> {
        let mut info = self.account(address)?.unwrap_or_default();
        info.balance = info.balance.saturating_add(wei);
        self.set_balance(address, info);
        Ok(())
    }

    fn take_balance(&mut self, address: Address) -> Result<U256, ExecuteError> {
        let Some(mut info) = self.account(address)? else { return Ok(U256::ZERO) };
        let taken = std::mem::take(&mut info.balance);
        self.set_balance(address, info);
        Ok(taken)
    }
}

impl From<ExecuteError> for CallError {
    fn from(error: ExecuteError) -> Self {
        match error {
            ExecuteError::InvalidBlock { .. } => Self::request(error),
            ExecuteError::State { source, .. } => Self::State { source },
            other => Self::Internal { what: other.to_string() },
        }
    }
}
