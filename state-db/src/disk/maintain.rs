//! A store on disk for people: how big its tables are, whether they fit together, and less history.
//!
//! Place in the flow: `laminar db`, beside no other writer.

use super::{
    Access, DiskBackend, StoreOptions,
    env::database_error,
    rows::Reading,
    verify::{Verified, verify},
};
use crate::store::{BlockData, BlockRef, StoreError};
use std::{convert::Infallible, fmt::Display, path::Path};

/// A store that is open for maintenance.
#[derive(Debug)]
pub struct Maintenance(DiskBackend);

/// A table of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableStats {
    /// The table's name.
    pub name: &'static str,
    /// Number of rows.
    pub entries: u64,
    /// Bytes of its pages in the file.
    pub bytes: u64,
}

/// The size of a store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoreStats {
    /// The newest block.
    pub tip: BlockRef,
    /// Number of the oldest block whose state can be read.
    pub oldest_state: u64,
    /// Its tables.
    pub tables: Vec<TableStats>,
    /// Bytes of the file.
    pub file_bytes: u64,
    /// Bytes in it that the next commits use before the file grows.
    pub free_bytes: u64,
}

impl Maintenance {
    /// Opens the store in a folder.
    ///
    /// # Errors
    /// Those of [`Store::open`](crate::Store::open).
    pub fn open(dir: &Path, access: Access) -> Result<Self, StoreError> {
        let options = StoreOptions { cache_size_max: 0, readers: 1, access, ..StoreOptions::default() };
        DiskBackend::open(dir, options).map(Self)
    }

    /// How big the tables are.
    ///
    /// # Errors
    /// The database failed.
    pub fn stats(&self) -> Result<StoreStats, StoreError> {
        let env = &self.0.shared.env;
        let failed = |error| database_error("read the sizes", error);
        let tx = env.mdbx.begin_ro_unsync().map_err(failed)?;
        let rows = Reading { tx: &tx, tables: &env.tables };
        let mut tables = Vec::new();
        for (name, handle) in env.tables.iter() {
            let stat = tx.db_stat(&handle).map_err(failed)?;
            let pages = stat.branch_pages() + stat.leaf_pages() + stat.overflow_pages();
            let bytes = pages as u64 * u64::from(stat.page_size());
            tables.push(TableStats { name, entries: stat.entries() as u64, bytes });
        }
        let page_size = u64::from(env.mdbx.stat().map_err(failed)?.page_size());
        let used_pages = env.mdbx.info().map_err(failed)?.last_pgno() as u64 + 1;
        let free_pages = env.mdbx.freelist().map_err(|error| match error {
            signet_libmdbx::ReadError::Mdbx(error) => failed(error),
            signet_libmdbx::ReadError::Decoding(_) => failed(signet_libmdbx::MdbxError::Corrupted),
        })?;
        Ok(StoreStats {
            tip: rows.tip()?.id,
            oldest_state: rows.oldest()?,
            tables,
            file_bytes: used_pages * page_size,
            free_bytes: free_pages as u64 * page_size,
        })
    }

    /// Recomputes the state root from the plain values, goes back through the history to the oldest state, and checks the tables
    /// against each other.
    ///
    /// Holds one leaf for each account and the nodes of the tries in memory: about 500 bytes an account.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] for the first fault; the database failed.
    pub fn verify(&self) -> Result<Verified, StoreError> {
        self.verify_with(|_| Ok::<_, Infallible>(()))
    }

    /// The same, and what `check` finds wrong with a committed block is a fault, too.
    ///
    /// # Errors
    /// As for [`Self::verify`].
    pub fn verify_with<E: Display>(
        &self,
        check: impl FnMut(&BlockData) -> Result<(), E>,
    ) -> Result<Verified, StoreError> {
        verify(&self.0.open_snapshot()?, check)
    }

    /// Drops the history that only states more than `history_len` blocks below the tip need. Returns the number of blocks whose
    /// states can no longer be read.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`]; the database failed.
    pub fn prune(&self, history_len: u64) -> Result<u64, StoreError> {
        self.0.write(|rows| rows.prune(rows.rows.tip()?.id.number.saturating_sub(history_len)))
    }
}
