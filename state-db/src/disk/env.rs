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
use signet_libmdbx::{
    Environment, EnvironmentBuilder, EnvironmentFlags, Geometry, MdbxError, Mode, SyncMode, TransactionKind, tx::Tx,
};
use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
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
/// Pages that a commit wrote and whose memory is kept for the next, at most: 512 MiB.
///
/// PERF: a commit of large blocks writes a hundred thousand pages; else the system takes their memory back and clears it anew.
const PAGES_KEPT_MAX: u64 = 1 << 17;
/// Bytes of `mdbx.lck` and some to spare: 32 for a reader.
const READERS_LEN: usize = 32 * READERS_MAX as usize + (64 << 10);
/// A device failed, or took part of a write.
const EIO: i32 = 5;

/// An open environment.
#[derive(Debug)]
pub(super) struct Env {
    pub(super) mdbx: Environment,
    pub(super) tables: Tables,
    dir: PathBuf,
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
        let rows = Reading { tx: &tx, tables: &tables };
        if rows.get::<Meta>(&MetaKey::Format)?.is_some() {
            return Err(StoreError::Exists { dir: dir.to_owned() });
        }
        rows.expect_empty()?;
        tx.commit().map_err(|error| database_error("commit the tables", error))?;
        Ok(Self { mdbx, tables, dir: dir.to_owned(), _lock: Some(lock) })
    }

    /// The environment of a store that exists, with a format that is known.
    pub(super) fn open(dir: &Path, options: &StoreOptions) -> Result<Self, StoreError> {
        if !dir.join(DATA_FILE).exists() {
            return Err(StoreError::NotFound { dir: dir.to_owned() });
        }
        let (lock, mdbx) = match options.access {
            Access::ReadWrite => (Some(lock(dir)?), open_mdbx(dir, options)?),
            Access::ReadOnly => match open_mdbx(dir, options) {
                Err(StoreError::Io { source, .. }) if source.kind() == ErrorKind::PermissionDenied => alone(dir)?,
                mdbx => (None, mdbx?),
            },
        };
        let tx = mdbx.begin_ro_unsync().map_err(|error| database_error("begin", error))?;
        let tables = match Tables::open(&tx) {
            Err(MdbxError::NotFound) if has_tables(&tx)? => {
                return Err(StoreError::Corrupt { table: "Meta", what: "some of the tables are missing".to_owned() });
            }
            Err(MdbxError::NotFound) => return Err(StoreError::NotFound { dir: dir.to_owned() }),
            tables => tables.map_err(|error| database_error("open the tables", error))?,
        };
        let rows = Reading { tx: &tx, tables: &tables };
        let Some(format) = rows.get::<Meta>(&MetaKey::Format)? else {
            rows.expect_empty()?;
            return Err(StoreError::NotFound { dir: dir.to_owned() });
        };
        let found = <[u8; 4]>::try_from(&format[..]).map(u32::from_be_bytes);
        let found = found.map_err(|_| StoreError::Corrupt { table: "Meta", what: "format".to_owned() })?;
        if found != FORMAT {
            return Err(StoreError::Format { dir: dir.to_owned(), found, known: FORMAT });
        }
        // Handles last only if the transaction that opened them ends well.
        tx.commit().map_err(|error| database_error("open the tables", error))?;
        Ok(Self { mdbx, tables, dir: dir.to_owned(), _lock: lock })
    }

    /// The store's word for an error of a commit.
    pub(super) fn commit_error(&self, error: MdbxError) -> StoreError {
        // A write that a full disk takes in part only is an error of its own.
        match error {
            MdbxError::Other(code) if code == EIO && !has_room(&self.dir) => StoreError::Full,
            error => database_error("commit", error),
        }
    }
}

impl<K: TransactionKind> Reading<'_, K> {
    /// Tables without a format are those of a store whose first commit failed, and hold nothing; else the format was lost, and the rows
    /// are not to be written over.
    fn expect_empty(&self) -> Result<(), StoreError> {
        for (_, table) in self.tables.iter() {
            let stat = self.tx.db_stat(&table).map_err(|error| database_error("count rows", error))?;
            if stat.entries() > 0 {
                return Err(StoreError::Corrupt { table: "Meta", what: "no format beside rows".to_owned() });
            }
        }
        Ok(())
    }
}

/// Whether there is any table.
fn has_tables<K: TransactionKind>(tx: &Tx<K>) -> Result<bool, StoreError> {
    let stat = tx.open_db(None).and_then(|names| tx.db_stat(&names));
    Ok(stat.map_err(|error| database_error("count the tables", error))?.entries() > 0)
}

/// Opens for reading where MDBX may not write its list of readers: only while nobody writes, and a shared lock sees to that.
fn alone(dir: &Path) -> Result<(Option<File>, Environment), StoreError> {
    let path = dir.join(LOCK_FILE);
    let lock = File::open(&path).map_err(|source| io_error(&path, source))?;
    match lock.try_lock_shared() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { dir: dir.to_owned() }),
        Err(TryLockError::Error(source)) => return Err(io_error(&path, source)),
    }
    let flags = EnvironmentFlags { mode: Mode::ReadOnly, exclusive: true, no_rdahead: true, ..Default::default() };
    Ok((Some(lock), open_with(dir, Environment::builder().set_flags(flags))?))
}

fn open_mdbx(dir: &Path, options: &StoreOptions) -> Result<Environment, StoreError> {
    if !has_room(dir) {
        return Err(StoreError::Full);
    }
    let mode = match options.access {
        Access::ReadWrite => Mode::ReadWrite { sync_mode: SyncMode::Durable },
        Access::ReadOnly => Mode::ReadOnly,
    };
    let mut builder = Environment::builder();
    // Point reads are random; reading ahead would only displace pages.
    builder.set_flags(EnvironmentFlags { mode, no_rdahead: true, coalesce: true, ..Default::default() });
    if options.access == Access::ReadWrite {
        builder.set_dp_reserve_limit(PAGES_KEPT_MAX);
        let growth_step = (options.size_max / GROWTH_STEPS).clamp(64 << 10, 64 << 20) as isize;
        builder.set_geometry(Geometry {
            size: Some(0..options.size_max),
            growth_step: Some(growth_step),
            shrink_threshold: Some(2 * growth_step),
            page_size: None,
        });
    }
    open_with(dir, &mut builder)
}

fn open_with(dir: &Path, builder: &mut EnvironmentBuilder) -> Result<Environment, StoreError> {
    builder.set_max_dbs(TABLES_MAX).set_max_readers(READERS_MAX);
    builder.open(dir).map_err(|error| match error {
        MdbxError::Busy => StoreError::Locked { dir: dir.to_owned() },
        // Whoever made the file was killed before its first page was there.
        MdbxError::NoData => StoreError::NotFound { dir: dir.to_owned() },
        MdbxError::Access => io_error(&dir.join(DATA_FILE), ErrorKind::PermissionDenied.into()),
        MdbxError::Other(code) if !is_full(code) => io_error(&dir.join(DATA_FILE), io::Error::from_raw_os_error(code)),
        error => database_error("open", error),
    })
}

/// Whether there is room for MDBX's list of readers. It maps the list as a file with holes, and the system would end the process where
/// a hole cannot be filled.
fn has_room(dir: &Path) -> bool {
    let path = dir.join(format!("room-{}", std::process::id()));
    let written = std::fs::write(&path, vec![0; READERS_LEN]);
    let _ = std::fs::remove_file(&path);
    !written.is_err_and(|error| error.raw_os_error().is_some_and(is_full))
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
    match error {
        MdbxError::MapFull => StoreError::Full,
        MdbxError::Other(code) if is_full(code) => StoreError::Full,
        MdbxError::WriteTransactionUnsupportedInReadOnlyMode => StoreError::ReadOnly,
        source => StoreError::Database { action, source },
    }
}

/// Whether the system's error says that a file cannot grow.
const fn is_full(code: i32) -> bool {
    /// A file is larger than the file system or the process may have it.
    const EFBIG: i32 = 27;
    /// No space left on the device.
    const ENOSPC: i32 = 28;
    /// The user has no more.
    const EDQUOT: i32 = 122;
    matches!(code, EFBIG | ENOSPC | EDQUOT)
}
