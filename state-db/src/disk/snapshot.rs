//! What was committed at one moment, as read transactions of one MDBX snapshot.
//!
//! Place in the flow: views hold it; the newest one answers out of the cache where it can.
//! Invariant: all transactions see the same commit. A snapshot keeps MDBX from using again the pages that were freed since,
//! so views are held as long as they are read and no longer. A thread waits only while another reads with the same
//! transaction; writers wait for no reader.

use super::{
    Shared,
    cache::CommitId,
    env::database_error,
    rows::Reading,
    table::{
        AccountNodes, Accounts, BlockExtras, BlockNumbers, Blocks, Bodies, Codes, Headers, ReceiptLists, Storage,
        StorageNodes, Transactions,
    },
    tries::Nodes,
};
use crate::{
    changes::{Account, BlockChanges, SlotMap},
    code::analyse,
    store::{
        AccountProof, BlockData, BlockPart, BlockRef, Kept, Moment, Snapshot, Staged, Staging, StateKey, StateView,
        StoreError, TransactionPlace,
    },
    trie::IndexedUpdates,
    witness::{TouchedKeys, record_witness},
};
use alloy_primitives::{Address, B256, Bytes, U256, map::AddressSet};
use alloy_trie::Nibbles;
use parking_lot::Mutex;
use revm::bytecode::Bytecode;
use signet_libmdbx::{Ro, tx::aliases::RoTxUnsync};
use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

/// A snapshot of the store.
#[derive(Debug)]
pub(super) struct DiskSnapshot {
    shared: Arc<Shared>,
    transactions: Vec<Mutex<RoTxUnsync>>,
    newest: Kept,
    oldest: u64,
    commit: CommitId,
}

thread_local! {
    /// Which transaction a thread tries first.
    static FIRST: usize = {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        // ORDER: Relaxed, it only spreads threads.
        THREADS.fetch_add(1, Ordering::Relaxed)
    };
}

impl DiskSnapshot {
    /// The newest snapshot. No commit may happen meanwhile.
    pub(super) fn new(shared: Arc<Shared>, commit: CommitId) -> Result<Self, StoreError> {
        let readers = shared.options.readers.max(1);
        let transactions = shared.env.mdbx.begin_ro_unsync_multi(readers);
        let transactions = transactions.map_err(|error| database_error("begin to read", error))?;
        let rows = Reading { tx: &transactions[0], tables: &shared.env.tables };
        let (newest, oldest) = (rows.tip()?, rows.oldest()?);
        let transactions = transactions.into_iter().map(Mutex::new).collect();
        Ok(Self { shared, transactions, newest, oldest, commit })
    }

    /// The newest block.
    pub(super) fn newest(&self) -> Kept {
        self.newest
    }

    /// The oldest block whose state is kept.
    pub(super) fn oldest(&self) -> u64 {
        self.oldest
    }

    /// Reads with a transaction that no other thread uses.
    pub(super) fn with<T>(&self, read: impl FnOnce(Reading<'_, Ro>) -> T) -> T {
        let first = FIRST.with(|first| *first);
        let len = self.transactions.len();
        let free = (0..len).find_map(|i| self.transactions[(first + i) % len].try_lock());
        let tx = free.unwrap_or_else(|| self.transactions[first % len].lock());
        read(Reading { tx: &tx, tables: &self.shared.env.tables })
    }

    /// A node of the newest state's tries.
    pub(super) fn node(&self, owner: Option<&B256>, path: &Nibbles) -> Result<Option<Bytes>, StoreError> {
        self.with(|rows| match owner {
            None => rows.get::<AccountNodes>(path),
            Some(owner) => rows.get::<StorageNodes>(&(*owner, *path)),
        })
    }
}

impl Snapshot for DiskSnapshot {
    fn find(&self, hash: &B256) -> Result<Option<Kept>, StoreError> {
        if *hash == self.newest.id.hash {
            return Ok(Some(self.newest));
        }
        self.with(|rows| {
            let Some(number) = rows.get::<BlockNumbers>(hash)? else { return Ok(None) };
            let row = rows.need::<Blocks>(&number)?;
            if number < self.oldest {
                return Err(StoreError::Pruned { number, oldest: self.oldest });
            }
            let id = BlockRef { number, hash: *hash };
            Ok(Some(Kept { id, state_root: row.state_root, moment: Moment(number) }))
        })
    }

    fn account(&self, at: Moment, address: &Address) -> Result<Option<Account>, StoreError> {
        if at == self.newest.moment {
            let read = || self.with(|rows| rows.get::<Accounts>(address));
            return self.shared.cache.account(self.commit, address, read);
        }
        self.with(|rows| rows.account_after(at.0, address))
    }

    fn slot(&self, at: Moment, address: &Address, slot: &U256) -> Result<U256, StoreError> {
        if at == self.newest.moment {
            let read = || self.with(|rows| Ok(rows.get::<Storage>(&(*address, *slot))?.unwrap_or_default()));
            return self.shared.cache.slot(self.commit, address, slot, read);
        }
        self.with(|rows| rows.slot_after(at.0, address, slot))
    }

    fn slots(&self, at: Moment, address: &Address) -> Result<SlotMap<U256>, StoreError> {
        if at == self.newest.moment {
            return self.with(|rows| rows.newest_slots(address));
        }
        self.with(|rows| rows.slots_after(at.0, address))
    }

    fn addresses(&self, at: Moment) -> Result<AddressSet, StoreError> {
        self.with(|rows| {
            let newest = rows.collect::<Accounts>(&[])?.into_iter().map(|(address, _)| address);
            let mut addresses: AddressSet = newest.collect();
            if at != self.newest.moment {
                for (address, change) in &rows.changes_back_to(at.0)?.accounts {
                    match change.after {
                        Some(_) => addresses.insert(*address),
                        None => addresses.remove(address),
                    };
                }
            }
            Ok(addresses)
        })
    }

    fn code(&self, hash: &B256) -> Result<Option<Bytecode>, StoreError> {
        self.shared.cache.code(hash, || Ok(self.with(|rows| rows.get::<Codes>(hash))?.map(analyse)))
    }

    fn had_bare_storage(&self, address: &Address) -> bool {
        self.shared.bare_storage.contains(address)
    }

    fn block_hash(&self, _at: Moment, number: u64) -> Result<Option<B256>, StoreError> {
        // All states of a snapshot are on its one branch.
        Ok(self.with(|rows| rows.get::<Blocks>(&number))?.map(|row| row.hash))
    }

    fn block(&self, hash: &B256) -> Result<Option<Arc<BlockData>>, StoreError> {
        self.with(|rows| match rows.get::<BlockNumbers>(hash)? {
            Some(number) => Ok(Some(Arc::new(rows.block_data(number)?))),
            None => Ok(None),
        })
    }

    fn block_part(&self, hash: &B256, part: BlockPart) -> Result<Option<Bytes>, StoreError> {
        self.with(|rows| match (rows.get::<BlockNumbers>(hash)?, part) {
            (None, _) => Ok(None),
            (Some(number), BlockPart::Header) => rows.need::<Headers>(&number).map(Some),
            (Some(number), BlockPart::Body) => rows.need::<Bodies>(&number).map(Some),
            (Some(number), BlockPart::Receipts) => rows.need::<ReceiptLists>(&number).map(Some),
        })
    }

    fn transaction(&self, hash: &B256) -> Result<Option<TransactionPlace>, StoreError> {
        self.with(|rows| {
            let Some((number, index)) = rows.get::<Transactions>(hash)? else { return Ok(None) };
            let hash = rows.need::<Blocks>(&number)?.hash;
            Ok(Some(TransactionPlace { block: BlockRef { number, hash }, index }))
        })
    }

    fn stage(&self, parent: &StateView, block: &Staging<'_>) -> Result<Staged, StoreError> {
        let nodes = Nodes::of_view(self, parent)?;
        let (state_root, trie) = nodes.apply_warm(&self.shared.warm, parent.state_root(), block.changes)?;
        Ok(Staged { state_root, trie: IndexedUpdates::new(trie) })
    }

    fn can_prepare(&self, view: &StateView) -> bool {
        // The tries of an older state would first have to be made.
        self.shared.warm.is_on() && view.base().id == self.newest.id
    }

    fn prepare_root(&self, view: &StateView, keys: &[StateKey]) -> Result<(), StoreError> {
        if !self.can_prepare(view) {
            return Ok(());
        }
        Nodes::of_view(self, view)?.reveal_warm(&self.shared.warm, view.state_root(), keys)
    }

    fn root_after(&self, view: &StateView, changes: &BlockChanges) -> Result<B256, StoreError> {
        Ok(Nodes::of_view(self, view)?.apply(view.state_root(), changes)?.0)
    }

    fn proof(&self, view: &StateView, address: &Address, slots: &[U256]) -> Result<AccountProof, StoreError> {
        let values = slots.iter().map(|slot| Ok((*slot, view.slot(address, *slot)?)));
        let values = values.collect::<Result<Vec<_>, StoreError>>()?;
        Nodes::of_view(self, view)?.proof(view.state_root(), address, &values)
    }

    fn witness(
        &self,
        view: &StateView,
        touched: &TouchedKeys,
        changes: &BlockChanges,
    ) -> Result<Vec<Bytes>, StoreError> {
        Ok(record_witness(view.state_root(), touched, changes, &Nodes::of_view(self, view)?)?)
    }
}

impl<K: signet_libmdbx::TransactionKind> Reading<'_, K> {
    /// A committed block.
    pub(super) fn block_data(&self, number: u64) -> Result<BlockData, StoreError> {
        let row = self.need::<Blocks>(&number)?;
        let (transactions, senders, extra) = self.need::<BlockExtras>(&number)?;
        Ok(BlockData {
            id: BlockRef { number, hash: row.hash },
            parent: row.parent,
            header: self.need::<Headers>(&number)?,
            body: self.need::<Bodies>(&number)?,
            receipts: self.need::<ReceiptLists>(&number)?,
            transactions,
            senders,
            extra,
        })
    }

    /// A committed block's place and root.
    pub(super) fn kept(&self, number: u64) -> Result<Kept, StoreError> {
        let row = self.need::<Blocks>(&number)?;
        let id = BlockRef { number, hash: row.hash };
        Ok(Kept { id, state_root: row.state_root, moment: Moment(number) })
    }
}
