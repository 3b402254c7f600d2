//! A store's committed blocks in memory.
//!
//! Place in the flow: behind `Store::memory`: dev chains, tests, and the model that the disk is compared with.
//! Invariants: each commit and each unwind is the next moment, and values are kept with the moments at which they changed; so
//! every state that ever was the tip's stays readable, and a block costs what it changed. An unwind writes the older values
//! again. The tries are those of one block and move (`tries`): roots and proofs wait for each other, reads for neither.

use super::{
    MemoryState,
    tries::{MovedTries, Step},
    versions::{Sharded, Versions},
};
use crate::{
    changes::{Account, BlockChanges, SlotMap, WipedStorage},
    code::CodeMap,
    overlay::Layer,
    store::{
        AccountProof, Backend, BlockData, BlockPart, BlockRef, Kept, Moment, Note, Notes, Snapshot, Staged, Staging,
        StateKey, StateView, StoreError, TransactionPlace,
    },
    trie::IndexedUpdates,
    witness::TouchedKeys,
};
use alloy_primitives::{
    Address, B256, Bytes, U256,
    map::{AddressSet, B256Map},
};
use parking_lot::{Mutex, RwLock};
use revm::bytecode::Bytecode;
use std::sync::Arc;

/// Committed blocks and their states.
#[derive(Clone, Debug)]
pub(crate) struct MemoryBackend(Arc<Parts>);

#[derive(Debug)]
struct Parts {
    accounts: Sharded<Address, Versions<Option<Account>>>,
    storage: Sharded<Address, SlotMap<Versions<U256>>>,
    canonical: Sharded<u64, Versions<Option<B256>>>,
    codes: RwLock<CodeMap>,
    bare_storage: AddressSet,
    blocks: RwLock<Blocks>,
    tries: Mutex<MovedTries>,
    notes: Mutex<Notes>,
}

/// The committed branch.
#[derive(Debug)]
struct Blocks {
    by_hash: B256Map<Committed>,
    transactions: B256Map<TransactionPlace>,
    tip: B256,
    /// Of the last commit or unwind.
    now: Moment,
}

#[derive(Debug)]
struct Committed {
    layer: Arc<Layer>,
    /// The last moment at which the block was the tip.
    moment: Moment,
}

impl Committed {
    fn kept(&self) -> Kept {
        Kept { id: self.layer.block.id, state_root: self.layer.state_root, moment: self.moment }
    }
}

impl MemoryBackend {
    pub(crate) fn new(mut genesis: MemoryState, block: BlockData) -> Self {
        let (state_root, id) = (genesis.state_root(), block.id);
        let MemoryState { accounts, storage, codes, bare_storage, block_hashes, tries } = genesis;
        let now = Moment(0);
        let (accounts_by_moment, storage_by_moment, canonical) = (Sharded::new(), Sharded::new(), Sharded::new());
        for (address, account) in accounts {
            accounts_by_moment.write(address, |versions: &mut Versions<_>| versions.set(now, Some(account)));
        }
        for (address, slots) in storage {
            storage_by_moment.write(address, |versions: &mut SlotMap<Versions<_>>| {
                slots.into_iter().for_each(|(slot, value)| versions.entry(slot).or_default().set(now, value));
            });
        }
        for (number, hash) in block_hashes.into_iter().chain([(id.number, id.hash)]) {
            canonical.write(number, |versions: &mut Versions<_>| versions.set(now, Some(hash)));
        }
        let layer = Layer {
            block: Arc::new(block),
            state_root,
            changes: Arc::default(),
            wiped: Arc::default(),
            trie: IndexedUpdates::default(),
        };
        let committed = Committed { layer: Arc::new(layer), moment: now };
        Self(Arc::new(Parts {
            accounts: accounts_by_moment,
            storage: storage_by_moment,
            canonical,
            codes: RwLock::new(codes),
            bare_storage,
            blocks: RwLock::new(Blocks {
                by_hash: B256Map::from_iter([(id.hash, committed)]),
                transactions: B256Map::default(),
                tip: id.hash,
                now,
            }),
            tries: Mutex::new(MovedTries::new(tries.unwrap_or_default(), id)),
            notes: Mutex::default(),
        }))
    }
}

impl Parts {
    /// Writes a block's values at a moment that nobody reads yet.
    fn write(&self, now: Moment, changes: &BlockChanges) {
        for (address, change) in &changes.accounts {
            self.accounts.write(*address, |versions| versions.set(now, change.after));
            if change.wipes_storage() {
                self.storage.write(*address, |slots| {
                    slots.values_mut().for_each(|versions| versions.set(now, U256::ZERO));
                });
            }
            if change.after.is_some() && !change.storage.is_empty() {
                self.storage.write(*address, |slots| {
                    for (slot, value) in &change.storage {
                        slots.entry(*slot).or_default().set(now, value.after);
                    }
                });
            }
        }
        let mut codes = self.codes.write();
        changes.contracts.iter().for_each(|(hash, code)| codes.insert(*hash, code.clone()));
    }
}

impl Backend for MemoryBackend {
    fn newest(&self) -> Result<(Kept, Arc<dyn Snapshot>), StoreError> {
        let blocks = self.0.blocks.read();
        Ok((blocks.by_hash[&blocks.tip].kept(), self.0.clone()))
    }

    fn write_behind_max(&self) -> u64 {
        0
    }

    fn forget(&self, hash: &B256) {
        self.0.tries.lock().forget(hash);
    }

    fn append(&self, layers: &[Arc<Layer>], notes: &Notes) -> Result<(), StoreError> {
        self.0.notes.lock().extend(notes.clone());
        for layer in layers {
            let BlockData { id, transactions, .. } = &*layer.block;
            let now = Moment(self.0.blocks.read().now.0 + 1);
            self.0.write(now, &layer.changes);
            self.0.canonical.write(id.number, |versions| versions.set(now, Some(id.hash)));
            let mut blocks = self.0.blocks.write();
            let places = (0u32..).map(|index| TransactionPlace { block: *id, index });
            blocks.transactions.extend(transactions.iter().copied().zip(places));
            blocks.by_hash.insert(id.hash, Committed { layer: layer.clone(), moment: now });
            (blocks.tip, blocks.now) = (id.hash, now);
        }
        Ok(())
    }

    fn note(&self, note: Note) -> Result<Option<Bytes>, StoreError> {
        Ok(self.0.notes.lock().get(&note).cloned())
    }

    fn amend(&self, changes: &BlockChanges) -> Result<(), StoreError> {
        let (layer, parent, now) = {
            let blocks = self.0.blocks.read();
            let layer = blocks.by_hash[&blocks.tip].layer.clone();
            (layer.clone(), blocks.by_hash.get(&layer.block.parent).map(Committed::kept), Moment(blocks.now.0 + 1))
        };
        // The first block has nothing to go back to.
        let (mut all, mut wiped) = (BlockChanges::default(), WipedStorage::default());
        if let Some(parent) = parent {
            all = layer.changes.then(changes);
            for (address, _) in all.accounts.iter().filter(|(_, change)| change.wipes_storage()) {
                wiped.0.insert(*address, self.0.slots(parent.moment, address)?);
            }
        }
        let (all, wiped) = (Arc::new(all), Arc::new(wiped));
        let hash = layer.block.id.hash;
        let state_root = self.0.tries.lock().amend(hash, changes, &all, &wiped);
        self.0.write(now, changes);
        let layer =
            Layer { block: layer.block.clone(), state_root, changes: all, wiped, trie: IndexedUpdates::default() };
        let mut blocks = self.0.blocks.write();
        blocks.by_hash.insert(hash, Committed { layer: Arc::new(layer), moment: now });
        blocks.now = now;
        Ok(())
    }

    fn layers_above(&self, to: &BlockRef) -> Result<Vec<Arc<Layer>>, StoreError> {
        let blocks = self.0.blocks.read();
        let mut layers = Vec::new();
        let mut at = blocks.tip;
        while at != to.hash {
            let layer = &blocks.by_hash[&at].layer;
            at = layer.block.parent;
            layers.push(layer.clone());
        }
        Ok(layers)
    }

    fn unwind(&self, to: &BlockRef) -> Result<(), StoreError> {
        let layers = self.layers_above(to)?;
        let now = Moment(self.0.blocks.read().now.0 + 1);
        for layer in &layers {
            self.0.write(now, &layer.changes.inverse(&layer.wiped));
            self.0.canonical.write(layer.block.id.number, |versions| versions.set(now, None));
        }
        let mut blocks = self.0.blocks.write();
        for layer in &layers {
            blocks.by_hash.remove(&layer.block.id.hash);
            for hash in &layer.block.transactions {
                blocks.transactions.remove(hash);
            }
        }
        if let Some(tip) = blocks.by_hash.get_mut(&to.hash) {
            tip.moment = now;
        }
        (blocks.tip, blocks.now) = (to.hash, now);
        Ok(())
    }
}

impl Snapshot for Parts {
    fn find(&self, hash: &B256) -> Result<Option<Kept>, StoreError> {
        Ok(self.blocks.read().by_hash.get(hash).map(Committed::kept))
    }

    fn account(&self, at: Moment, address: &Address) -> Result<Option<Account>, StoreError> {
        Ok(self.accounts.read(address, |versions| versions.at(at)).flatten().flatten())
    }

    fn slot(&self, at: Moment, address: &Address, slot: &U256) -> Result<U256, StoreError> {
        let value = self.storage.read(address, |slots| slots.get(slot).and_then(|versions| versions.at(at)));
        Ok(value.flatten().unwrap_or_default())
    }

    fn slots(&self, at: Moment, address: &Address) -> Result<SlotMap<U256>, StoreError> {
        let all = |slots: &SlotMap<Versions<U256>>| {
            let values = slots.iter().map(|(slot, versions)| (*slot, versions.at(at).unwrap_or_default()));
            values.filter(|(_, value)| !value.is_zero()).collect()
        };
        Ok(self.storage.read(address, all).unwrap_or_default())
    }

    fn addresses(&self, at: Moment) -> Result<AddressSet, StoreError> {
        Ok(self.accounts.keys(|versions| versions.at(at).flatten().is_some()))
    }

    fn code(&self, hash: &B256) -> Result<Option<Bytecode>, StoreError> {
        Ok(self.codes.read().get(hash))
    }

    fn had_bare_storage(&self, address: &Address) -> bool {
        self.bare_storage.contains(address)
    }

    fn block_hash(&self, at: Moment, number: u64) -> Result<Option<B256>, StoreError> {
        Ok(self.canonical.read(&number, |versions| versions.at(at)).flatten().flatten())
    }

    fn block(&self, hash: &B256) -> Result<Option<Arc<BlockData>>, StoreError> {
        Ok(self.blocks.read().by_hash.get(hash).map(|committed| committed.layer.block.clone()))
    }

    fn block_part(&self, hash: &B256, part: BlockPart) -> Result<Option<Bytes>, StoreError> {
        Ok(self.blocks.read().by_hash.get(hash).map(|committed| committed.layer.block.part(part)))
    }

    fn transaction(&self, hash: &B256) -> Result<Option<TransactionPlace>, StoreError> {
        Ok(self.blocks.read().transactions.get(hash).copied())
    }

    fn stage(&self, parent: &StateView, block: &Staging<'_>) -> Result<Staged, StoreError> {
        let step = Step {
            number: block.id.number,
            parent: parent.block().hash,
            changes: block.changes.clone(),
            wiped: block.wiped.clone(),
        };
        let state_root = self.tries.lock().add(block.id.hash, step)?;
        Ok(Staged { state_root, trie: IndexedUpdates::default() })
    }

    fn can_prepare(&self, _view: &StateView) -> bool {
        // All nodes are in memory.
        false
    }

    fn prepare_root(&self, _view: &StateView, _keys: &[StateKey]) -> Result<(), StoreError> {
        Ok(())
    }

    fn root_after(&self, view: &StateView, changes: &BlockChanges) -> Result<B256, StoreError> {
        self.tries.lock().root_after(view, changes)
    }

    fn proof(&self, view: &StateView, address: &Address, slots: &[U256]) -> Result<AccountProof, StoreError> {
        self.tries.lock().proof(view, address, slots)
    }

    fn witness(
        &self,
        view: &StateView,
        touched: &TouchedKeys,
        changes: &BlockChanges,
    ) -> Result<Vec<Bytes>, StoreError> {
        self.tries.lock().witness(view, touched, changes)
    }
}
