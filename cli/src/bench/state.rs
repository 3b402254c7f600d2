//! Hashing and state roots alone: the rows that execute no block and touch no file.
//!
//! Place in the flow: `row` measures through here, `table` prints.
//! Invariant: both sides work in turn in this process and end at the same root or hash; the rival has one thread, and where it is
//! our own trie, scalar hashing. What is prepared, compared and dropped is not timed.

use super::{
    figures::Duel,
    row::{Setup, Trouble},
    runs::differs,
    series::{Series, rounded},
};
use crate::{
    chain,
    clock::{Took, time},
    ending::one_line,
    engine,
};
use alloy_primitives::{Address, B256, U256, keccak256};
use alloy_trie::{TrieAccount, root::state_root_unhashed};
use laminar_executor::{Config, Knowledge, env::PreparedBlock, recover::recover_senders};
use laminar_fixtures::{Fixture, WitnessBlock};
use laminar_state_db::{
    Account, AccountChange, BlockChanges, Dispatch, WitnessState, keccak256_batch,
    trie::{NoSource, StateTrie, sorted_root},
};
use rayon::{ThreadPool, ThreadPoolBuilder};
use serde::Serialize;
use std::path::{Path, PathBuf};

const ARCHIVE: &str = "mainnet-witness.tar.zst";
const MESSAGES: usize = 1024;
const SORTED: u64 = 100_000;
const ACCOUNTS: u64 = 1_000_000;
const UPDATES: u64 = 10_000;
/// The work is short, so a pass is the median of several shots.
const SHOTS: u32 = 9;

/// What a row does.
#[derive(Clone, Copy, Debug)]
pub(super) enum StateWork {
    /// Hashes of messages of `len` bytes.
    Keccak {
        /// Bytes of a message.
        len: usize,
    },
    /// The root of sorted accounts, from scratch.
    Sorted,
    /// Random updates of a big trie that is in memory.
    Updates,
    /// The roots after the mainnet blocks with witness.
    Witnesses,
}

/// The figures of a row.
#[derive(Clone, Debug, Serialize)]
pub(super) struct StateFigures {
    /// Whom ours is compared with.
    pub(super) rival: &'static str,
    pub(super) threads: usize,
    pub(super) passes: u32,
    /// What is counted.
    pub(super) unit: &'static str,
    pub(super) items: usize,
    /// Of the store, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) accounts: Option<usize>,
    /// Its times stand where lean's stand in other rows.
    #[serde(flatten)]
    pub(super) duel: Duel,
    /// Ours, of medians.
    #[serde(serialize_with = "rounded")]
    pub(super) ns_per_item: f64,
    /// Ours, of medians.
    #[serde(serialize_with = "rounded")]
    pub(super) items_per_s: f64,
}

/// Who works.
#[derive(Clone, Copy, Debug)]
enum Worker<'a> {
    /// One thread, scalar hashing.
    Rival(&'a ThreadPool),
    Ours,
}

impl Worker<'_> {
    fn time<T: Send>(self, work: impl FnOnce() -> T + Send) -> (T, Took) {
        match self {
            Self::Rival(pool) => {
                Dispatch::limit(Dispatch::Scalar);
                let done = pool.install(|| time(work));
                Dispatch::limit(Dispatch::Avx512);
                done
            }
            Self::Ours => time(work),
        }
    }
}

impl StateWork {
    const fn rival(self) -> &'static str {
        match self {
            Self::Keccak { .. } => "scalar, one by one",
            Self::Sorted => "alloy-trie",
            Self::Updates | Self::Witnesses => "scalar, one thread",
        }
    }

    const fn unit(self) -> &'static str {
        match self {
            Self::Keccak { .. } => "hash",
            Self::Sorted => "account",
            Self::Updates => "update",
            Self::Witnesses => "leaf",
        }
    }

    /// Whether what it works on is at hand.
    pub(super) fn is_available(self, data: &Path) -> bool {
        !matches!(self, Self::Witnesses) || archive(data).is_file()
    }
}

fn archive(data: &Path) -> PathBuf {
    data.join(ARCHIVE)
}

/// Measures a row.
///
/// # Errors
/// The sides differ, or the blocks cannot be had.
pub(super) fn measure(setup: &Setup, work: StateWork) -> Result<StateFigures, Trouble> {
    let one = ThreadPoolBuilder::new().num_threads(1).build();
    let one = one.map_err(|error| Trouble::Unreadable(one_line(&error)))?;
    let mut turns = Turns { passes: setup.passes, one, rival: Vec::new(), ours: Vec::new(), items: 0 };
    match work {
        StateWork::Keccak { len } => keccak(&mut turns, len)?,
        StateWork::Sorted => sorted(&mut turns)?,
        StateWork::Updates => updates(&mut turns)?,
        StateWork::Witnesses => witnesses(&mut turns, &archive(&setup.data))?,
    }
    let duel = Duel::new(turns.rival.iter(), turns.ours.iter());
    Ok(StateFigures::new(work.rival(), setup, work.unit(), turns.items, duel))
}

impl StateFigures {
    /// What both sides took for so many items.
    pub(super) fn new(rival: &'static str, setup: &Setup, unit: &'static str, items: usize, duel: Duel) -> Self {
        let ns_per_item = duel.candidate.ms * 1e6 / items as f64;
        let (threads, passes) = (setup.flags.threads().get(), setup.passes);
        Self { rival, threads, passes, unit, items, accounts: None, duel, ns_per_item, items_per_s: 1e9 / ns_per_item }
    }
}

/// Both sides in turn.
struct Turns {
    passes: u32,
    one: ThreadPool,
    /// One series for each piece of work.
    rival: Vec<Series>,
    ours: Vec<Series>,
    items: usize,
}

impl Turns {
    /// Measures one piece of work on `items` items.
    fn take(&mut self, items: usize, mut work: impl FnMut(Worker<'_>) -> Result<Took, Trouble>) -> Result<(), Trouble> {
        let (mut rival, mut ours) = (Series::default(), Series::default());
        work(Worker::Ours)?;
        for pass in 0..self.passes {
            let (mut rival_shots, mut our_shots) = (Series::default(), Series::default());
            for shot in 0..SHOTS {
                let rival_first = (pass + shot).is_multiple_of(2);
                if rival_first {
                    rival_shots.push(work(Worker::Rival(&self.one))?);
                }
                our_shots.push(work(Worker::Ours)?);
                if !rival_first {
                    rival_shots.push(work(Worker::Rival(&self.one))?);
                }
            }
            rival.push(rival_shots.median());
            ours.push(our_shots.median());
        }
        self.rival.push(rival);
        self.ours.push(ours);
        self.items += items;
        Ok(())
    }
}

/// Both sides must have come to the same.
fn agree(expected: B256, found: B256) -> Result<(), Trouble> {
    if expected == found {
        return Ok(());
    }
    Err(Trouble::Differs(format!("root: expected {expected}, found {found}")))
}

fn keccak(turns: &mut Turns, len: usize) -> Result<(), Trouble> {
    let messages: Vec<Vec<u8>> = (0..MESSAGES).map(|i| vec![i as u8; len]).collect();
    let expected: Vec<B256> = messages.iter().map(keccak256).collect();
    turns.take(MESSAGES, |worker| {
        let mut hashes = Vec::with_capacity(MESSAGES);
        let ((), took) = match worker {
            Worker::Rival(_) => time(|| hashes.extend(messages.iter().map(keccak256))),
            Worker::Ours => time(|| keccak256_batch(&messages, &mut hashes)),
        };
        if hashes == expected { Ok(took) } else { Err(Trouble::Differs("hashes".to_owned())) }
    })
}

fn address(i: u64) -> Address {
    Address::from_word(keccak256(i.to_le_bytes()))
}

fn account(i: u64) -> Account {
    Account { nonce: i, balance: U256::from(i) << 64, ..Account::default() }
}

fn leaf(Account { nonce, balance, .. }: Account) -> TrieAccount {
    TrieAccount { nonce, balance, ..TrieAccount::default() }
}

fn sorted(turns: &mut Turns) -> Result<(), Trouble> {
    let mut leaves: Vec<_> = (0..SORTED).map(|i| (keccak256(address(i)), leaf(account(i)))).collect();
    leaves.sort_unstable_by_key(|(hash, _)| *hash);
    let expected = sorted_root(&leaves);
    turns.take(leaves.len(), |worker| {
        let (root, took) = match worker {
            Worker::Rival(_) => time(|| alloy_trie::root::state_root(leaves.iter().copied())),
            Worker::Ours => time(|| sorted_root(&leaves)),
        };
        agree(expected, root)?;
        Ok(took)
    })
}

fn updates(turns: &mut Turns) -> Result<(), Trouble> {
    let mut nonces: Vec<u64> = (0..ACCOUNTS).collect();
    let accounts = (0..ACCOUNTS).map(|i| (address(i), account(i))).collect();
    let mut tries = StateTrie::from_state(&accounts, &Default::default());
    tries.root();
    drop(accounts);
    let mut round = 0;
    turns.take(UPDATES as usize, |worker| {
        round += 1;
        // Other accounts in each round, all over the state.
        let changed = (0..UPDATES).map(|i| (i * 245_489 + round * 104_729) % ACCOUNTS);
        let change = |i: u64| {
            nonces[i as usize] = ACCOUNTS + round;
            let after = Account { nonce: nonces[i as usize], ..account(i) };
            (address(i), AccountChange { before: Some(account(i)), after: Some(after), ..AccountChange::default() })
        };
        let changes = BlockChanges { accounts: changed.map(change).collect(), ..BlockChanges::default() };
        let (applied, took) = worker.time(|| tries.apply(&changes, &NoSource).map(|()| tries.root()));
        applied.map_err(|error| differs(&error))?;
        Ok(took)
    })?;
    let after = nonces.iter().zip(0..).map(|(nonce, i)| (address(i), leaf(Account { nonce: *nonce, ..account(i) })));
    agree(state_root_unhashed(after), tries.root())
}

fn witnesses(turns: &mut Turns, archive: &Path) -> Result<(), Trouble> {
    if !archive.is_file() {
        return Err(Trouble::Skipped(format!("no archive at {} (--data DIR)", archive.display())));
    }
    let unreadable = |error: &(dyn std::error::Error + 'static)| Trouble::Unreadable(one_line(error));
    for loaded in laminar_fixtures::open(archive).map_err(|error| unreadable(&error))? {
        let Fixture::Witness(witness) = loaded.map_err(|error| unreadable(&error))?.fixture else { continue };
        let expected = witness.block.header.state_root;
        let (state, changes) = execute(*witness).map_err(|error| unreadable(error.as_ref()))?;
        let leaves = changes.accounts.len() + changes.slots_len();
        turns.take(leaves, |worker| {
            let (root, took) = worker.time(|| state.post_state_root(&changes));
            agree(expected, root.map_err(|error| differs(&error))?)?;
            Ok(took)
        })?;
    }
    Ok(())
}

/// The state before a block, and what the block changes.
fn execute(witness: WitnessBlock) -> anyhow::Result<(WitnessState, BlockChanges)> {
    let WitnessBlock { chain_id, block, codes, nodes, parent_state_root, block_hashes, .. } = witness;
    let state = WitnessState::new(parent_state_root, nodes, codes, block_hashes)?;
    let rules = chain::by_id(chain_id)?.rules_for(&block.header);
    let senders = recover_senders(&block.body.transactions, &rules)?;
    let prepared = PreparedBlock::new(rules, &block, &senders)?;
    let executor = engine::executor(Config::default())?;
    let outcome = executor.execute(&block, &prepared, &state, Knowledge::Nothing)?;
    Ok((state, outcome.changes))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn turns() -> Turns {
        let one = ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        Turns { passes: 1, one, rival: Vec::new(), ours: Vec::new(), items: 0 }
    }

    #[test]
    fn both_sides_hash_alike_and_are_timed() {
        let mut turns = turns();
        keccak(&mut turns, 200).unwrap();
        assert_eq!((turns.items, turns.rival.len(), turns.ours.len()), (MESSAGES, 1, 1));
        assert!(turns.rival[0].median().wall_ms > 0.0 && turns.ours[0].median().wall_ms > 0.0);
    }

    #[test]
    fn different_roots_give_no_figure() {
        let refused = agree(B256::ZERO, B256::repeat_byte(1)).unwrap_err();
        assert!(matches!(refused, Trouble::Differs(_)), "{refused}");
    }
}
