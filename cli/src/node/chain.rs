//! The chain that a node keeps, and the folder that it keeps it in.
//!
//! Place in the flow: before the node is made.
//! Invariant: a file that is no genesis, and a folder with another chain, are refused before anything listens.

use crate::{chain, storage::CacheFlag};
use alloy_genesis::Genesis;
use anyhow::Context;
use clap::builder::{NonEmptyStringValueParser, TypedValueParser};
use laminar_executor::BlockExecutor;
use laminar_rpc_shim::node::{Node, Origin};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

/// Flags of the chain.
#[derive(Debug, clap::Args)]
pub(crate) struct ChainFlags {
    /// The genesis of the chain, a file as geth takes it; or, for a folder that holds it already, the name of a public network. A
    /// folder alone says which chain it holds. Without --dev a consensus client leads the chain, over the Engine API.
    #[arg(long, visible_alias = "init", value_name = "CHAIN_OR_PATH")]
    #[arg(value_parser = NonEmptyStringValueParser::new())]
    chain: Option<String>,
    /// Folder that keeps blocks and states; created if it holds none. Without it they are in memory and end with the process.
    #[arg(long, value_name = "DATA_DIR", value_parser = NonEmptyStringValueParser::new().map(PathBuf::from))]
    datadir: Option<PathBuf>,
    #[command(flatten)]
    cache: CacheFlag,
}

impl ChainFlags {
    /// The node, at the newest block that its folder keeps. `genesis` is that of a chain that no flag names.
    ///
    /// # Errors
    /// The chain is not known or the folder cannot be used: see [`Node::open`].
    pub(super) fn open(&self, genesis: Option<&Genesis>, executor: Arc<BlockExecutor>) -> anyhow::Result<Node> {
        let origin = match (&self.chain, genesis) {
            (Some(name), _) => Some(chain::origin(name)?),
            (None, Some(genesis)) => Some(Origin::from_genesis(genesis)?),
            (None, None) => None,
        };
        let Some(dir) = &self.datadir else {
            let origin = origin.context(
                "which chain? --dev makes a development chain; --chain GENESIS.json follows a consensus client, \
                    and --datadir FOLDER goes on with what it holds",
            )?;
            return Ok(Node::in_memory(origin, executor)?);
        };
        Ok(Node::open(dir, self.cache.options(), origin, executor)?)
    }

    /// The folder that keeps the chain, if there is one.
    pub(super) fn datadir(&self) -> Option<&Path> {
        self.datadir.as_deref()
    }
}
