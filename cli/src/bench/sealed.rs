//! Chains that are made to be imported: big blocks over many accounts, sealed, and the store that they start from.
//!
//! Place in the flow: `store` measures their import.
//! Invariant: every block passes every check of an import; the recipe, the sizes and nothing else decide its bytes.

use crate::engine;
use alloy_consensus::{
    BlockBody, EMPTY_OMMER_ROOT_HASH, Header,
    proofs::{calculate_transaction_root, calculate_withdrawals_root},
};
use alloy_eips::{eip4895::Withdrawals, eip7685::EMPTY_REQUESTS_HASH};
use alloy_genesis::{Genesis, GenesisAccount};
use alloy_primitives::{Address, B256, U256, keccak256};
use anyhow::Context;
use laminar_executor::{
    Block, BlockExecutor, Config, Knowledge,
    chain_spec::ChainSpec,
    check_header::{Envelopes, encode_receipts, expected_base_fee, expected_excess_blob_gas},
    pipeline::{BlockParts, block_data, steps},
    system_calls::requests_hash,
};
use laminar_fixtures::workload::{Params, Recipe, Workload};
use laminar_rpc_shim::node::Origin;
use laminar_state_db::{Store, StoreOptions};
use std::{path::Path, sync::Arc};
use tempfile::TempDir;

/// Transactions of a block.
pub(super) const BLOCK_TXS: usize = 10_000;
/// Seconds between blocks.
const SLOT: u64 = 12;
const DATA_FILE: &str = "mdbx.dat";

/// Sealed blocks and the folder with the state before them.
#[derive(Debug)]
pub(super) struct SealedChain {
    pub(super) spec: ChainSpec,
    /// RLP of the blocks, one after the other.
    pub(super) bytes: Vec<u8>,
    pub(super) txs: usize,
    pub(super) tip: B256,
    folder: TempDir,
}

impl SealedChain {
    /// Blocks of a recipe's transactions over at least so many accounts, each transaction from a sender of its own; holders of
    /// a token are as many.
    ///
    /// # Errors
    /// A transaction is not valid, or the folder cannot be written.
    pub(super) fn new(recipe: &Recipe, blocks: usize, accounts: usize) -> anyhow::Result<Self> {
        let txs = blocks * BLOCK_TXS;
        let mut workload = recipe.build(&Params { txs, accounts: txs, ..recipe.gigagas });
        add_bystanders(&mut workload, accounts);
        let folder = tempfile::tempdir().context("making a folder")?;
        let mut origin = Origin::from_genesis(&workload.genesis)?;
        let store = origin.store(folder.path(), StoreOptions::default())?;
        let spec = origin.spec().clone();
        let view = store.view_at(&store.tip().hash)?;
        let genesis = spec.genesis_header(&workload.genesis, view.state_root());
        drop(view);
        let executor = engine::executor(Config::default())?;
        let mut sealer = Sealer { spec: &spec, executor: &executor, store: &store, parent: genesis };
        let mut bytes = Vec::new();
        for transactions in workload.transactions.chunks(BLOCK_TXS) {
            let body = BlockBody {
                transactions: transactions.to_vec(),
                ommers: Vec::new(),
                withdrawals: Some(Withdrawals::default()),
            };
            alloy_rlp::Encodable::encode(&sealer.seal(&workload, body)?, &mut bytes);
        }
        let tip = sealer.parent.hash_slow();
        Ok(Self { bytes, txs, tip, folder, spec })
    }

    /// A copy of the store at block 0, in a folder of its own that goes when it is dropped.
    ///
    /// # Errors
    /// The disk is full, or the store cannot be opened.
    pub(super) fn store(&self) -> anyhow::Result<(Store, TempDir)> {
        let folder = tempfile::tempdir().context("making a folder")?;
        copy(self.folder.path(), folder.path())?;
        Ok((Store::open(folder.path(), StoreOptions::default())?, folder))
    }
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    std::fs::copy(from.join(DATA_FILE), to.join(DATA_FILE)).context("copying a store")?;
    Ok(())
}

/// Adds accounts, and holders of the token if the block moves one, that no transaction touches.
fn add_bystanders(workload: &mut Workload, accounts: usize) {
    let Genesis { alloc, .. } = &mut workload.genesis;
    for i in alloc.len()..accounts {
        let balance = U256::from(i) << 40;
        alloc.insert(Address::from_word(word("bystander", i)), GenesisAccount { balance, ..GenesisAccount::default() });
    }
    for storage in alloc.values_mut().filter_map(|account| account.storage.as_mut()) {
        // Tokens have a slot for every holder; what has a few slots is none.
        if storage.len() > BLOCK_TXS {
            for i in storage.len()..accounts {
                storage.insert(word("holder", i), U256::from(i + 1).into());
            }
        }
    }
}

fn word(kind: &str, i: usize) -> B256 {
    keccak256([kind.as_bytes(), &i.to_be_bytes()].concat())
}

/// Executes blocks and completes their headers; what it stages is never committed.
struct Sealer<'a> {
    spec: &'a ChainSpec,
    executor: &'a BlockExecutor,
    store: &'a Store,
    parent: Header,
}

impl Sealer<'_> {
    fn seal(&mut self, workload: &Workload, body: BlockBody<laminar_executor::Transaction>) -> anyhow::Result<Block> {
        let mut block = Block::new(self.header(workload, &body), body);
        let parent = alloy_primitives::Sealed::new(self.parent.clone());
        let at = steps::Parent { header: &parent, total_difficulty: U256::ZERO };
        let checked = steps::check(self.spec, B256::ZERO, &block, at, |_| None)?;
        let view = self.store.view_at(&parent.hash())?;
        let outcome = self.executor.execute(&block, &checked.prepared, &view, Knowledge::Nothing)?;
        let (receipts, logs_bloom) = encode_receipts(&outcome.receipts);
        let header = &mut block.header;
        header.gas_used = outcome.gas_used;
        header.receipts_root = receipts.root();
        header.logs_bloom = logs_bloom;
        header.requests_hash = Some(requests_hash(&outcome.requests));
        header.state_root = view.root_after(&outcome.changes)?;
        let data = block_data(&BlockParts {
            hash: header.hash_slow(),
            header,
            body: &block.body,
            encoded: &steps::Encoded { transactions: Envelopes::new(&block.body.transactions), receipts },
            senders: &checked.senders.addresses,
            requests: &outcome.requests,
            block_access_list: None,
            total_difficulty: U256::ZERO,
        });
        self.parent = header.clone();
        self.store.stage(data, Arc::new(outcome.changes))?;
        Ok(block)
    }

    /// The header as far as it is known before execution.
    fn header(&self, workload: &Workload, body: &BlockBody<laminar_executor::Transaction>) -> Header {
        let parent = &self.parent;
        let (number, timestamp) = (parent.number + 1, parent.timestamp + SLOT);
        let rules = self.spec.rules_at(number, timestamp);
        Header {
            parent_hash: parent.hash_slow(),
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: workload.beneficiary,
            number,
            gas_limit: parent.gas_limit,
            timestamp,
            mix_hash: workload.prev_randao,
            base_fee_per_gas: expected_base_fee(&rules, parent),
            transactions_root: calculate_transaction_root(&body.transactions),
            withdrawals_root: body.withdrawals.as_ref().map(|withdrawals| calculate_withdrawals_root(withdrawals)),
            blob_gas_used: Some(0),
            excess_blob_gas: expected_excess_blob_gas(&rules, parent),
            parent_beacon_block_root: Some(workload.parent_beacon_block_root),
            requests_hash: Some(EMPTY_REQUESTS_HASH),
            ..Header::default()
        }
    }
}
