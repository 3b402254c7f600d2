//! A header and its rules as revm's block environment and configuration.
//!
//! Place in the flow: part of env.
//! Invariant: exactly one of `difficulty` and `prevrandao` means something, as the fork says.

use super::net_metering;
use crate::chain_spec::{Fork, Rules};
use alloy_consensus::Header;
use alloy_primitives::U256;
use revm::{
    context::{BlockEnv, CfgEnv},
    context_interface::block::BlobExcessGasAndPrice,
};

/// revm's block environment of a header.
pub fn block_env(rules: &Rules, header: &Header) -> BlockEnv {
    // CONSENSUS: EIP-4399, the opcode DIFFICULTY gives the beacon chain's randomness after the merge.
    let (difficulty, prevrandao) =
        if rules.is_post_merge() { (U256::ZERO, Some(header.mix_hash)) } else { (header.difficulty, None) };
    BlockEnv {
        number: U256::from(header.number),
        beneficiary: header.beneficiary,
        timestamp: U256::from(header.timestamp),
        gas_limit: header.gas_limit,
        // CONSENSUS: EIP-1559, there is no base fee before London; a zero never refuses or burns anything.
        basefee: header.base_fee_per_gas.filter(|_| rules.is_active(Fork::London)).unwrap_or_default(),
        difficulty,
        prevrandao,
        blob_excess_gas_and_price: blob_price(rules, header),
        slot_num: header.slot_number.unwrap_or_default(),
    }
}

/// The blob base fee of a header (EIP-4844) under the fork's update fraction (EIP-7691, EIP-7892).
fn blob_price(rules: &Rules, header: &Header) -> Option<BlobExcessGasAndPrice> {
    let params = rules.blob_params?;
    let excess_blob_gas = header.excess_blob_gas.unwrap_or_default();
    // Not revm's own formula: that one works in 128 bits and overflows for an excess that only a made-up header has.
    Some(BlobExcessGasAndPrice { excess_blob_gas, blob_gasprice: params.calc_blob_fee(excess_blob_gas) })
}

/// revm's configuration under the rules.
pub fn cfg_env(rules: &Rules) -> CfgEnv {
    let mut cfg = CfgEnv::new_with_spec(rules.spec_id);
    cfg.set_spec_and_mainnet_gas_params(rules.spec_id);
    cfg.chain_id = rules.chain_id;
    cfg.tx_chain_id_check = true;
    if let Some(params) = rules.blob_params {
        cfg.max_blobs_per_tx = Some(params.max_blobs_per_tx);
        cfg.blob_base_fee_update_fraction = Some(u64::try_from(params.update_fraction).unwrap_or(u64::MAX));
    }
    net_metering::price(rules, &mut cfg);
    cfg
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain_spec::ChainSpec;
    use alloy_primitives::B256;
    use revm::{context_interface::Cfg, primitives::hardfork::SpecId};

    fn header() -> Header {
        Header {
            number: 20_000_000,
            timestamp: 1_767_747_671,
            difficulty: U256::from(7),
            mix_hash: B256::repeat_byte(3),
            base_fee_per_gas: Some(11),
            excess_blob_gas: Some(100_000_000),
            gas_limit: 60_000_000,
            ..Header::default()
        }
    }

    #[test]
    fn merged_block_has_randomness_and_no_difficulty() {
        let rules = ChainSpec::mainnet().rules_for(&header());
        let env = block_env(&rules, &header());
        assert_eq!((env.difficulty, env.prevrandao), (U256::ZERO, Some(B256::repeat_byte(3))));
        assert_eq!(env.basefee, 11);
    }

    #[test]
    fn old_block_has_difficulty_and_no_base_fee() {
        let old = Header { number: 5, timestamp: 9, ..header() };
        let env = block_env(&ChainSpec::mainnet().rules_for(&old), &old);
        assert_eq!((env.difficulty, env.prevrandao), (U256::from(7), None));
        assert_eq!(env.basefee, 0);
        assert_eq!(env.blob_excess_gas_and_price, None);
    }

    #[test]
    fn blob_price_follows_the_update_fraction_of_the_fork() {
        let price = |timestamp| {
            let header = Header { timestamp, ..header() };
            let env = block_env(&ChainSpec::mainnet().rules_for(&header), &header);
            env.blob_excess_gas_and_price.unwrap().blob_gasprice
        };
        assert_eq!(price(1_710_338_135), 10_203_769_476_395);
        assert_eq!(price(1_746_612_311), 470_442_149);
        assert_eq!(price(1_767_747_671), 5_209);
        let wild = Header { excess_blob_gas: Some(u64::MAX), ..header() };
        let env = block_env(&ChainSpec::mainnet().rules_for(&wild), &wild);
        assert_eq!(env.blob_excess_gas_and_price.unwrap().blob_gasprice, u128::MAX);
    }

    #[test]
    fn configuration_carries_fork_limits() {
        let cfg = cfg_env(&ChainSpec::sepolia().rules_at(9_500_000, 1_761_607_008));
        assert_eq!((cfg.chain_id, cfg.spec), (11_155_111, SpecId::OSAKA));
        assert_eq!(cfg.max_blobs_per_tx, Some(6));
        assert_eq!(cfg.tx_gas_limit_cap(), 1 << 24);
        let cfg = cfg_env(&ChainSpec::mainnet().rules_at(1, 0));
        assert_eq!((cfg.max_blobs_per_tx, cfg.tx_gas_limit_cap()), (None, u64::MAX));
    }
}
