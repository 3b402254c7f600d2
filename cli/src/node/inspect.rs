//! What an operator wants to look into later: slow blocks in the log, invalid ones in a folder.
//!
//! Place in the flow: read by `follow`; the engine tells of what it imports and refuses.
//! Invariant: nothing here changes an answer; a folder that cannot be written costs a line in the log. At most
//! [`KEPT_MAX`] blocks are kept in a folder.

use crate::{
    db::with_witness,
    record::{atomically, save_witness},
};
use alloy_primitives::Bytes;
use anyhow::Context as _;
use clap::builder::{NonEmptyStringValueParser, TypedValueParser};
use laminar_executor::{Block, pipeline::execution_witness};
use laminar_rpc_shim::{
    engine::{Engine, KeepInvalid},
    node::{InvalidBlock, Node},
};
use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

/// Invalid blocks that a folder keeps: enough to understand what is wrong, and no way to fill the disk.
const KEPT_MAX: usize = 64;

/// Where a node with a folder of its own keeps them unless told otherwise.
const FOLDER: &str = "invalid-blocks";

/// Flags of what is told and kept of payloads.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Engine API")]
pub(crate) struct InspectFlags {
    /// Log a line of JSON, the one that execution clients share, for blocks that take as long as this: 500ms, 1s; 0 for all.
    #[arg(long = "engine.slow-block-threshold", value_name = "TIME", value_parser = time)]
    slow_block_threshold: Option<Duration>,
    /// Keep payloads that are found invalid in this folder, each with what `laminar replay` needs to execute it; DATADIR/invalid-blocks if not given.
    #[arg(long = "debug.invalid-blocks", value_name = "DIR")]
    #[arg(value_parser = NonEmptyStringValueParser::new().map(PathBuf::from))]
    invalid_blocks: Option<PathBuf>,
}

impl InspectFlags {
    /// The engine that tells and keeps what the flags ask for; `datadir` is the node's folder, if it has one.
    ///
    /// # Errors
    /// The folder that was asked for cannot be made.
    pub(super) fn watch(&self, mut engine: Engine, datadir: Option<&Path>) -> anyhow::Result<Engine> {
        if let Some(threshold) = self.slow_block_threshold {
            engine = engine.telling_slow_blocks(threshold);
        }
        if let Some(dir) = &self.invalid_blocks {
            fs::create_dir_all(dir).with_context(|| dir.display().to_string())?;
        }
        // By default it comes to be with the first block that lies in it.
        let dir = self.invalid_blocks.clone().or_else(|| Some(datadir?.join(FOLDER)));
        if let Some(dir) = dir {
            let kept = AtomicUsize::new(fs::read_dir(&dir).map_or(0, Iterator::count));
            engine = engine.keeping_invalid(Arc::new(InvalidFolder { dir, kept }));
        }
        Ok(engine)
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let (number, unit) = text.split_at(text.find(|digit: char| digit.is_ascii_alphabetic()).unwrap_or(text.len()));
    let seconds = match unit {
        "ms" => 1e-3,
        "s" => 1.0,
        "" if number == "0" => 1.0,
        _ => return Err("expected a time such as 500ms or 1s".to_owned()),
    };
    let number: f64 = number.parse().map_err(|_| "expected a time such as 500ms or 1s".to_owned())?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| "expected a time that is not negative".to_owned())
}

/// A folder of invalid blocks.
#[derive(Debug)]
struct InvalidFolder {
    dir: PathBuf,
    kept: AtomicUsize,
}

impl KeepInvalid for InvalidFolder {
    fn keep(&self, node: &Node, block: &Block, invalid: &InvalidBlock) {
        // ORDER: Relaxed. Only the count itself matters.
        if self.kept.fetch_add(1, Ordering::Relaxed) >= KEPT_MAX {
            return;
        }
        let name = format!("{}-{}", block.header.number, block.header.hash_slow());
        let path = self.dir.join(name);
        match write(&path, node, block, invalid) {
            Ok(()) => {
                tracing::error!(%invalid, folder = %path.display(), "invalid block kept: see it with laminar replay FOLDER")
            }
            Err(error) => tracing::error!(%invalid, "invalid block could not be kept: {error:#}"),
        }
    }
}

fn write(folder: &Path, node: &Node, block: &Block, invalid: &InvalidBlock) -> anyhow::Result<()> {
    let parent = block.header.parent_hash;
    let header = |hash: &_| {
        let record = node.block_by_hash(hash);
        Ok(record.map(|record| Bytes::from(alloy_rlp::encode(record.header.inner()))))
    };
    let witness = execution_witness(node.spec(), block, &node.state_of(&parent)?, header)?;
    let witness = with_witness(node.spec().chain_id(), block.clone(), witness)?;
    let why = serde_json::json!({
        "block": block.header.number,
        "hash": witness.block_hash,
        "parent": parent,
        "transaction": invalid.index.map(|index| index.as_usize()),
        "rule": invalid.rule.exception(),
        "error": invalid.to_string(),
    });
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    atomically(&folder.join("why.txt"), format!("{why:#}\n").as_bytes())?;
    save_witness(&folder.join("witness.rlp"), &witness)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        for (text, expected) in [("500ms", 500), ("1s", 1000), ("0.25s", 250), ("0", 0), ("0ms", 0)] {
            assert_eq!(time(text), Ok(Duration::from_millis(expected)), "{text}");
        }
        for text in ["", "5", "s", "-1s", "1m", "1e400s"] {
            assert!(time(text).is_err(), "{text}");
        }
    }
}
