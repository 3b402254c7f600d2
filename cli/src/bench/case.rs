//! A block that is ready to be measured: prepared, with the state before it in memory and its code analysed.
//!
//! Place in the flow: from fixtures and recipes to `runs` and `path`.
//! Invariant: the state is complete, so both sides read from the same hash maps; the header says how much gas the block
//! uses, as every block that comes from the network does.

use super::row::Trouble;
use crate::{chain, ending::one_line, replay::plain_state};
use alloy_consensus::{BlockBody, Header};
use alloy_eips::eip4895::Withdrawals;
use laminar_executor::{
    Block, ExecuteError,
    chain_spec::{ChainSpec, Rules},
    env::PreparedBlock,
    recover::{Senders, recover_senders},
    sequential,
};
use laminar_fixtures::{Fixture, PrestateBlock, workload::Workload};
use laminar_state_db::MemoryState;
use std::path::{Path, PathBuf};

/// Mainnet blocks below this are not part of the totals: too short to say something about a client.
pub(super) const GAS_MIN: u64 = 4_000_000;
const ARCHIVE: &str = "mainnet-prestate.tar.zst";

/// One block.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) rules: Rules,
    pub(super) block: Block,
    pub(super) prepared: PreparedBlock,
    pub(super) state: MemoryState,
}

impl Case {
    /// A real block.
    fn from_prestate(prestate: PrestateBlock) -> anyhow::Result<Self> {
        let PrestateBlock { chain_id, block, accounts, block_hashes, .. } = prestate;
        let state = plain_state(accounts, block_hashes);
        let rules = chain::by_id(chain_id)?.rules_for(&block.header);
        let senders = recover_senders(&block.body.transactions, &rules)?;
        let prepared = PreparedBlock::new(rules, &block, &senders)?;
        Ok(Self { rules, block, prepared, state })
    }

    /// Block 1 of a workload's chain, with the senders that the workload gives.
    ///
    /// # Errors
    /// The workload's chain is not one that we execute, or a transaction is not valid.
    pub(super) fn from_workload(workload: &Workload) -> anyhow::Result<Self> {
        let spec = ChainSpec::from_genesis(&workload.genesis)?;
        let mut state = MemoryState::from_genesis(&workload.genesis);
        let parent = spec.genesis_header(&workload.genesis, state.state_root());
        let header = Header {
            parent_hash: parent.hash_slow(),
            beneficiary: workload.beneficiary,
            number: 1,
            gas_limit: workload.gas_limit,
            timestamp: workload.timestamp,
            mix_hash: workload.prev_randao,
            base_fee_per_gas: Some(workload.base_fee),
            blob_gas_used: Some(0),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(workload.parent_beacon_block_root),
            ..Header::default()
        };
        let withdrawals = Some(Withdrawals::new(workload.withdrawals.clone()));
        let body = BlockBody { transactions: workload.transactions.clone(), ommers: vec![], withdrawals };
        let mut block = Block::new(header, body);
        let rules = spec.rules_for(&block.header);
        let senders = Senders::from_addresses(workload.senders.clone());
        let prepared = PreparedBlock::new(rules, &block, &senders)?;
        block.header.gas_used = sequential::execute(&block, &prepared, &state)?.gas_used;
        Ok(Self { rules, block, prepared, state })
    }

    /// From signed transactions to what runs.
    ///
    /// # Errors
    /// A signature is not valid.
    pub(super) fn recover(&self) -> Result<PreparedBlock, ExecuteError> {
        let senders = recover_senders(&self.block.body.transactions, &self.rules)?;
        PreparedBlock::new(self.rules, &self.block, &senders)
    }
}

/// The real blocks, read when the first row asks for them.
#[derive(Debug)]
pub(super) struct Mainnet {
    archive: PathBuf,
    cases: Option<Vec<Case>>,
}

impl Mainnet {
    /// The blocks in a folder's archive.
    pub(super) fn new(data: &Path) -> Self {
        Self { archive: archive(data), cases: None }
    }

    /// All of them, in the order of the archive.
    ///
    /// # Errors
    /// The archive is missing or broken.
    pub(super) fn cases(&mut self) -> Result<&[Case], Trouble> {
        if self.cases.is_none() {
            if !self.archive.is_file() {
                return Err(Trouble::Skipped(format!("no archive at {} (--data DIR)", self.archive.display())));
            }
            self.cases = Some(load(&self.archive)?);
        }
        Ok(self.cases.as_deref().unwrap_or_default())
    }
}

/// Where the real blocks are in a folder.
pub(super) fn archive(data: &Path) -> PathBuf {
    data.join(ARCHIVE)
}

fn load(archive: &Path) -> Result<Vec<Case>, Trouble> {
    let mut cases = Vec::new();
    for loaded in laminar_fixtures::open(archive).map_err(|error| Trouble::Unreadable(one_line(&error)))? {
        let loaded = loaded.map_err(|error| Trouble::Unreadable(one_line(&error)))?;
        let Fixture::Prestate(prestate) = loaded.fixture else { continue };
        let unreadable = |error: anyhow::Error| {
            let error = error.context(format!("{}: {}", archive.display(), loaded.name));
            Trouble::Unreadable(one_line(error.as_ref()))
        };
        cases.push(Case::from_prestate(*prestate).map_err(unreadable)?);
    }
    if cases.is_empty() {
        return Err(Trouble::Unreadable(format!("{}: expected prestate blocks, found none", archive.display())));
    }
    Ok(cases)
}
