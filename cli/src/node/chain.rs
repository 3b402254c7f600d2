//! The chain that a node keeps.
//!
//! Place in the flow: before the node is made.
//! Invariant: a file that is no genesis is refused before anything listens.

use alloy_genesis::Genesis;
use anyhow::{Context, bail};
use clap::builder::{NonEmptyStringValueParser, TypedValueParser};
use laminar_fixtures::Fixture;
use std::path::{Path, PathBuf};

/// Flags of the chain.
#[derive(Debug, clap::Args)]
pub(crate) struct ChainFlags {
    /// The genesis of the chain, a file as geth takes it. A consensus client leads the chain, over the Engine API.
    #[arg(long, value_name = "GENESIS.json", conflicts_with = "dev", required_unless_present = "dev")]
    #[arg(value_parser = NonEmptyStringValueParser::new().map(PathBuf::from))]
    chain: Option<PathBuf>,
}

impl ChainFlags {
    /// The genesis.
    ///
    /// # Errors
    /// The file cannot be read or is none.
    pub(super) fn genesis(&self) -> anyhow::Result<Genesis> {
        read(self.chain.as_deref().context("--chain is missing")?)
    }
}

fn read(path: &Path) -> anyhow::Result<Genesis> {
    let mut loader = laminar_fixtures::open(path)?;
    match loader.next().transpose()?.map(|loaded| loaded.fixture) {
        Some(Fixture::Genesis(genesis)) => Ok(*genesis),
        _ => bail!("{}: expected a geth-style genesis, found something else", path.display()),
    }
}
