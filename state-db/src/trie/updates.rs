//! What a change of tries means for a table of nodes by path: the nodes to write and the paths to clear.
//!
//! Place in the flow: a tracked trie notes the paths at which nodes vanish while it is changed, and the nodes it hashes; a
//! store takes both after the root and writes them.
//! Invariant: who held all nodes of the trie before, by path, and writes the updates, holds exactly those after: each node of
//! 32 bytes or more, and the root. Shorter nodes stand inside their parent and have no row.

use super::{
    batch::NODE_LEN,
    encode::encode_node,
    id::{Link, Node, NodeId},
    subtrie::{Subtrie, child_path},
    value::TrieValue,
};
use alloy_primitives::{B256, Bytes, map::B256Map};
use alloy_trie::Nibbles;

/// Nodes by path, ascending, each path once: the RLP to write there, or `None` to clear the path. A path to clear need not
/// have held a node.
pub type NodeUpdates = Vec<(Nibbles, Option<Bytes>)>;

/// What changed in one storage trie.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StorageUpdates {
    /// All nodes that were there go first.
    pub is_wiped: bool,
    /// What is written and cleared then.
    pub nodes: NodeUpdates,
}

/// What changed in the tries of a state.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TrieUpdates {
    /// Nodes of the account trie.
    pub accounts: NodeUpdates,
    /// Changed storage tries by hashed address.
    pub storages: B256Map<StorageUpdates>,
}

impl TrieUpdates {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.accounts.is_empty() && self.storages.is_empty()
    }
}

/// The updates of blocks as those of one, borrowed.
#[derive(Debug)]
pub(crate) struct MergedUpdates<'a> {
    pub(crate) accounts: MergedNodes<'a>,
    /// By hashed address, ascending: whether all nodes that were there go first, and the nodes.
    pub(crate) storages: Vec<(B256, bool, MergedNodes<'a>)>,
}

/// Nodes of several blocks as [`NodeUpdates`] has them of one.
pub(crate) type MergedNodes<'a> = Vec<&'a (Nibbles, Option<Bytes>)>;

impl<'a> MergedUpdates<'a> {
    /// Of blocks, oldest first.
    pub(crate) fn new(blocks: impl IntoIterator<Item = &'a TrieUpdates>) -> Self {
        let mut accounts = MergedNodes::new();
        let mut storages = B256Map::<(bool, MergedNodes<'a>)>::default();
        for block in blocks {
            accounts.extend(&block.accounts);
            for (owner, updates) in &block.storages {
                let (is_wiped, nodes) = storages.entry(*owner).or_default();
                if updates.is_wiped {
                    *is_wiped = true;
                    nodes.clear();
                }
                nodes.extend(&updates.nodes);
            }
        }
        let storage = |(owner, (is_wiped, nodes))| (owner, is_wiped, last_of_each(nodes));
        let mut storages: Vec<_> = storages.into_iter().map(storage).collect();
        storages.sort_unstable_by_key(|(owner, ..)| *owner);
        Self { accounts: last_of_each(accounts), storages }
    }
}

/// Sorts by path; of several nodes at one the last stays.
fn last_of_each(mut nodes: MergedNodes<'_>) -> MergedNodes<'_> {
    nodes.sort_by_key(|(path, _)| *path);
    nodes.dedup_by(|later, earlier| {
        let is_same = later.0 == earlier.0;
        if is_same {
            *earlier = *later;
        }
        is_same
    });
    nodes
}

/// What a tracked trie noted, in order of time; the last entry of a path counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Journal(Vec<(Nibbles, Option<Bytes>)>);

impl Journal {
    /// Notes that no node stands at `path` any more, unless one is noted later.
    pub(super) fn clear(&mut self, path: Nibbles) {
        self.0.push((path, None));
    }

    /// Notes the RLP of the node at `path`.
    pub(super) fn write(&mut self, path: Nibbles, rlp: Bytes) {
        self.0.push((path, Some(rlp)));
    }

    /// Adds what was noted later.
    pub(super) fn append(&mut self, mut later: Self) {
        self.0.append(&mut later.0);
    }

    pub(super) fn into_updates(self) -> NodeUpdates {
        let mut entries = self.0;
        entries.sort_by_key(|(path, _)| *path);
        entries.dedup_by(|later, earlier| {
            let is_same = later.0 == earlier.0;
            if is_same {
                std::mem::swap(later, earlier);
            }
            is_same
        });
        entries
    }
}

impl<V: TrieValue> Subtrie<V> {
    /// Notes from now on what [`Self::take_updates`] gives. Nothing must be dirty.
    pub(super) fn track(&mut self) {
        debug_assert!(!self.is_dirty(), "changes before tracking would be lost");
        self.journal.get_or_insert_default();
    }

    /// What was noted since tracking began or the notes were last taken; nothing if the trie is not tracked.
    pub(super) fn take_journal(&mut self) -> Journal {
        self.journal.as_deref_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Places and paths of the dirty nodes, which hashing makes clean; nothing if the trie is not tracked.
    pub(super) fn dirty_paths(&self) -> Vec<(Link, Nibbles)> {
        if self.journal.is_none() { Vec::new() } else { self.paths(Which::Dirty) }
    }

    /// Notes the nodes that were dirty before hashing.
    pub(super) fn note_hashed(&mut self, dirty: Vec<(Link, Nibbles)>) {
        if self.journal.is_none() {
            return;
        }
        let rows = self.rows(dirty);
        if let Some(journal) = self.journal.as_deref_mut() {
            journal.0.extend(rows);
        }
    }

    /// All known nodes that have a row. Precondition: no node is dirty.
    pub(super) fn known_nodes(&self) -> NodeUpdates {
        let mut rows: Vec<_> = self.rows(self.paths(Which::Known)).filter(|(_, rlp)| rlp.is_some()).collect();
        rows.sort_unstable_by_key(|(path, _)| *path);
        rows
    }

    fn paths(&self, which: Which) -> Vec<(Link, Nibbles)> {
        let is_wanted = |link: Link| match which {
            Which::Dirty => self.reference(link).is_empty(),
            Which::Known => !matches!(self.linked(link).unpack(), Node::Empty | Node::Blinded),
        };
        let mut found = Vec::new();
        if is_wanted(Link::Root) {
            found.push((Link::Root, self.prefix));
        }
        let mut next = 0;
        while let Some((link, path)) = found.get(next).copied() {
            next += 1;
            match self.linked(link).unpack() {
                Node::Extension(place) => {
                    let link = Link::Extension(place);
                    if is_wanted(link) {
                        found.push((link, path.join(&self.arena.extensions[place].path)));
                    }
                }
                Node::Branch(place) => {
                    let branch = self.arena.branches.get(place);
                    let is_wanted = |(nibble, id): &(u8, NodeId)| match which {
                        Which::Dirty => branch.dirty() >> nibble & 1 == 1,
                        Which::Known => *id != NodeId::BLINDED,
                    };
                    let children = branch.children().filter(is_wanted);
                    found.extend(children.map(|(i, _)| (Link::Branch(place, i), child_path(&path, i))));
                }
                Node::Empty | Node::Blinded | Node::Leaf(_) => {}
            }
        }
        found
    }

    /// The rows of clean nodes: `None` for a node that stands inside its parent.
    fn rows(&self, nodes: Vec<(Link, Nibbles)>) -> impl Iterator<Item = (Nibbles, Option<Bytes>)> + use<V> {
        let (mut rlp, mut value) = (Vec::with_capacity(nodes.len() * NODE_LEN), Vec::new());
        let mut ranges = Vec::with_capacity(nodes.len());
        for (link, path) in nodes {
            let start = rlp.len();
            if path.is_empty() || self.reference(link).is_hash() {
                encode_node(&self.arena, self.linked(link), &mut value, &mut rlp);
            }
            ranges.push((path, start..rlp.len()));
        }
        // One allocation for all nodes; each row is a slice of it.
        let rlp = Bytes::from(rlp);
        ranges.into_iter().map(move |(path, range)| (path, (!range.is_empty()).then(|| rlp.slice(range))))
    }
}

/// Which nodes a walk finds.
#[derive(Clone, Copy)]
enum Which {
    Dirty,
    Known,
}

/// The storage trie that a state drops, or replaces by an empty one, for `account`.
pub(super) fn note_wiped(storages: &mut B256Map<StorageUpdates>, account: B256) {
    storages.insert(account, StorageUpdates { is_wiped: true, nodes: Vec::new() });
}

/// Adds later updates of an account's storage trie to those noted before.
pub(super) fn note_storage(storages: &mut B256Map<StorageUpdates>, account: B256, later: NodeUpdates) {
    if later.is_empty() {
        return;
    }
    let updates = storages.entry(account).or_default();
    if updates.nodes.is_empty() {
        updates.nodes = later;
        return;
    }
    let mut journal = Journal(std::mem::take(&mut updates.nodes));
    journal.0.extend(later);
    updates.nodes = journal.into_updates();
}
