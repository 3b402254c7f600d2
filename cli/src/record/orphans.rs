//! Nodes beside deleted keys, which a state root needs and no proof of the block's keys holds.
//!
//! Where a branch loses all children but one, that child moves up and is written anew, so its content must be known. A proof
//! at the parent ends beside it. Two ways lead to it:
//! * After the block the child stands in the proof of the deleted key, moved up, with a longer path. Taking nibbles off the
//!   front gives it back as it was; its hash tells when it is right. This finds leaves and extensions.
//! * A key whose hash starts with the child's path leads a proof at the parent through it. Such a key is found by trying,
//!   where the path is short. This finds every node.
//!
//! Place in the flow: `complete` calls it when the state root misses a node.
//! Invariant: only the node with the missing hash is ever added.

use super::{draft::Draft, proofs, rpc::Client};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_rlp::Decodable;
use alloy_trie::{
    Nibbles,
    nodes::{ExtensionNode, LeafNode, TrieNode},
};
use laminar_state_db::{BlockChanges, trie::TrieOwner};
use rayon::prelude::*;
use std::fmt;

/// Longest path for which keys are tried: 16^6 hashes, some seconds on one core.
const TRIED_NIBBLES_MAX: usize = 6;
/// Keys tried for each key that is expected to fit.
const TRIES_FACTOR: u64 = 32;

/// A node that is missing.
#[derive(Clone, Debug)]
pub(super) struct Orphan {
    /// The trie it stands in.
    pub(super) owner: TrieOwner,
    /// Nibbles from the root to it.
    pub(super) path: Nibbles,
    /// Its hash.
    pub(super) hash: B256,
}

impl fmt::Display for Orphan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { owner, path, hash } = self;
        write!(f, "the node with hash {hash} at path {path:?} of the {owner}, beside a key that the block deletes")
    }
}

/// Whose trie it is.
#[derive(Clone, Copy, Debug)]
enum Place {
    Accounts,
    Storage(Address),
}

/// Looks for a missing node and adds it; whether it was found.
///
/// # Errors
/// A call fails or gives something else.
pub(super) fn fill(
    client: &Client,
    draft: &mut Draft,
    orphan: &Orphan,
    changes: &BlockChanges,
) -> anyhow::Result<bool> {
    let Some(place) = place(orphan, changes) else { return Ok(false) };
    let number = draft.block().header.number;
    for (address, slots) in deleted(place, changes) {
        for node in proofs::prove(client, address, &slots, number)?.nodes {
            if let Some(node) = before_it_moved(&node, orphan.hash) {
                return Ok(draft.add_node(node));
            }
        }
    }
    let Some(key) = key_below(place, &orphan.path) else { return Ok(false) };
    let (address, slots) = match place {
        Place::Accounts => (Address::from_word(key.into()), vec![]),
        Place::Storage(address) => (address, vec![key]),
    };
    let nodes = proofs::prove(client, address, &slots, number.saturating_sub(1))?.nodes;
    let node = nodes.into_iter().find(|node| keccak256(node) == orphan.hash);
    Ok(node.is_some_and(|node| draft.add_node(node)))
}

fn place(orphan: &Orphan, changes: &BlockChanges) -> Option<Place> {
    match orphan.owner {
        TrieOwner::Accounts | TrieOwner::Account(_) => Some(Place::Accounts),
        TrieOwner::Storage(address) => Some(Place::Storage(address)),
        TrieOwner::HashedStorage(hash) => {
            changes.accounts.keys().find(|address| keccak256(address) == hash).map(|address| Place::Storage(*address))
        }
    }
}

/// Accounts and slots that the block deletes from a trie.
fn deleted(place: Place, changes: &BlockChanges) -> Vec<(Address, Vec<U256>)> {
    match place {
        Place::Accounts => {
            let gone = changes.accounts.iter().filter(|(_, change)| change.after.is_none());
            gone.map(|(address, _)| (*address, Vec::new())).collect()
        }
        Place::Storage(address) => {
            let slots = changes.account(&address).into_iter().flat_map(|change| &change.storage);
            let gone = slots.filter(|(_, value)| value.after.is_zero()).map(|(slot, _)| *slot);
            vec![(address, gone.collect())]
        }
    }
}

/// The node with this hash that may have become `moved` by a longer path.
fn before_it_moved(moved: &[u8], hash: B256) -> Option<Bytes> {
    let node = TrieNode::decode(&mut &moved[..]).ok()?;
    let candidates: Vec<Vec<u8>> = match node {
        TrieNode::Leaf(LeafNode { key, value }) => {
            let shorter = |from| LeafNode::new(key.slice(from..), value.clone());
            (0..=key.len()).map(|from| alloy_rlp::encode(shorter(from))).collect()
        }
        TrieNode::Extension(ExtensionNode { key, child }) => {
            let shorter = |from| ExtensionNode::new(key.slice(from..), child.clone());
            (0..key.len()).map(|from| alloy_rlp::encode(shorter(from))).collect()
        }
        TrieNode::Branch(_) | TrieNode::EmptyRoot => return None,
    };
    candidates.into_iter().find(|rlp| keccak256(rlp) == hash).map(Bytes::from)
}

/// A slot, or an address as a number, whose hash starts with `path`.
fn key_below(place: Place, path: &Nibbles) -> Option<U256> {
    let nibbles = path.len();
    if nibbles > TRIED_NIBBLES_MAX {
        return None;
    }
    let hash = |key: U256| match place {
        Place::Accounts => keccak256(Address::from_word(key.into())),
        Place::Storage(_) => keccak256(B256::from(key)),
    };
    let fits = |key: &u64| Nibbles::unpack(hash(U256::from(*key))).starts_with(path);
    let tries = TRIES_FACTOR << (4 * nibbles);
    (0..tries).into_par_iter().find_any(fits).map(U256::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leaf_is_found_again_under_its_old_path() {
        let key = Nibbles::unpack(B256::repeat_byte(0x5a)).slice(9..);
        let old = alloy_rlp::encode(LeafNode::new(key, vec![7; 40]));
        let longer = Nibbles::from_nibbles([1, 2, 3]).join(&key);
        let moved = alloy_rlp::encode(LeafNode::new(longer, vec![7; 40]));
        assert_eq!(before_it_moved(&moved, keccak256(&old)), Some(old.into()));
        assert_eq!(before_it_moved(&moved, B256::ZERO), None);
        assert_eq!(before_it_moved(&[0xc0], B256::ZERO), None);
    }

    #[test]
    fn key_is_found_whose_hash_has_a_given_start() {
        let path = Nibbles::from_nibbles([0xa, 0xb, 0xc]);
        let slot = key_below(Place::Storage(Address::ZERO), &path).unwrap();
        assert!(Nibbles::unpack(keccak256(B256::from(slot))).starts_with(&path));
        let account = key_below(Place::Accounts, &path).unwrap();
        let address = Address::from_word(account.into());
        assert!(Nibbles::unpack(keccak256(address)).starts_with(&path));
        let long = Nibbles::from_nibbles([0; TRIED_NIBBLES_MAX + 1]);
        assert_eq!(key_below(Place::Accounts, &long), None);
    }
}
