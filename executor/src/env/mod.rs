//! From a block to what revm runs: block environment, configuration and one transaction environment per transaction.
//!
//! Place in the flow: after recover; predict, execute and sequential read a [`PreparedBlock`] by reference.
//! Invariant: nothing here looks at the state; two equal blocks under equal rules give equal environments.

mod block;
mod intrinsic;
mod net_metering;
mod tx;

pub use block::{block_env, cfg_env};
pub use intrinsic::check_intrinsic;
pub use net_metering::install_net_gas_metering;
pub use tx::tx_env;

use crate::{
    chain_spec::Rules,
    error::ExecuteError,
    recover::Senders,
    types::{Block, TxIndex},
};
use alloy_consensus::TxType;
use alloy_primitives::B256;
use rayon::prelude::*;
use revm::context::{BlockEnv, CfgEnv, TxEnv};

/// Blocks below this size are prepared on the calling thread: a transaction takes well under a microsecond.
const PARALLEL_TXS_MIN: usize = 256;

/// A block that is ready to run.
#[derive(Clone, Debug)]
pub struct PreparedBlock {
    /// The rules that hold in it.
    pub rules: Rules,
    /// Hash of the parent: names the state that the block runs on.
    pub parent_hash: B256,
    /// revm's block environment.
    pub block_env: BlockEnv,
    /// revm's configuration: fork, chain id, limits.
    pub cfg_env: CfgEnv,
    /// One environment per transaction, in block order; `caller` is the sender.
    pub txs: Vec<TxEnv>,
}

impl PreparedBlock {
    /// A block of one default transaction, for tests of what runs in a block.
    #[cfg(test)]
    pub(crate) fn of_one() -> Self {
        let header = alloy_consensus::Header::default();
        let rules = crate::chain_spec::ChainSpec::mainnet().rules_for(&header);
        let (block_env, cfg_env) = (block_env(&rules, &header), cfg_env(&rules));
        Self { rules, parent_hash: B256::ZERO, block_env, cfg_env, txs: vec![TxEnv::default()] }
    }

    /// Prepares a block with recovered senders.
    ///
    /// # Errors
    /// [`ExecuteError::Bug`] if there is not one sender per transaction.
    pub fn new(rules: Rules, block: &Block, senders: &Senders) -> Result<Self, ExecuteError> {
        let transactions = &block.body.transactions;
        if senders.addresses.len() != transactions.len() {
            return Err(ExecuteError::Bug {
                stage: "env",
                what: format!("{} transactions, {} senders", transactions.len(), senders.addresses.len()),
            });
        }
        let prepare = |position: usize| tx_env(&transactions[position], senders, TxIndex::from_usize(position));
        let positions = 0..transactions.len();
        let txs = if transactions.len() < PARALLEL_TXS_MIN {
            positions.map(prepare).collect()
        } else {
            positions.into_par_iter().map(prepare).collect()
        };
        Ok(Self {
            rules,
            parent_hash: block.header.parent_hash,
            block_env: block_env(&rules, &block.header),
            cfg_env: cfg_env(&rules),
            txs,
        })
    }

    /// Number of transactions.
    pub const fn len(&self) -> usize {
        self.txs.len()
    }

    /// Whether the block has no transactions.
    pub const fn is_empty(&self) -> bool {
        self.txs.is_empty()
    }

    /// The type of a transaction, for its receipt; legacy for an index outside the block.
    pub fn tx_type(&self, index: TxIndex) -> TxType {
        let ty = self.txs.get(index.as_usize()).map(|tx| tx.tx_type).unwrap_or_default();
        TxType::try_from(ty).unwrap_or(TxType::Legacy)
    }
}
