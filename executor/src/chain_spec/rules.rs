//! The rules of one block: what the schedule says, resolved once.
//!
//! Place in the flow: made by [`ChainSpec`](super::ChainSpec); read by env, recover, system_calls and check_header.
//! Invariant: plain data, cheap to copy; nothing here depends on the state.

use super::{DaoSupport, Fork, ForkSet};
use alloy_eips::eip7840::BlobParams;
use alloy_primitives::Address;
use revm::primitives::hardfork::SpecId;

/// Blocks after the DAO fork whose extra data is fixed.
const DAO_EXTRA_DATA_BLOCKS: u64 = 10;

/// What holds in one block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The EIP-155 chain id.
    pub chain_id: u64,
    /// The active forks.
    pub forks: ForkSet,
    /// revm's name of the execution rules.
    pub spec_id: SpecId,
    /// Blob parameters; none before Cancun.
    pub blob_params: Option<BlobParams>,
    /// The contract whose logs are deposits (EIP-6110).
    pub deposit_contract: Address,
    /// The contract with the queue of withdrawal requests (EIP-7002).
    pub withdrawal_requests: Address,
    /// The contract with the queue of consolidation requests (EIP-7251).
    pub consolidation_requests: Address,
    /// Blocks since the DAO fork and the chain's side, from that block on.
    pub(super) dao_offset: Option<(u64, DaoSupport)>,
}

impl Rules {
    /// Whether a fork is active.
    pub const fn is_active(&self, fork: Fork) -> bool {
        self.forks.contains(fork)
    }

    /// The newest active fork.
    pub fn fork(&self) -> Fork {
        self.forks.latest()
    }

    /// Whether the block is a proof-of-stake block.
    pub const fn is_post_merge(&self) -> bool {
        self.is_active(Fork::Paris)
    }

    /// Whether touched empty accounts are removed (EIP-161).
    pub const fn clears_empty_accounts(&self) -> bool {
        self.is_active(Fork::SpuriousDragon)
    }

    /// Whether `SSTORE` costs what EIP-1283 says: from Constantinople on, until Petersburg.
    pub const fn has_net_gas_metering(&self) -> bool {
        self.is_active(Fork::Constantinople) && !self.is_active(Fork::Petersburg)
    }

    /// Whether receipts carry a status and not an intermediate state root (EIP-658), so that their root can be checked.
    pub const fn receipts_carry_status(&self) -> bool {
        self.is_active(Fork::Byzantium)
    }

    /// Whether the header commits to a block access list (EIP-7928).
    pub const fn has_block_access_list(&self) -> bool {
        self.is_active(Fork::Amsterdam)
    }

    /// Whether this is the block that drains the DAO accounts.
    pub const fn is_dao_drain(&self) -> bool {
        matches!(self.dao_offset, Some((0, DaoSupport::For)))
    }

    /// What the DAO fork asks of this block's extra data: nothing, that it is the marker, or that it is not.
    pub const fn dao_extra_data(&self) -> Option<DaoSupport> {
        match self.dao_offset {
            Some((offset, support)) if offset < DAO_EXTRA_DATA_BLOCKS => Some(support),
            _ => None,
        }
    }

    /// The miner's reward without ommers, in wei; none after the merge.
    pub const fn block_reward_wei(&self) -> Option<u128> {
        const ETHER: u128 = 1_000_000_000_000_000_000;
        // CONSENSUS: EIP-649 and EIP-1234 reduce the reward; EIP-3675 ends it.
        if self.is_post_merge() {
            None
        } else if self.is_active(Fork::Constantinople) {
            Some(2 * ETHER)
        } else if self.is_active(Fork::Byzantium) {
            Some(3 * ETHER)
        } else {
            Some(5 * ETHER)
        }
    }
}

/// revm's name of a fork's execution rules.
pub(super) const fn spec_id(fork: Fork) -> SpecId {
    match fork {
        Fork::Frontier => SpecId::FRONTIER,
        Fork::Homestead => SpecId::HOMESTEAD,
        Fork::Tangerine => SpecId::TANGERINE,
        Fork::SpuriousDragon => SpecId::SPURIOUS_DRAGON,
        Fork::Byzantium => SpecId::BYZANTIUM,
        // CONSENSUS: what Petersburg took back (EIP-1716) is asked for by `Rules::has_net_gas_metering`.
        Fork::Constantinople | Fork::Petersburg => SpecId::PETERSBURG,
        Fork::Istanbul | Fork::MuirGlacier => SpecId::ISTANBUL,
        Fork::Berlin => SpecId::BERLIN,
        Fork::London | Fork::ArrowGlacier | Fork::GrayGlacier => SpecId::LONDON,
        Fork::Paris => SpecId::MERGE,
        Fork::Shanghai => SpecId::SHANGHAI,
        Fork::Cancun => SpecId::CANCUN,
        Fork::Prague => SpecId::PRAGUE,
        // CONSENSUS: this Amsterdam is Osaka with EIP-7928 alone; `SpecId::AMSTERDAM` is a later, larger rule set.
        Fork::Osaka | Fork::Bpo1 | Fork::Bpo2 | Fork::Bpo3 | Fork::Bpo4 | Fork::Bpo5 | Fork::Amsterdam => SpecId::OSAKA,
    }
}
