//! The block that the next one stands on, as far as the pool must know it.
//!
//! Place in the flow: the node makes one whenever its head changes.
//! Invariant: prices, limits and rules are those of the next block; the accounts are those after the head.

use alloy_consensus::Header;
use alloy_primitives::{Address, B256};
use laminar_executor::{
    Simulated,
    chain_spec::{ChainSpec, Rules},
    check_header::{expected_base_fee, expected_excess_blob_gas},
    env::{PreparedBlock, block_env},
    simulate_each,
};
use laminar_state_db::Account;
use revm::{DatabaseRef, context::BlockEnv};
use std::{fmt, sync::Arc};

/// The state after a block, as far as the pool asks it.
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

    /// Runs each transaction of `block` alone on the state after the head. `earlier` are runs of the same transactions after
    /// other heads, which are kept where they hold.
    fn simulate(&self, block: &PreparedBlock, earlier: &[Option<Simulated>]) -> Vec<Simulated>;
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

    fn simulate(&self, block: &PreparedBlock, earlier: &[Option<Simulated>]) -> Vec<Simulated> {
        simulate_each(block, self, earlier)
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
    /// What else the next block is taken to be like, fees and gas limit aside: transactions are simulated in it, and what they
    /// looked at of it is compared with the block when it comes.
    pub next: BlockEnv,
    /// The accounts after the head.
    pub accounts: Arc<dyn Accounts>,
}

impl Head {
    /// What follows from a header; the next block is taken to come `seconds` after it and to keep its gas limit.
    pub fn after(spec: &ChainSpec, head: &Header, hash: B256, seconds: u64, accounts: Arc<dyn Accounts>) -> Self {
        let mut next = Header {
            number: head.number.saturating_add(1),
            timestamp: head.timestamp.saturating_add(seconds),
            difficulty: head.difficulty,
            // Whoever made the last block is as likely as anybody to make the next one.
            beneficiary: head.beneficiary,
            ..Header::default()
        };
        let rules = spec.rules_for(&next);
        let excess = expected_excess_blob_gas(&rules, head);
        next.excess_blob_gas = excess;
        Self {
            hash,
            rules,
            base_fee: expected_base_fee(&rules, head).unwrap_or_default(),
            blob_fee: rules.blob_params.zip(excess).map(|(params, excess)| params.calc_blob_fee(excess)),
            gas_limit: head.gas_limit,
            next: block_env(&rules, &next),
            accounts,
        }
    }

    /// The environment of the next block, as far as it can be foreseen.
    pub(super) fn foreseen(&self) -> BlockEnv {
        BlockEnv { basefee: self.base_fee, gas_limit: self.gas_limit, ..self.next.clone() }
    }
}

impl fmt::Debug for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Head").field("hash", &self.hash).field("base_fee", &self.base_fee).finish_non_exhaustive()
    }
}
