//! Merkle Patricia tries: sparse, changed in place, hashed in batches.
//!
//! Place in the flow: a witness, a store or a genesis fills them; a block's changes go in through [`StateTrie`]; a root,
//! proofs and witnesses come out. Nodes are those of the yellow paper, appendix D, on the types of alloy-trie.

mod apply;
mod batch;
mod block;
mod branch;
mod build;
mod bulk;
mod decode;
mod encode;
mod error;
mod export;
mod forget;
mod hash;
mod id;
mod indexed;
mod node;
mod ordered;
mod parts;
mod reference;
mod root;
mod share;
mod source;
mod sparse;
mod state;
mod subtrie;
mod update;
mod updates;
mod value;

pub(crate) use apply::apply_changes;
pub use error::{NodeFault, SourceError, StateTrieError, TrieError, TrieOwner};
pub use hash::hash_tries;
pub(crate) use indexed::{IndexedUpdates, NodeMark};
pub use ordered::{ordered_trie_root, trie_root};
pub use root::sorted_root;
pub(crate) use share::in_pool;
pub use source::{InTrie, NoSource, NodeSource, SourcedNode, StateNodeSource};
pub use sparse::Trie;
pub use state::StateTrie;
pub(crate) use updates::MergedUpdates;
pub use updates::{NodeUpdates, StorageUpdates, TrieUpdates};
pub use value::TrieValue;
