//! The block that the next one stands on, as far as the pool must know it.
//!
//! Place in the flow: the node makes one whenever its head changes.
//! Invariant: prices, limits and rules are those of the next block; the accounts are those after the head.

use alloy_consensus::Header;
use alloy_primitives::{Address, B256};
use laminar_executor::{
    chain_spec::{ChainSpec, Rules},
    check_header::{expected_base_fee, expected_excess_blob_gas},
};
use laminar_state_db::Account;
use revm::DatabaseRef;
use std::{fmt, sync::Arc};

/// Accounts after a block.
pub trait Accounts: Send + Sync {
    /// The account, if it exists.
    ///
    /// # Errors
    /// The read failed.
    fn account(&self, address: Address) -> Result<Option<Account>, AccountsError>;

    /// Whether code is a delegation (EIP-7702).
    ///
    /// # Errors
    /// The read failed.
    fn is_delegation(&self, code_hash: B256) -> Result<bool, AccountsError>;
}

/// A failed read.
pub type AccountsError = Box<dyn std::error::Error + Send + Sync>;

impl<DB: DatabaseRef + Send + Sync> Accounts for DB
where
    DB::Error: Send + Sync + 'static,
{
    fn account(&self, address: Address) -> Result<Option<Account>, AccountsError> {
        Ok(self.basic_ref(address)?.as_ref().map(Account::from))
    }

    fn is_delegation(&self, code_hash: B256) -> Result<bool, AccountsError> {
        Ok(self.code_by_hash_ref(code_hash)?.is_eip7702())
    }
}

/// The head of the chain, and what the block after it asks of transactions.
#[derive(Clone)]
pub struct Head {
    /// Hash of the head.
    pub hash: B256,
    /// The rules of the next block.
    pub rules: Rules,
    /// The base fee of the next block, in wei per gas; zero before London.
    pub base_fee: u64,
    /// The blob base fee of the next block, in wei per blob gas; none before Cancun.
    pub blob_fee: Option<u128>,
    /// The gas limit of the next block.
    pub gas_limit: u64,
    /// The accounts after the head.
    pub accounts: Arc<dyn Accounts>,
}

impl Head {
    /// What follows from a header; the next block is taken to come `seconds` after it and to keep its gas limit.
    pub fn after(spec: &ChainSpec, head: &Header, hash: B256, seconds: u64, accounts: Arc<dyn Accounts>) -> Self {
        let rules = spec.rules_for(&Header {
            number: head.number.saturating_add(1),
            timestamp: head.timestamp.saturating_add(seconds),
            difficulty: head.difficulty,
            ..Header::default()
        });
        let excess = expected_excess_blob_gas(&rules, head);
        Self {
            hash,
            rules,
            base_fee: expected_base_fee(&rules, head).unwrap_or_default(),
            blob_fee: rules.blob_params.zip(excess).map(|(params, excess)| params.calc_blob_fee(excess)),
            gas_limit: head.gas_limit,
            accounts,
        }
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head").field("hash", &self.hash).field("base_fee", &self.base_fee).finish_non_exhaustive()
    }
}
