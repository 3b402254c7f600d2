//! What is fixed of a block before its transactions are chosen, and the header that follows from it.
//!
//! Place in the flow: the consensus layer's payload attributes or dev mining become [`Attributes`]; the builder executes under
//! the header that [`draft_header`] makes.
//! Invariant: a drafted header passes the header checks against its parent, unless the attributes override what the chain
//! fixes. Roots, bloom and gas used are not in it yet.

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header};
use alloy_eips::eip4895::{Withdrawal, Withdrawals};
use alloy_primitives::{Address, B256, Bytes, U256};
use laminar_executor::{
    chain_spec::{ChainSpec, DaoSupport, Fork, Merge, Rules},
    check_header::{
        check_terminal_difficulty, expected_base_fee, expected_difficulty, expected_excess_blob_gas, gas_limit_bounds,
    },
    rule::Rule,
};

/// The extra data of the first blocks of a chain that supports the DAO fork (EIP-779).
const DAO_EXTRA_DATA: &[u8] = b"dao-hard-fork";

/// The gas limit of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GasLimit {
    /// As near to this as the chain allows after the parent (yellow paper 4.3.4).
    Towards(u64),
    /// This, whatever the parent has. A block that leaves the bounds is valid on this node alone.
    Exactly(u64),
}

/// What is fixed of a block before its transactions are chosen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Seconds; after the parent's.
    pub timestamp: u64,
    /// Whether the timestamp may be the parent's as well. Such a block is valid on this node alone.
    pub same_second: bool,
    /// Who gets the fees.
    pub beneficiary: Address,
    /// The beacon chain's randomness; zero before the merge.
    pub prev_randao: B256,
    /// Withdrawals; none before Shanghai.
    pub withdrawals: Vec<Withdrawal>,
    /// Root of the parent beacon block (EIP-4788), used from Cancun on.
    pub parent_beacon_block_root: B256,
    /// The gas limit.
    pub gas_limit: GasLimit,
    /// At most 32 bytes.
    pub extra_data: Bytes,
    /// A base fee other than the one that follows from the parent. Such a block is valid on this node alone.
    pub base_fee: Option<u64>,
    /// The slot (EIP-7843), where the consensus layer gives one.
    pub slot_number: Option<u64>,
}

impl Attributes {
    /// A block at `timestamp` that says as little as can be, aiming at a gas limit.
    pub fn new(timestamp: u64, gas_limit: u64) -> Self {
        Self {
            timestamp,
            same_second: false,
            beneficiary: Address::ZERO,
            prev_randao: B256::ZERO,
            withdrawals: Vec::new(),
            parent_beacon_block_root: B256::ZERO,
            gas_limit: GasLimit::Towards(gas_limit),
            extra_data: Bytes::new(),
            base_fee: None,
            slot_number: None,
        }
    }
}

/// The header of a child of `parent`, as far as it is known before execution, with its rules.
///
/// `parent_total_difficulty` decides on which side of the merge the block stands, where the chain merges by difficulty.
///
/// # Errors
/// The attributes break a rule: the timestamp is not after the parent's, the extra data is too long, withdrawals before
/// Shanghai.
pub fn draft_header(
    spec: &ChainSpec,
    parent: &Header,
    parent_hash: B256,
    parent_total_difficulty: U256,
    attributes: &Attributes,
) -> Result<(Header, Rules), Rule> {
    let expected = parent.timestamp.saturating_add(u64::from(!attributes.same_second));
    if attributes.timestamp < expected {
        return Err(Rule::Timestamp { expected, found: attributes.timestamp });
    }
    let mut header = Header {
        parent_hash,
        ommers_hash: EMPTY_OMMER_ROOT_HASH,
        number: parent.number.saturating_add(1),
        timestamp: attributes.timestamp,
        beneficiary: attributes.beneficiary,
        extra_data: attributes.extra_data.clone(),
        slot_number: attributes.slot_number,
        ..Header::default()
    };
    // A header of difficulty zero counts as proof of stake, so ask as one of proof of work.
    if matches!(spec.merge(), Merge::TotalDifficulty(_))
        && check_terminal_difficulty(spec, &header, parent_total_difficulty).is_err()
    {
        header.difficulty = U256::ONE;
    }
    let rules = spec.rules_for(&header);
    if rules.is_post_merge() {
        header.mix_hash = attributes.prev_randao;
    } else {
        header.difficulty = expected_difficulty(&rules, header.number, header.timestamp, parent);
    }
    if rules.dao_extra_data() == Some(DaoSupport::For) {
        header.extra_data = Bytes::from_static(DAO_EXTRA_DATA);
    }
    if header.extra_data.len() > alloy_consensus::constants::MAXIMUM_EXTRA_DATA_SIZE {
        let expected = alloy_consensus::constants::MAXIMUM_EXTRA_DATA_SIZE;
        return Err(Rule::ExtraDataTooLong { expected, found: header.extra_data.len() });
    }
    if !rules.is_active(Fork::Shanghai) && !attributes.withdrawals.is_empty() {
        let field = laminar_executor::rule::Field::WithdrawalsRoot;
        return Err(Rule::FieldPresence { field, required: false });
    }
    header.gas_limit = match attributes.gas_limit {
        GasLimit::Exactly(limit) => limit,
        GasLimit::Towards(target) => {
            let (min, max) = gas_limit_bounds(&rules, spec, parent);
            target.clamp(min, max)
        }
    };
    header.base_fee_per_gas = expected_base_fee(&rules, parent).map(|fee| attributes.base_fee.unwrap_or(fee));
    header.excess_blob_gas = expected_excess_blob_gas(&rules, parent);
    header.parent_beacon_block_root = rules.is_active(Fork::Cancun).then_some(attributes.parent_beacon_block_root);
    Ok((header, rules))
}

/// The withdrawals of a block; none before Shanghai, where a block has no list at all.
pub(super) fn withdrawals(rules: &Rules, attributes: &Attributes) -> Option<Withdrawals> {
    rules.is_active(Fork::Shanghai).then(|| Withdrawals::new(attributes.withdrawals.clone()))
}
