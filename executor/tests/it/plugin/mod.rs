//! The three ways for hosts against alloy-evm's own, unmodified block executor: receipts, requests, gas and bundle state.

#[path = "../../../examples/host/mod.rs"]
mod host;
mod hosts;

use crate::mainnet::{archive, memory_state};
use alloy_evm::{EthEvmFactory, ToTxEnv, block::BlockExecutionResult};
use alloy_primitives::Address;
use host::{HostCase, sample_blocks, witness_blocks};
use laminar_executor::{
    BlockExecutor, Config, Mode, Pinning, Receipt,
    plugin::{AheadEvmFactory, HostBlock, drive_block, execute_block},
    schedule::Pool,
};
use laminar_fixtures::Fixture;
use revm::{
    DatabaseRef,
    database::{AccountRevert, AccountStatus, BundleAccount, BundleState},
    state::AccountInfo,
};
use std::{borrow::Borrow, fmt, num::NonZeroUsize, sync::Arc};

/// Workers of every check.
const WORKERS: [usize; 3] = [1, 2, 4];

fn workers(count: usize) -> NonZeroUsize {
    NonZeroUsize::new(count).unwrap()
}

/// Runs the block in all three ways and compares with alloy-evm's own; gives how many transactions the factory and the driver
/// adopted on two workers.
#[track_caller]
fn check<P>(case: &HostCase<P>) -> (usize, usize)
where
    P: DatabaseRef + fmt::Debug + Send + Sync + 'static,
{
    let want = case.execute(EthEvmFactory::default()).expect("a valid block");
    assert_eq!(want.0.gas_used, case.block.header.gas_used, "{}", case.name);
    let mut adopted = (0, 0);
    for count in WORKERS {
        let name = format!("{} on {count} workers", case.name);
        let config = Config { threads: workers(count), mode: Mode::Parallel, ..Config::default() };
        let executor = BlockExecutor::new(config).unwrap();
        let native = execute_block(&executor, case.rules, &case.block, &*case.parent).expect("a valid block");
        let want_native = (want.0.clone(), without_coming_and_going(want.1.clone()));
        assert_eq!(difference(&want_native, &(native.result, native.state)), None, "{name}, native");

        let factory = AheadEvmFactory::new(EthEvmFactory::default(), workers(count)).unwrap();
        let txs = case.txs.iter().map(|tx| tx.to_tx_env()).collect();
        let announcement = factory.announce(case.env(), txs, Arc::clone(&case.parent));
        if count == 2 {
            // Once with all the time before the block, otherwise the host races with the workers.
            announcement.wait();
        }
        let got = case.execute(factory.clone()).expect("a valid block");
        assert_eq!(difference(&want, &got), None, "{name}, EVM factory");

        let pool = Pool::new(workers(count), Pinning::Free).unwrap();
        let factory = case.factory(EthEvmFactory::default());
        let block = HostBlock { env: case.env(), context: case.context(), txs: &case.txs };
        let driven = drive_block(&factory, &pool, block, &*case.parent).expect("a valid block");
        assert_eq!(difference(&want, &(driven.result, driven.state)), None, "{name}, driver");
        if count == 2 {
            adopted = (announcement.adopted(), driven.adopted);
        }
    }
    adopted
}

type Executed = (BlockExecutionResult<Receipt>, BundleState);

/// The first thing in which `got` differs.
fn difference(want: &Executed, got: &Executed) -> Option<String> {
    if want.0 != got.0 {
        return Some(format!("result {:?} != {:?}", want.0, got.0));
    }
    let (want, got) = (&want.1, &got.1);
    for (address, account) in &want.state {
        let other = got.state.get(address);
        if other != Some(account) {
            return Some(format!(
                "account {address}: {} != {}",
                outline(account),
                other.map(outline).unwrap_or_default()
            ));
        }
    }
    let surplus = got.state.keys().find(|address| !want.state.contains_key(*address));
    if let Some(address) = surplus {
        return Some(format!("account {address} is only in the second: {}", outline(&got.state[address])));
    }
    let (reverts, others) = (reverts(want), reverts(got));
    if let Some((one, other)) = reverts.iter().zip(&others).find(|(one, other)| one != other) {
        return Some(format!("revert {one:?} != {other:?}"));
    }
    let codes = |bundle: &BundleState| {
        let mut codes: Vec<_> = bundle.contracts.keys().copied().collect();
        codes.sort_unstable();
        codes
    };
    (codes(want) != codes(got)).then(|| format!("codes {:?} != {:?}", codes(want), codes(got)))
}

/// Forgets of accounts that could have no storage before the block whether they were destroyed in it on the way: the changes of
/// a block do not say so.
fn without_coming_and_going(mut bundle: BundleState) -> BundleState {
    for account in bundle.state.values_mut() {
        let had_storage =
            account.original_info.as_ref().is_some_and(|info| info.nonce > 0 || !info.is_empty_code_hash());
        if account.status == AccountStatus::DestroyedChanged && !had_storage {
            account.status = AccountStatus::InMemoryChange;
        }
    }
    bundle
}

/// An account of a bundle without its code.
fn outline(account: &BundleAccount) -> String {
    let info = |info: &AccountInfo| (info.nonce, info.balance, info.code_hash);
    let (before, after) = (account.original_info.as_ref().map(info), account.info.as_ref().map(info));
    format!("{:?} {before:?} -> {after:?}, {:?}", account.status, account.storage)
}

/// The one block's reverts by address.
fn reverts(bundle: &BundleState) -> Vec<(Address, AccountRevert)> {
    let mut reverts = bundle.reverts.concat();
    reverts.sort_by_key(|(address, _)| *address);
    reverts
}

/// Checks all blocks, and that neither the factory nor the driver did everything inline; gives how many blocks there were.
#[track_caller]
fn check_all<P>(cases: impl Iterator<Item = impl Borrow<HostCase<P>>>) -> usize
where
    P: DatabaseRef + fmt::Debug + Send + Sync + 'static,
{
    let (mut blocks, mut txs, mut by_factory, mut by_driver) = (0, 0, 0, 0);
    for case in cases {
        let (factory, driver) = check(case.borrow());
        (blocks, txs) = (blocks + 1, txs + case.borrow().txs.len());
        (by_factory, by_driver) = (by_factory + factory, by_driver + driver);
    }
    println!("{blocks} blocks, {txs} transactions: the factory adopted {by_factory}, the driver {by_driver}");
    assert!(by_factory > txs / 2 && by_driver > 0, "hardly anything was adopted");
    blocks
}

#[test]
fn sample_blocks_are_identical_in_every_way() {
    let cases = sample_blocks();
    assert_eq!(cases.len(), 19);
    check_all(cases.iter());
}

#[test]
fn witness_blocks_of_mainnet_are_identical_in_every_way() {
    let Some(path) = archive("mainnet-witness.tar.zst") else { return };
    let cases = witness_blocks(path);
    assert_eq!(cases.len(), 24);
    check_all(cases.iter());
}

#[test]
fn prestate_blocks_of_mainnet_are_identical_in_every_way() {
    let Some(path) = archive("mainnet-prestate.tar.zst") else { return };
    let loaded = laminar_fixtures::open(&path).unwrap().map(Result::unwrap);
    let cases = loaded.filter_map(|loaded| match loaded.fixture {
        Fixture::Prestate(fixture) => {
            let state = memory_state(&fixture);
            Some(HostCase::new(loaded.name, 1, fixture.block, state))
        }
        _ => None,
    });
    assert_eq!(check_all(cases), 53);
}
