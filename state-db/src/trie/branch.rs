//! Branches in blocks of cells: what a branch knows of its children stands in one stretch of memory.
//!
//! Place in the flow: the arena holds the branches of a trie here; a walk reads the beginning of a block, encoding the rest of it.
//!
//! A block begins at a cell of 32 bytes. With `n` children, ascending by nibble:
//!
//! | offset | length | meaning (little endian) |
//! | --- | --- | --- |
//! | 0 | 2 | bit `i` is set if there is a child at nibble `i` |
//! | 2 | 2 | bit `i` is set if that child is dirty |
//! | 4 | 2 | bit `i` is set if its RLP stands here instead of a hash |
//! | 8 | 4 | the trie's epoch when a walk last passed here; no earlier than that of any branch below |
//! | 12 | 4 `n` | ids of the children |
//! | next cell | 32 `n` | their hashes, or their RLP and zeros; anything for a dirty child |
//!
//! Invariants: two children at least; dirty and inline bits are set for children only. A block has room for its children and no
//! more, so the branch moves to another place when a child comes or goes.
//! PERF: a full branch is encoded from 10 lines of the cache. With references apart, by kind of the children, it was up to 17.

use super::{
    id::{Child, Draft, FANOUT, NodeId},
    reference::Reference,
};

/// What blocks are made of.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
struct Cell([u8; CELL_LEN]);

const CELL_LEN: usize = 32;
/// Offset of the ids in a block.
const IDS: usize = 12;
/// The end of a list of free blocks.
const NO_PLACE: u32 = u32::MAX;

/// Cells before the hashes of `len` children.
const fn head_len(len: usize) -> usize {
    (IDS + 4 * len).div_ceil(CELL_LEN)
}

/// All branches of a trie, by the place of their first cell.
#[derive(Clone, Debug)]
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

/// A branch in the arena.
#[derive(Clone, Copy, Debug)]
pub(super) struct Branch<'a> {
    cells: &'a [Cell],
    present: u16,
}

impl<'a> Branch<'a> {
    fn u16_at(&self, offset: usize) -> u16 {
        let Cell(cell) = &self.cells[0];
        u16::from_le_bytes([cell[offset], cell[offset + 1]])
    }

    /// Bit `i` is set if there is a child at nibble `i`.
    pub(super) const fn present(&self) -> u16 {
        self.present
    }

    /// Bit `i` is set if child `i` is dirty.
    pub(super) fn dirty(&self) -> u16 {
        self.u16_at(2)
    }

    /// Bit `i` is set if child `i` stands in the branch as it is.
    pub(super) fn inline(&self) -> u16 {
        self.u16_at(4)
    }

    /// The epoch when a walk last passed here.
    pub(super) fn used(&self) -> u32 {
        word(self.cells, 8)
    }

    const fn len(&self) -> usize {
        self.present.count_ones() as usize
    }

    /// Children before the one at `nibble`.
    const fn rank(&self, nibble: u8) -> usize {
        (self.present & ((1 << nibble) - 1)).count_ones() as usize
    }

    /// The child at `nibble`, or [`NodeId::EMPTY`].
    #[inline]
    pub(super) fn child(&self, nibble: u8) -> NodeId {
        if self.present >> nibble & 1 == 0 {
            return NodeId::EMPTY;
        }
        NodeId::from_bits(word(self.cells, IDS + 4 * self.rank(nibble)))
    }

    /// The children with their nibbles, ascending.
    pub(super) fn children(self) -> impl DoubleEndedIterator<Item = (u8, NodeId)> + 'a {
        (0..FANOUT as u8).filter(move |nibble| self.present >> nibble & 1 == 1).map(move |i| (i, self.child(i)))
    }

    /// The dirty children with their nibbles, ascending.
    pub(super) fn dirty_children(self) -> impl Iterator<Item = (u8, NodeId)> + 'a {
        let mut left = self.dirty();
        std::iter::from_fn(move || {
            let nibble = left.trailing_zeros() as u8;
            left &= left.wrapping_sub(1);
            (usize::from(nibble) < FANOUT).then(|| (nibble, self.child(nibble)))
        })
    }

    /// How the branch refers to its child at `nibble`: empty for a dirty one, [`Reference::NONE`] for none.
    pub(super) fn reference(&self, nibble: u8) -> Reference {
        let bit = 1 << nibble;
        if self.present & bit == 0 {
            return Reference::NONE;
        }
        if self.dirty() & bit != 0 {
            return Reference::default();
        }
        let Cell(bytes) = &self.references()[self.rank(nibble)];
        if self.inline() & bit != 0 { Reference::of_inline(bytes) } else { Reference::of_hash(bytes.into()) }
    }

    /// The hashes of the children, ascending by nibble. All are clean and none stands in the branch as it is.
    pub(super) fn hashes(self) -> impl Iterator<Item = &'a [u8; CELL_LEN]> {
        self.references().iter().map(|Cell(bytes)| bytes)
    }

    fn references(&self) -> &'a [Cell] {
        let start = head_len(self.len());
        &self.cells[start..start + self.len()]
    }

    /// The nibble of the child that is left if the one at `nibble` goes; `None` if two or more are left.
    pub(super) const fn only_other_child(&self, nibble: u8) -> Option<u8> {
        let others = self.present & !(1 << nibble);
        if others.count_ones() == 1 { Some(others.trailing_zeros() as u8) } else { None }
    }

    /// Reads each line of the cache that the block takes; gives a number made of them.
    pub(super) fn touch(&self) -> usize {
        let len = head_len(self.len()) + self.len();
        self.cells[..len].iter().step_by(2).map(|Cell(bytes)| usize::from(bytes[0])).sum()
    }
}

impl Branches {
    /// The branch at `place`.
    #[inline]
    pub(super) fn get(&self, place: u32) -> Branch<'_> {
        let cells = &self.cells[place as usize..];
        let Cell([low, high, ..]) = cells[0];
        Branch { cells, present: u16::from_le_bytes([low, high]) }
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
        let place = self.insert_dirty(branch.present, 0);
        let len = head_len(branch.len()) + branch.len();
        self.cells[place as usize..][..len].copy_from_slice(&branch.cells[..len]);
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
        for (i, id) in branch.children() {
            draft.set(i, Child { id, reference: branch.reference(i) });
        }
        draft.set(nibble, child);
        self.release(place);
        self.insert(&draft)
    }

    /// Puts another id where there is a child already.
    pub(super) fn set_child(&mut self, place: u32, nibble: u8, id: NodeId) {
        let branch = self.get(place);
        debug_assert!(branch.present >> nibble & 1 == 1 && id != NodeId::EMPTY, "the number of children changes");
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

#[inline]
fn word(cells: &[Cell], offset: usize) -> u32 {
    let Cell(cell) = &cells[offset / CELL_LEN];
    let at = offset % CELL_LEN;
    u32::from_le_bytes(std::array::from_fn(|i| cell[at + i]))
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
