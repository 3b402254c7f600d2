//! A witness block while it is gathered.
//!
//! Place in the flow: filled by `witness`, `proofs`, `complete` and `orphans`; becomes a [`WitnessBlock`].
//! Invariant: nodes and codes are kept under their own hash, ancestors form a chain that ends in the block's parent.

use alloy_consensus::Header;
use alloy_primitives::{B256, Bytes, keccak256};
use laminar_executor::Block;
use laminar_fixtures::WitnessBlock;
use laminar_state_db::{WitnessError, WitnessState};
use std::collections::BTreeMap;

/// A block and what is known to prove it.
#[derive(Debug)]
pub(super) struct Draft {
    chain_id: u64,
    block: Block,
    block_hash: B256,
    /// Parent first, contiguous, never empty.
    headers: Vec<Header>,
    parent_state_root: B256,
    nodes: BTreeMap<B256, Bytes>,
    codes: BTreeMap<B256, Bytes>,
}

impl Draft {
    /// A block with its parent and nothing else.
    pub(super) fn new(chain_id: u64, block: Block, block_hash: B256, parent: Header) -> Self {
        Self {
            chain_id,
            block,
            block_hash,
            parent_state_root: parent.state_root,
            headers: vec![parent],
            nodes: BTreeMap::new(),
            codes: BTreeMap::new(),
        }
    }

    pub(super) const fn chain_id(&self) -> u64 {
        self.chain_id
    }

    pub(super) const fn block(&self) -> &Block {
        &self.block
    }

    /// The file that it will be.
    pub(super) fn name(&self) -> String {
        format!("{}-{}.rlp", self.chain_id, self.block.header.number)
    }

    /// Adds a trie node; whether it is new.
    pub(super) fn add_node(&mut self, rlp: Bytes) -> bool {
        self.nodes.insert(keccak256(&rlp), rlp).is_none()
    }

    /// Adds a code; whether it is new.
    pub(super) fn add_code(&mut self, code: Bytes) -> bool {
        !code.is_empty() && self.codes.insert(keccak256(&code), code).is_none()
    }

    /// Whether the code with this hash is there.
    pub(super) fn has_code(&self, hash: &B256) -> bool {
        self.codes.contains_key(hash)
    }

    /// Number and hash of the oldest ancestor whose hash is known and whose header is not; none before block 0.
    pub(super) fn next_ancestor(&self) -> Option<(u64, B256)> {
        let oldest = self.headers.last().unwrap_or(&self.block.header);
        Some((oldest.number.checked_sub(1)?, oldest.parent_hash))
    }

    /// Adds the header that [`Self::next_ancestor`] names; whether it is that one.
    pub(super) fn add_ancestor(&mut self, header: Header, hash: B256) -> bool {
        let fits = self.next_ancestor() == Some((header.number, hash));
        if fits {
            self.headers.push(header);
        }
        fits
    }

    /// Number to hash of all ancestors that are known.
    fn block_hashes(&self) -> BTreeMap<u64, B256> {
        let headers = [&self.block.header].into_iter().chain(&self.headers);
        headers.filter_map(|header| Some((header.number.checked_sub(1)?, header.parent_hash))).collect()
    }

    /// The state as far as it is known.
    ///
    /// # Errors
    /// The root is missing or a node is malformed.
    pub(super) fn state(&self) -> Result<WitnessState, WitnessError> {
        let (nodes, codes) = (self.nodes.values().cloned(), self.codes.values().cloned());
        WitnessState::new(self.parent_state_root, nodes, codes, self.block_hashes())
    }

    /// The block with its witness, in the order of hashes.
    pub(super) fn to_witness(&self) -> WitnessBlock {
        WitnessBlock {
            chain_id: self.chain_id,
            block: self.block.clone(),
            block_hash: self.block_hash,
            headers: self.headers.clone(),
            codes: self.codes.values().cloned().collect(),
            nodes: self.nodes.values().cloned().collect(),
            parent_state_root: self.parent_state_root,
            block_hashes: self.block_hashes(),
        }
    }
}
