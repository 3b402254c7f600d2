//! The block itself and its ancestors.
//!
//! Place in the flow: the first questions to the node.
//! Invariant: every header hashes to what its child or the node says, so nothing that the node made up gets further.

use super::{brief, rpc::Client};
use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header};
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{B256, Bytes, U64, keccak256};
use anyhow::{Context, bail, ensure};
use laminar_executor::{Block, recover::decode_block};
use laminar_fixtures::formats::rpc_block;
use serde_json::{Value, json, value::RawValue};
use std::{fmt, str::FromStr};

/// Which block is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BlockId {
    /// By number.
    Number(u64),
    /// The newest one.
    Latest,
}

impl FromStr for BlockId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None if text == "latest" => return Ok(Self::Latest),
            None => text.parse(),
        };
        number.map(Self::Number).map_err(|_| "expected a number, 0x-hexadecimal or `latest`".to_owned())
    }
}

impl fmt::Display for BlockId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Latest => f.write_str("latest"),
        }
    }
}

impl BlockId {
    fn to_json(self) -> Value {
        let id = match self {
            Self::Number(number) => BlockNumberOrTag::Number(number),
            Self::Latest => BlockNumberOrTag::Latest,
        };
        id.to_string().into()
    }
}

/// A block number as parameter.
pub(super) fn hexadecimal(number: u64) -> Value {
    format!("{number:#x}").into()
}

/// The chain that the node follows.
///
/// # Errors
/// The call fails.
pub(super) fn chain_id(client: &Client) -> anyhow::Result<u64> {
    Ok(client.call::<U64>("eth_chainId", json!([]))?.to())
}

/// A block with its hash: as JSON, and where the JSON does not hold all of it, raw.
///
/// # Errors
/// The node has no such block, or what it gives does not hash to what it says.
pub(super) fn block(client: &Client, id: BlockId) -> anyhow::Result<(Block, B256)> {
    let method = "eth_getBlockByNumber";
    let answer: Option<Box<RawValue>> = client.call(method, json!([id.to_json(), true]))?;
    let answer = answer.context("the node has no such block")?;
    let stated = rpc_block::decode(method, answer.get().as_bytes());
    let whole = stated.as_ref().is_ok_and(|(block, _)| block.header.ommers_hash == EMPTY_OMMER_ROOT_HASH);
    if whole {
        return Ok(stated?);
    }
    // Bodies of ommers are not in the answer, nor is every transaction type known to those who read it.
    let raw: Bytes = match client.call("debug_getRawBlock", json!([id.to_json()])) {
        Ok(raw) => raw,
        Err(error) if error.is_unsupported() => match stated {
            Ok(_) => bail!("the block has ommers, which only debug_getRawBlock gives: {}", brief(&error)),
            Err(stated) => bail!("{}", brief(&stated)),
        },
        Err(error) => return Err(error.into()),
    };
    let block = decode_block(&raw).context("debug_getRawBlock")?;
    let hash = block.header.hash_slow();
    if let BlockId::Number(number) = id {
        ensure!(block.header.number == number, "expected block {number}, found {}", block.header.number);
    }
    Ok((block, hash))
}

/// The parent's header.
///
/// # Errors
/// As for [`ancestor`]; and block 0 has none.
pub(super) fn parent(client: &Client, block: &Block) -> anyhow::Result<Header> {
    let number = block.header.number.checked_sub(1).context("block 0 is not executed")?;
    ancestor(client, number, block.header.parent_hash)
}

/// The header of a block of which number and hash are known.
///
/// # Errors
/// The node has no such header, or gives another one.
pub(super) fn ancestor(client: &Client, number: u64, hash: B256) -> anyhow::Result<Header> {
    let header: Option<Header> = client.call("eth_getBlockByNumber", json!([hexadecimal(number), false]))?;
    let header = header.with_context(|| format!("the node has no block {number}"))?;
    let found = header.hash_slow();
    ensure!(found == hash, "hash of block {number}: expected {hash}, found {found}");
    Ok(header)
}

/// A header in RLP with its hash.
///
/// # Errors
/// The bytes are no header.
pub(super) fn decode_header(rlp: &[u8]) -> anyhow::Result<(Header, B256)> {
    let header = alloy_rlp::decode_exact(rlp).context("wrong rlp of a header")?;
    Ok((header, keccak256(rlp)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_are_named_by_number_or_latest() {
        for (text, json) in [("17", "0x11"), ("0x11", "0x11"), ("0", "0x0"), ("latest", "latest")] {
            assert_eq!(text.parse::<BlockId>().unwrap().to_json(), json, "{text}");
        }
        for text in ["", "-1", "0x", "x", "pending", "99999999999999999999"] {
            assert!(text.parse::<BlockId>().is_err(), "{text}");
        }
    }
}
