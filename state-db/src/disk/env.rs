//! The folder and the MDBX environment in it.
//!
//! | file | what |
//! | --- | --- |
//! | `mdbx.dat` | the tables |
//! | `mdbx.lck` | MDBX's readers |
//! | `writer.lock` | locked by the process that may write |
//!
//! Place in the flow: `Store::create` and `Store::open` come here first.
//! Invariant: what is no store, a store in use, or a store of a newer format is refused before anything is written to it.

use super::{
    options::{Access, StoreOptions},
    rows::{Reading, Tables},
    table::{Meta, MetaKey},
};
use crate::store::StoreError;
use signet_libmdbx::{Environment, EnvironmentFlags, Geometry, MdbxError, Mode, SyncMode};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io,
    path::Path,
};

/// The layout that this code reads and writes.
pub(super) const FORMAT: u32 = 1;

const DATA_FILE: &str = "mdbx.dat";
const LOCK_FILE: &str = "writer.lock";
/// Tables and some to spare for later formats, so that an older program can still say that a store is newer.
const TABLES_MAX: usize = 64;
/// Snapshots that are held at once, times read transactions of each.
const READERS_MAX: u64 = 8_192;
/// The file grows by this share of its largest size.
const GROWTH_STEPS: usize = 256;

/// An open environment.
#[derive(Debug)]
pub(super) struct Env {
    pub(super) mdbx: Environment,
    pub(super) tables: Tables,
    /// Held as long as the environment.
    _lock: Option<File>,
}

impl Env {
    /// An environment with empty tables in a folder that holds no store.
    pub(super) fn create(dir: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        std::fs::create_dir_all(dir).map_err(|source| io_error(dir, source))?;
        if options.access == Access::ReadOnly {
            return Err(StoreError::ReadOnly);
        }
        let lock = lock(dir)?;
        let mdbx = open_mdbx(dir, options)?;
        let tx = mdbx.begin_rw_unsync().map_err(|error| database_error("begin", error))?;
        let tables = Tables::create(&tx).map_err(|error| database_error("make the tables", error))?;
        // Tables without a format are those of a store whose first commit failed.
        if (Reading { tx: &tx, tables: &tables }).get::<Meta>(&MetaKey::Format)?.is_some() {
            return Err(StoreError::Exists { dir: dir.to_owned() });
        }
        tx.commit().map_err(|error| database_error("commit the tables", error))?;
        Ok(Self { mdbx, tables, _lock: Some(lock) })
    }

    /// The environment of a store that exists, with a format that is known.
    pub(super) fn open(dir: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        if !dir.join(DATA_FILE).exists() {
            return Err(StoreError::NotFound { dir: dir.to_owned() });
        }
        let lock = match options.access {
            Access::ReadWrite => Some(lock(dir)?),
            Access::ReadOnly => None,
        };
        let mdbx = open_mdbx(dir, options)?;
        let tx = mdbx.begin_ro_unsync().map_err(|error| database_error("begin", error))?;
        let tables = match Tables::open(&tx) {
            Err(MdbxError::NotFound) => return Err(StoreError::NotFound { dir: dir.to_owned() }),
            tables => tables.map_err(|error| database_error("open the tables", error))?,
        };
        let format = Reading { tx: &tx, tables: &tables }.get::<Meta>(&MetaKey::Format)?;
        let Some(format) = format else { return Err(StoreError::NotFound { dir: dir.to_owned() }) };
        let found = <[u8; 4]>::try_from(&format[..]).map(u32::from_be_bytes);
        let found = found.map_err(|_| StoreError::Corrupt { table: "Meta", what: "format".to_owned() })?;
        if found != FORMAT {
            return Err(StoreError::Format { found, known: FORMAT });
        }
        // Handles last only if the transaction that opened them ends well.
        tx.commit().map_err(|error| database_error("open the tables", error))?;
        Ok(Self { mdbx, tables, _lock: lock })
    }
}

fn open_mdbx(dir: &Path, options: &StoreOptions) -> Result<Environment, StoreError> {
    let mode = match options.access {
        Access::ReadWrite => Mode::ReadWrite { sync_mode: SyncMode::Durable },
        Access::ReadOnly => Mode::ReadOnly,
    };
    let mut builder = Environment::builder();
    builder.set_max_dbs(TABLES_MAX).set_max_readers(READERS_MAX);
    // Point reads are random; reading ahead would only displace pages.
    builder.set_flags(EnvironmentFlags { mode, no_rdahead: true, coalesce: true, ..Default::default() });
    if options.access == Access::ReadWrite {
        let growth_step = (options.size_max / GROWTH_STEPS).clamp(64 << 10, 64 << 20) as isize;
        builder.set_geometry(Geometry {
            size: Some(0..options.size_max),
            growth_step: Some(growth_step),
            shrink_threshold: Some(2 * growth_step),
            page_size: None,
        });
    }
    builder.open(dir).map_err(|error| match error {
        MdbxError::Busy => StoreError::Locked { dir: dir.to_owned() },
        // Whoever made the file was killed before its first page was there.
        MdbxError::NoData => StoreError::NotFound { dir: dir.to_owned() },
        error => database_error("open", error),
    })
}

fn lock(dir: &Path) -> Result<File, StoreError> {
    let path = dir.join(LOCK_FILE);
    let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|source| io_error(&path, source))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StoreError::Locked { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => Err(io_error(&path, source)),
    }
}

fn io_error(path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { path: path.to_owned(), source }
}

/// The store's word for an error of MDBX.
pub(super) fn database_error(action: &'static str, error: MdbxError) -> StoreError {
    /// No space left on the device.
    const ENOSPC: i32 = 28;
    match error {
        MdbxError::MapFull | MdbxError::Other(ENOSPC) => StoreError::Full,
        MdbxError::WriteTransactionUnsupportedInReadOnlyMode => StoreError::ReadOnly,
        source => StoreError::Database { action, source },
    }
}
