//! Nodes, codes and ancestors from `debug_executionWitness`.
//!
//! Place in the flow: the first way to a witness; `proofs` is the second.
//! Invariant: what the node gives is kept by its own hash, so a wrong item is surplus and never a wrong value.

use super::{
    block::{decode_header, hexadecimal},
    draft::Draft,
    rpc::Client,
};
use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes};
use anyhow::Context;
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;

#[derive(Deserialize)]
struct ExecutionWitness {
    state: Items<Bytes>,
    #[serde(default)]
    codes: Items<Bytes>,
    #[serde(default)]
    headers: Items<AncestorHeader>,
}

/// A list; older nodes give an object by hash.
#[derive(Deserialize)]
#[serde(untagged)]
enum Items<T> {
    List(Vec<T>),
    ByHash(BTreeMap<String, T>),
}

impl<T> Default for Items<T> {
    fn default() -> Self {
        Self::List(Vec::new())
    }
}

impl<T> Items<T> {
    fn into_vec(self) -> Vec<T> {
        match self {
            Self::List(items) => items,
            Self::ByHash(items) => items.into_values().collect(),
        }
    }
}

/// RLP or JSON, as nodes differ.
#[derive(Deserialize)]
#[serde(untagged)]
enum AncestorHeader {
    Rlp(Bytes),
    Json(Box<Header>),
}

impl AncestorHeader {
    fn into_header(self) -> anyhow::Result<(Header, B256)> {
        match self {
            Self::Rlp(rlp) => decode_header(&rlp),
            Self::Json(header) => {
                let hash = header.hash_slow();
                Ok((*header, hash))
            }
        }
    }
}

/// Adds the block's witness to the draft; false if the node has no such method.
///
/// # Errors
/// The call fails or gives something else.
pub(super) fn fetch(client: &Client, draft: &mut Draft) -> anyhow::Result<bool> {
    let method = "debug_executionWitness";
    let witness: ExecutionWitness = match client.call(method, json!([hexadecimal(draft.block().header.number)])) {
        Ok(witness) => witness,
        Err(error) if error.is_unsupported() => return Ok(false),
        Err(error) => return Err(error.into()),
    };
    for node in witness.state.into_vec() {
        draft.add_node(node);
    }
    for code in witness.codes.into_vec() {
        draft.add_code(code);
    }
    let headers = witness.headers.into_vec().into_iter().map(AncestorHeader::into_header);
    let mut headers = headers.collect::<anyhow::Result<Vec<_>>>().context(method)?;
    headers.sort_by_key(|(header, _)| std::cmp::Reverse(header.number));
    for (header, hash) in headers {
        draft.add_ancestor(header, hash);
    }
    Ok(true)
}
