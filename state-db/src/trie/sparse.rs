//! A sparse Merkle Patricia trie with keys of 32 bytes: some nodes are known, the others are hashes until they are needed.
//!
//! Place in the flow: one for the accounts and one per account with storage; a witness, a store or a genesis fills them, a
//! block's changes go in, the root comes out.
//! How: a small trie is one [`Subtrie`]. A big one is sixteen, by the first nibble of their keys, each with nodes of its own, so
//! that threads change and hash them without locks; what is left above them is the branch at the root.
//! Invariants: values and root are those of the full trie, or there is an error that names the missing node; an update of one key
//! that fails leaves the trie as it was, apart from nodes that became known. Of sixteen parts two or more hold leaves.

use super::{
    encode::encode_branch,
    error::TrieError,
    id::{Child, NodeId},
    parts::{PARTS, SPLIT_MIN, first_nibble, prefix, ranges_by_nibble},
    reference::Reference,
    source::NodeSource,
    subtrie::Subtrie,
    updates::{Journal, NodeUpdates},
    value::TrieValue,
};
use alloy_primitives::{B256, Bytes, keccak256, map::B256Map};
use alloy_trie::{EMPTY_ROOT_HASH, Nibbles};
use rayon::prelude::*;
use std::sync::Arc;

/// A sparse trie whose leaves hold `V`.
#[derive(Clone, Debug)]
pub struct Trie<V> {
    /// One with the root, or sixteen below it, by nibble; shared with copies of the trie until one of them changes it.
    pub(super) parts: Vec<Arc<Subtrie<V>>>,
    /// How the root of sixteen parts is referred to; `None` while it must be computed.
    pub(super) root: Option<Reference>,
    /// What is noted of the root of sixteen parts, and what was before the trie was divided or joined.
    pub(super) journal: Option<Box<Journal>>,
}

impl<V> Default for Trie<V> {
    fn default() -> Self {
        Self { parts: vec![Arc::new(Subtrie::new(Nibbles::new()))], root: None, journal: None }
    }
}

impl<V: TrieValue> Trie<V> {
    /// The trie with this root, of which nothing else is known.
    pub fn from_root(root: B256) -> Self {
        let mut trie = Self::default();
        if root != EMPTY_ROOT_HASH {
            trie.part_mut(&root).root = Child { id: NodeId::BLINDED, reference: Reference::of_hash(&root) };
        }
        trie
    }

    /// The trie with these leaves.
    ///
    /// # Panics
    /// The keys are not strictly ascending.
    pub fn from_sorted(leaves: &[(B256, V)]) -> Self {
        let mut places = Vec::with_capacity(leaves.len());
        places.extend(leaves.iter().enumerate().map(|(i, (key, _))| (*key, i as u32)));
        Self::from_sorted_keys(&places, |_, place| leaves[place as usize].1.clone())
    }

    /// The trie with these keys and the values that `value` has for each.
    ///
    /// # Panics
    /// The keys are not strictly ascending.
    pub(crate) fn from_sorted_keys<T: Copy + Sync>(keys: &[(B256, T)], value: impl Fn(&B256, T) -> V + Sync) -> Self {
        assert!(keys.is_sorted_by(|a, b| a.0 < b.0), "keys of leaves must be strictly ascending");
        let forks = keys.first().map(|(key, _)| first_nibble(key)) != keys.last().map(|(key, _)| first_nibble(key));
        if keys.len() < SPLIT_MIN || !forks {
            let whole = Subtrie::from_sorted_keys(Nibbles::new(), keys, &value);
            return Self { parts: vec![Arc::new(whole)], ..Self::default() };
        }
        let ranges = ranges_by_nibble(keys, |(key, _)| key);
        let build = |(nibble, range)| Arc::new(Subtrie::from_sorted_keys(prefix(nibble), &keys[range], &value));
        Self { parts: ranges.into_par_iter().enumerate().map(build).collect(), ..Self::default() }
    }

    /// Whether there are no leaves.
    pub fn is_empty(&self) -> bool {
        matches!(&*self.parts, [whole] if whole.root.id == NodeId::EMPTY)
    }

    /// Whether only the root hash is known.
    pub fn is_unknown(&self) -> bool {
        matches!(&*self.parts, [whole] if whole.root.id == NodeId::BLINDED)
    }

    /// The value at `key`; `None` only where the trie proves that there is none.
    ///
    /// # Errors
    /// [`TrieError::MissingNode`] if a node on the way is not known.
    pub fn get(&self, key: &B256) -> Result<Option<&V>, TrieError> {
        self.part(key).get(key)
    }

    /// Makes the path to `key` known, as far as it exists, so that [`Self::get`] answers.
    ///
    /// # Errors
    /// A node on the way is missing or malformed, or the source fails.
    pub fn reveal(&mut self, key: &B256, source: &impl NodeSource) -> Result<(), TrieError> {
        self.part_mut(key).reveal(key, source)
    }

    /// Makes all nodes known that `source` holds; those that it lacks stay unknown. Returns how many were added.
    ///
    /// # Errors
    /// A node is malformed, the source fails, or there are more than `nodes_max` nodes.
    pub fn reveal_all(&mut self, source: &impl NodeSource, nodes_max: usize) -> Result<usize, TrieError> {
        let mut revealed = 0;
        for part in &mut self.parts {
            revealed += Arc::make_mut(part).reveal_all(source, nodes_max - revealed)?;
        }
        Ok(revealed)
    }

    /// Calls `visit` for each known leaf, in order of the keys.
    pub fn for_each_leaf(&self, mut visit: impl FnMut(B256, &V)) {
        self.parts.iter().for_each(|part| part.for_each_leaf(&mut visit));
    }

    /// Sets the value at `key`.
    ///
    /// # Errors
    /// A node on the way is missing or malformed, or the source fails.
    pub fn insert(&mut self, key: &B256, value: V, source: &impl NodeSource) -> Result<(), TrieError> {
        self.upsert(key, source, |_| value)
    }

    /// Sets the value at `key` to what `value` makes of the present one.
    ///
    /// # Errors
    /// A node on the way is missing or malformed, or the source fails.
    pub fn upsert(
        &mut self,
        key: &B256,
        source: &impl NodeSource,
        value: impl FnOnce(Option<&V>) -> V,
    ) -> Result<(), TrieError> {
        self.root = None;
        self.part_mut(key).upsert(key, source, value)
    }

    /// Removes the value at `key`; says whether there was one.
    ///
    /// # Errors
    /// A node on the way, or the sibling that a branch with two children collapses into, is missing or malformed, or the
    /// source fails.
    pub fn remove(&mut self, key: &B256, source: &impl NodeSource) -> Result<bool, TrieError> {
        if self.is_split() && self.parts_in_use().nth(2).is_none() {
            // The branch at the root may collapse.
            self.join();
        }
        self.root = None;
        self.part_mut(key).remove(key, source)
    }

    /// The root hash. Hashes what changed since the last call.
    pub fn root(&mut self) -> B256 {
        super::hash::hash_tries(&mut [&mut *self]);
        self.clean_root().expect("hashing leaves no dirty node")
    }

    /// The root hash if no node is dirty.
    pub(crate) fn clean_root(&self) -> Option<B256> {
        if self.is_empty() {
            return Some(EMPTY_ROOT_HASH);
        }
        let root = match &*self.parts {
            [whole] => Some(&whole.root.reference).filter(|root| !root.is_empty()),
            _ => self.root.as_ref(),
        };
        // A root shorter than 32 bytes stands in its reference unhashed, but the root hash is a hash always.
        root.map(|root| root.to_hash())
    }

    /// The known nodes from the root towards `key`, in that order: the proof of its value or of its absence (EIP-1186).
    /// Nodes of less than 32 bytes stand in their parent.
    ///
    /// # Panics
    /// A node is dirty; [`Trie::root`] cleans all.
    pub fn proof(&self, key: &B256) -> Vec<Bytes> {
        let mut nodes: Vec<_> = self.root_rlp().into_iter().collect();
        self.part(key).proof(key, &mut nodes);
        nodes
    }

    /// Adds the nodes on the way to `key` and the children of its branches to `nodes`, by hash: what a read or an update of
    /// `key` may ask for, collapses included. All nodes must be known and clean.
    pub(crate) fn export_around(&self, key: &B256, nodes: &mut B256Map<Bytes>) {
        if let Some(rlp) = self.root_rlp() {
            nodes.entry(keccak256(&rlp)).or_insert(rlp);
            self.parts.iter().for_each(|part| part.export_root(nodes));
        }
        self.part(key).export_around(key, nodes);
    }

    /// Bytes of memory that the nodes take, free places included.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.parts.iter().map(|part| part.memory_bytes()).sum::<usize>()
    }

    /// The RLP of the branch above sixteen parts, which are clean.
    pub(super) fn root_rlp(&self) -> Option<Bytes> {
        let parts: &[Arc<Subtrie<V>>; PARTS] = self.parts.as_slice().try_into().ok()?;
        let mut rlp = Vec::new();
        encode_branch(parts.each_ref().map(|part| part.clean_root()), &mut rlp);
        Some(rlp.into())
    }

    /// The part with the leaf at `key`.
    fn part(&self, key: &B256) -> &Subtrie<V> {
        let place = if self.is_split() { first_nibble(key) } else { 0 };
        &self.parts[place]
    }

    fn part_mut(&mut self, key: &B256) -> &mut Subtrie<V> {
        let place = if self.is_split() { first_nibble(key) } else { 0 };
        Arc::make_mut(&mut self.parts[place])
    }

    /// Notes that later walks belong to a block.
    pub(super) fn set_epoch(&mut self, epoch: u32) {
        self.parts.iter_mut().for_each(|part| Arc::make_mut(part).epoch = epoch);
    }

    /// The block that last changed or looked at the trie.
    pub(super) fn epoch(&self) -> u32 {
        self.parts[0].epoch
    }

    /// Forgets every subtrie whose branch was not used in `since` or a later epoch.
    ///
    /// Precondition: no node is dirty.
    pub(super) fn forget_before(&mut self, since: u32) {
        self.parts.iter_mut().for_each(|part| Arc::make_mut(part).forget_before(since));
    }

    /// Notes from now on what [`Self::take_updates`] gives. Nothing must be dirty.
    pub(super) fn track(&mut self) {
        self.journal.get_or_insert_default();
        self.parts.iter_mut().for_each(|part| Arc::make_mut(part).track());
    }

    /// What changed since tracking began or the updates were last taken; empty if the trie is not tracked.
    ///
    /// Precondition: no node is dirty.
    pub(super) fn take_updates(&mut self) -> NodeUpdates {
        debug_assert!(self.clean_root().is_some(), "updates are those of a hashed trie");
        self.keep_journals();
        self.journal.as_deref_mut().map(std::mem::take).unwrap_or_default().into_updates()
    }

    /// Takes over what the parts noted.
    pub(super) fn keep_journals(&mut self) {
        let Some(journal) = self.journal.as_deref_mut() else { return };
        self.parts.iter_mut().for_each(|part| journal.append(Arc::make_mut(part).take_journal()));
    }

    /// All known nodes that have a row. Precondition: no node is dirty.
    pub(super) fn known_nodes(&self) -> NodeUpdates {
        let mut rows: NodeUpdates = self.root_rlp().map(|rlp| (Nibbles::new(), Some(rlp))).into_iter().collect();
        self.parts.iter().for_each(|part| rows.extend(part.known_nodes()));
        rows
    }
}

#[cfg(test)]
mod tests {
    use super::{super::error::NodeFault, *};
    use alloy_primitives::U256;

    /// A branch whose 16 children all have this hash.
    fn branch_of(child: B256) -> Bytes {
        let children = [&[0xa0][..], child.as_slice()].concat().repeat(16);
        [&[0xf9, 0x02, 0x11][..], &children, &[0x80]].concat().into()
    }

    fn add(nodes: &mut B256Map<Bytes>, node: Bytes) -> B256 {
        let hash = keccak256(&node);
        nodes.insert(hash, node);
        hash
    }

    #[test]
    fn nodes_that_unfold_without_end_are_refused() {
        let mut nodes = B256Map::default();
        let mut root = B256::repeat_byte(1);
        for _ in 0..12 {
            root = add(&mut nodes, branch_of(root));
        }
        let error = Trie::<U256>::from_root(root).reveal_all(&nodes, nodes.len()).expect_err("16^12 nodes");
        assert!(matches!(error, TrieError::TooManyNodes { nodes_max: 12 }), "{error}");
    }

    #[test]
    fn extension_above_a_leaf_is_refused_when_the_leaf_becomes_known() {
        let mut nodes = B256Map::default();
        let mut leaf = Trie::from_sorted(&[(B256::ZERO, U256::MAX)]);
        leaf.root();
        // 62 nibbles of extension, of 64; then a leaf's path, whose length cannot be right.
        let leaf = add(&mut nodes, leaf.proof(&B256::ZERO).remove(0));
        let extension = [&[0xf8, 0x42, 0xa0, 0x00][..], &[0; 31], &[0xa0], leaf.as_slice()].concat();
        let root = add(&mut nodes, extension.into());
        let error = Trie::<U256>::from_root(root).reveal(&B256::ZERO, &nodes).expect_err("no branch");
        assert!(matches!(error, TrieError::MalformedNode { fault: NodeFault::Depth, .. }), "{error}");
        assert_eq!(
            error.to_string(),
            format!("malformed node at path {:?} with hash {leaf}", Nibbles::unpack([0; 31]))
        );
    }

    #[test]
    fn failing_source_is_passed_on() {
        struct Broken;
        impl NodeSource for Broken {
            fn node(&self, _: &Nibbles, _: &B256) -> super::super::source::SourcedNode<'_> {
                Err("disk on fire".into())
            }
        }
        let mut trie = Trie::<U256>::from_root(B256::repeat_byte(1));
        let error = trie.insert(&B256::ZERO, U256::MAX, &Broken).expect_err("the source fails");
        assert_eq!(std::error::Error::source(&error).expect("the cause").to_string(), "disk on fire");
        assert!(trie.is_unknown());
    }
}
