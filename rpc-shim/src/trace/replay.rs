//! A block's transactions once more, one after the other.
//!
//! Place in the flow: the one path on which every tracer runs.
//! Invariant: transaction `i` is visited exactly on the state that it ran on, and its changes are kept for the next one.

use crate::call::{CallError, CallState, Deadline, Environment, Machine, MovablePrecompiles, Ran, system::Around};
use alloy_primitives::{Address, B256};
use laminar_executor::{
    Block, TxIndex,
    chain_spec::ChainSpec,
    env::PreparedBlock,
    recover::{Senders, recover_authorities},
    system_calls::before_transactions,
};
use revm::{
    Inspector,
    context::TxEnv,
    database_interface::{DBErrorMarker, DatabaseRef},
};

use crate::call::MachineContext;

/// A block to run again.
#[derive(Clone, Copy, Debug)]
pub struct ReplayBlock<'a> {
    /// The chain's schedule.
    pub spec: &'a ChainSpec,
    /// The block.
    pub block: &'a Block,
    /// Its hash.
    pub hash: B256,
    /// One sender per transaction, in block order.
    pub senders: &'a [Address],
}

/// A transaction that ran again, with the machine before its changes.
#[derive(Debug)]
pub struct Replayed<'m, DB: DatabaseRef, I> {
    /// Its position.
    pub index: usize,
    /// What ran.
    pub tx: &'m TxEnv,
    /// What it gave.
    pub ran: &'m Ran,
    /// The machine, whose state is that before the transaction.
    pub machine: &'m mut Machine<DB, I>,
}

/// Runs `range` of a block's transactions on the state `view` of its parent. Those before run without an inspector; each in the
/// range has a new one from `inspector` and is shown to `visit`.
///
/// # Errors
/// A transaction is not valid where it stands, the deadline passed, the state cannot be read, or `visit` failed.
pub fn replay<DB, I, F>(
    target: &ReplayBlock<'_>,
    view: DB,
    deadline: Deadline,
    range: std::ops::Range<usize>,
    mut inspector: impl FnMut() -> I,
    mut visit: F,
) -> Result<(), CallError>
where
    DB: DatabaseRef<Error: DBErrorMarker>,
    I: Inspector<MachineContext<DB>>,
    F: FnMut(Replayed<'_, DB, I>) -> Result<(), CallError>,
{
    let (mut machine, prepared) = begin(target, view, deadline)?;
    for tx in prepared.txs.iter().take(range.start) {
        let ran = machine.run(tx.clone())?;
        machine.commit(ran.state);
    }
    let mut machine = machine.with_inspector(inspector());
    for (index, tx) in prepared.txs.iter().enumerate().take(range.end).skip(range.start) {
        if index > range.start {
            machine.replace_inspector(inspector());
        }
        let ran = machine.inspect(tx.clone())?;
        visit(Replayed { index, tx, ran: &ran, machine: &mut machine })?;
        machine.commit(ran.state);
    }
    Ok(())
}

/// What runs.
pub(super) fn prepare(target: &ReplayBlock<'_>) -> Result<PreparedBlock, CallError> {
    let Environment { rules, .. } = Environment::of_block(target.spec, &target.block.header);
    let authorizations = recover_authorities(&target.block.body.transactions);
    let senders = Senders { addresses: target.senders.to_vec(), authorizations };
    let mut prepared = PreparedBlock::new(rules, target.block, &senders)?;
    // The block is known to be valid; on a development chain it may hold transactions of impersonated contracts.
    prepared.cfg_env.disable_eip3607 = true;
    Ok(prepared)
}

/// The machine before the first transaction.
fn begin<DB: DatabaseRef<Error: DBErrorMarker>>(
    target: &ReplayBlock<'_>,
    view: DB,
    deadline: Deadline,
) -> Result<(Machine<DB>, PreparedBlock), CallError> {
    let prepared = prepare(target)?;
    let rules = prepared.rules;
    let environment = Environment { rules, cfg: prepared.cfg_env.clone(), block: prepared.block_env.clone() };
    let precompiles = MovablePrecompiles::new(environment.cfg.spec);
    let mut machine = Machine::new(&environment, CallState::new(view), precompiles, deadline);
    before_transactions(&rules, target.block, &mut Around(&mut machine))?;
    Ok((machine, prepared))
}

/// The state before transaction `index`.
///
/// # Errors
/// As [`replay`].
pub fn state_before<DB: DatabaseRef<Error: DBErrorMarker>>(
    target: &ReplayBlock<'_>,
    view: DB,
    deadline: Deadline,
    index: TxIndex,
) -> Result<CallState<DB>, CallError> {
    machine_at(target, view, deadline, index).map(Machine::into_state)
}

/// The machine before transaction `index`, for a call that runs there.
pub(super) fn machine_at<DB: DatabaseRef<Error: DBErrorMarker>>(
    target: &ReplayBlock<'_>,
    view: DB,
    deadline: Deadline,
    index: TxIndex,
) -> Result<Machine<DB>, CallError> {
    let (mut machine, prepared) = begin(target, view, deadline)?;
    for tx in prepared.txs.iter().take(index.as_usize()) {
        let ran = machine.run(tx.clone())?;
        machine.commit(ran.state);
    }
    Ok(machine)
}
