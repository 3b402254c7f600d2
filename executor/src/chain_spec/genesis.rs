//! A chain from a geth-style genesis file, and the header of its block 0.
//!
//! Place in the flow: constructors of [`ChainSpec`]; the state root of block 0 comes from the store.
//! Invariant: a file that asks for rules that are not built in is refused, never approximated.

use super::{Activation, ChainSpec, ChainSpecError, DaoFork, DaoSupport, Fork, Merge};
use alloy_consensus::{Header, constants::EMPTY_WITHDRAWALS};
use alloy_eips::{eip1559::INITIAL_BASE_FEE, eip6110::MAINNET_DEPOSIT_CONTRACT_ADDRESS, eip7685::EMPTY_REQUESTS_HASH};
use alloy_genesis::{ChainConfig, Genesis};
use alloy_primitives::{Address, B64, B256, b256};

/// Keccak-256 of the RLP of an empty list.
const EMPTY_LIST_HASH: B256 = b256!("0x1dcc4de8dec75d7aab85b567b6ccd41ad312451b948a7413f0a142fd40d49347");

impl ChainSpec {
    /// The chain of a geth-style genesis file.
    ///
    /// Blob parameters that `blobSchedule` leaves out are those of mainnet; a missing deposit contract is
    /// mainnet's. The contracts of other requests are those of the EIPs, unless the file names others as Besu's do.
    ///
    /// # Errors
    /// If forks are out of order, or if the chain is sealed by something else than proof of work or proof of stake.
    pub fn from_genesis(genesis: &Genesis) -> Result<Self, ChainSpecError> {
        let config = &genesis.config;
        let mut spec = Self::frontier(config.chain_id)
            .schedule(block_forks(config))
            .schedule(timed_forks(config))
            .with_mainnet_blob_params();
        for (name, params) in &config.blob_schedule {
            if let Some(fork) = Fork::from_name(name) {
                spec.set_blob_params(fork, *params);
            }
        }
        spec.terminal_total_difficulty = config.terminal_total_difficulty;
        spec.merge_netsplit = config.merge_netsplit_block;
        spec = spec.with_merge(genesis);
        if spec.merge != Merge::Block(0) && (config.clique.is_some() || config.parlia.is_some()) {
            return Err(ChainSpecError::Unsupported { what: "proof of authority" });
        }
        spec.dao = config.dao_fork_block.map(|block| DaoFork {
            block,
            support: if config.dao_fork_support { DaoSupport::For } else { DaoSupport::Against },
        });
        spec.deposit_contract = config.deposit_contract_address.unwrap_or(MAINNET_DEPOSIT_CONTRACT_ADDRESS);
        spec.withdrawal_requests = contract(config, "withdrawalRequestContractAddress", spec.withdrawal_requests)?;
        spec.consolidation_requests =
            contract(config, "consolidationRequestContractAddress", spec.consolidation_requests)?;
        spec.checked()
    }

    fn with_merge(self, genesis: &Genesis) -> Self {
        let config = &genesis.config;
        let timed_at_genesis = config.shanghai_time.is_some_and(|time| time <= genesis.timestamp);
        match config.terminal_total_difficulty {
            Some(terminal) if terminal.is_zero() => self.merged_at(0),
            // The parent of block 1 has the difficulty of the genesis.
            Some(terminal) if genesis.difficulty >= terminal => self.merged_at(1),
            Some(terminal) if !timed_at_genesis => Self { merge: Merge::TotalDifficulty(terminal), ..self },
            None if !timed_at_genesis && !config.terminal_total_difficulty_passed => self,
            _ => self.merged_at(0),
        }
    }

    /// The header of block 0, with the fields of the forks that are active in it.
    pub fn genesis_header(&self, genesis: &Genesis, state_root: B256) -> Header {
        let number = genesis.number.unwrap_or_default();
        let rules = self.rules_at(number, genesis.timestamp);
        let when = |fork| rules.is_active(fork);
        let base_fee = genesis.base_fee_per_gas.and_then(|fee| u64::try_from(fee).ok()).unwrap_or(INITIAL_BASE_FEE);
        Header {
            parent_hash: genesis.parent_hash.unwrap_or_default(),
            number,
            beneficiary: genesis.coinbase,
            state_root,
            difficulty: genesis.difficulty,
            gas_limit: genesis.gas_limit,
            timestamp: genesis.timestamp,
            extra_data: genesis.extra_data.clone(),
            mix_hash: genesis.mix_hash,
            nonce: B64::from(genesis.nonce),
            base_fee_per_gas: when(Fork::London).then_some(base_fee),
            withdrawals_root: when(Fork::Shanghai).then_some(EMPTY_WITHDRAWALS),
            blob_gas_used: when(Fork::Cancun).then(|| genesis.blob_gas_used.unwrap_or_default()),
            excess_blob_gas: when(Fork::Cancun).then(|| genesis.excess_blob_gas.unwrap_or_default()),
            parent_beacon_block_root: when(Fork::Cancun).then_some(B256::ZERO),
            requests_hash: when(Fork::Prague).then_some(EMPTY_REQUESTS_HASH),
            block_access_list_hash: when(Fork::Amsterdam).then_some(EMPTY_LIST_HASH),
            ..Header::default()
        }
    }
}

fn block_forks(config: &ChainConfig) -> [(Fork, Activation); 12] {
    [
        (Fork::Homestead, config.homestead_block.into()),
        (Fork::Tangerine, config.eip150_block.into()),
        (Fork::SpuriousDragon, config.eip158_block.into()),
        (Fork::Byzantium, config.byzantium_block.into()),
        (Fork::Constantinople, config.constantinople_block.into()),
        // As in geth, Petersburg goes with Constantinople where it is not named.
        (Fork::Petersburg, config.petersburg_block.or(config.constantinople_block).into()),
        (Fork::Istanbul, config.istanbul_block.into()),
        (Fork::MuirGlacier, config.muir_glacier_block.into()),
        (Fork::Berlin, config.berlin_block.into()),
        (Fork::London, config.london_block.into()),
        (Fork::ArrowGlacier, config.arrow_glacier_block.into()),
        (Fork::GrayGlacier, config.gray_glacier_block.into()),
    ]
}

fn timed_forks(config: &ChainConfig) -> impl Iterator<Item = (Fork, Activation)> {
    [
        (Fork::Shanghai, config.shanghai_time),
        (Fork::Cancun, config.cancun_time),
        (Fork::Prague, config.prague_time),
        (Fork::Osaka, config.osaka_time),
        (Fork::Bpo1, config.bpo1_time),
        (Fork::Bpo2, config.bpo2_time),
        (Fork::Bpo3, config.bpo3_time),
        (Fork::Bpo4, config.bpo4_time),
        (Fork::Bpo5, config.bpo5_time),
    ]
    .into_iter()
    .map(|(fork, time)| (fork, time.map_or(Activation::Never, Activation::Timestamp)))
}

/// A contract that the configuration may name under one of Besu's keys.
fn contract(config: &ChainConfig, key: &str, default: Address) -> Result<Address, ChainSpecError> {
    let named = config.extra_fields.get_deserialized::<Option<Address>>(key).transpose();
    let named =
        named.map_err(|_| ChainSpecError::Unsupported { what: "a request contract without a valid address" })?;
    Ok(named.flatten().unwrap_or(default))
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_eips::eip7840::BlobParams;
    use alloy_primitives::{Address, U256};

    fn parse(config: &str) -> Genesis {
        let json = format!(r#"{{"config":{config},"difficulty":"0x20000","gasLimit":"0x11e1a300","alloc":{{}}}}"#);
        serde_json::from_str(&json).unwrap()
    }

    const LONDON: &str = r#""homesteadBlock":0,"eip150Block":0,"eip155Block":0,"eip158Block":0,"byzantiumBlock":0,
        "constantinopleBlock":0,"istanbulBlock":0,"berlinBlock":0,"londonBlock":0"#;

    #[test]
    fn devp2p_style_genesis_merges_at_block_one() {
        let genesis = parse(&format!(
            r#"{{"chainId":9,{LONDON},"terminalTotalDifficulty":131072,"mergeNetsplitBlock":0,"shanghaiTime":0,
                "cancunTime":60,"pragueTime":120,"depositContractAddress":"0x0000000000000000000000000000000000000000",
                "blobSchedule":{{"cancun":{{"target":1,"max":2,"baseFeeUpdateFraction":99}}}}}}"#
        ));
        let spec = ChainSpec::from_genesis(&genesis).unwrap();
        assert_eq!(spec.chain_id(), 9);
        assert_eq!(spec.merge(), Merge::Block(1));
        assert_eq!(spec.activation(Fork::Petersburg), Activation::Block(0));
        assert_eq!(spec.rules_at(1, 59).fork(), Fork::Shanghai);
        let cancun = spec.rules_at(2, 60).blob_params.unwrap();
        assert_eq!((cancun.max_blob_count, cancun.max_blobs_per_tx, cancun.update_fraction), (2, 2, 99));
        assert_eq!(spec.rules_at(2, 120).blob_params, Some(BlobParams::prague()));
        // As in geth: named, if only to say that there is none.
        assert_eq!(spec.deposit_contract(), Address::ZERO);
    }

    #[test]
    fn open_terminal_difficulty_is_decided_by_the_header() {
        let genesis = parse(&format!(r#"{{"chainId":1,{LONDON},"terminalTotalDifficulty":786432}}"#));
        let spec = ChainSpec::from_genesis(&genesis).unwrap();
        assert_eq!(spec.merge().by_difficulty(), Some(U256::from(786_432)));
        let mut header = Header { number: 5, difficulty: U256::from(1), ..Header::default() };
        assert!(!spec.rules_for(&header).is_post_merge());
        header.difficulty = U256::ZERO;
        assert_eq!(spec.rules_for(&header).fork(), Fork::Paris);
        assert_eq!(spec.rules_at(5, 0).fork(), Fork::London);
    }

    #[test]
    fn forks_out_of_order_are_refused() {
        let genesis = parse(r#"{"chainId":1,"homesteadBlock":10,"eip150Block":5}"#);
        assert_eq!(
            ChainSpec::from_genesis(&genesis),
            Err(ChainSpecError::Order { earlier: Fork::Homestead, later: Fork::Tangerine })
        );
        let genesis = parse(r#"{"chainId":1,"eip150Block":5}"#);
        assert!(matches!(ChainSpec::from_genesis(&genesis), Err(ChainSpecError::Order { .. })));
    }

    #[test]
    fn proof_of_authority_is_refused_unless_merged_from_the_start() {
        let clique = format!(r#"{{"chainId":5,{LONDON},"clique":{{"period":15,"epoch":30000}}"#);
        let genesis = parse(&format!("{clique}}}"));
        assert!(matches!(ChainSpec::from_genesis(&genesis), Err(ChainSpecError::Unsupported { .. })));
        let genesis = parse(&format!(r#"{clique},"terminalTotalDifficulty":0}}"#));
        assert!(ChainSpec::from_genesis(&genesis).is_ok());
    }

    #[test]
    fn genesis_header_has_the_fields_of_its_fork() {
        let genesis = parse(&format!(
            r#"{{"chainId":9,{LONDON},"terminalTotalDifficulty":0,"shanghaiTime":0,"cancunTime":0,"pragueTime":7}}"#
        ));
        let spec = ChainSpec::from_genesis(&genesis).unwrap();
        let header = spec.genesis_header(&genesis, B256::repeat_byte(1));
        assert_eq!(header.base_fee_per_gas, Some(INITIAL_BASE_FEE));
        assert_eq!(header.excess_blob_gas, Some(0));
        assert_eq!(header.requests_hash, None);
        assert_eq!(header.beneficiary, Address::ZERO);
    }
}
