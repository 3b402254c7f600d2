//! Which chain a block belongs to.
//!
//! Place in the flow: below the subcommands that execute blocks.
//! Invariant: a chain that is not known is an error, never a guess.

use alloy_genesis::Genesis;
use anyhow::{Context, bail, ensure};
use laminar_executor::chain_spec::ChainSpec;
use laminar_fixtures::formats::genesis;
use laminar_rpc_shim::node::Origin;
use std::{fs, io::ErrorKind};

/// Chain id of our generated blocks: every fork up to Osaka from genesis on, with mainnet's constants.
pub(crate) const DEV_CHAIN_ID: u64 = 1337;

/// The schedule of a chain id: a public network or our own.
///
/// # Errors
/// Any other id.
pub(crate) fn by_id(chain_id: u64) -> anyhow::Result<ChainSpec> {
    if chain_id == DEV_CHAIN_ID {
        let osaka = ChainSpec::for_test_network("Osaka", []).context("building the development chain")?;
        return Ok(osaka.with_chain_id(DEV_CHAIN_ID));
    }
    let spec = ChainSpec::known(&chain_id.to_string());
    spec.with_context(|| {
        format!("unknown chain id: expected 1, 1337, 17000, 560048 or 11155111 (or --chain), found {chain_id}")
    })
}

/// The schedule that `--chain` names: a public network, `dev`, or the path of a geth-style genesis.
///
/// # Errors
/// No network has the name and no genesis is at the path, or the genesis asks for rules that are not built in.
pub(crate) fn by_name(name: &str) -> anyhow::Result<ChainSpec> {
    if name == "dev" {
        return by_id(DEV_CHAIN_ID);
    }
    if let Some(spec) = ChainSpec::known(name) {
        return Ok(spec);
    }
    ChainSpec::from_genesis(&read(name)?).with_context(|| name.to_owned())
}

/// The chain that `--chain` names, with what it starts with where it is a geth-style genesis.
///
/// # Errors
/// There is no such network and no genesis at the path, or it asks for rules that are not built in.
pub(crate) fn origin(name: &str) -> anyhow::Result<Origin> {
    if let Some(origin) = Origin::known(name) {
        return Ok(origin);
    }
    Origin::from_genesis(&read(name)?).with_context(|| name.to_owned())
}

/// The geth-style genesis at a path.
fn read(path: &str) -> anyhow::Result<Genesis> {
    let data = match fs::read(path) {
        Ok(data) => data,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("{path}: no such file or folder, and no public network of this name")
        }
        Err(error) => return Err(error).with_context(|| path.to_owned()),
    };
    let genesis = genesis::decode(path, &data)?;
    // Fields that are missing are zero.
    ensure!(genesis.gas_limit > 0, "{path}: expected a geth-style genesis, found one without a gasLimit");
    Ok(genesis)
}

#[cfg(test)]
mod tests {
    use super::*;
    use laminar_executor::chain_spec::Fork;

    #[test]
    fn development_chain_is_the_one_of_the_workloads() {
        let spec = by_id(DEV_CHAIN_ID).unwrap();
        for workload in laminar_fixtures::workload::all() {
            let genesis = ChainSpec::from_genesis(&workload.genesis).unwrap();
            let rules = |spec: &ChainSpec| spec.rules_at(1, workload.timestamp);
            assert_eq!(rules(&spec), rules(&genesis), "{}", workload.name);
        }
        assert_eq!(spec.rules_at(1, 1).fork(), Fork::Osaka);
    }

    #[test]
    fn unknown_chains_are_refused() {
        let error = by_id(424_242).unwrap_err();
        assert!(error.to_string().ends_with("found 424242"), "{error}");
        assert!(by_name("no-such-file.json").is_err());
        assert_eq!(by_name("dev").unwrap().chain_id(), DEV_CHAIN_ID);
        assert_eq!(by_name("hoodi").unwrap().chain_id(), 560_048);
    }
}
