//! A development chain: mining, time, snapshots, edits of the state, and accounts of its own.
//!
//! Place in the flow: above node, pool and build; `anvil_*`, `evm_*` and `hardhat_*` methods call it.
//! Invariant: one block is mined at a time, on the head, from the pool's best; whatever is executable in the pool is mined or
//! leaves it with a reason. What a caller changes between two blocks is seen by every read after the call returned.
//!
//! | module | what it is |
//! | --- | --- |
//! | `keys` | accounts from the mnemonic |
//! | `genesis` | where it starts |
//! | `clock` | timestamps |
//! | `edits` | state changes without transactions |
//! | `mining` | blocks |
//! | `miner`, `signal` | when they are made; who waits for whom |
//! | `snapshots` | going back |

mod clock;
mod edits;
mod genesis;
mod keys;
mod miner;
mod mining;
mod signal;
mod snapshots;

pub use edits::Edit;
pub use genesis::{BALANCE_ETHER, BALANCE_WEI, CHAIN_ID, GAS_LIMIT, genesis};
pub use keys::{ACCOUNTS, Keys, MNEMONIC};
pub use miner::{Mining, Sent};

use crate::{
    node::{ChainError, ImportError, Node},
    pool::{Head, Pool, Settings},
};
use alloy_primitives::{Address, B256, U256, map::AddressSet};
use clock::Clock;
use parking_lot::Mutex;
use revm::context::BlockEnv;
use snapshots::Snapshots;
use std::{
    sync::Arc,
    time::{SystemTime, UNIX_EPOCH},
};

/// Why the chain did not do what was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevError {
    /// No block could be built.
    #[error(transparent)]
    Build(#[from] crate::build::BuildError),
    /// A block could not be kept.
    #[error(transparent)]
    Import(#[from] ImportError),
    /// The head could not be moved.
    #[error(transparent)]
    Chain(#[from] ChainError),
    /// The pool could not follow the head.
    #[error(transparent)]
    Pool(#[from] crate::pool::PoolError),
    /// The state could not be read.
    #[error(transparent)]
    State(#[from] crate::node::StoreError),
    /// The head's state is not there.
    #[error(transparent)]
    Head(#[from] crate::error::RpcError),
    /// A timestamp before the head's.
    #[error("Timestamp error: {found} is lower than previous block's timestamp {parent}")]
    Timestamp {
        /// The head's.
        parent: u64,
        /// The one asked for.
        found: u64,
    },
}

/// What a development chain is told at its start.
#[derive(Clone, Debug)]
pub struct Options {
    /// When blocks are made.
    pub mining: Mining,
    /// Words that the accounts come from.
    pub mnemonic: String,
    /// Number of accounts.
    pub accounts: usize,
    /// Who gets the fees.
    pub coinbase: Address,
    /// The gas limit of blocks; the genesis's where none is given.
    pub gas_limit: Option<u64>,
    /// The pool's.
    pub pool: Settings,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            mining: Mining::Auto,
            mnemonic: MNEMONIC.to_owned(),
            accounts: ACCOUNTS,
            coinbase: Address::ZERO,
            gas_limit: None,
            pool: Settings::dev(),
        }
    }
}

/// A development chain; share it in an `Arc`.
#[derive(Debug)]
pub struct Dev {
    node: Arc<Node>,
    pool: Arc<Pool>,
    keys: Keys,
    controls: Mutex<Controls>,
    /// Held while a block is mined, the state is edited or the chain goes back. Lock order: this, then `controls`.
    chain: Mutex<Snapshots>,
    signal: signal::Signal,
}

/// What callers set.
#[derive(Clone, Debug)]
struct Controls {
    clock: Clock,
    mining: Mining,
    coinbase: Address,
    gas_limit: Option<u64>,
    /// Of the next block only.
    base_fee: Option<u64>,
    /// Of the next block only.
    prev_randao: Option<B256>,
    impersonated: AddressSet,
    impersonates_all: bool,
}

impl Dev {
    /// A development chain on a node. Nothing is mined before [`Self::start`], unless asked for.
    pub fn new(node: Arc<Node>, options: Options) -> Result<Self, DevError> {
        node.tag_by_depth();
        let head = node.pool_head()?;
        let controls = Controls {
            clock: Clock::default(),
            mining: options.mining,
            coinbase: options.coinbase,
            gas_limit: options.gas_limit,
            base_fee: None,
            prev_randao: None,
            impersonated: AddressSet::default(),
            impersonates_all: false,
        };
        Ok(Self {
            pool: Arc::new(Pool::new(options.pool, head)),
            node,
            keys: Keys::of_mnemonic(&options.mnemonic, options.accounts),
            controls: Mutex::new(controls),
            chain: Mutex::default(),
            signal: signal::Signal::default(),
        })
    }

    /// The node.
    pub const fn node(&self) -> &Arc<Node> {
        &self.node
    }

    /// The pool.
    pub const fn pool(&self) -> &Arc<Pool> {
        &self.pool
    }

    /// The accounts.
    pub const fn keys(&self) -> &Keys {
        &self.keys
    }

    /// Who gets the fees of the next block.
    pub fn coinbase(&self) -> Address {
        self.controls.lock().coinbase
    }

    /// Sets who gets the fees from the next block on.
    pub fn set_coinbase(&self, address: Address) {
        self.controls.lock().coinbase = address;
    }

    /// Sets the gas limit from the next block on.
    pub fn set_gas_limit(&self, gas: u64) -> Result<(), DevError> {
        self.controls.lock().gas_limit = Some(gas);
        self.judge_anew()
    }

    /// Sets the base fee of the next block, in wei per gas. The block after it follows from it as always.
    pub fn set_next_base_fee(&self, wei: u64) -> Result<(), DevError> {
        self.controls.lock().base_fee = Some(wei);
        self.judge_anew()
    }

    /// Sets the randomness of the next block.
    pub fn set_prev_randao(&self, randao: B256) {
        self.controls.lock().prev_randao = Some(randao);
    }

    /// Whether transactions of an account are taken without its signature.
    pub fn impersonates(&self, address: &Address) -> bool {
        let controls = self.controls.lock();
        controls.impersonates_all || controls.impersonated.contains(address)
    }

    /// Takes transactions of an account without its signature.
    pub fn impersonate(&self, address: Address) {
        self.controls.lock().impersonated.insert(address);
    }

    /// Asks for an account's signature again; whether it was not asked for before.
    pub fn stop_impersonating(&self, address: &Address) -> bool {
        self.controls.lock().impersonated.remove(address)
    }

    /// Takes every account's transactions without its signature, or no longer.
    pub fn impersonate_all(&self, yes: bool) {
        self.controls.lock().impersonates_all = yes;
    }

    /// Moves the chain's time by seconds; the whole offset.
    pub fn increase_time(&self, seconds: u64) -> i64 {
        self.controls.lock().clock.increase(seconds)
    }

    /// Sets the chain's time.
    pub fn set_time(&self, timestamp: u64) -> i64 {
        self.controls.lock().clock.set(now(), timestamp)
    }

    /// Fixes the timestamp of the next block.
    ///
    /// # Errors
    /// [`DevError::Timestamp`] if it is before the head's.
    pub fn set_next_timestamp(&self, timestamp: u64) -> Result<(), DevError> {
        let parent = self.node.head().header.timestamp;
        let fixed = self.controls.lock().clock.set_next(timestamp, parent);
        fixed.map_err(|parent| DevError::Timestamp { parent, found: timestamp })
    }

    /// Fixes the seconds between blocks, or no longer; whether they were fixed before.
    pub fn set_interval(&self, seconds: Option<u64>) -> bool {
        self.controls.lock().clock.set_interval(seconds)
    }

    /// The pool judges what arrives by the next block as it is now.
    fn judge_anew(&self) -> Result<(), DevError> {
        let head = self.next_head()?;
        Ok(self.pool.set_head(head, crate::pool::HeadChange::default())?)
    }

    /// The next block for the pool, with what callers have set.
    fn next_head(&self) -> Result<Head, DevError> {
        let head = self.node.pool_head()?;
        let parent = self.node.head();
        let attributes = self.attributes(&parent, now());
        let (base_fee, gas_limit) = {
            let controls = self.controls.lock();
            (controls.base_fee.unwrap_or(head.base_fee), controls.gas_limit.unwrap_or(head.gas_limit))
        };
        let next = BlockEnv {
            beneficiary: attributes.beneficiary,
            timestamp: U256::from(attributes.timestamp),
            prevrandao: head.next.prevrandao.and(Some(attributes.prev_randao)),
            ..head.next
        };
        Ok(Head { base_fee, gas_limit, next, ..head })
    }
}

/// The system's time in seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}
