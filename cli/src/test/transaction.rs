//! Transaction tests: bytes that are a valid transaction in some forks.
//!
//! Place in the flow: one kind of case; needs no executor.
//! Invariant: checks what a transaction must satisfy without any state; the first fork that differs fails the case.

use super::{network, runner::Ended};
use alloy_consensus::Header;
use alloy_primitives::{Address, U256};
use anyhow::{Context as _, bail};
use laminar_executor::{
    ExecuteError, Transaction,
    chain_spec::Rules,
    env::{block_env, cfg_env, tx_env},
    recover::{decode_transaction, recover_senders},
    rule::Rule,
    types::TxIndex,
};
use laminar_fixtures::official::{ExpectedException, TestConfig, TransactionResult, TransactionTest};
use revm::{Context, MainContext, context::TxEnv, context_interface::Cfg, handler::validation};
use std::fmt::Display;

/// Runs a case.
///
/// # Errors
/// What differs from the case.
pub(crate) fn run(test: &TransactionTest) -> anyhow::Result<Ended> {
    let mut ended = Ended::Passed;
    for (fork, expected) in &test.result {
        let rules = match network::spec(fork, &TestConfig::default()) {
            Ok(spec) => spec.rules_at(1, 1),
            Err(error) => return Ok(Ended::Skipped(error.to_string())),
        };
        match (&expected.exception, read(&test.txbytes, &rules)) {
            (None, Err(Rule::Encoding { .. })) if has_unpayable_fee(&test.txbytes) => {
                ended = Ended::Skipped("fee of 2^128 wei per gas or more, which nobody can pay".to_owned());
            }
            (exception, read) => check(exception.as_ref(), read, expected).with_context(|| format!("under {fork}"))?,
        }
    }
    Ok(ended)
}

fn check(
    exception: Option<&ExpectedException>,
    read: Result<Read, Rule>,
    expected: &TransactionResult,
) -> anyhow::Result<()> {
    match (exception, read) {
        (None, Ok(read)) => {
            same("hash", expected.hash, *read.transaction.tx_hash())?;
            same("sender", expected.sender, read.sender)?;
            same("intrinsic gas", expected.intrinsic_gas, read.intrinsic_gas)
        }
        (None, Err(rule)) => bail!("expected a valid transaction, found {rule}"),
        (Some(exception), Ok(_)) => bail!("expected {exception}, found a valid transaction"),
        (Some(exception), Err(rule)) if rule.matches(&exception.to_string()) => Ok(()),
        (Some(exception), Err(rule)) => bail!("expected {exception}, found {}: {rule}", rule.exception()),
    }
}

fn same<T: PartialEq + Display>(what: &str, expected: Option<T>, found: T) -> anyhow::Result<()> {
    match expected {
        Some(expected) if expected != found => bail!("{what}: expected {expected}, found {found}"),
        _ => Ok(()),
    }
}

/// A transaction that is valid without a look at the state.
struct Read {
    transaction: Transaction,
    sender: Address,
    intrinsic_gas: u64,
}

/// The transaction, or the first rule that it breaks.
fn read(bytes: &[u8], rules: &Rules) -> Result<Read, Rule> {
    let transaction = decode_transaction(bytes)?;
    let senders = recover_senders(std::slice::from_ref(&transaction), rules).map_err(rule)?;
    let env = tx_env(&transaction, &senders, TxIndex(0));
    let intrinsic_gas = intrinsic_gas(&env, rules)?;
    Ok(Read { transaction, sender: env.caller, intrinsic_gas })
}

/// Whether a fee field holds more than 128 bits. Fields of that width are all that our transaction types have.
fn has_unpayable_fee(bytes: &[u8]) -> bool {
    // Behind the type byte: the fields before the fees, and how many fees.
    let (skipped, fees, list) = match bytes.split_first() {
        Some((1, list)) => (2, 1, list),
        Some((2..=4, list)) => (2, 2, list),
        _ => (1, 1, bytes),
    };
    let mut list = list;
    let Ok(mut fields) = alloy_rlp::Header::decode_bytes(&mut list, true) else { return false };
    let mut strings = std::iter::from_fn(|| alloy_rlp::Header::decode_bytes(&mut fields, false).ok());
    strings.by_ref().skip(skipped).take(fees).any(|fee| fee.len() > 16 && fee.first() != Some(&0))
}

fn rule(error: ExecuteError) -> Rule {
    match error {
        ExecuteError::InvalidBlock { rule, .. } => rule,
        other => Rule::Other { what: other.to_string() },
    }
}

/// Checks what revm checks before it looks at the state; gives the gas that is spent before the first instruction.
fn intrinsic_gas(env: &TxEnv, rules: &Rules) -> Result<u64, Rule> {
    let header = Header { gas_limit: u64::MAX, ..Header::default() };
    let (block, cfg) = (block_env(rules, &header), cfg_env(rules));
    let gas = validation::validate_initial_tx_gas(env, cfg.spec, false, false, cfg.tx_gas_limit_cap(), None)?;
    let context = Context::mainnet().with_block(block).with_cfg(cfg.clone()).with_tx(env.clone());
    validation::validate_tx_env(context, cfg.spec)?;
    let most = U256::from(env.gas_price).checked_mul(U256::from(env.gas_limit));
    most.ok_or(Rule::CostOverflow)?;
    Ok(gas.initial_total_gas())
}
