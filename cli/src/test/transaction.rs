//! Transaction tests: bytes that are a valid transaction in some forks.
//!
//! Place in the flow: one kind of case; needs no executor.
//! Invariant: checks what a transaction must satisfy without any state; the first fork that differs fails the case.

use super::{network, runner::Ended};
use alloy_consensus::Header;
use anyhow::{Context as _, bail, ensure};
use laminar_executor::{
    ExecuteError, Transaction,
    chain_spec::Rules,
    env::{block_env, cfg_env, tx_env},
    recover::{Senders, decode_transaction, recover_senders},
    rule::Rule,
    types::TxIndex,
};
use laminar_fixtures::official::{TestConfig, TransactionResult, TransactionTest};
use revm::{
    Context, MainContext,
    context::TxEnv,
    context_interface::{Cfg, Transaction as _},
    handler::validation,
};

/// Runs a case.
///
/// # Errors
/// What differs from the case.
pub(crate) fn run(test: &TransactionTest) -> anyhow::Result<Ended> {
    for (fork, expected) in &test.result {
        let rules = match network::spec(fork, &TestConfig::default()) {
            Ok(spec) => spec.rules_at(1, 1),
            Err(error) => return Ok(Ended::Skipped(error.to_string())),
        };
        check(&test.txbytes, &rules, expected).with_context(|| format!("under {fork}"))?;
    }
    Ok(Ended::Passed)
}

fn check(bytes: &[u8], rules: &Rules, expected: &TransactionResult) -> anyhow::Result<()> {
    let read = read(bytes, rules);
    match (&expected.exception, read) {
        (None, Ok((transaction, senders, gas))) => {
            let hash = *transaction.tx_hash();
            ensure!(expected.hash.is_none_or(|expected| expected == hash), "hash: expected {:?}, found {hash}", expected.hash);
            let sender = senders.addresses.first().copied();
            ensure!(expected.sender.is_none_or(|expected| Some(expected) == sender), "sender: expected {:?}, found {sender:?}", expected.sender);
            ensure!(expected.intrinsic_gas.is_none_or(|expected| expected == gas), "intrinsic gas: expected {:?}, found {gas}", expected.intrinsic_gas);
            Ok(())
        }
        (None, Err(rule)) => bail!("expected a valid transaction, found {rule}"),
        (Some(exception), Ok(_)) => bail!("expected {exception}, found a valid transaction"),
        (Some(exception), Err(rule)) if rule.matches(&exception.to_string()) => Ok(()),
        (Some(exception), Err(rule)) => bail!("expected {exception}, found {}: {rule}", rule.exception()),
    }
}

/// The transaction with its sender and its intrinsic gas, or the first rule that it breaks.
fn read(bytes: &[u8], rules: &Rules) -> Result<(Transaction, Senders, u64), Rule> {
    let transaction = decode_transaction(bytes)?;
    let senders = recover_senders(std::slice::from_ref(&transaction), rules).map_err(rule)?;
    let env = tx_env(&transaction, &senders, TxIndex(0));
    let gas = intrinsic_gas(&env, rules)?;
    Ok((transaction, senders, gas))
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
    env.max_balance_spending()?;
    Ok(gas.initial_total_gas())
}
