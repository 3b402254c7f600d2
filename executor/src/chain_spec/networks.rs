//! The schedules of the public networks.
//!
//! Place in the flow: constructors of [`ChainSpec`].
//! Invariant: dates and blocks are those of the networks' own configuration; the tests pin them block by block.

use super::{Activation, ChainSpec, DaoFork, DaoSupport, Fork, Merge};
use alloy_primitives::{Address, U256, address, uint};

const SEPOLIA_DEPOSIT_CONTRACT: Address = address!("0x7f02c3e3c98b133055b8b348b2ac625669295295");
const HOLESKY_DEPOSIT_CONTRACT: Address = address!("0x4242424242424242424242424242424242424242");
const MAINNET_TERMINAL_DIFFICULTY: U256 = uint!(58_750_000_000_000_000_000_000_U256);
const SEPOLIA_TERMINAL_DIFFICULTY: U256 = uint!(17_000_000_000_000_000_U256);

/// The block forks before the merge, Homestead to London.
const BLOCK_FORKS: [Fork; 9] = [
    Fork::Homestead,
    Fork::Tangerine,
    Fork::SpuriousDragon,
    Fork::Byzantium,
    Fork::Constantinople,
    Fork::Petersburg,
    Fork::Istanbul,
    Fork::Berlin,
    Fork::London,
];

/// Timestamps of the forks after the merge.
struct Times {
    shanghai: u64,
    cancun: u64,
    prague: u64,
    osaka: u64,
    bpo1: u64,
    bpo2: u64,
}

impl Times {
    fn into_schedule(self) -> [(Fork, Activation); 6] {
        [
            (Fork::Shanghai, Activation::Timestamp(self.shanghai)),
            (Fork::Cancun, Activation::Timestamp(self.cancun)),
            (Fork::Prague, Activation::Timestamp(self.prague)),
            (Fork::Osaka, Activation::Timestamp(self.osaka)),
            (Fork::Bpo1, Activation::Timestamp(self.bpo1)),
            (Fork::Bpo2, Activation::Timestamp(self.bpo2)),
        ]
    }
}

impl ChainSpec {
    /// Ethereum mainnet, Frontier to Osaka and the two blob-parameter forks after it.
    pub fn mainnet() -> Self {
        let blocks = [
            (Fork::Homestead, 1_150_000),
            (Fork::Tangerine, 2_463_000),
            (Fork::SpuriousDragon, 2_675_000),
            (Fork::Byzantium, 4_370_000),
            (Fork::Constantinople, 7_280_000),
            (Fork::Petersburg, 7_280_000),
            (Fork::Istanbul, 9_069_000),
            (Fork::MuirGlacier, 9_200_000),
            (Fork::Berlin, 12_244_000),
            (Fork::London, 12_965_000),
            (Fork::ArrowGlacier, 13_773_000),
            (Fork::GrayGlacier, 15_050_000),
        ];
        let times = Times {
            shanghai: 1_681_338_455,
            cancun: 1_710_338_135,
            prague: 1_746_612_311,
            osaka: 1_764_798_551,
            bpo1: 1_765_290_071,
            bpo2: 1_767_747_671,
        };
        let mut spec = Self::frontier(1)
            .schedule(blocks.map(|(fork, block)| (fork, Activation::Block(block))))
            .schedule(times.into_schedule())
            .with_mainnet_blob_params()
            .merged_at(15_537_394);
        spec.terminal_total_difficulty = Some(MAINNET_TERMINAL_DIFFICULTY);
        spec.dao = Some(DaoFork { block: 1_920_000, support: DaoSupport::For });
        spec
    }

    /// The Sepolia test network.
    pub fn sepolia() -> Self {
        let times = Times {
            shanghai: 1_677_557_088,
            cancun: 1_706_655_072,
            prague: 1_741_159_776,
            osaka: 1_760_427_360,
            bpo1: 1_761_017_184,
            bpo2: 1_761_607_008,
        };
        let mut spec = Self::london_from_genesis(11_155_111).schedule(times.into_schedule()).merged_at(1_450_409);
        spec.terminal_total_difficulty = Some(SEPOLIA_TERMINAL_DIFFICULTY);
        spec.merge_netsplit = Some(1_735_371);
        spec.deposit_contract = SEPOLIA_DEPOSIT_CONTRACT;
        spec
    }

    /// The Holesky test network.
    pub fn holesky() -> Self {
        let times = Times {
            shanghai: 1_696_000_704,
            cancun: 1_707_305_664,
            prague: 1_740_434_112,
            osaka: 1_759_308_480,
            bpo1: 1_759_800_000,
            bpo2: 1_760_389_824,
        };
        let mut spec = Self::london_from_genesis(17_000).schedule(times.into_schedule()).merged_at(0);
        spec.terminal_total_difficulty = Some(U256::ZERO);
        spec.deposit_contract = HOLESKY_DEPOSIT_CONTRACT;
        spec
    }

    /// The Hoodi test network.
    pub fn hoodi() -> Self {
        let times = Times {
            shanghai: 0,
            cancun: 0,
            prague: 1_742_999_832,
            osaka: 1_761_677_592,
            bpo1: 1_762_365_720,
            bpo2: 1_762_955_544,
        };
        let mut spec = Self::london_from_genesis(560_048).schedule(times.into_schedule()).merged_at(0);
        spec.terminal_total_difficulty = Some(U256::ZERO);
        spec
    }

    /// The public network with this name or chain id, if it is one of the four.
    pub fn known(name_or_id: &str) -> Option<Self> {
        match name_or_id.to_ascii_lowercase().as_str() {
            "mainnet" | "ethereum" | "1" => Some(Self::mainnet()),
            "sepolia" | "11155111" => Some(Self::sepolia()),
            "holesky" | "17000" => Some(Self::holesky()),
            "hoodi" | "560048" => Some(Self::hoodi()),
            _ => None,
        }
    }

    fn london_from_genesis(chain_id: u64) -> Self {
        Self::frontier(chain_id)
            .schedule(BLOCK_FORKS.map(|fork| (fork, Activation::Block(0))))
            .with_mainnet_blob_params()
    }

    /// The same chain with its first proof-of-stake block set.
    pub(super) fn merged_at(mut self, block: u64) -> Self {
        self.merge = Merge::Block(block);
        self.activations.set(Fork::Paris, Activation::Block(block));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_eips::eip7840::BlobParams;
    use revm::primitives::hardfork::SpecId;

    const BEFORE_SHANGHAI: u64 = 1_681_338_454;

    #[test]
    fn mainnet_block_forks_activate_at_their_blocks() {
        let spec = ChainSpec::mainnet();
        let table = [
            (0, Fork::Frontier, SpecId::FRONTIER),
            (1_149_999, Fork::Frontier, SpecId::FRONTIER),
            (1_150_000, Fork::Homestead, SpecId::HOMESTEAD),
            (2_463_000, Fork::Tangerine, SpecId::TANGERINE),
            (2_675_000, Fork::SpuriousDragon, SpecId::SPURIOUS_DRAGON),
            (4_369_999, Fork::SpuriousDragon, SpecId::SPURIOUS_DRAGON),
            (4_370_000, Fork::Byzantium, SpecId::BYZANTIUM),
            (7_280_000, Fork::Petersburg, SpecId::PETERSBURG),
            (9_069_000, Fork::Istanbul, SpecId::ISTANBUL),
            (9_200_000, Fork::MuirGlacier, SpecId::ISTANBUL),
            (12_244_000, Fork::Berlin, SpecId::BERLIN),
            (12_965_000, Fork::London, SpecId::LONDON),
            (13_773_000, Fork::ArrowGlacier, SpecId::LONDON),
            (15_050_000, Fork::GrayGlacier, SpecId::LONDON),
            (15_537_393, Fork::GrayGlacier, SpecId::LONDON),
            (15_537_394, Fork::Paris, SpecId::MERGE),
            (17_034_869, Fork::Paris, SpecId::MERGE),
        ];
        for (number, fork, spec_id) in table {
            let rules = spec.rules_at(number, BEFORE_SHANGHAI);
            assert_eq!((rules.fork(), rules.spec_id), (fork, spec_id), "block {number}");
        }
    }

    #[test]
    fn mainnet_time_forks_activate_at_their_second() {
        let spec = ChainSpec::mainnet();
        let table = [
            (1_681_338_455, Fork::Shanghai, None),
            (1_710_338_134, Fork::Shanghai, None),
            (1_710_338_135, Fork::Cancun, Some(BlobParams::cancun())),
            (1_746_612_311, Fork::Prague, Some(BlobParams::prague())),
            (1_764_798_551, Fork::Osaka, Some(BlobParams::osaka())),
            (1_765_290_070, Fork::Osaka, Some(BlobParams::osaka())),
            (1_765_290_071, Fork::Bpo1, Some(BlobParams::bpo1())),
            (1_767_747_671, Fork::Bpo2, Some(BlobParams::bpo2())),
            (u64::MAX, Fork::Bpo2, Some(BlobParams::bpo2())),
        ];
        for (timestamp, fork, blobs) in table {
            let rules = spec.rules_at(23_000_000, timestamp);
            assert_eq!((rules.fork(), rules.blob_params), (fork, blobs), "time {timestamp}");
            assert!(!rules.has_block_access_list());
        }
    }

    #[test]
    fn rewards_follow_the_forks() {
        let ether = 1_000_000_000_000_000_000_u128;
        let table =
            [(1, Some(5)), (4_370_000, Some(3)), (7_280_000, Some(2)), (15_537_393, Some(2)), (15_537_394, None)];
        for (number, reward) in table {
            let rules = ChainSpec::mainnet().rules_at(number, 0);
            assert_eq!(rules.block_reward_wei(), reward.map(|whole: u128| whole * ether), "block {number}");
        }
    }

    #[test]
    fn dao_fork_drains_once_and_marks_ten_blocks() {
        let spec = ChainSpec::mainnet();
        assert!(!spec.rules_at(1_919_999, 0).is_dao_drain());
        assert!(spec.rules_at(1_920_000, 0).is_dao_drain());
        assert!(!spec.rules_at(1_920_001, 0).is_dao_drain());
        assert_eq!(spec.rules_at(1_920_009, 0).dao_extra_data(), Some(DaoSupport::For));
        assert_eq!(spec.rules_at(1_920_010, 0).dao_extra_data(), None);
        assert_eq!(spec.rules_at(1_919_999, 0).dao_extra_data(), None);
    }

    #[test]
    fn test_networks_have_their_own_dates_and_deposit_contracts() {
        let sepolia = ChainSpec::sepolia();
        assert_eq!(sepolia.rules_at(1_450_408, 0).fork(), Fork::London);
        assert_eq!(sepolia.rules_at(1_450_409, 0).fork(), Fork::Paris);
        assert_eq!(sepolia.rules_at(9_220_591, 1_758_000_000).fork(), Fork::Prague);
        assert_eq!(sepolia.deposit_contract(), SEPOLIA_DEPOSIT_CONTRACT);
        assert_eq!(ChainSpec::hoodi().rules_at(1, 0).fork(), Fork::Cancun);
        assert_eq!(ChainSpec::hoodi().rules_at(1_265_656, 1_758_000_000).fork(), Fork::Prague);
        assert_eq!(ChainSpec::holesky().rules_at(1, 0).fork(), Fork::Paris);
    }

    #[test]
    fn known_networks_are_found_by_name_and_id() {
        for (name, id) in [("mainnet", 1), ("Sepolia", 11_155_111), ("17000", 17_000), ("hoodi", 560_048)] {
            assert_eq!(ChainSpec::known(name).map(|spec| spec.chain_id()), Some(id));
        }
        assert_eq!(ChainSpec::known("goerli"), None);
    }
}
