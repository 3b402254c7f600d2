//! Nodes and codes from `eth_getProof` and `eth_getCode`.
//!
//! Place in the flow: the second way to a witness, and the one by which `complete` fills gaps.
//! Invariant: everything is asked for at the block's parent, unless named otherwise.

use super::{block::hexadecimal, draft::Draft, rpc::Client};
use alloy_primitives::{Address, B256, Bytes, U256};
use anyhow::Context;
use revm::primitives::KECCAK_EMPTY;
use serde::Deserialize;
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Slots of one call; nodes refuse much more.
const SLOTS_MAX: usize = 256;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct AccountProof {
    #[serde(default)]
    code_hash: B256,
    account_proof: Vec<Bytes>,
    #[serde(default)]
    storage_proof: Vec<SlotProof>,
}

#[derive(Deserialize)]
struct SlotProof {
    proof: Vec<Bytes>,
}

/// One transaction of a block trace.
#[derive(Deserialize)]
struct Traced {
    result: BTreeMap<Address, TracedAccount>,
}

#[derive(Deserialize)]
struct TracedAccount {
    #[serde(default)]
    storage: BTreeMap<B256, serde::de::IgnoredAny>,
}

/// What a proof gave.
#[derive(Debug)]
pub(super) struct Proven {
    /// Nodes of the account trie and of the account's storage trie.
    pub(super) nodes: Vec<Bytes>,
    /// Hash of the account's code, if it has any.
    pub(super) code_hash: Option<B256>,
}

/// Adds proofs of all that the block's transactions touch, as the node's prestate tracer tells; of nothing but the
/// beneficiary if it has none.
///
/// # Errors
/// A call fails or gives something else.
pub(super) fn fetch(client: &Client, draft: &mut Draft) -> anyhow::Result<()> {
    let number = draft.block().header.number;
    let tracer = json!([hexadecimal(number), { "tracer": "prestateTracer" }]);
    let traced: Vec<Traced> = match client.call("debug_traceBlockByNumber", tracer) {
        Ok(traced) => traced,
        Err(error) if error.is_unsupported() => Vec::new(),
        Err(error) => return Err(error.into()),
    };
    let mut touched: BTreeMap<Address, BTreeSet<U256>> = BTreeMap::new();
    touched.entry(draft.block().header.beneficiary).or_default();
    for (address, account) in traced.into_iter().flat_map(|tx| tx.result) {
        let slots = account.storage.into_keys().map(Into::<U256>::into);
        touched.entry(address).or_default().extend(slots);
    }
    for (address, slots) in touched {
        let slots: Vec<_> = slots.into_iter().collect();
        add(client, draft, address, &slots)?;
    }
    Ok(())
}

/// Adds an account, its code and some of its slots to the draft; whether anything is new.
///
/// # Errors
/// A call fails or gives something else.
pub(super) fn add(client: &Client, draft: &mut Draft, address: Address, slots: &[U256]) -> anyhow::Result<bool> {
    let parent = draft.block().header.number.saturating_sub(1);
    let proven = prove(client, address, slots, parent)?;
    let mut is_new = false;
    for node in proven.nodes {
        is_new |= draft.add_node(node);
    }
    if let Some(hash) = proven.code_hash.filter(|hash| !draft.has_code(hash)) {
        let code: Bytes = client.call("eth_getCode", json!([address, hexadecimal(parent)]))?;
        is_new |= draft.add_code(code);
        anyhow::ensure!(draft.has_code(&hash), "eth_getCode: expected code with hash {hash} of {address}, found other");
    }
    Ok(is_new)
}

/// The nodes on the way to an account and its slots in the state after block `number`.
///
/// # Errors
/// The call fails or gives something else.
pub(super) fn prove(client: &Client, address: Address, slots: &[U256], number: u64) -> anyhow::Result<Proven> {
    let (mut nodes, mut code_hash) = (Vec::new(), B256::ZERO);
    let chunks = slots.chunks(SLOTS_MAX).map(<[U256]>::to_vec);
    let no_slots = slots.is_empty().then(Vec::new);
    for chunk in chunks.chain(no_slots) {
        let keys: Vec<B256> = chunk.into_iter().map(B256::from).collect();
        let proof: AccountProof = client
            .call("eth_getProof", json!([address, keys, hexadecimal(number)]))
            .with_context(|| format!("account {address}"))?;
        nodes.extend(proof.account_proof);
        nodes.extend(proof.storage_proof.into_iter().flat_map(|slot| slot.proof));
        code_hash = proof.code_hash;
    }
    // Nodes give either for an account that does not exist.
    let code_hash = Some(code_hash).filter(|hash| *hash != KECCAK_EMPTY && *hash != B256::ZERO);
    Ok(Proven { nodes, code_hash })
}
