//! `eth_createAccessList`: the access list with which a call touches nothing cold.
//!
//! Place in the flow: inspected runs of one [`super::Machine`].
//! Invariant: a run with the list that is returned touches exactly the list; a call that fails has one too.

use super::{Call, CallError, halt_reason};
use alloy_eips::eip2930::AccessList;
use alloy_primitives::TxKind;
use revm::{
    context::{TxEnv, result::ExecutionResult},
    database_interface::{DBErrorMarker, DatabaseRef},
};
use revm_inspectors::access_list::AccessListInspector;

/// What a call touches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessListOutcome {
    /// Accounts and slots; sender, recipient and precompiles only with slots.
    pub access_list: AccessList,
    /// Gas of the call with that list.
    pub gas_used: u64,
    /// Why the call fails with that list, in geth's words.
    pub error: Option<String>,
}

/// The access list of `call` on `view`.
///
/// # Errors
/// The call cannot run.
pub fn create_access_list<DB: DatabaseRef>(call: &Call<'_>, view: DB) -> Result<AccessListOutcome, CallError>
where
    DB::Error: DBErrorMarker,
{
    let (machine, mut tx) = call.prepare(view)?;
    let mut list = call.request.access_list.clone().unwrap_or_default();
    let mut machine = machine.with_inspector(AccessListInspector::default());
    loop {
        machine.replace_inspector(AccessListInspector::new(list.clone()));
        tx = with_list(tx, list.clone());
        let ran = machine.inspect(tx.clone())?;
        let touched = machine.replace_inspector(AccessListInspector::default()).into_access_list();
        // What is warm can change what a call does, so the list is tried until it changes nothing.
        if touched == list {
            let error = match &ran.result {
                ExecutionResult::Success { .. } => None,
                ExecutionResult::Revert { .. } => Some("execution reverted".to_owned()),
                ExecutionResult::Halt { reason, .. } => Some(halt_reason(reason)),
            };
            return Ok(AccessListOutcome { access_list: list, gas_used: ran.result.tx_gas_used(), error });
        }
        if call.limits.deadline.is_over() {
            return Err(CallError::Timeout { timeout: call.limits.deadline.timeout() });
        }
        list = touched;
    }
}

fn with_list(tx: TxEnv, access_list: AccessList) -> TxEnv {
    let typed = tx.tx_type == 0 && !access_list.is_empty();
    let tx_type = if typed { 1 } else { tx.tx_type };
    debug_assert!(matches!(tx.kind, TxKind::Call(_) | TxKind::Create));
    TxEnv { tx_type, access_list, ..tx }
}
