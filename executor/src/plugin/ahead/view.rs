//! What a run ahead sees of the state, and the note of everything that it was told.
//!
//! Place in the flow: the database of the EVM in which a worker runs transactions ahead.
//! Invariant: every answer is in [`Reads`]. An EVM is a function of environment, transaction and these answers, whatever chain
//! it is for, so where they hold the result holds.
//! It takes no writes: a run comes back as a value.

use super::{Version, overlay::Overlay, reads::Reads};
use alloy_primitives::{Address, B256, U256, map::AddressMap};
use revm::{
    Database, DatabaseCommit, DatabaseRef, Inspector,
    bytecode::Bytecode,
    handler::FrameResult,
    interpreter::{FrameInput, InterpreterTypes},
    state::{Account, AccountInfo},
};
use std::{cell::Cell, fmt, rc::Rc};

/// The parent state with what was published of the transactions before one transaction.
pub(crate) struct View<'a, P> {
    parent: &'a P,
    overlay: &'a Overlay,
    end: Version,
    reads: Reads,
    stage: Stage,
}

impl<P> fmt::Debug for View<'_, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("View").field("end", &self.end).finish_non_exhaustive()
    }
}

impl<'a, P> View<'a, P> {
    /// A view, and the inspector that the same EVM must have.
    pub(crate) fn new(parent: &'a P, overlay: &'a Overlay) -> (Self, FrameWatch) {
        let stage = Stage::default();
        let watch = FrameWatch { stage: stage.clone() };
        (Self { parent, overlay, end: Version::default(), reads: Reads::default(), stage }, watch)
    }

    /// Starts a run that sees the versions below `end`.
    pub(crate) fn begin(&mut self, end: Version) {
        self.end = end;
        self.reads = Reads::default();
        self.stage.0.set(Frames::default());
    }

    /// What the run was told.
    pub(crate) fn take_reads(&mut self) -> Reads {
        let mut reads = std::mem::take(&mut self.reads);
        if self.stage.0.get().outermost > 1 {
            // What was read between two executions may have been looked at by the second.
            reads.forget_lateness();
        }
        reads
    }
}

impl<P: DatabaseRef> Database for View<'_, P> {
    type Error = P::Error;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, P::Error> {
        let info = match self.overlay.account(&address, self.end) {
            Some(info) => info,
            // The id is the parent's own hint, which nobody but the parent understands.
            None => self.parent.basic_ref(address)?.map(|info| AccountInfo { account_id: None, ..info }),
        };
        self.reads.add_account(address, &info, self.stage.is_after_execution());
        Ok(info)
    }

    fn code_by_hash(&mut self, code_hash: B256) -> Result<Bytecode, P::Error> {
        // Not noted: the hash says what the code is.
        self.parent.code_by_hash_ref(code_hash)
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, P::Error> {
        let value = match self.overlay.slot(&address, &slot, self.end) {
            Some(value) => value,
            None => self.parent.storage_ref(address, slot)?,
        };
        self.reads.slots.push((address, slot, value));
        Ok(value)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, P::Error> {
        let hash = self.parent.block_hash_ref(number)?;
        self.reads.block_hashes.push((number, hash));
        Ok(hash)
    }
}

impl<P> DatabaseCommit for View<'_, P> {
    /// Nothing: only the host commits.
    fn commit(&mut self, _: AddressMap<Account>) {}
}

/// How far a run is, shared by the view and the inspector of one EVM.
#[derive(Clone, Debug, Default)]
struct Stage(Rc<Cell<Frames>>);

#[derive(Clone, Copy, Debug, Default)]
struct Frames {
    open: usize,
    /// Frames that no other frame opened, and that have ended.
    outermost: usize,
}

impl Stage {
    /// Whether execution is over, so that only fees are being settled.
    fn is_after_execution(&self) -> bool {
        let Frames { open, outermost } = self.0.get();
        open == 0 && outermost > 0
    }

    fn update(&self, change: impl FnOnce(&mut Frames)) {
        let mut frames = self.0.get();
        change(&mut frames);
        self.0.set(frames);
    }
}

/// Tells the view when the outermost frame ends. In an EVM that does not call it every read is exact.
#[derive(Debug)]
pub(crate) struct FrameWatch {
    stage: Stage,
}

impl<CTX, INTR: InterpreterTypes> Inspector<CTX, INTR> for FrameWatch {
    fn frame_start(&mut self, _: &mut CTX, _: &mut FrameInput) -> Option<FrameResult> {
        self.stage.update(|frames| frames.open += 1);
        None
    }

    fn frame_end(&mut self, _: &mut CTX, _: &FrameInput, _: &mut FrameResult) {
        self.stage.update(|frames| {
            frames.open = frames.open.saturating_sub(1);
            frames.outermost += usize::from(frames.open == 0);
        });
    }
}
