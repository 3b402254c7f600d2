//! Which rules hold in which block: forks, their activation, blob parameters and the constants of a chain.
//!
//! Place in the flow: below env, recover, system_calls and check_header, which ask for [`Rules`] once per block.
//! Invariant: a spec is fixed once built; two blocks of equal number and timestamp have equal rules, but for chains
//! whose merge is known only by its total difficulty, where the header decides. It holds no genesis state and no header
//! beyond what a schedule needs.

mod fork;
mod genesis;
mod networks;
mod rules;
mod test_network;

pub use fork::{Activation, Fork, ForkSet};
pub use rules::Rules;

use alloy_consensus::Header;
use alloy_eips::{
    eip6110::MAINNET_DEPOSIT_CONTRACT_ADDRESS, eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
    eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS, eip7840::BlobParams,
};
use alloy_primitives::{Address, U256};
use fork::{PerFork, SCHEDULED_MAX};
use rules::spec_id;

/// Why a chain cannot be described.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChainSpecError {
    /// No official test network has this name.
    #[error("unknown test network {name:?}")]
    UnknownNetwork {
        /// The name.
        name: String,
    },
    /// A fork activates before one that it builds on.
    #[error("fork {later} activates before fork {earlier}")]
    Order {
        /// The older fork.
        earlier: Fork,
        /// The fork that activates too early.
        later: Fork,
    },
    /// The genesis asks for rules that are not built in.
    #[error("genesis asks for {what}, which is not supported")]
    Unsupported {
        /// What is asked for.
        what: &'static str,
    },
}

/// When the chain leaves proof of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Merge {
    /// Not scheduled.
    Never,
    /// The first proof-of-stake block.
    Block(u64),
    /// The first block whose parent has at least this total difficulty; a block tells by its difficulty of zero.
    TotalDifficulty(U256),
}

impl Merge {
    /// The total difficulty that decides, where no block number does.
    pub const fn by_difficulty(self) -> Option<U256> {
        match self {
            Self::TotalDifficulty(terminal) => Some(terminal),
            Self::Never | Self::Block(_) => None,
        }
    }
}

/// Where the chain stands on the DAO fork (EIP-779).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DaoFork {
    /// The block that moves the ether.
    pub block: u64,
    /// Whether the chain moves it.
    pub support: DaoSupport,
}

/// The side of the DAO fork that a chain takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DaoSupport {
    /// The accounts are drained; ten blocks carry `dao-hard-fork` as extra data.
    For,
    /// The accounts stay; the fork block must not carry that extra data.
    Against,
}

/// The schedule and constants of one chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChainSpec {
    chain_id: u64,
    activations: PerFork<Activation>,
    blob_params: PerFork<Option<BlobParams>>,
    merge: Merge,
    terminal_total_difficulty: Option<U256>,
    merge_netsplit: Option<u64>,
    dao: Option<DaoFork>,
    deposit_contract: Address,
    withdrawal_requests: Address,
    consolidation_requests: Address,
}

impl ChainSpec {
    /// A chain on which only Frontier is active.
    fn frontier(chain_id: u64) -> Self {
        let mut activations = PerFork::filled(Activation::Never);
        activations.set(Fork::Frontier, Activation::Block(0));
        Self {
            chain_id,
            activations,
            blob_params: PerFork::filled(None),
            merge: Merge::Never,
            terminal_total_difficulty: None,
            merge_netsplit: None,
            dao: None,
            deposit_contract: MAINNET_DEPOSIT_CONTRACT_ADDRESS,
            withdrawal_requests: WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
            consolidation_requests: CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
        }
    }

    /// The EIP-155 chain id.
    pub const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    /// The same schedule under another chain id.
    #[must_use]
    pub const fn with_chain_id(mut self, chain_id: u64) -> Self {
        self.chain_id = chain_id;
        self
    }

    /// When a fork activates.
    pub fn activation(&self, fork: Fork) -> Activation {
        self.activations.get(fork)
    }

    /// When the chain leaves proof of work.
    pub const fn merge(&self) -> Merge {
        self.merge
    }

    /// The total difficulty that ends proof of work, where the chain was configured with one.
    pub const fn terminal_total_difficulty(&self) -> Option<U256> {
        self.terminal_total_difficulty
    }

    /// The block after the merge from which on the chain names itself differently to its peers (EIP-2124). Changes no rule.
    pub const fn merge_netsplit(&self) -> Option<u64> {
        self.merge_netsplit
    }

    /// The contract whose logs are deposits (EIP-6110).
    pub const fn deposit_contract(&self) -> Address {
        self.deposit_contract
    }

    /// The DAO fork, if the chain knows of it.
    pub const fn dao(&self) -> Option<DaoFork> {
        self.dao
    }

    /// The rules of a block by its number and its timestamp in seconds.
    ///
    /// Where the merge is known by total difficulty only, the block counts as proof of stake once a later fork is
    /// active; use [`Self::rules_for`] where the header is at hand.
    pub fn rules_at(&self, number: u64, timestamp: u64) -> Rules {
        let merged = matches!(self.merge, Merge::Block(block) if number >= block);
        self.rules(number, timestamp, merged)
    }

    /// The rules of the block with this header.
    pub fn rules_for(&self, header: &Header) -> Rules {
        let merged = match self.merge {
            Merge::Never => false,
            Merge::Block(block) => header.number >= block,
            Merge::TotalDifficulty(_) => header.difficulty.is_zero(),
        };
        self.rules(header.number, header.timestamp, merged)
    }

    fn rules(&self, number: u64, timestamp: u64, merged: bool) -> Rules {
        let mut forks = ForkSet::default();
        for fork in Fork::ALL {
            let active = match self.activations.get(fork) {
                Activation::Never => fork == Fork::Paris && merged,
                Activation::Block(block) => number >= block,
                Activation::Timestamp(from) => timestamp >= from,
            };
            if active {
                forks.insert(fork);
            }
        }
        // A chain may reach Shanghai by time before it ever says where it merged: the later fork implies the merge.
        if forks.latest() > Fork::Paris {
            forks.insert(Fork::Paris);
        }
        Rules {
            chain_id: self.chain_id,
            forks,
            spec_id: spec_id(forks.latest()),
            blob_params: self.blob_params_of(forks),
            deposit_contract: self.deposit_contract,
            withdrawal_requests: self.withdrawal_requests,
            consolidation_requests: self.consolidation_requests,
            dao_offset: self.dao.and_then(|dao| Some((number.checked_sub(dao.block)?, dao.support))),
        }
    }

    /// The blob parameters of the latest active fork that sets some.
    fn blob_params_of(&self, forks: ForkSet) -> Option<BlobParams> {
        Fork::ALL.into_iter().rev().filter(|fork| forks.contains(*fork)).find_map(|fork| self.blob_params.get(fork))
    }

    /// Sets the activation of forks one after the other.
    fn schedule(mut self, activations: impl IntoIterator<Item = (Fork, Activation)>) -> Self {
        for (fork, activation) in activations {
            self.activations.set(fork, activation);
        }
        self
    }

    /// Sets a fork's blob parameters with the limits that its rules add.
    fn set_blob_params(&mut self, fork: Fork, params: BlobParams) {
        self.blob_params.set(fork, Some(fork::normalised(fork, params)));
    }

    /// Gives every blob fork up to BPO2 the parameters of mainnet.
    fn with_mainnet_blob_params(mut self) -> Self {
        let defaults = [
            (Fork::Cancun, BlobParams::cancun()),
            (Fork::Prague, BlobParams::prague()),
            (Fork::Osaka, BlobParams::osaka()),
            (Fork::Bpo1, BlobParams::bpo1()),
            (Fork::Bpo2, BlobParams::bpo2()),
        ];
        for (fork, params) in defaults {
            self.set_blob_params(fork, params);
        }
        self
    }

    /// Refuses a schedule in which a fork is active before one that it builds on.
    fn checked(self) -> Result<Self, ChainSpecError> {
        let mut earlier = (Fork::Frontier, Activation::Block(0));
        for later in Fork::ALL {
            let activation = self.activations.get(later);
            if activation.precedes(earlier.1) {
                return Err(ChainSpecError::Order { earlier: earlier.0, later });
            }
            // The merge may be known by its difficulty alone, and nothing builds on an optional fork.
            let left_out = activation == Activation::Never && later == Fork::Paris;
            if !left_out && !later.is_optional() {
                earlier = (later, activation);
            }
        }
        Ok(self)
    }
}

const _: () = assert!(SCHEDULED_MAX <= 32, "a fork set is 32 bits");
