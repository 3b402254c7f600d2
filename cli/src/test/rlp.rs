//! RLP tests: items and their bytes, and bytes that are no item.
//!
//! Place in the flow: one kind of case; needs no executor. It checks the decoder that every block goes through.
//! Invariant: bytes are an item only if nothing is left over, at any depth.

use super::runner::Ended;
use alloy_primitives::Bytes;
use alloy_rlp::{Error, Header};
use anyhow::{Context, bail, ensure};
use laminar_fixtures::official::{RlpExpectation, RlpItem, RlpTest};

/// Lists in lists that are followed.
const DEPTH_MAX: usize = 1024;

/// Runs a case.
///
/// # Errors
/// What differs from the case.
pub(crate) fn run(test: &RlpTest) -> anyhow::Result<Ended> {
    let decoded = decode(&test.encoded);
    match &test.expectation {
        RlpExpectation::Invalid => ensure!(decoded.is_err(), "expected bytes that are refused, found {decoded:?}"),
        RlpExpectation::Valid => {
            decoded.context("expected an item")?;
        }
        RlpExpectation::Item(expected) => {
            let found = decoded.context("expected an item")?;
            ensure!(found == *expected, "item: expected {expected:?}, found {found:?}");
            let encoded = Bytes::from(alloy_rlp::encode(expected));
            ensure!(encoded == test.encoded, "bytes: expected {}, found {encoded}", test.encoded);
        }
    }
    Ok(Ended::Passed)
}

fn decode(bytes: &[u8]) -> anyhow::Result<RlpItem> {
    let mut rest = bytes;
    let item = item(&mut rest, 0)?;
    if !rest.is_empty() {
        bail!("{} bytes after the end", rest.len());
    }
    Ok(item)
}

fn item(rest: &mut &[u8], depth: usize) -> anyhow::Result<RlpItem> {
    ensure!(depth < DEPTH_MAX, "lists are more than {DEPTH_MAX} deep");
    let header = Header::decode(rest)?;
    let (mut payload, after) = rest.split_at_checked(header.payload_length).ok_or(Error::InputTooShort)?;
    *rest = after;
    if !header.list {
        return Ok(RlpItem::String(Bytes::copy_from_slice(payload)));
    }
    let mut items = Vec::new();
    while !payload.is_empty() {
        items.push(item(&mut payload, depth + 1)?);
    }
    Ok(RlpItem::List(items))
}
