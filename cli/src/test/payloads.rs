//! Engine tests: calls of `engine_newPayload` and the status or error that each must give.
//!
//! Place in the flow: one kind of case; the same code as the server's, without the server.
//! Invariant: each valid payload becomes the head by a fork choice, as a consensus client would do it.

use super::{
    blockchain::{End, check_genesis, check_head},
    network,
    runner::{Ended, Runner, foresee},
};
use alloy_primitives::B256;
use anyhow::{Context, bail, ensure};
use laminar_fixtures::official::{EngineNewPayload, EngineTest, ExpectedException};
use laminar_rpc_shim::{
    engine::{Engine, ForkchoiceState, NewPayloadVersion, PayloadStatus},
    error::RpcError,
    node::Node,
};
use std::sync::Arc;

/// Runs a case.
///
/// # Errors
/// What differs from the case.
pub(crate) fn run(test: &EngineTest, runner: &mut Runner) -> anyhow::Result<Ended> {
    let spec = match network::spec(&test.network, &test.config) {
        Ok(spec) => spec,
        Err(error) => return Ok(Ended::Skipped(error.to_string())),
    };
    check_genesis(&test.genesis_header, None)?;
    let genesis = test.genesis_header.header.clone();
    let mut engine = Engine::new(Arc::new(Node::new(spec, genesis, network::state(&test.pre), runner.executor())?));
    for (position, call) in test.payloads.iter().enumerate() {
        play(&mut engine, runner, call).with_context(|| format!("payload {position} of the case"))?;
    }
    let end = End { hash: test.last_block_hash, state: test.post_state.as_ref(), root: test.post_state_hash };
    check_head(engine.node(), &end)?;
    Ok(Ended::Passed)
}

fn play(engine: &mut Engine, runner: &mut Runner, call: &EngineNewPayload) -> anyhow::Result<()> {
    let version = NewPayloadVersion::from_number(call.new_payload_version)
        .with_context(|| format!("unknown version {} of engine_newPayload", call.new_payload_version))?;
    let head = engine.node().head().hash();
    let answer = engine.new_payload_with(version, &call.params, foresee);
    if let Some(code) = call.error_code {
        return check_refusal(code, answer);
    }
    let status = answer?;
    match &call.validation_error {
        Some(expected) => {
            check_invalid(expected, &status, head)?;
            ensure!(engine.node().head().hash() == head, "head moved by a payload that is not valid");
            Ok(())
        }
        None => check_valid(engine, runner, &status),
    }
}

fn check_refusal(code: i64, answer: Result<PayloadStatus, RpcError>) -> anyhow::Result<()> {
    match answer {
        Err(refusal) if i64::from(refusal.code.number()) == code => Ok(()),
        Err(refusal) => bail!("error code: expected {code}, found {refusal}"),
        Ok(status) => bail!("expected error {code}, found status {}", word(&status)),
    }
}

fn check_invalid(expected: &ExpectedException, status: &PayloadStatus, parent: B256) -> anyhow::Result<()> {
    ensure!(status.word() == "INVALID", "status: expected INVALID ({expected}), found {}", word(status));
    ensure!(status.matches(&expected.to_string()), "expected {expected}, found {}", word(status));
    // A payload that is not the block that it claims to be has no branch to name an ancestor of.
    let valid = status.latest_valid_hash;
    ensure!(valid.is_none_or(|hash| hash == parent), "latestValidHash: expected {parent}, found {valid:?}");
    Ok(())
}

fn check_valid(engine: &mut Engine, runner: &mut Runner, status: &PayloadStatus) -> anyhow::Result<()> {
    let hash = match status.latest_valid_hash {
        Some(hash) if status.word() == "VALID" => hash,
        _ => bail!("status: expected VALID, found {}", word(status)),
    };
    let record = engine.node().block_by_hash(&hash).context("a valid payload is in the tree")?;
    runner.count(record.body.transactions.len(), record.stats.as_ref().context("a recent block has them")?)?;
    let zero = B256::ZERO;
    let state = ForkchoiceState { head_block_hash: hash, safe_block_hash: zero, finalized_block_hash: zero };
    let chosen = engine.forkchoice_updated(&state)?;
    ensure!(chosen.word() == "VALID", "fork choice: expected VALID, found {}", word(&chosen));
    Ok(())
}

fn word(status: &PayloadStatus) -> String {
    let error = status.validation_error().map(|error| format!(" ({error})")).unwrap_or_default();
    format!("{}{error}", status.word())
}
