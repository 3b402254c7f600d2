//! What changes the committed branch: commits, unwinds, amendments.
//!
//! Place in the flow: after staging. One call at a time, under `writer`; readers see the tree before or after it.
//! Invariant: a call that fails changes nothing.

use super::{Shared, Store, StoreError};
use crate::{changes::BlockChanges, overlay::Layer};
use alloy_primitives::B256;
use std::sync::Arc;

impl Store {
    /// Commits the staged blocks from the tip up to this one, all or none. The tip itself is committed already.
    ///
    /// They are durable when this returns, unless they are [written behind](crate::StoreOptions::write_behind_max).
    ///
    /// # Errors
    /// [`StoreError::NotStaged`], [`StoreError::NotOnBranch`], [`StoreError::Failed`]; the backend failed.
    pub fn commit(&self, block: &B256) -> Result<(), StoreError> {
        let _writer = self.0.writer.lock();
        let mut tree = self.0.tree.write();
        if tree.tip.hash == *block {
            return Ok(());
        }
        let (layers, below) = tree.overlay.branch(*block);
        let Some(newest) = layers.first().map(|layer| layer.block.id) else {
            return Err(StoreError::NotStaged { hash: *block });
        };
        if below != tree.tip.hash && layers.iter().all(|layer| layer.block.id != tree.tip) {
            return Err(StoreError::NotOnBranch { hash: *block, tip: tree.tip.hash });
        }
        if layers.len() as u64 <= self.0.backend.write_behind_max() {
            tree.tip = newest;
            return Ok(());
        }
        drop(tree);
        self.0.append(layers)
    }

    /// Changes the state after the tip without a block, as development chains do: later blocks stand on the changed state, and an
    /// unwind to the tip comes back to it. The block keeps its header, whose root is then another. What was staged on the tip is
    /// discarded. Views that are held stay as they are. Durable when this returns.
    ///
    /// # Errors
    /// [`StoreError::Failed`]; the backend failed.
    pub fn amend(&self, changes: &BlockChanges) -> Result<(), StoreError> {
        let _writer = self.0.writer.lock();
        self.0.append_pending()?;
        self.0.backend.amend(changes)?;
        let (newest, snapshot) = self.0.backend.newest()?;
        let mut tree = self.0.tree.write();
        tree.set_durable(newest, snapshot);
        let children = tree.overlay.children(newest.id.hash);
        let gone: Vec<B256> = children.into_iter().flat_map(|child| tree.overlay.take_subtree(child)).collect();
        drop(tree);
        self.0.forget(&gone);
        Ok(())
    }

    /// Makes all committed blocks and notes durable.
    ///
    /// # Errors
    /// [`StoreError::Failed`]; the backend failed.
    pub fn flush(&self) -> Result<(), StoreError> {
        self.0.flush()
    }

    /// Makes an ancestor of the tip the tip. The blocks above it are staged again.
    ///
    /// # Errors
    /// [`StoreError::NotOnBranch`], [`StoreError::Pruned`], [`StoreError::Failed`]; the backend failed.
    pub fn unwind(&self, block: &B256) -> Result<(), StoreError> {
        self.take_off(block, true)
    }

    /// Makes an ancestor of the tip the tip. The blocks above it are forgotten, with all that is staged on them; so it costs
    /// little, however many they are.
    ///
    /// # Errors
    /// Those of [`Self::unwind`].
    pub fn cut(&self, block: &B256) -> Result<(), StoreError> {
        self.take_off(block, false)
    }

    fn take_off(&self, block: &B256, keeps: bool) -> Result<(), StoreError> {
        let _writer = self.0.writer.lock();
        let (tip, durable, snapshot) = {
            let mut tree = self.0.tree.write();
            let pending = tree.pending();
            let mut committed = pending.iter().map(|layer| layer.block.id).chain([tree.durable]);
            if let Some(to) = committed.find(|committed| committed.hash == *block) {
                tree.tip = to;
                let first = pending.iter().find(|layer| layer.block.parent == to.hash && !keeps);
                let gone = first.map(|first| tree.overlay.take_subtree(first.block.id.hash)).unwrap_or_default();
                drop(tree);
                self.0.forget(&gone);
                return Ok(());
            }
            (tree.tip, (tree.durable, tree.durable_moment), tree.snapshot.clone())
        };
        let Some(to) = snapshot.find(block)? else {
            return Err(StoreError::NotOnBranch { hash: *block, tip: tip.hash });
        };
        let layers = if keeps { self.0.backend.layers_above(&to.id)? } else { Vec::new() };
        {
            // Staged before they are taken off, so that they are never unknown.
            let mut tree = self.0.tree.write();
            layers.iter().for_each(|layer| tree.overlay.insert(layer.clone()));
        }
        let unwound = self.0.backend.unwind(&to.id).and_then(|()| self.0.backend.newest());
        let mut tree = self.0.tree.write();
        let (newest, unwound) = match unwound {
            Ok(unwound) => unwound,
            Err(error) => {
                layers.iter().for_each(|layer| drop(tree.overlay.remove(&layer.block.id.hash)));
                return Err(error);
            }
        };
        tree.set_durable(newest, unwound);
        tree.tip = newest.id;
        if keeps {
            return Ok(());
        }
        let mut gone = Vec::new();
        for number in to.id.number + 1..=durable.0.number {
            gone.extend(snapshot.block_hash(durable.1, number)?);
        }
        let staged: Vec<B256> = gone.iter().flat_map(|parent| tree.overlay.children(*parent)).collect();
        gone.extend(staged.into_iter().flat_map(|hash| tree.overlay.take_subtree(hash)));
        drop(tree);
        self.0.forget(&gone);
        Ok(())
    }
}

impl Shared {
    /// Gives committed layers to the backend, newest first; the caller holds `writer`.
    fn append(&self, mut layers: Vec<Arc<Layer>>) -> Result<(), StoreError> {
        layers.reverse();
        let notes = self.tree.read().notes.clone();
        self.backend.append(&layers, &notes)?;
        let (newest, snapshot) = self.backend.newest()?;
        let mut tree = self.tree.write();
        // Those that were set meanwhile wait.
        tree.notes.retain(|note, bytes| notes.get(note) != Some(bytes));
        tree.set_durable(newest, snapshot);
        tree.tip = newest.id;
        layers.iter().for_each(|layer| drop(tree.overlay.remove(&layer.block.id.hash)));
        Ok(())
    }

    /// Lets the backend forget blocks, parents before children.
    pub(super) fn forget(&self, gone: &[B256]) {
        // Newest first, so that the parent of what is forgotten is still known.
        gone.iter().rev().for_each(|hash| self.backend.forget(hash));
    }

    pub(super) fn flush(&self) -> Result<(), StoreError> {
        let _writer = self.writer.lock();
        self.append_pending()
    }

    /// Gives what waits to the backend; the caller holds `writer`.
    fn append_pending(&self) -> Result<(), StoreError> {
        let (pending, has_notes) = {
            let tree = self.tree.read();
            (tree.pending(), !tree.notes.is_empty())
        };
        if pending.is_empty() && !has_notes { Ok(()) } else { self.append(pending) }
    }
}
