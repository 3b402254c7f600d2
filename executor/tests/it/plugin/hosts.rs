//! Hosts that do not do what the usual host does: whatever the order, an EVM of the factory answers as the plain one.

use super::host::{HostCase, sample_blocks};
use alloy_evm::{
    EthEvmFactory, Evm, EvmEnv, EvmFactory, FromRecoveredTx, FromTxWithEncoded, ToTxEnv, TransactionEnvMut,
    precompiles::PrecompilesMap,
};
use alloy_primitives::U256;
use laminar_executor::{
    Transaction,
    plugin::{AheadEvmFactory, Announcement},
};
use laminar_state_db::WitnessState;
use revm::{
    DatabaseCommit,
    context::{BlockEnv, TxEnv},
    context_interface::result::ResultAndState,
    database::{State, WrapDatabaseRef},
    inspector::NoOpInspector,
    primitives::hardfork::SpecId,
};
use std::{fmt, num::NonZeroUsize, sync::Arc};

type HostState<'a> = State<WrapDatabaseRef<&'a WitnessState>>;
type Factory = AheadEvmFactory<EthEvmFactory>;

fn case(name: &str) -> HostCase<WitnessState> {
    sample_blocks().into_iter().find(|case| case.name.contains(name)).unwrap()
}

fn state(case: &HostCase<WitnessState>) -> HostState<'_> {
    State::builder().with_database_ref(&*case.parent).with_bundle_update().build()
}

fn txs(case: &HostCase<WitnessState>) -> Vec<TxEnv> {
    case.txs.iter().map(|tx| tx.to_tx_env()).collect()
}

/// The factory with the block announced, and every run finished.
fn announced(case: &HostCase<WitnessState>, env: EvmEnv) -> (Factory, Announcement<EthEvmFactory>) {
    let factory = AheadEvmFactory::new(EthEvmFactory::default(), NonZeroUsize::new(2).unwrap()).unwrap();
    let announcement = factory.announce(env, txs(case), Arc::clone(&case.parent));
    announcement.wait();
    (factory, announcement)
}

/// What reth's `EthEvmConfig` asks of an EVM factory.
fn fits_reth<F>(_: &F)
where
    F: EvmFactory<
            Tx: TransactionEnvMut + FromRecoveredTx<Transaction> + FromTxWithEncoded<Transaction>,
            Spec = SpecId,
            BlockEnv = BlockEnv,
            Precompiles = PrecompilesMap,
        > + Clone
        + fmt::Debug
        + Send
        + Sync
        + Unpin
        + 'static,
{
}

#[test]
fn the_factory_is_one_that_reth_takes() {
    fits_reth(&AheadEvmFactory::new(EthEvmFactory::default(), NonZeroUsize::MIN).unwrap());
}

/// What a host does with one transaction.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// Runs it and commits.
    Commit(usize),
    /// Runs it and throws the result away.
    Look(usize),
}

fn play<E>(evm: &mut E, txs: &[TxEnv], steps: &[Step]) -> Vec<Option<ResultAndState<E::HaltReason>>>
where
    E: Evm<Tx = TxEnv, DB: DatabaseCommit>,
{
    let mut outputs = Vec::new();
    for step in steps {
        let (Step::Commit(at) | Step::Look(at)) = *step;
        let output = evm.transact_raw(txs[at].clone()).ok();
        if let (Step::Commit(_), Some(output)) = (step, &output) {
            evm.db_mut().commit(output.state.clone());
        }
        outputs.push(output);
    }
    outputs
}

/// Plays the steps with the factory and without, and compares every answer and the end; gives how many were adopted.
#[track_caller]
fn check(case: &HostCase<WitnessState>, env: EvmEnv, steps: &[Step]) -> usize {
    let (factory, announcement) = announced(case, case.env());
    let mut ours = factory.create_evm(state(case), env.clone());
    let mut plain = EthEvmFactory::default().create_evm(state(case), env);
    let got = play(&mut ours, &txs(case), steps);
    let want = play(&mut plain, &txs(case), steps);
    for (at, (want, got)) in want.iter().zip(&got).enumerate() {
        assert_eq!(want.as_ref().map(|output| &output.result), got.as_ref().map(|output| &output.result), "step {at}");
        assert_eq!(want.is_some(), got.is_some(), "step {at}");
    }
    assert_eq!(ours.into_db().cache.accounts, plain.into_db().cache.accounts);
    announcement.adopted()
}

#[test]
fn transactions_in_any_order_skipped_repeated_and_not_committed() {
    let case = case("realistic-mix");
    let last = case.txs.len() - 1;
    let in_order: Vec<_> = (0..=last).map(Step::Commit).collect();
    assert!(check(&case, case.env(), &in_order) > last / 2);
    let backwards: Vec<_> = (0..=last).rev().map(Step::Commit).collect();
    check(&case, case.env(), &backwards);
    let every_third: Vec<_> = (0..=last).step_by(3).map(Step::Commit).collect();
    check(&case, case.env(), &every_third);
    let looking_first: Vec<_> = (0..=last).flat_map(|at| [Step::Look(at), Step::Commit(at), Step::Look(at)]).collect();
    check(&case, case.env(), &looking_first);
    let only_looking: Vec<_> = (0..=last).chain(0..=last).map(Step::Look).collect();
    check(&case, case.env(), &only_looking);
}

#[test]
fn other_block_environment_is_answered_inline() {
    let case = case("coinbase-reader");
    let steps: Vec<_> = (0..case.txs.len()).map(Step::Commit).collect();
    assert!(check(&case, case.env(), &steps) > 0);
    let mut later = case.env();
    later.block_env.timestamp += U256::ONE;
    assert_eq!(check(&case, later, &steps), 0);
    let mut other_limits = case.env();
    other_limits.cfg_env.limit_contract_code_size = Some(7);
    assert_eq!(check(&case, other_limits, &steps), 0);
}

#[test]
fn other_transaction_of_the_same_sender_and_nonce_is_answered_inline() {
    let case = case("plain-transfers");
    let (factory, announcement) = announced(&case, case.env());
    let mut evm = factory.create_evm(state(&case), case.env());
    let mut other = txs(&case).swap_remove(0);
    other.value += U256::ONE;
    let output = evm.transact_raw(other.clone()).unwrap();
    let plain = EthEvmFactory::default().create_evm(state(&case), case.env()).transact_raw(other).unwrap();
    assert_eq!(output, plain);
    assert_eq!(announcement.adopted(), 0);
}

#[test]
fn inspectors_and_changed_precompiles_are_served_inline() {
    let case = case("erc20");
    let (factory, announcement) = announced(&case, case.env());
    let first = || txs(&case).swap_remove(0);
    let mut inspected = factory.create_evm_with_inspector(state(&case), case.env(), NoOpInspector);
    inspected.transact_raw(first()).unwrap();
    let mut switched = factory.create_evm(state(&case), case.env());
    switched.enable_inspector();
    switched.transact_raw(first()).unwrap();
    let mut replaced = factory.create_evm(state(&case), case.env());
    replaced.precompiles_mut();
    replaced.transact_raw(first()).unwrap();
    assert_eq!(announcement.adopted(), 0);
    switched.disable_inspector();
    switched.transact_raw(first()).unwrap();
    assert_eq!(announcement.adopted(), 1);
}

#[test]
fn nothing_is_adopted_after_the_announcement_ended() {
    let case = case("plain-transfers");
    let (factory, announcement) = announced(&case, case.env());
    drop(announcement);
    let result = case.execute(factory).unwrap();
    assert_eq!(result.0.gas_used, case.block.header.gas_used);
}

#[test]
fn parent_that_fails_or_lies_to_the_workers_changes_nothing() {
    let case = case("weth");
    let want = case.execute(EthEvmFactory::default()).unwrap();
    for parent in [self::case("nft-mints").parent, self::case("plain-transfers").parent] {
        let factory = AheadEvmFactory::new(EthEvmFactory::default(), NonZeroUsize::new(2).unwrap()).unwrap();
        let announcement = factory.announce(case.env(), txs(&case), parent);
        let got = case.execute(factory.clone()).unwrap();
        assert_eq!(super::difference(&want, &got), None);
        drop(announcement);
    }
}
