//! A branch as it lies in memory: what it knows of its children stands in one stretch.
//!
//! Place in the flow: `branch` keeps the blocks of a trie; walks and `encode` read them here.
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
//! Invariant: dirty and inline bits are set for children only.
//! PERF: a full branch is encoded from 10 lines of the cache. With references apart, by kind of the children, it was up to 17.

use super::{
    id::{Child, FANOUT, NodeId},
    reference::Reference,
};

/// What blocks are made of.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
pub(super) struct Cell(pub(super) [u8; CELL_LEN]);

/// Bytes of a cell.
pub(super) const CELL_LEN: usize = 32;
/// Offset of the ids in a block.
pub(super) const IDS: usize = 12;

/// Cells before the hashes of `len` children.
pub(super) const fn head_len(len: usize) -> usize {
    (IDS + 4 * len).div_ceil(CELL_LEN)
}

/// A branch in the arena.
#[derive(Clone, Copy, Debug)]
pub(super) struct Branch<'a> {
    cells: &'a [Cell],
    present: u16,
}

impl<'a> Branch<'a> {
    /// The branch whose block is at the beginning of these cells.
    #[inline]
    pub(super) fn new(cells: &'a [Cell]) -> Self {
        let Cell([low, high, ..]) = cells[0];
        Self { cells, present: u16::from_le_bytes([low, high]) }
    }

    /// The cells of the block.
    pub(super) fn cells(&self) -> &'a [Cell] {
        &self.cells[..head_len(self.len()) + self.len()]
    }

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

    pub(super) const fn len(&self) -> usize {
        self.present.count_ones() as usize
    }

    /// Children before the one at `nibble`.
    pub(super) const fn rank(&self, nibble: u8) -> usize {
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

    /// The child at `nibble` as the branch holds it, or [`Child::EMPTY`].
    pub(super) fn held(&self, nibble: u8) -> Child {
        Child { id: self.child(nibble), reference: self.reference(nibble) }
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

    /// Reads what a walk will read; gives a number made of it.
    #[inline]
    pub(super) fn touch_head(&self) -> usize {
        // Five ids stand in the first cell and eight in the second, which may be in another line of the cache.
        let Cell(ids) = &self.cells[1];
        usize::from(self.present) + usize::from(ids[0])
    }

    /// Reads where the reference of the child at `nibble` stands or will stand; gives a number made of it.
    #[inline]
    pub(super) fn touch_reference(&self, nibble: u8) -> usize {
        let Cell(bytes) = &self.references()[self.rank(nibble)];
        usize::from(bytes[0])
    }

    /// Reads each line of the cache that the block takes; gives a number made of them.
    pub(super) fn touch(&self) -> usize {
        self.cells().iter().step_by(2).map(|Cell(bytes)| usize::from(bytes[0])).sum()
    }
}

/// The number at `offset` of a block.
#[inline]
pub(super) fn word(cells: &[Cell], offset: usize) -> u32 {
    let Cell(cell) = &cells[offset / CELL_LEN];
    let at = offset % CELL_LEN;
    u32::from_le_bytes(std::array::from_fn(|i| cell[at + i]))
}
