//! A store on disk: blocks from raw bytes to durable, and point reads.
//!
//! Place in the flow: `row` measures through here, `table` prints; `sealed` makes the blocks.
//! Invariant: both sides work in turn on copies of one store and end at the same block or values. The import's rival runs
//! the same stages one after the other on one core, and commits all blocks in one transaction. What is copied, opened and
//! dropped is not timed.

use super::{
    figures::Duel,
    row::{Setup, Trouble},
    sealed::SealedChain,
    series::Series,
    state::StateFigures,
};
use crate::{
    clock::{Took, time},
    ending::one_line,
    engine,
};
use alloy_primitives::{Address, B256, U256, keccak256};
use anyhow::{Context, ensure};
use laminar_executor::{
    Config, Mode, Pinning,
    pipeline::{BATCH_LEN_MAX, Importer},
};
use laminar_fixtures::{ChainReader, workload::Recipe};
use laminar_state_db::{Account, BlockData, BlockRef, MemoryState, Store, StoreOptions};
use rayon::{ThreadPool, ThreadPoolBuilder};
use signet_libmdbx::{Environment, EnvironmentFlags};
use std::{borrow::Cow, hint::black_box, io::Cursor, num::NonZeroUsize, path::Path};

/// Blocks that are imported: the rival commits them at once.
pub(super) const BLOCKS: usize = 20;
const _: () = assert!(BLOCKS <= BATCH_LEN_MAX, "one transaction takes them");
const READS: u64 = 200_000;

/// What a row does.
#[derive(Clone, Copy, Debug)]
pub(super) enum StoreWork {
    /// Imports blocks of a recipe's transactions.
    Import(&'static Recipe),
    /// Reads accounts in no order, with the cache off.
    Reads,
}

/// Measures a row.
///
/// # Errors
/// The sides differ, or there is no room for the store.
pub(super) fn measure(setup: &Setup, work: StoreWork) -> Result<StateFigures, Trouble> {
    match work {
        StoreWork::Import(recipe) => imports(setup, recipe),
        StoreWork::Reads => reads(setup),
    }
    .map(|figures| StateFigures { accounts: Some(setup.accounts), ..figures })
    .map_err(|error| Trouble::Unreadable(one_line(error.as_ref())))
}

/// Times both sides in turn, once each a pass.
fn turns(
    setup: &Setup,
    mut rival: impl FnMut() -> anyhow::Result<Took>,
    mut ours: impl FnMut() -> anyhow::Result<Took>,
) -> anyhow::Result<Duel> {
    let (mut theirs, mut our) = (Series::default(), Series::default());
    for pass in 0..setup.passes {
        if pass.is_multiple_of(2) {
            theirs.push(rival()?);
        }
        our.push(ours()?);
        if !pass.is_multiple_of(2) {
            theirs.push(rival()?);
        }
    }
    Ok(Duel::new([&theirs].into_iter(), [&our].into_iter()))
}

fn imports(setup: &Setup, recipe: &Recipe) -> anyhow::Result<StateFigures> {
    let chain = SealedChain::new(recipe, BLOCKS, setup.accounts)?;
    let one = ThreadPoolBuilder::new().num_threads(1).build()?;
    let duel = turns(setup, || import_in_turn(&chain, &one), || import(&chain, setup))?;
    Ok(StateFigures::new("one core, in turn", setup, "tx", chain.txs, duel))
}

fn import(chain: &SealedChain, setup: &Setup) -> anyhow::Result<Took> {
    let executor = engine::executor(Config { pinning: Pinning::Free, ..setup.flags.config() })?;
    let (store, folder) = chain.store()?;
    let importer = Importer { spec: &chain.spec, executor: &executor, store: &store };
    let blocks = ChainReader::new("generated", Cursor::new(&chain.bytes));
    let (done, took) = time(|| importer.import(blocks, |_| {}));
    done?;
    check(chain, &store)?;
    drop((store, folder));
    Ok(took)
}

fn import_in_turn(chain: &SealedChain, one: &ThreadPool) -> anyhow::Result<Took> {
    let config = Config { threads: NonZeroUsize::MIN, mode: Mode::Sequential, ..Config::default() };
    let executor = engine::executor(config)?;
    let (store, folder) = chain.store()?;
    let importer = Importer { spec: &chain.spec, executor: &executor, store: &store };
    let blocks = ChainReader::new("generated", Cursor::new(&chain.bytes));
    let (done, took) = one.install(|| time(|| importer.import_in_turn(blocks, |_| {})));
    done?;
    check(chain, &store)?;
    drop((store, folder));
    Ok(took)
}

fn check(chain: &SealedChain, store: &Store) -> anyhow::Result<()> {
    let durable = store.durable().hash;
    ensure!(durable == chain.tip, "durable block: expected {}, found {durable}", chain.tip);
    Ok(())
}

fn address(i: u64) -> Address {
    Address::from_word(keccak256(i.to_be_bytes()))
}

fn account(i: u64) -> Account {
    Account { nonce: i, balance: U256::from(i) << 40, ..Account::default() }
}

fn reads(setup: &Setup) -> anyhow::Result<StateFigures> {
    let folder = tempfile::tempdir().context("making a folder")?;
    let options = StoreOptions { cache_size_max: 0, ..StoreOptions::default() };
    let accounts = setup.accounts as u64;
    let mut genesis = MemoryState::default();
    (0..accounts).for_each(|i| genesis.insert_account(address(i), account(i)));
    let id = BlockRef { number: 0, hash: B256::repeat_byte(1) };
    drop(Store::create(folder.path(), options, genesis, BlockData { id, ..BlockData::default() })?);
    let wanted = |i: u64| u64::from_be_bytes(keccak256(i.to_le_bytes())[..8].try_into().unwrap_or_default()) % accounts;
    let wanted: Vec<_> = (0..READS).map(wanted).map(|i| (address(i), account(i))).collect();
    let ours = || {
        let store = Store::open(folder.path(), options)?;
        let view = store.view_at(&id.hash)?;
        let (found, took) = time(|| {
            wanted
                .iter()
                .filter(|(address, account)| view.account(address).is_ok_and(|found| found == Some(*account)))
                .count()
        });
        ensure!(found == wanted.len(), "accounts: expected {}, found {found}", wanted.len());
        Ok(took)
    };
    let duel = turns(setup, || raw_reads(folder.path(), &wanted), ours)?;
    Ok(StateFigures::new("raw MDBX get", setup, "read", wanted.len(), duel))
}

/// The same rows without the store.
fn raw_reads(dir: &Path, wanted: &[(Address, Account)]) -> anyhow::Result<Took> {
    let mut builder = Environment::builder();
    let mode = signet_libmdbx::Mode::ReadOnly;
    builder.set_max_dbs(64).set_flags(EnvironmentFlags { mode, no_rdahead: true, ..Default::default() });
    let env = builder.open(dir)?;
    let tx = env.begin_ro_unsync()?;
    let table = tx.open_db(Some("Accounts"))?.dbi();
    let get = |address: &Address| {
        tx.get::<Cow<'_, [u8]>>(table, address.as_slice()).is_ok_and(|row| black_box(row).is_some())
    };
    let (found, took) = time(|| wanted.iter().filter(|(address, _)| get(address)).count());
    ensure!(found == wanted.len(), "rows: expected {}, found {found}", wanted.len());
    Ok(took)
}
