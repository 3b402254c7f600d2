//! Block and rules under which a call runs.
//!
//! Place in the flow: made from a header; [`super::Machine`] takes it.
//! Invariant: block overrides change the header first, so that a number or timestamp of another fork brings that fork's rules.

use super::CallError;
use alloy_consensus::Header;
use alloy_primitives::U256;
use alloy_rpc_types_eth::BlockOverrides;
use laminar_executor::{
    chain_spec::{ChainSpec, Rules},
    check_header::{expected_base_fee, expected_excess_blob_gas},
    env::{block_env, cfg_env},
};
use revm::{
    context::{BlockEnv, CfgEnv, TxEnv},
    context_interface::block::BlobExcessGasAndPrice,
};

/// Slot time of the beacon chain, in seconds.
pub const SLOT_SECONDS: u64 = 12;

/// What a call sees of its block, and the rules.
#[derive(Clone, Debug)]
pub struct Environment {
    /// The rules of the block.
    pub rules: Rules,
    /// revm's configuration.
    pub cfg: CfgEnv,
    /// revm's block.
    pub block: BlockEnv,
}

impl Environment {
    /// The environment of the block with this header, in which real transactions run.
    pub fn of_block(spec: &ChainSpec, header: &Header) -> Self {
        let rules = spec.rules_for(header);
        Self { rules, cfg: cfg_env(&rules), block: block_env(&rules, header) }
    }

    /// The environment of a call on the block with this header.
    ///
    /// # Errors
    /// [`CallError::Params`] if an override does not fit its field.
    pub fn of_call(spec: &ChainSpec, header: &Header, overrides: Option<&BlockOverrides>) -> Result<Self, CallError> {
        let mut header = header.clone();
        if let Some(overrides) = overrides {
            override_header(&mut header, overrides)?;
        }
        let mut environment = Self::of_block(spec, &header);
        environment.relax();
        if let Some(wei) = overrides.and_then(|overrides| overrides.blob_base_fee) {
            environment.override_blob_base_fee(wei)?;
        }
        Ok(environment)
    }

    /// Takes away the rules that do not hold for calls: nonce, code of the sender, gas limits of block and transaction.
    pub const fn relax(&mut self) {
        self.cfg.disable_nonce_check = true;
        self.cfg.disable_eip3607 = true;
        self.cfg.disable_block_gas_limit = true;
        self.cfg.tx_gas_limit_cap = Some(u64::MAX);
        self.cfg.tx_chain_id_check = false;
    }

    /// Sets the price of a blob's gas, in wei.
    ///
    /// # Errors
    /// [`CallError::Params`] if it exceeds 128 bits.
    pub fn override_blob_base_fee(&mut self, wei: U256) -> Result<(), CallError> {
        let blob_gasprice = u128::try_from(wei).map_err(|_| CallError::params("blobBaseFee exceeds 128 bits"))?;
        let excess_blob_gas = self.block.blob_excess_gas_and_price.map_or(0, |price| price.excess_blob_gas);
        self.block.blob_excess_gas_and_price = Some(BlobExcessGasAndPrice { excess_blob_gas, blob_gasprice });
        Ok(())
    }

    /// Lets a call that offers no fee run as if nothing had to be paid: as in geth, the base fee is then zero also for those who
    /// ask for it, and so is that of blobs where the call has some.
    pub fn waive_fees(&mut self, tx: &TxEnv) {
        if tx.gas_price == 0 {
            self.block.basefee = 0;
        }
        if !tx.blob_hashes.is_empty()
            && tx.max_fee_per_blob_gas == 0
            && let Some(price) = &mut self.block.blob_excess_gas_and_price
        {
            price.blob_gasprice = 0;
        }
    }
}

/// Puts overrides into a header; what is no header field (the blob base fee) stays out.
///
/// # Errors
/// [`CallError::Params`] if a value does not fit its field.
pub(super) fn override_header(header: &mut Header, overrides: &BlockOverrides) -> Result<(), CallError> {
    let BlockOverrides { number, difficulty, time, gas_limit, coinbase, random, base_fee, beacon_root, .. } = overrides;
    if let Some(number) = number {
        header.number = u64::try_from(*number).map_err(|_| CallError::params("block number exceeds 64 bits"))?;
    }
    if let Some(base_fee) = base_fee {
        let wei = u64::try_from(*base_fee).map_err(|_| CallError::params("baseFeePerGas exceeds 64 bits"))?;
        header.base_fee_per_gas = Some(wei);
    }
    header.difficulty = difficulty.unwrap_or(header.difficulty);
    header.timestamp = time.unwrap_or(header.timestamp);
    header.gas_limit = gas_limit.unwrap_or(header.gas_limit);
    header.beneficiary = coinbase.unwrap_or(header.beneficiary);
    header.mix_hash = random.unwrap_or(header.mix_hash);
    header.parent_beacon_block_root = beacon_root.or(header.parent_beacon_block_root);
    Ok(())
}

/// The header of the block that may follow `parent`, as far as it is known before its transactions: what `pending` stands for.
///
/// Beneficiary, gas limit and randomness are the parent's; the timestamp is one slot later.
pub fn header_after(spec: &ChainSpec, parent: &Header) -> Header {
    let mut header = Header {
        number: parent.number.saturating_add(1),
        timestamp: parent.timestamp.saturating_add(SLOT_SECONDS),
        gas_limit: parent.gas_limit,
        beneficiary: parent.beneficiary,
        mix_hash: parent.mix_hash,
        difficulty: parent.difficulty,
        ..Header::default()
    };
    let rules = spec.rules_for(&header);
    header.base_fee_per_gas = expected_base_fee(&rules, parent);
    header.excess_blob_gas = expected_excess_blob_gas(&rules, parent);
    header
}
