//! The block builder behind build processes: the best of the pool on a parent, executed in parallel and sealed.
//!
//! Place in the flow: what a build process runs; below it the executor, which leaves out what is not valid where its turn comes.
//! Invariant: a built block passes import: its header promises what its execution gave. Nothing of it is kept here.
//! It does not: order transactions (the pool does) or judge what a payload is worth to others.

use super::{
    envelope::BuiltPayload,
    processes::{BuildPayload, Contents},
};
use crate::{
    error::RpcError,
    node::{BlockRecord, Node},
    pool::{Pool, Pooled},
};
use alloy_consensus::{
    BlockBody, EMPTY_OMMER_ROOT_HASH, Header, Transaction as _,
    proofs::{calculate_transaction_root, calculate_withdrawals_root},
};
use alloy_eip7928::compute_block_access_list_hash;
use alloy_eips::{eip4895::Withdrawals, eip7594::BlobTransactionSidecarVariant};
use alloy_primitives::{Bytes, U256};
use alloy_rpc_types_engine::PayloadAttributes;
use laminar_executor::{
    Block, Knowledge, Outcome, Receipt, Transaction,
    chain_spec::{Fork, Rules},
    check_header::{blob_gas_used, expected_base_fee, expected_excess_blob_gas, gas_limit_bounds, summarize_receipts},
    env::{PreparedBlock, block_env, cfg_env},
    system_calls::requests_hash,
};
use std::{collections::BTreeSet, sync::Arc};
use tokio::sync::broadcast::error::TryRecvError;

/// Bytes of transactions in a block.
///
/// CONSENSUS: EIP-7934 bounds a block's RLP at 8 MiB; what else is in it fits into the rest.
const TRANSACTIONS_LEN_MAX: usize = (8 << 20) - (128 << 10);

/// The gas limit that geth and reth move to.
const GAS_LIMIT: u64 = 60_000_000;

/// Builds payloads from a pool.
#[derive(Debug)]
pub struct PoolBuilder {
    node: Arc<Node>,
    pool: Arc<Pool>,
    settings: BuilderSettings,
}

/// What an operator decides about own blocks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuilderSettings {
    /// The gas limit to move to where the attributes name none.
    pub gas_limit: u64,
    /// At most 32 bytes.
    pub extra_data: Bytes,
}

impl Default for BuilderSettings {
    fn default() -> Self {
        Self { gas_limit: GAS_LIMIT, extra_data: Bytes::from_static(b"laminar") }
    }
}

impl PoolBuilder {
    /// Builds on the blocks of `node` from the transactions of `pool`.
    pub const fn new(node: Arc<Node>, pool: Arc<Pool>, settings: BuilderSettings) -> Self {
        Self { node, pool, settings }
    }

    /// What is fixed before the first transaction.
    fn draft(&self, rules: &Rules, parent: &BlockRecord, attributes: &PayloadAttributes) -> Block {
        let above = &parent.header;
        let (lowest, highest) = gas_limit_bounds(rules, self.node.spec(), above);
        let target = attributes.target_gas_limit.unwrap_or(self.settings.gas_limit);
        let withdrawals = rules
            .is_active(Fork::Shanghai)
            .then(|| Withdrawals::new(attributes.withdrawals.clone().unwrap_or_default()));
        let header = Header {
            parent_hash: parent.hash(),
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: attributes.suggested_fee_recipient,
            number: above.number + 1,
            gas_limit: target.clamp(lowest, highest),
            timestamp: attributes.timestamp,
            extra_data: self.settings.extra_data.clone(),
            mix_hash: attributes.prev_randao,
            base_fee_per_gas: expected_base_fee(rules, above),
            withdrawals_root: withdrawals.as_ref().map(|list| calculate_withdrawals_root(list)),
            excess_blob_gas: expected_excess_blob_gas(rules, above),
            blob_gas_used: rules.is_active(Fork::Cancun).then_some(0),
            parent_beacon_block_root: attributes.parent_beacon_block_root,
            slot_number: attributes.slot_number,
            ..Header::default()
        };
        Block::new(header, BlockBody { withdrawals, ..BlockBody::default() })
    }

    /// Completes the header with what execution gave.
    fn seal(
        &self,
        rules: Rules,
        mut block: Block,
        taken: &[Arc<Pooled>],
        outcome: Outcome,
    ) -> Result<BuiltPayload, RpcError> {
        block.body.transactions = taken.iter().map(|tx| tx.transaction().clone()).collect();
        let state_root = self.node.root_after(&block.header, &outcome.changes)?;
        let receipts = summarize_receipts(&outcome.receipts);
        let list = outcome.block_access_list.filter(|_| rules.has_block_access_list());
        let transactions = &block.body.transactions;
        let header = &mut block.header;
        header.state_root = state_root;
        header.transactions_root = calculate_transaction_root(transactions);
        header.receipts_root = receipts.root;
        header.logs_bloom = receipts.logs_bloom;
        header.gas_used = outcome.gas_used;
        header.blob_gas_used = rules.is_active(Fork::Cancun).then(|| blob_gas_used(transactions));
        header.requests_hash = rules.is_active(Fork::Prague).then(|| requests_hash(&outcome.requests));
        header.block_access_list_hash = list.as_ref().map(|list| compute_block_access_list_hash(list));
        let value = fees(transactions, &outcome.receipts, block.header.base_fee_per_gas.unwrap_or_default());
        Ok(BuiltPayload {
            rules,
            value,
            requests: outcome.requests.iter().filter(|request| request.len() > 1).cloned().collect(),
            block_access_list: list.map(|list| alloy_rlp::encode(list).into()),
            sidecars: taken.iter().filter_map(|tx| tx.sidecar().cloned()).collect(),
            block,
        })
    }
}

impl BuildPayload for PoolBuilder {
    fn build(
        &self,
        parent: &BlockRecord,
        attributes: &PayloadAttributes,
        contents: Contents,
    ) -> Result<BuiltPayload, RpcError> {
        let rules = self.node.spec().rules_at(parent.header.number + 1, attributes.timestamp);
        let draft = self.draft(&rules, parent, attributes);
        let candidates = match contents {
            Contents::Empty => Vec::new(),
            Contents::Pool => {
                let mut best = self.pool.best(draft.header.gas_limit, TRANSACTIONS_LEN_MAX);
                best.retain(|tx| has_proofs_for(&rules, tx));
                best
            }
        };
        let prepared = PreparedBlock {
            rules,
            parent_hash: parent.hash(),
            block_env: block_env(&rules, &draft.header),
            cfg_env: cfg_env(&rules),
            txs: candidates.iter().map(|tx| tx.env().clone()).collect(),
        };
        let state = self.node.state_of(&parent.hash())?;
        let drafted = self.node.executor().build(&draft, &prepared, &state, Knowledge::Nothing);
        let drafted = drafted.map_err(|error| RpcError::internal(&error))?;
        let left_out: BTreeSet<usize> = drafted.left_out.iter().map(|(index, _)| index.as_usize()).collect();
        let taken: Vec<_> = candidates
            .into_iter()
            .enumerate()
            .filter(|(position, _)| !left_out.contains(position))
            .map(|(_, tx)| tx)
            .collect();
        self.seal(rules, draft, &taken, drafted.outcome)
    }

    fn watch(&self) -> Box<dyn FnMut() -> bool + Send> {
        let mut events = self.pool.subscribe();
        Box::new(move || {
            let mut has_news = false;
            loop {
                match events.try_recv() {
                    Ok(_) | Err(TryRecvError::Lagged(_)) => has_news = true,
                    Err(TryRecvError::Empty | TryRecvError::Closed) => return has_news,
                }
            }
        })
    }
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

/// What the fee recipient earns by priority fees, in wei.
fn fees(transactions: &[Transaction], receipts: &[Receipt], base_fee: u64) -> U256 {
    let mut before = 0;
    let mut fees = U256::ZERO;
    for (tx, receipt) in transactions.iter().zip(receipts) {
        let gas = receipt.cumulative_gas_used - before;
        before = receipt.cumulative_gas_used;
        fees += U256::from(tx.effective_tip_per_gas(base_fee).unwrap_or_default()) * U256::from(gas);
    }
    fees
}
