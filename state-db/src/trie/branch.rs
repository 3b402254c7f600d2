//! The branches of a trie in blocks of cells.
//!
//! Place in the flow: the arena holds its branches here; a walk reads the beginning of a block, encoding the rest of it.
//! Invariants: a branch has two children at least. A block has room for its children and no more, so the branch moves to another
//! place when a child comes or goes; blocks that become free are used again.

use super::{
    block::{Branch, CELL_LEN, Cell, IDS, head_len, word},
    id::{Child, Draft, FANOUT, NodeId},
    reference::Reference,
};

/// The end of a list of free blocks.
const NO_PLACE: u32 = u32::MAX;

/// All branches of a trie, by the place of their first cell.
#[derive(Debug)]
pub(super) struct Branches {
    cells: Vec<Cell>,
    /// The first free block for each number of children; its first bytes say where the next one is.
    free: [u32; FANOUT + 1],
}

impl Default for Branches {
    fn default() -> Self {
        Self { cells: Vec::new(), free: [NO_PLACE; FANOUT + 1] }
    }
}

impl Clone for Branches {
    fn clone(&self) -> Self {
        Self { cells: copy_with_room(&self.cells), ..*self }
    }
}

impl Branches {
    /// The branch at `place`.
    #[inline]
    pub(super) fn get(&self, place: u32) -> Branch<'_> {
        Branch::new(&self.cells[place as usize..])
    }

    /// Adds a branch; says where it stands.
    pub(super) fn insert(&mut self, draft: &Draft) -> u32 {
        let bits = (0..FANOUT).filter(|i| draft.children[*i].id != NodeId::EMPTY).map(|i| 1u16 << i);
        let place = self.insert_dirty(bits.sum(), draft.used);
        for (nibble, child) in (0..).zip(&draft.children).filter(|(_, child)| child.id != NodeId::EMPTY) {
            self.set_child(place, nibble, child.id);
            if !child.reference.is_empty() {
                self.set_reference(place, nibble, &child.reference);
            }
        }
        place
    }

    /// Adds a branch with children at these nibbles, all of them dirty; who they are must be said.
    pub(super) fn insert_dirty(&mut self, present: u16, epoch: u32) -> u32 {
        let len = present.count_ones() as usize;
        debug_assert!(len >= 2, "a branch of {len} children");
        let place = self.free[len];
        let place = if place == NO_PLACE {
            let place = self.cells.len();
            self.cells.resize(place + head_len(len) + len, Cell([0; CELL_LEN]));
            assert!(self.cells.len() < NodeId::PLACES, "arena of a trie is full: {place} cells of branches");
            place as u32
        } else {
            self.free[len] = word(&self.cells[place as usize..], 0);
            place
        };
        let Cell(head) = &mut self.cells[place as usize];
        head[..2].copy_from_slice(&present.to_le_bytes());
        head[2..4].copy_from_slice(&present.to_le_bytes());
        head[4..6].fill(0);
        head[8..IDS].copy_from_slice(&epoch.to_le_bytes());
        place
    }

    /// Adds a copy of a branch of other branches, with the ids that its children have there.
    pub(super) fn insert_copy(&mut self, branch: Branch<'_>) -> u32 {
        let (place, cells) = (self.insert_dirty(branch.present(), 0), branch.cells());
        self.cells[place as usize..][..cells.len()].copy_from_slice(cells);
        place
    }

    /// Gives the place back; nobody may hold it.
    pub(super) fn release(&mut self, place: u32) {
        let len = self.get(place).len();
        let next = std::mem::replace(&mut self.free[len], place);
        self.set_word(place, 0, next);
    }

    /// Puts the branch with another child at `nibble`, or none, where it has room; says where. Two children are left at least.
    pub(super) fn replace_child(&mut self, place: u32, nibble: u8, child: Child) -> u32 {
        let branch = self.get(place);
        let mut draft = Draft::new(branch.used());
        for (i, _) in branch.children() {
            draft.set(i, branch.held(i));
        }
        draft.set(nibble, child);
        self.release(place);
        self.insert(&draft)
    }

    /// Puts another id where there is a child already.
    pub(super) fn set_child(&mut self, place: u32, nibble: u8, id: NodeId) {
        let branch = self.get(place);
        debug_assert!(branch.present() >> nibble & 1 == 1 && id != NodeId::EMPTY, "the number of children changes");
        let offset = IDS + 4 * branch.rank(nibble);
        self.set_word(place, offset, id.to_bits());
    }

    /// Notes how the branch refers to its child at `nibble`; the child is clean then.
    pub(super) fn set_reference(&mut self, place: u32, nibble: u8, reference: &Reference) {
        let branch = self.get(place);
        let at = head_len(branch.len()) + branch.rank(nibble);
        let (dirty, inline, bit) = (branch.dirty() & !(1 << nibble), branch.inline() & !(1 << nibble), 1 << nibble);
        let (bytes, inline) = match reference.as_hash() {
            Some(hash) => (hash.0, inline),
            None => (reference.inline_bytes(), inline | bit),
        };
        let cells = &mut self.cells[place as usize..];
        cells[at] = Cell(bytes);
        let Cell(head) = &mut cells[0];
        head[2..4].copy_from_slice(&dirty.to_le_bytes());
        head[4..6].copy_from_slice(&inline.to_le_bytes());
    }

    /// Notes that the child at `nibble` must be hashed; says whether that was known.
    pub(super) fn mark_dirty(&mut self, place: u32, nibble: u8) -> bool {
        let (dirty, bit) = (self.get(place).dirty(), 1 << nibble);
        let Cell(head) = &mut self.cells[place as usize];
        head[2..4].copy_from_slice(&(dirty | bit).to_le_bytes());
        dirty & bit != 0
    }

    /// Notes that a walk passes in `epoch`.
    pub(super) fn set_used(&mut self, place: u32, epoch: u32) {
        self.set_word(place, 8, epoch);
    }

    /// Bytes of memory, free places included.
    pub(super) fn memory_bytes(&self) -> usize {
        self.cells.capacity() * CELL_LEN
    }

    fn set_word(&mut self, place: u32, offset: usize, word: u32) {
        let Cell(cell) = &mut self.cells[place as usize + offset / CELL_LEN];
        cell[offset % CELL_LEN..][..4].copy_from_slice(&word.to_le_bytes());
    }
}

/// A copy with room for some items more.
///
/// PERF: a trie is copied to be changed, and an exact copy would be copied once more for the first node that comes.
pub(super) fn copy_with_room<T: Clone>(items: &[T]) -> Vec<T> {
    let mut copy = Vec::with_capacity(items.len() + items.len().div_ceil(8));
    copy.extend_from_slice(items);
    copy
}

#[cfg(test)]
mod tests {
    use super::{super::id::Node, *};
    use alloy_primitives::B256;

    fn child(i: u8) -> Child {
        let reference = match i % 3 {
            0 => Reference::EMPTY,
            1 => Reference::of_hash(&B256::repeat_byte(i)),
            _ => Reference::from_rlp(&[0xc2, i, i]),
        };
        Child { id: Node::Leaf(u32::from(i)).into(), reference }
    }

    fn check(branches: &Branches, place: u32, nibbles: &[u8]) {
        let branch = branches.get(place);
        assert_eq!(
            branch.children().collect::<Vec<_>>(),
            nibbles.iter().map(|i| (*i, child(*i).id)).collect::<Vec<_>>()
        );
        let dirty: Vec<_> = nibbles.iter().filter(|i| *i % 3 == 0).map(|i| (*i, child(*i).id)).collect();
        assert_eq!(branch.dirty_children().collect::<Vec<_>>(), dirty);
        for i in 0..FANOUT as u8 {
            let want = if nibbles.contains(&i) { child(i) } else { Child::EMPTY };
            assert_eq!((branch.child(i), branch.reference(i)), (want.id, want.reference), "nibble {i} of {nibbles:?}");
        }
        assert_eq!(branch.used(), 7);
    }

    #[test]
    fn children_come_and_go_and_the_others_stay() {
        let mut branches = Branches::default();
        let mut draft = Draft::new(7);
        draft.set(3, child(3));
        draft.set(9, child(9));
        let mut place = branches.insert(&draft);
        let mut nibbles = vec![3, 9];
        check(&branches, place, &nibbles);
        for nibble in [1, 0, 15, 14, 2, 4, 5, 6, 7, 8, 10, 11, 12, 13] {
            place = branches.replace_child(place, nibble, child(nibble));
            nibbles.push(nibble);
            nibbles.sort_unstable();
            check(&branches, place, &nibbles);
        }
        let memory = branches.memory_bytes();
        for nibble in [9, 0, 15, 3, 4, 1, 7, 8, 10, 11, 12, 13, 2, 5] {
            assert_eq!(branches.get(place).only_other_child(nibble), None);
            place = branches.replace_child(place, nibble, Child::EMPTY);
            nibbles.retain(|i| *i != nibble);
            check(&branches, place, &nibbles);
        }
        assert_eq!(branches.get(place).only_other_child(6), Some(14));
        assert_eq!(branches.memory_bytes(), memory, "places that became free are used again");
    }

    #[test]
    fn a_child_is_dirty_until_it_has_a_reference() {
        let mut branches = Branches::default();
        let place = branches.insert_dirty(0b1_0010, 7);
        assert_eq!(branches.get(place).dirty(), 0b1_0010);
        for reference in [child(1).reference, child(2).reference, child(1).reference] {
            branches.set_reference(place, 4, &reference);
            assert_eq!((branches.get(place).dirty(), branches.get(place).reference(4)), (0b10, reference));
            assert_eq!(branches.get(place).inline() != 0, !reference.is_hash());
            assert!(!branches.mark_dirty(place, 4) && branches.mark_dirty(place, 4));
        }
    }
}
