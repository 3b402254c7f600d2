//! `eth_estimateGas`: the least gas limit with which a call succeeds.
//!
//! Place in the flow: runs of one [`Machine`] that differ only in their gas limit.
//! Invariant: the call succeeded with the limit that is returned, and it is at most 1.5 % above one with which it failed. The
//! search is geth's, so that clients see the same numbers.

use super::{Call, CallError, InvalidKind, Machine, execute::output_of};
use alloy_eips::eip4844::DATA_GAS_PER_BLOB;
use alloy_primitives::{TxKind, U256};
use laminar_executor::chain_spec::{Fork, Rules};
use revm::{
    Database,
    context::{
        TxEnv,
        result::{ExecutionResult, HaltReason, ResultGas},
    },
    database_interface::{DBErrorMarker, DatabaseRef},
    primitives::eip7825::TX_GAS_LIMIT_CAP,
};

/// How far above the least possible limit the answer may be.
const ERROR_RATIO: f64 = 0.015;
/// Gas of a transfer, and the least that any transaction has.
const TRANSFER_GAS: u64 = 21_000;
/// Gas that a call with value gives its callee on top.
const CALL_STIPEND: u64 = 2_300;

/// The least gas limit, within 1.5 %, with which `call` succeeds on `view`.
///
/// # Errors
/// What the call fails with at the highest limit; `gas required exceeds allowance` if that is for lack of gas.
pub fn estimate_gas<DB: DatabaseRef>(call: &Call<'_>, view: DB) -> Result<u64, CallError>
where
    DB::Error: DBErrorMarker,
{
    let (mut machine, tx) = call.prepare(view)?;
    let rules = call.spec.rules_at(
        u64::try_from(machine.block().number).unwrap_or(u64::MAX),
        u64::try_from(machine.block().timestamp).unwrap_or(u64::MAX),
    );
    let highest = highest_limit(call, &mut machine, &tx, &rules)?;
    if is_plain(&mut machine, &tx)? && try_with(&mut machine, &tx, TRANSFER_GAS).is_ok_and(|tried| tried.is_success()) {
        return Ok(TRANSFER_GAS);
    }
    let gas = match try_with(&mut machine, &tx, highest)? {
        Tried::Success(gas) => gas,
        Tried::Failure(Some(result)) if !is_out_of_gas(&result) => {
            return Err(output_of(result).err().unwrap_or_else(lost));
        }
        Tried::Failure(_) => {
            return Err(CallError::request(format_args!("gas required exceeds allowance ({highest})")));
        }
    };
    search(&mut machine, &tx, &gas, highest)
}

/// Narrows the range between a limit that fails and one that succeeds.
fn search<DB: DatabaseRef>(
    machine: &mut Machine<DB>,
    tx: &TxEnv,
    gas: &ResultGas,
    highest: u64,
) -> Result<u64, CallError>
where
    DB::Error: DBErrorMarker,
{
    let (mut fails, mut succeeds) = (gas.tx_gas_used().saturating_sub(1), highest);
    // What was used before refunds, with a stipend, and with the 64th that every call holds back: mostly enough.
    let peak = gas.total_gas_spent().max(gas.floor_gas());
    let mut next = Some(peak.saturating_add(CALL_STIPEND).saturating_mul(64) / 63).filter(|limit| *limit < highest);
    while fails + 1 < succeeds {
        let limit = match next.take() {
            Some(limit) => limit,
            None => {
                #[expect(clippy::cast_precision_loss, reason = "gas limits are far below 2^53")]
                let error = (succeeds - fails) as f64 / succeeds as f64;
                if error < ERROR_RATIO {
                    break;
                }
                // Most need little more than they use, so the search leans to the low side.
                (fails + (succeeds - fails) / 2).min(fails.saturating_mul(2))
            }
        };
        match try_with(machine, tx, limit)? {
            Tried::Success(_) => succeeds = limit,
            Tried::Failure(_) => fails = limit,
        }
    }
    Ok(succeeds)
}

/// The highest limit that the block, the sender's balance and the node allow.
fn highest_limit<DB: DatabaseRef>(
    call: &Call<'_>,
    machine: &mut Machine<DB>,
    tx: &TxEnv,
    rules: &Rules,
) -> Result<u64, CallError>
where
    DB::Error: DBErrorMarker,
{
    let named = call.request.gas.filter(|gas| *gas >= TRANSFER_GAS);
    let mut highest = named.unwrap_or(machine.block().gas_limit);
    if rules.is_active(Fork::Osaka) {
        highest = highest.min(TX_GAS_LIMIT_CAP);
    }
    if tx.gas_price > 0 {
        highest = highest.min(allowance(machine, tx)?);
    }
    Ok(highest.min(call.limits.gas_cap))
}

/// How much gas the sender can pay at the highest price that it offers.
fn allowance<DB: DatabaseRef>(machine: &mut Machine<DB>, tx: &TxEnv) -> Result<u64, CallError>
where
    DB::Error: DBErrorMarker,
{
    let sender = machine.state_mut().basic(tx.caller).map_err(CallError::state)?;
    let available = sender.map(|account| account.balance).unwrap_or_default();
    let available = available
        .checked_sub(tx.value)
        .filter(|left| tx.value.is_zero() || !left.is_zero())
        .ok_or_else(|| CallError::request("insufficient funds for transfer"))?;
    let blob_gas = U256::from(tx.blob_hashes.len()) * U256::from(DATA_GAS_PER_BLOB);
    let blob_fee = blob_gas.saturating_mul(U256::from(tx.max_fee_per_blob_gas));
    let available = available
        .checked_sub(blob_fee)
        .filter(|left| blob_fee.is_zero() || !left.is_zero())
        .ok_or_else(|| CallError::request("insufficient funds for gas * price + value"))?;
    Ok(u64::try_from(available / U256::from(tx.gas_price)).unwrap_or(u64::MAX))
}

/// Whether a call has no data and its recipient no code.
fn is_plain<DB: DatabaseRef>(machine: &mut Machine<DB>, tx: &TxEnv) -> Result<bool, CallError>
where
    DB::Error: DBErrorMarker,
{
    let TxKind::Call(to) = tx.kind else { return Ok(false) };
    if !tx.data.is_empty() {
        return Ok(false);
    }
    let recipient = machine.state_mut().basic(to).map_err(CallError::state)?;
    Ok(recipient.is_none_or(|account| account.is_empty_code_hash()))
}

enum Tried {
    Success(ResultGas),
    /// No result if the limit does not even cover what the transaction costs before its first instruction.
    Failure(Option<ExecutionResult>),
}

impl Tried {
    const fn is_success(&self) -> bool {
        matches!(self, Self::Success(_))
    }
}

fn try_with<DB: DatabaseRef>(machine: &mut Machine<DB>, tx: &TxEnv, gas_limit: u64) -> Result<Tried, CallError>
where
    DB::Error: DBErrorMarker,
{
    match machine.run(TxEnv { gas_limit, ..tx.clone() }) {
        Ok(ran) if ran.result.is_success() => Ok(Tried::Success(*ran.result.gas())),
        Ok(ran) => Ok(Tried::Failure(Some(ran.result))),
        Err(CallError::Invalid(invalid)) if invalid.kind == InvalidKind::IntrinsicGas => Ok(Tried::Failure(None)),
        Err(CallError::Invalid(invalid)) => {
            Err(CallError::request(format_args!("failed with {gas_limit} gas: {}", invalid.message)))
        }
        Err(other) => Err(other),
    }
}

const fn is_out_of_gas(result: &ExecutionResult) -> bool {
    matches!(result, ExecutionResult::Halt { reason: HaltReason::OutOfGas(_), .. })
}

fn lost() -> CallError {
    CallError::Internal { what: "a failed run has an output".to_owned() }
}
