//! Where a sparse trie finds the nodes it does not hold yet.

use super::error::SourceError;
use alloy_primitives::{B256, Bytes, map::B256Map};
use alloy_trie::Nibbles;
use std::borrow::Cow;

/// Nodes by path and hash: a witness looks at the hash, a table of a database at the path.
///
/// Called from several threads at once.
pub trait NodeSource: Sync {
    /// The RLP of the node with this hash, which stands at `path` from the root; `None` if the source does not hold it.
    ///
    /// # Errors
    /// The source failed; it says nothing about the node.
    fn node(&self, path: &Nibbles, hash: &B256) -> Result<Option<Cow<'_, [u8]>>, SourceError>;
}

/// Holds no node: a trie on this source must be known as far as it is used.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSource;

impl NodeSource for NoSource {
    fn node(&self, _path: &Nibbles, _hash: &B256) -> Result<Option<Cow<'_, [u8]>>, SourceError> {
        Ok(None)
    }
}

/// Nodes by hash, as a witness has them.
impl NodeSource for B256Map<Bytes> {
    fn node(&self, _path: &Nibbles, hash: &B256) -> Result<Option<Cow<'_, [u8]>>, SourceError> {
        Ok(self.get(hash).map(|rlp| Cow::Borrowed(rlp.as_ref())))
    }
}
