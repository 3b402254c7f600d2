//! Everything that changes the state around the transactions: one file per EIP.
//!
//! Place in the flow: merge calls [`before_transactions`] first and [`after_transactions`] last; sequential and
//! parallel share it.
//! Invariant: the order of effects is that of the execution specification. Before: DAO fork, beacon root, history.
//! After: block rewards or withdrawals, then requests in ascending type. It decides what happens; how it reaches the
//! state, and how it is recorded, is the [`SystemState`]'s.

mod block_reward;
mod dao_fork;
mod eip2935;
mod eip4788;
mod eip4895;
mod eip6110;
mod eip7002;
mod eip7251;
mod eip7685;

pub use eip7685::requests_hash;

use crate::{
    chain_spec::{Fork, Rules},
    error::ExecuteError,
    rule::Rule,
    types::{Block, Receipt},
};
use alloy_eips::eip7685::Requests;
use alloy_primitives::{Address, Bytes, U256};

/// Gas of a system call; the block's own gas is not touched.
pub const SYSTEM_CALL_GAS: u64 = 30_000_000;

/// What a system call gave back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SystemCallOutput {
    /// Whether the call ended without revert or halt.
    pub success: bool,
    /// Its return data.
    pub output: Bytes,
}

/// Block state as the rules around the transactions see it; the merge step implements it.
pub trait SystemState {
    /// Runs a call from [`SYSTEM_ADDRESS`](alloy_eips::eip4788::SYSTEM_ADDRESS) with [`SYSTEM_CALL_GAS`], no value, no
    /// fee and no nonce, and keeps its effects if it succeeds. `None` if the target has no code, in which case nothing
    /// is run.
    ///
    /// # Errors
    /// Only a failed backend or a bug; a call that reverts or halts is an output without success.
    fn system_call(&mut self, to: Address, input: Bytes) -> Result<Option<SystemCallOutput>, ExecuteError>;

    /// Whether the account has code.
    ///
    /// # Errors
    /// A failed backend.
    fn has_code(&mut self, address: Address) -> Result<bool, ExecuteError>;

    /// Adds to a balance, creating the account if needed. Zero touches the account: where EIP-161 holds, it ends up
    /// removed if it was empty and is not created if it was missing; where EIP-7928 holds, its address is recorded all
    /// the same.
    ///
    /// # Errors
    /// A failed backend.
    fn add_balance(&mut self, address: Address, wei: U256) -> Result<(), ExecuteError>;

    /// Takes the whole balance of an account and gives it back; the account stays.
    ///
    /// # Errors
    /// A failed backend.
    fn take_balance(&mut self, address: Address) -> Result<U256, ExecuteError>;
}

/// Applies what happens before the first transaction.
///
/// # Errors
/// [`ExecuteError::InvalidBlock`] if the header lacks what the fork needs; otherwise only what the state gives.
pub fn before_transactions(rules: &Rules, block: &Block, state: &mut impl SystemState) -> Result<(), ExecuteError> {
    if rules.is_dao_drain() {
        dao_fork::drain(state)?;
    }
    // Genesis has no parent to remember.
    if block.header.number == 0 {
        return Ok(());
    }
    if rules.is_active(Fork::Cancun) {
        eip4788::store_beacon_root(&block.header, state)?;
    }
    if rules.is_active(Fork::Prague) {
        eip2935::store_parent_hash(&block.header, state)?;
    }
    Ok(())
}

/// Applies what happens after the last transaction, and gives the block's requests (empty before Prague).
///
/// `receipts` are those of all transactions, in block order.
///
/// # Errors [`ExecuteError::InvalidBlock`] if a deposit log or a system contract breaks a rule; otherwise only what the
/// state gives.
pub fn after_transactions(
    rules: &Rules,
    block: &Block,
    receipts: &[Receipt],
    state: &mut impl SystemState,
) -> Result<Requests, ExecuteError> {
    if let Some(reward_wei) = rules.block_reward_wei() {
        block_reward::pay(reward_wei, &block.header, &block.body.ommers, state)?;
    }
    if rules.is_active(Fork::Shanghai)
        && let Some(withdrawals) = &block.body.withdrawals
    {
        eip4895::pay_withdrawals(withdrawals, state)?;
    }
    let mut requests = Requests::default();
    if rules.is_active(Fork::Prague) {
        let deposits = eip6110::deposits(rules.deposit_contract, receipts)?;
        requests.push_request_with_type(alloy_eips::eip6110::DEPOSIT_REQUEST_TYPE, deposits);
        eip7002::dequeue_withdrawal_requests(rules.withdrawal_requests, state, &mut requests)?;
        eip7251::dequeue_consolidation_requests(rules.consolidation_requests, state, &mut requests)?;
    }
    Ok(requests)
}

/// A call whose target must have code and must succeed; gives its return data.
fn checked_call(state: &mut impl SystemState, address: Address) -> Result<Bytes, ExecuteError> {
    match state.system_call(address, Bytes::new())? {
        None => Err(ExecuteError::invalid(Rule::SystemContractEmpty { address })),
        Some(SystemCallOutput { success: false, .. }) => {
            Err(ExecuteError::invalid(Rule::SystemContractCallFailed { address }))
        }
        Some(SystemCallOutput { output, .. }) => Ok(output),
    }
}

#[cfg(test)]
mod tests;
