//! What a commit writes: the rows of all its blocks, table by table.
//!
//! Place in the flow: the backend opens a transaction, calls this, and commits it; `write` holds what unwinding shares.
//! Invariant: the tables hold what they would hold if the blocks had been written one after the other.
//! PERF: rows go in by ascending keys, so that each page is looked for and copied once, however many blocks change it; of
//! accounts, slots and nodes that several blocks change, only the last ones are written.

use super::{
    rows::Writing,
    table::{AccountHistory, ChangedAccount, ChangedKeys, StorageHistory},
    write::{PlacedChange, slots_before},
};
use crate::{overlay::Layer, store::StoreError};
use std::sync::Arc;

impl Writing<'_> {
    /// Blocks on the newest one, oldest first.
    pub(super) fn write_blocks(&self, layers: &[Arc<Layer>]) -> Result<(), StoreError> {
        let changes = changes_of(layers);
        self.write_history(layers, &changes)?;
        self.write_state(&changes)?;
        for layer in layers {
            self.write_codes(&layer.changes)?;
            self.write_block_rows(&layer.block, layer.state_root)?;
        }
        self.write_transactions(layers.iter().map(|layer| &*layer.block))?;
        self.write_nodes(layers.iter().map(|layer| layer.trie.updates()))
    }

    /// What was before each block, and which keys it changed.
    fn write_history(&self, layers: &[Arc<Layer>], changes: &[PlacedChange<'_>]) -> Result<(), StoreError> {
        let mut changed: Vec<Vec<ChangedAccount>> = layers.iter().map(|_| Vec::new()).collect();
        let (mut accounts, mut storage) = (self.puts::<AccountHistory>()?, self.puts::<StorageHistory>()?);
        let mut slots = Vec::new();
        for of_account in changes.chunk_by(|a, b| a.0 == b.0) {
            slots.clear();
            for (address, place, change) in of_account {
                let layer = &layers[*place];
                let number = layer.block.id.number;
                accounts.put(&(*address, number), &change.before)?;
                let before = slots_before(address, change, &layer.wiped);
                slots.extend(before.iter().map(|(slot, value)| ((*address, *slot, number), *value)));
                let before = before.into_iter().map(|(slot, _)| slot).collect();
                let account = ChangedAccount { address: *address, is_wiped: change.wipes_storage(), slots: before };
                changed[*place].push(account);
            }
            if of_account.len() > 1 {
                slots.sort_unstable_by_key(|(key, _)| *key);
            }
            slots.iter().try_for_each(|(key, value)| storage.put(key, value))?;
        }
        for (layer, changed) in layers.iter().zip(&changed) {
            self.put::<ChangedKeys>(&layer.block.id.number, changed)?;
        }
        Ok(())
    }
}

/// The changes of all accounts, each with its block's place: by address and then in order of time.
fn changes_of(layers: &[Arc<Layer>]) -> Vec<PlacedChange<'_>> {
    let mut all = Vec::with_capacity(layers.iter().map(|layer| layer.changes.accounts.len()).sum());
    for (place, layer) in layers.iter().enumerate() {
        all.extend(layer.changes.accounts.iter().map(|(address, change)| (*address, place, change)));
    }
    all.sort_unstable_by_key(|(address, place, _)| (*address, *place));
    all
}
