//! Where sparse tries find the nodes they do not hold yet.
//!
//! [`NodeSource`] is asked by one trie, [`StateNodeSource`] by all tries of a state; [`InTrie`] is a state's source seen from
//! one of its tries. A source that finds nodes by hash alone, as a witness does, serves as both.

use super::error::SourceError;
use alloy_primitives::{B256, Bytes, map::B256Map};
use alloy_trie::Nibbles;
use std::borrow::Cow;

/// What a source gives for a node: its RLP, or `None` if it does not hold the node.
///
/// # Errors
/// The source failed; it says nothing about the node.
pub type SourcedNode<'a> = Result<Option<Cow<'a, [u8]>>, SourceError>;

/// Nodes of one trie by path and hash: a witness looks at the hash, a table of a database at the path.
///
/// Called from several threads at once.
pub trait NodeSource: Sync {
    /// The RLP of the node with this hash, which stands at `path` from the root; `None` if the source does not hold it.
    ///
    /// # Errors
    /// The source failed; it says nothing about the node.
    fn node(&self, path: &Nibbles, hash: &B256) -> SourcedNode<'_>;
}

/// Nodes of all tries of a state by trie, path and hash.
///
/// Called from several threads at once. A database that keeps nodes by path must be at the state whose tries ask; that the
/// node has the hash is what the trie relies on, so a source that cannot be sure of it checks.
pub trait StateNodeSource: Sync {
    /// The RLP of the node with this hash, which stands at `path` from the root of the account trie (`owner` is `None`) or of
    /// the storage trie of the account with the hashed address `owner`; `None` if the source does not hold it.
    ///
    /// # Errors
    /// The source failed; it says nothing about the node.
    fn state_node(&self, owner: Option<&B256>, path: &Nibbles, hash: &B256) -> SourcedNode<'_>;
}

impl<S: NodeSource> StateNodeSource for S {
    fn state_node(&self, _owner: Option<&B256>, path: &Nibbles, hash: &B256) -> SourcedNode<'_> {
        self.node(path, hash)
    }
}

/// The part of a state's source that holds one trie.
#[derive(Clone, Copy, Debug)]
pub struct InTrie<'a, S> {
    source: &'a S,
    owner: Option<B256>,
}

impl<'a, S: StateNodeSource> InTrie<'a, S> {
    /// The account trie.
    pub fn accounts(source: &'a S) -> Self {
        Self { source, owner: None }
    }

    /// The storage trie of the account with this hashed address.
    pub fn storage(source: &'a S, owner: B256) -> Self {
        Self { source, owner: Some(owner) }
    }
}

impl<S: StateNodeSource> NodeSource for InTrie<'_, S> {
    fn node(&self, path: &Nibbles, hash: &B256) -> SourcedNode<'_> {
        self.source.state_node(self.owner.as_ref(), path, hash)
    }
}

/// Holds no node: a trie on this source must be known as far as it is used.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoSource;

impl NodeSource for NoSource {
    fn node(&self, _path: &Nibbles, _hash: &B256) -> SourcedNode<'_> {
        Ok(None)
    }
}

/// Nodes by hash, as a witness has them.
impl NodeSource for B256Map<Bytes> {
    fn node(&self, _path: &Nibbles, hash: &B256) -> SourcedNode<'_> {
        Ok(self.get(hash).map(|rlp| Cow::Borrowed(rlp.as_ref())))
    }
}
