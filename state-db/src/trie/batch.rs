//! Nodes that are encoded one after the other and hashed together.

use super::reference::Reference;
use crate::keccak::{Dispatch, hash_each};
use alloy_primitives::B256;

/// Bytes of a node, about.
pub(super) const NODE_LEN: usize = 256;

/// Nodes shorter than a hash stand in their parent as they are.
const HASH_LEN: usize = 32;

/// The RLP of nodes, and buffers that are kept for their memory.
#[derive(Debug, Default)]
pub(super) struct NodeBatch {
    rlp: Vec<u8>,
    /// Of one leaf.
    value: Vec<u8>,
    /// End of each node in `rlp`.
    ends: Vec<usize>,
    /// The nodes with 32 bytes or more.
    hashed: Vec<usize>,
    hashes: Vec<B256>,
}

impl NodeBatch {
    /// Room for about `len` nodes at once.
    pub(super) fn with_room(len: usize) -> Self {
        Self { rlp: Vec::with_capacity(len * NODE_LEN), ends: Vec::with_capacity(len), ..Self::default() }
    }

    /// Adds the node that `encode` appends; its first argument is a buffer for the value of a leaf.
    pub(super) fn add(&mut self, encode: impl FnOnce(&mut Vec<u8>, &mut Vec<u8>)) {
        let start = self.rlp.len();
        encode(&mut self.value, &mut self.rlp);
        if self.rlp.len() - start >= HASH_LEN {
            self.hashed.push(self.ends.len());
        }
        self.ends.push(self.rlp.len());
    }

    /// Calls `take` with the place of each node and with what stands for it in its parent, in the order in which they were
    /// added. The batch is empty then.
    pub(super) fn finish(&mut self, mut take: impl FnMut(usize, Reference)) {
        let Self { rlp, ends, hashed, hashes, .. } = self;
        let node = |i: usize| &rlp[i.checked_sub(1).map_or(0, |before| ends[before])..ends[i]];
        hash_each(Dispatch::detect(), hashed.len(), |i| node(hashed[i]), hashes);
        let mut hashes = hashes.iter();
        for i in 0..ends.len() {
            let rlp = node(i);
            take(
                i,
                match Reference::from_raw(rlp) {
                    Some(inline) if rlp.len() < HASH_LEN => inline,
                    _ => Reference::of_hash(hashes.next().expect("one hash for each node of 32 bytes or more")),
                },
            );
        }
        rlp.clear();
        ends.clear();
        hashed.clear();
    }
}
