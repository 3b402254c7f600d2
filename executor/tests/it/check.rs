//! The one check of the executor's boundary: whatever the mode, the outcome is that of lean sequential revm.

use crate::list::{history_difference, list_difference};
use alloy_primitives::map::AddressMap;
use laminar_executor::{
    Block, BlockExecutor, Config, Knowledge, Mode, Outcome, Path, Pinning, Predict,
    chain_spec::{Fork, Rules},
    env::PreparedBlock,
    recover::recover_senders,
    sequential::{self, LeanOutcome},
};
use revm::DatabaseRef;
use std::num::NonZeroUsize;

/// Worker counts of every check.
pub(crate) const WORKERS: [usize; 4] = [1, 2, 3, 8];
/// Predictions of every check.
pub(crate) const PREDICTIONS: [Predict; 4] =
    [Predict::None, Predict::Presimulate, Predict::Ahead, Predict::BlockAccessList];

/// Recovers senders and prepares a block.
pub(crate) fn prepare(rules: Rules, block: &Block) -> PreparedBlock {
    let senders = recover_senders(&block.body.transactions, &rules).expect("senders");
    PreparedBlock::new(rules, block, &senders).expect("prepared")
}

/// An executor that forces the parallel path. With an odd number of workers it makes the access list, which takes another
/// way through merge for the beneficiary's fees.
pub(crate) fn executor(workers: usize, predict: Predict) -> BlockExecutor {
    let threads = NonZeroUsize::new(workers).unwrap();
    let block_access_list = workers % 2 == 1;
    let config =
        Config { threads, mode: Mode::Parallel, predict, block_access_list, timeline: false, pinning: Pinning::Free };
    BlockExecutor::new(config).unwrap()
}

/// What is known before the block under `predict`.
pub(crate) fn knowledge<DB: DatabaseRef + Sync>(
    executor: &BlockExecutor,
    block: &Block,
    prepared: &PreparedBlock,
    parent: &DB,
) -> Knowledge {
    match executor.config().predict {
        Predict::Ahead => Knowledge::Simulations(executor.simulate(prepared, parent)),
        Predict::BlockAccessList => {
            let earlier =
                self::executor(1, Predict::None).execute(block, prepared, parent, Knowledge::Nothing).unwrap();
            Knowledge::BlockAccessList(earlier.block_access_list.unwrap())
        }
        Predict::None | Predict::Presimulate => Knowledge::Nothing,
    }
}

/// Runs the block in every way and compares with lean sequential revm; gives the last outcome.
#[track_caller]
pub(crate) fn check_block<DB: DatabaseRef + Sync>(rules: Rules, block: &Block, parent: &DB) -> Outcome {
    check_prepared(block, &prepare(rules, block), parent, &WORKERS)
}

/// As [`check_block`], for a prepared block.
#[track_caller]
pub(crate) fn check_prepared<DB: DatabaseRef + Sync>(
    block: &Block,
    prepared: &PreparedBlock,
    parent: &DB,
    workers: &[usize],
) -> Outcome {
    let mut last: Option<Outcome> = None;
    for predict in PREDICTIONS {
        for workers in workers.iter().copied() {
            let mut want = sequential::execute(block, prepared, parent).expect("sequential");
            let executor = executor(workers, predict);
            let known = knowledge(&executor, block, prepared, parent);
            let got = executor.execute(block, prepared, parent, known).expect("parallel");
            let case = format!("block {} {predict:?} x {workers}", block.header.number);
            let empty = prepared.txs.is_empty();
            assert_eq!(got.stats.path == Path::Parallel, !empty, "{case}: not parallel");
            let committed = got.stats.incarnations + got.stats.adopted;
            assert!(committed >= prepared.txs.len() as u64, "{case}: fell back silently");
            assert_eq!(got.stats.fallback, None, "{case}");
            assert_eq!(first_difference(&mut want, &got, parent), None, "{case}");
            assert_eq!(got.block_access_list.is_some(), workers % 2 == 1, "{case}: access list");
            if let Some(last) = &last {
                assert_eq!(last.changes, got.changes, "{case}: bundle");
            }
            let Some(list) = &got.block_access_list else { continue };
            if prepared.rules.is_active(Fork::Cancun) {
                assert_eq!(list_difference(list, &got, parent), None, "{case}: access list");
            }
            let ends_with_txs = block.body.withdrawals.as_ref().is_none_or(|withdrawals| withdrawals.is_empty());
            if last.is_none() && ends_with_txs && prepared.rules.is_active(Fork::Cancun) {
                assert_eq!(history_difference(list, block, prepared, parent), None, "{case}: access list");
            }
            if let Some(last) = &last {
                assert_eq!(last.block_access_list, got.block_access_list, "{case}: access list");
            }
            last = Some(got);
        }
    }
    last.unwrap()
}

/// The first thing in which `got` differs from sequential execution.
pub(crate) fn first_difference<DB: DatabaseRef>(
    want: &mut LeanOutcome<'_, DB>,
    got: &Outcome,
    parent: &DB,
) -> Option<String> {
    for (index, (want, got)) in want.receipts.iter().zip(&got.receipts).enumerate() {
        if want != got {
            return Some(format!("receipt of tx {index}: {want:?} != {got:?}"));
        }
    }
    if want.receipts.len() != got.receipts.len() {
        return Some(format!("{} receipts != {}", want.receipts.len(), got.receipts.len()));
    }
    if (want.gas_used, &want.requests) != (got.gas_used, &got.requests) {
        return Some("gas or requests".to_owned());
    }
    let mut sequential = AddressMap::default();
    for (address, account, slots) in want.state.entries() {
        let change = got.changes.account(&address);
        let before = parent.basic_ref(address).unwrap();
        let before = before.as_ref().map(laminar_state_db::Account::from);
        let after = change.map_or(before, |change| change.after);
        if account != after {
            return Some(format!("account {address}: {account:?} != {after:?}"));
        }
        if change.is_some_and(|change| change.before != before) {
            return Some(format!("account {address}: before {before:?} != {change:?}"));
        }
        for (slot, value) in slots {
            let now = match change.map(|change| (change.storage.get(&slot), change.storage_cleared)) {
                Some((Some(slot), _)) => slot.after,
                Some((None, true)) => alloy_primitives::U256::ZERO,
                Some((None, false)) | None => parent.storage_ref(address, slot).unwrap(),
            };
            if account.is_some() && value != now {
                return Some(format!("slot {slot:#x} of {address}: {value:#x} != {now:#x}"));
            }
        }
        sequential.insert(address, ());
    }
    let unread = got.changes.accounts.keys().find(|address| !sequential.contains_key(*address));
    unread.map(|address| format!("account {address} changed, but sequential execution never touched it"))
}
