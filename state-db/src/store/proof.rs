//! Proofs of an account and its slots (EIP-1186).
//!
//! Place in the flow: a view gives them for its block; `eth_getProof` and light clients take them.
//! Invariant: each list of nodes starts at its root and proves the value, or that there is none.

use crate::{changes::Account, trie::Trie};
use alloy_primitives::{Address, B256, Bytes, U256, keccak256};
use alloy_trie::{EMPTY_ROOT_HASH, TrieAccount};

/// An account with its proof under the state root, and slots with theirs under the account's storage root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountProof {
    /// The account's address.
    pub address: Address,
    /// The account; `None` if the nodes prove that it does not exist.
    pub account: Option<Account>,
    /// Root of the storage trie; the empty root for an account that does not exist.
    pub storage_root: B256,
    /// RLP of the account trie's nodes from the root towards the hashed address.
    pub nodes: Vec<Bytes>,
    /// The slots in the order that they were asked for.
    pub slots: Vec<SlotProof>,
}

/// A slot with its proof.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlotProof {
    /// The slot's number.
    pub slot: U256,
    /// Its value; zero if it is not set.
    pub value: U256,
    /// RLP of the storage trie's nodes from the root towards the hashed slot; empty for an empty trie.
    pub nodes: Vec<Bytes>,
}

impl AccountProof {
    /// The proof out of tries that are known towards the account and the slots, and hashed.
    pub(crate) fn new(
        address: Address,
        leaf: Option<&TrieAccount>,
        accounts: &Trie<TrieAccount>,
        storage: Option<&Trie<U256>>,
        slots: &[(U256, U256)],
    ) -> Self {
        let prove = |&(slot, value): &(U256, U256)| {
            let nodes = storage.map(|trie| trie.proof(&keccak256(slot.to_be_bytes::<32>()))).unwrap_or_default();
            SlotProof { slot, value, nodes }
        };
        Self {
            address,
            account: leaf.map(|leaf| Account { nonce: leaf.nonce, balance: leaf.balance, code_hash: leaf.code_hash }),
            storage_root: leaf.map_or(EMPTY_ROOT_HASH, |leaf| leaf.storage_root),
            nodes: accounts.proof(&keccak256(address)),
            slots: slots.iter().map(prove).collect(),
        }
    }
}
