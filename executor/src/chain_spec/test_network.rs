//! The networks of the official tests: one fork from genesis, or a transition from one fork to another.
//!
//! Place in the flow: constructors of [`ChainSpec`] for the conformance runner.
//! Invariant: a name that is not understood is an error that names it.
//!
//! | name | schedule |
//! | --- | --- |
//! | `X` | every fork up to `X` from genesis |
//! | `XToYAtTime15k` | up to `X` from genesis, up to `Y` from timestamp 15,000 |
//! | `XToYAt5` | up to `X` from genesis, up to `Y` from block 5 |
//! | `XToYAtDiffC0000` | up to `X` from genesis, the merge at total difficulty 0xc0000 |

use super::{Activation, ChainSpec, ChainSpecError, Fork, Merge};
use alloy_eips::eip7840::BlobParams;
use alloy_primitives::U256;

impl ChainSpec {
    /// The official test network `name` under chain id 1.
    ///
    /// `blob_schedule` is the case's `config.blobSchedule`: fork names with target, maximum and update fraction; what
    /// it leaves out is as on mainnet.
    ///
    /// # Errors
    /// If no official test network has that name.
    pub fn for_test_network<'a>(
        name: &str,
        blob_schedule: impl IntoIterator<Item = (&'a str, BlobParams)>,
    ) -> Result<Self, ChainSpecError> {
        let unknown = || ChainSpecError::UnknownNetwork { name: name.to_owned() };
        let mut spec = match name.split_once("To") {
            None => Self::frontier(1).up_to(Fork::from_name(name).ok_or_else(unknown)?),
            Some((from, rest)) => transition(from, rest).ok_or_else(unknown)?,
        };
        spec = spec.with_mainnet_blob_params();
        spec.set_blob_params(Fork::Amsterdam, BlobParams::bpo2());
        for (name, params) in blob_schedule {
            let fork = Fork::from_name(name).ok_or_else(unknown)?;
            spec.set_blob_params(fork, params);
        }
        Ok(spec)
    }

    /// Activates every fork up to `last` from genesis; the merge with it.
    fn up_to(self, last: Fork) -> Self {
        let forks = Fork::ALL.into_iter().filter(|fork| *fork <= last);
        let activation = |fork: Fork| {
            if fork.is_timed() { Activation::Timestamp(0) } else { Activation::Block(0) }
        };
        let spec = self.schedule(forks.map(|fork| (fork, activation(fork))));
        if last >= Fork::Paris { spec.merged_at(0) } else { spec }
    }

    /// Activates the forks after `first` up to `last` at once.
    fn then(self, first: Fork, last: Fork, activation: Activation) -> Self {
        let forks = Fork::ALL.into_iter().filter(|fork| *fork > first && *fork <= last);
        self.schedule(forks.map(|fork| (fork, activation)))
    }
}

fn transition(from: &str, rest: &str) -> Option<ChainSpec> {
    let (to, at) = rest.split_once("At")?;
    let (from, to) = (Fork::from_name(from)?, Fork::from_name(to)?);
    let spec = ChainSpec::frontier(1).up_to(from);
    if let Some(time) = at.strip_prefix("Time") {
        let time = match time.strip_suffix('k') {
            Some(thousands) => thousands.parse::<u64>().ok()?.checked_mul(1000)?,
            None => time.parse().ok()?,
        };
        return to.is_timed().then(|| spec.then(from, to, Activation::Timestamp(time)));
    }
    if let Some(difficulty) = at.strip_prefix("Diff") {
        let terminal = U256::from_str_radix(difficulty, 16).ok()?;
        let merge = Merge::TotalDifficulty(terminal);
        return (to == Fork::Paris).then_some(ChainSpec { merge, terminal_total_difficulty: Some(terminal), ..spec });
    }
    let block = at.parse().ok()?;
    match to {
        Fork::Paris => Some(spec.then(from, Fork::GrayGlacier, Activation::Block(block)).merged_at(block)),
        to if to.is_timed() => None,
        to => Some(spec.then(from, to, Activation::Block(block))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use revm::primitives::hardfork::SpecId;

    fn network(name: &str) -> ChainSpec {
        ChainSpec::for_test_network(name, []).unwrap()
    }

    #[test]
    fn single_fork_networks_run_it_from_genesis() {
        let table = [
            ("Frontier", SpecId::FRONTIER),
            ("Homestead", SpecId::HOMESTEAD),
            ("EIP150", SpecId::TANGERINE),
            ("EIP158", SpecId::SPURIOUS_DRAGON),
            ("Byzantium", SpecId::BYZANTIUM),
            ("Constantinople", SpecId::PETERSBURG),
            ("ConstantinopleFix", SpecId::PETERSBURG),
            ("Petersburg", SpecId::PETERSBURG),
            ("Istanbul", SpecId::ISTANBUL),
            ("Berlin", SpecId::BERLIN),
            ("London", SpecId::LONDON),
            ("Paris", SpecId::MERGE),
            ("Merge", SpecId::MERGE),
            ("Shanghai", SpecId::SHANGHAI),
            ("Cancun", SpecId::CANCUN),
            ("Prague", SpecId::PRAGUE),
            ("Osaka", SpecId::OSAKA),
            ("BPO2", SpecId::OSAKA),
            ("Amsterdam", SpecId::OSAKA),
        ];
        for (name, spec_id) in table {
            let rules = network(name).rules_at(0, 0);
            assert_eq!(rules.spec_id, spec_id, "{name}");
            assert_eq!(rules.is_post_merge(), spec_id >= SpecId::MERGE, "{name}");
            assert_eq!(rules.blob_params.is_some(), spec_id >= SpecId::CANCUN, "{name}");
            assert_eq!(rules.has_block_access_list(), name == "Amsterdam");
        }
    }

    #[test]
    fn transitions_change_fork_at_their_time_or_block() {
        let spec = network("ParisToShanghaiAtTime15k");
        assert_eq!(spec.rules_at(9, 14_999).fork(), Fork::Paris);
        assert_eq!(spec.rules_at(9, 15_000).fork(), Fork::Shanghai);
        let spec = network("BPO2ToBPO3AtTime15k");
        assert_eq!(spec.rules_at(9, 14_999).fork(), Fork::Bpo2);
        assert_eq!(spec.rules_at(9, 15_000).fork(), Fork::Bpo3);
        let spec = network("BerlinToLondonAt5");
        assert_eq!(spec.rules_at(4, 0).fork(), Fork::Berlin);
        assert_eq!(spec.rules_at(5, 0).fork(), Fork::London);
        let spec = network("ArrowGlacierToParisAtDiffC0000");
        assert_eq!(spec.rules_at(0, 0).fork(), Fork::ArrowGlacier);
        assert_eq!(spec.merge(), Merge::TotalDifficulty(U256::from(0xc0000)));
    }

    #[test]
    fn blob_schedule_of_the_case_wins() {
        let params = BlobParams { target_blob_count: 2, max_blob_count: 30, ..BlobParams::cancun() };
        let spec = ChainSpec::for_test_network("BPO4", [("BPO4", params)]).unwrap();
        let active = spec.rules_at(0, 0).blob_params.unwrap();
        assert_eq!((active.target_blob_count, active.max_blob_count, active.max_blobs_per_tx), (2, 30, 6));
        assert_eq!(active.blob_base_cost, BlobParams::osaka().blob_base_cost);
    }

    #[test]
    fn unknown_networks_are_refused_by_name() {
        for name in
            ["Atlantis", "ParisToAtlantisAtTime15k", "ParisToShanghai", "ParisToShanghaiAt5", "CancunToPragueAtTimeX"]
        {
            let error = ChainSpec::for_test_network(name, []).unwrap_err();
            assert_eq!(error.to_string(), format!("unknown test network {name:?}"));
        }
    }
}
