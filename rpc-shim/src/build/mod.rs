//! Building blocks: from attributes and candidates to a sealed block with everything that its execution gave.
//!
//! Place in the flow: the engine builds payloads, dev mining builds its chain, `testing_buildBlockV1` builds on request. The
//! candidates come from the pool, the execution is the parallel executor's.
//! Invariant: a built block passes the ordinary import. A candidate that is not valid where its turn comes is left out with
//! the rule that it breaks and costs no other its place.
//! It stores nothing: the caller imports the block, or puts it into the store with its changes as they are.

mod attributes;
mod seal;

pub use attributes::{Attributes, GasLimit, draft_header};

use crate::pool::{self, Pool, Pooled};
use alloy_consensus::{BlockBody, Header};
use alloy_eip7928::BlockAccessList;
use alloy_eips::{eip7594::BlobTransactionSidecarVariant, eip7685::Requests};
use alloy_primitives::{Address, B256, U256};
use laminar_executor::{
    Block, BlockExecutor, Drafted, ExecuteError, Receipt, Stats,
    chain_spec::{ChainSpec, Fork, Rules},
    env::{PreparedBlock, block_env, cfg_env},
    rule::Rule,
};
use laminar_state_db::BlockChanges;
use revm::DatabaseRef;
use seal::seal;
use std::sync::Arc;

/// How far the gas limits of the candidates may exceed the block's: limits are seldom used up.
const GAS_OFFER_FACTOR: u64 = 2;
/// Bytes of transactions in a block: EIP-7934's 8 MiB, less what header, withdrawals and list prefixes can take.
const TRANSACTIONS_LEN_MAX: usize = 8 * 1024 * 1024 - 64 * 1024;

/// The block that a new one stands on.
#[derive(Clone, Copy, Debug)]
pub struct Parent<'a> {
    /// Its header.
    pub header: &'a Header,
    /// Its hash.
    pub hash: B256,
    /// The sum of the difficulties up to it; matters only where the chain merges by difficulty.
    pub total_difficulty: U256,
}

/// A built block.
#[derive(Clone, Debug)]
pub struct Built {
    /// The block, with its complete header.
    pub block: Block,
    /// Hash of the header.
    pub hash: B256,
    /// Senders in block order.
    pub senders: Vec<Address>,
    /// Receipts in block order.
    pub receipts: Vec<Receipt>,
    /// What the block changes on its parent's state.
    pub changes: Arc<BlockChanges>,
    /// Requests (EIP-7685); empty before Prague.
    pub requests: Requests,
    /// The access list (EIP-7928), where the fork or the executor's configuration asks for it.
    pub block_access_list: Option<BlockAccessList>,
    /// The sidecars of its blob transactions, in block order.
    pub sidecars: Vec<Arc<BlobTransactionSidecarVariant>>,
    /// What the beneficiary earns from fees, in wei.
    pub value_wei: U256,
    /// Candidates that are not in the block, each with the rule that it broke when its turn came.
    pub left_out: Vec<(Arc<Pooled>, Rule)>,
    /// How it was executed.
    pub stats: Stats,
}

/// Why there is no block.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The attributes break a rule of the chain. The caller changes them.
    #[error("attributes do not make a block: {0}")]
    Attributes(Rule),
    /// Execution failed: a system contract does not answer as the fork demands, the state could not be read, or we have a bug.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
    /// The state root could not be computed. The caller retries or stops.
    #[error("state root could not be computed")]
    Root(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// What a block is built from.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    /// The chain's schedule.
    pub spec: &'a ChainSpec,
    /// The parent.
    pub parent: Parent<'a>,
    /// What is fixed.
    pub attributes: &'a Attributes,
    /// Transactions in the order in which they are tried.
    pub candidates: Vec<Arc<Pooled>>,
}

/// The candidates that a pool offers for a block with this gas limit.
pub fn candidates(pool: &Pool, gas_limit: u64) -> Vec<Arc<Pooled>> {
    pool.best(gas_limit.saturating_mul(GAS_OFFER_FACTOR), TRANSACTIONS_LEN_MAX)
}

/// Builds a block on `state`, the state after its parent. `root` gives the state root after the block's changes.
///
/// # Errors
/// See [`BuildError`]; nothing was changed.
pub fn build<DB: DatabaseRef + Sync, E: std::error::Error + Send + Sync + 'static>(
    plan: Plan<'_>,
    executor: &BlockExecutor,
    state: &DB,
    root: impl FnOnce(&Arc<BlockChanges>) -> Result<B256, E>,
) -> Result<Built, BuildError> {
    let Plan { spec, parent, attributes, mut candidates } = plan;
    let (header, rules) = draft_header(spec, parent.header, parent.hash, parent.total_difficulty, attributes)
        .map_err(BuildError::Attributes)?;
    candidates.retain(|tx| has_proofs_for(&rules, tx));
    let withdrawals = attributes::withdrawals(&rules, attributes);
    let draft = Block::new(header, BlockBody { transactions: Vec::new(), ommers: Vec::new(), withdrawals });
    let prepared = prepare(rules, &draft, &candidates);
    let simulated: Vec<_> = candidates.iter().map(|tx| tx.simulated()).collect();
    let drafted = executor.build(&draft, &prepared, state, pool::knowledge(&prepared, &simulated))?;
    let Drafted { outcome, left_out } = drafted;
    let (included, left_out) = split(candidates, left_out);
    let changes = Arc::new(outcome.changes);
    let state_root = root(&changes).map_err(|error| BuildError::Root(Box::new(error)))?;
    let value_wei = earned(&draft.header, &included, &outcome.receipts);
    let block = seal(
        draft,
        &rules,
        included.iter().map(|tx| tx.transaction().clone()).collect(),
        &seal::Results {
            receipts: &outcome.receipts,
            gas_used: outcome.gas_used,
            blob_gas_used: outcome.blob_gas_used,
            requests: &outcome.requests,
            block_access_list: outcome.block_access_list.as_ref(),
            state_root,
        },
    );
    Ok(Built {
        hash: block.header.hash_slow(),
        block,
        senders: included.iter().map(|tx| tx.sender()).collect(),
        receipts: outcome.receipts,
        changes,
        requests: outcome.requests,
        block_access_list: outcome.block_access_list,
        sidecars: included.iter().filter_map(|tx| tx.sidecar().cloned()).collect(),
        value_wei,
        left_out,
        stats: outcome.stats,
    })
}

/// Whether the blobs of a transaction can be given with the proofs that the fork asks for.
///
/// CONSENSUS: EIP-7594, cell proofs from Osaka on. At the fork the pool still holds some of the other kind.
fn has_proofs_for(rules: &Rules, tx: &Pooled) -> bool {
    match tx.sidecar().map(|sidecar| &**sidecar) {
        None => !tx.is_blob(),
        Some(BlobTransactionSidecarVariant::Eip4844(_)) => !rules.is_active(Fork::Osaka),
        Some(BlobTransactionSidecarVariant::Eip7594(_)) => rules.is_active(Fork::Osaka),
    }
}

fn prepare(rules: Rules, draft: &Block, candidates: &[Arc<Pooled>]) -> PreparedBlock {
    let mut cfg_env = cfg_env(&rules);
    // A development chain may send in the name of a contract (EIP-3607 aside); nobody else can sign for one.
    cfg_env.disable_eip3607 = candidates.iter().any(|tx| tx.is_impersonated());
    PreparedBlock {
        rules,
        parent_hash: draft.header.parent_hash,
        block_env: block_env(&rules, &draft.header),
        cfg_env,
        txs: candidates.iter().map(|tx| tx.env().clone()).collect(),
    }
}

type LeftOut = Vec<(Arc<Pooled>, Rule)>;

/// The candidates that are in the block, and those that are not.
fn split(
    candidates: Vec<Arc<Pooled>>,
    left_out: Vec<(laminar_executor::TxIndex, Rule)>,
) -> (Vec<Arc<Pooled>>, LeftOut) {
    let mut left_out = left_out.into_iter().peekable();
    let (mut included, mut refused) = (Vec::with_capacity(candidates.len()), Vec::new());
    for (position, tx) in candidates.into_iter().enumerate() {
        match left_out.next_if(|(index, _)| index.as_usize() == position) {
            Some((_, rule)) => refused.push((tx, rule)),
            None => included.push(tx),
        }
    }
    (included, refused)
}

/// What the beneficiary gets from the transactions, in wei.
fn earned(header: &Header, included: &[Arc<Pooled>], receipts: &[Receipt]) -> U256 {
    let base_fee = header.base_fee_per_gas.unwrap_or_default();
    let mut before = 0;
    let fee = |(tx, receipt): (&Arc<Pooled>, &Receipt)| {
        let gas = receipt.cumulative_gas_used - before;
        before = receipt.cumulative_gas_used;
        U256::from(tx.tip_at(base_fee).unwrap_or_default()).saturating_mul(U256::from(gas))
    };
    included.iter().zip(receipts).map(fee).fold(U256::ZERO, U256::saturating_add)
}
