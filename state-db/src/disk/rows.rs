//! Typed rows in an MDBX transaction.
//!
//! Place in the flow: between the tables' bytes (`table`) and everything that reads or writes them.
//! Invariants: a row that does not read is an error that names its table; nothing is repaired on the way. All writes of a
//! commit go through [`Writing`], which is where tests make one fail.

use super::{
    env::database_error,
    table::{TABLES, Table},
};
use crate::store::StoreError;
use signet_libmdbx::{
    Database, DatabaseFlags, MdbxError, ReadError, TransactionKind, WriteFlags,
    tx::{Cursor, Rw, Tx, aliases::RwTxUnsync},
};
use std::{borrow::Cow, cell::Cell, marker::PhantomData, ops::ControlFlow};

/// Handles of all tables.
#[derive(Debug)]
pub(super) struct Tables([Database; TABLES.len()]);

impl Tables {
    /// Opens the tables of a store that exists.
    pub(super) fn open<K: TransactionKind>(tx: &Tx<K>) -> Result<Self, MdbxError> {
        Self::each(|name| tx.open_db(Some(name)))
    }

    /// Makes the tables of a new store.
    pub(super) fn create(tx: &RwTxUnsync) -> Result<Self, MdbxError> {
        Self::each(|name| tx.create_db(Some(name), DatabaseFlags::empty()))
    }

    fn each(open: impl Fn(&str) -> Result<Database, MdbxError>) -> Result<Self, MdbxError> {
        let handles = TABLES.into_iter().map(open).collect::<Result<Vec<_>, _>>()?;
        Ok(Self(handles.try_into().expect("one handle for each table")))
    }

    pub(super) fn of<T: Table>(&self) -> Database {
        self.0[T::ID as usize]
    }

    /// Names and handles.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, Database)> {
        TABLES.into_iter().zip(self.0)
    }
}

/// A row's key and value.
pub(super) type Row<T> = (<T as Table>::Key, <T as Table>::Value);

/// Rows as one transaction sees them.
#[derive(Debug)]
pub(super) struct Reading<'a, K: TransactionKind> {
    pub(super) tx: &'a Tx<K>,
    pub(super) tables: &'a Tables,
}

impl<K: TransactionKind> Clone for Reading<'_, K> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<K: TransactionKind> Copy for Reading<'_, K> {}

impl<K: TransactionKind> Reading<'_, K> {
    /// The value of a key.
    pub(super) fn get<T: Table>(&self, key: &T::Key) -> Result<Option<T::Value>, StoreError> {
        let row = self.tx.get::<Cow<'_, [u8]>>(self.tables.of::<T>().dbi(), T::key(key).as_ref());
        let row = row.map_err(read_error::<T>)?;
        row.map(|bytes| T::read_value(&bytes).ok_or_else(|| malformed::<T>("value", &bytes))).transpose()
    }

    /// The value of a key that must be there.
    pub(super) fn need<T: Table>(&self, key: &T::Key) -> Result<T::Value, StoreError> {
        self.get::<T>(key)?.ok_or_else(|| malformed::<T>("missing row with key", T::key(key).as_ref()))
    }

    /// The first row whose key is not below these bytes, if its key starts with `prefix`.
    pub(super) fn seek<T: Table>(&self, from: &[u8], prefix: &[u8]) -> Result<Option<Row<T>>, StoreError> {
        let mut cursor =
            self.tx.cursor(self.tables.of::<T>()).map_err(|error| database_error("open a cursor", error))?;
        let row = cursor.set_range::<Cow<'_, [u8]>, Cow<'_, [u8]>>(from).map_err(read_error::<T>)?;
        row.filter(|(key, _)| key.starts_with(prefix)).map(|(key, value)| decode::<T>(&key, &value)).transpose()
    }

    /// Visits the rows from the first key that is not below `from`, in order, as long as keys start with `prefix` and until
    /// `visit` breaks.
    pub(super) fn walk<T: Table>(
        &self,
        from: &[u8],
        prefix: &[u8],
        mut visit: impl FnMut(T::Key, T::Value) -> Result<ControlFlow<()>, StoreError>,
    ) -> Result<(), StoreError> {
        let mut cursor =
            self.tx.cursor(self.tables.of::<T>()).map_err(|error| database_error("open a cursor", error))?;
        let mut row = cursor.set_range::<Cow<'_, [u8]>, Cow<'_, [u8]>>(from).map_err(read_error::<T>)?;
        while let Some((key, value)) = row {
            if !key.starts_with(prefix) {
                break;
            }
            let (key, value) = decode::<T>(&key, &value)?;
            if visit(key, value)?.is_break() {
                break;
            }
            row = cursor.next().map_err(read_error::<T>)?;
        }
        Ok(())
    }

    /// All rows whose keys start with `prefix`.
    pub(super) fn collect<T: Table>(&self, prefix: &[u8]) -> Result<Vec<Row<T>>, StoreError> {
        let mut rows = Vec::new();
        self.walk::<T>(prefix, prefix, |key, value| {
            rows.push((key, value));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(rows)
    }
}

/// Writes of one transaction.
#[derive(Debug)]
pub(super) struct Writing<'a> {
    pub(super) rows: Reading<'a, Rw>,
    /// Writes until one fails; tests set it.
    left: Cell<Option<u64>>,
}

impl<'a> Writing<'a> {
    pub(super) fn new(rows: Reading<'a, Rw>, fails_before: Option<u64>) -> Self {
        Self { rows, left: Cell::new(fails_before) }
    }

    /// Sets the value of a key.
    pub(super) fn put<T: Table>(&self, key: &T::Key, value: &T::Value) -> Result<(), StoreError> {
        self.spend()?;
        let put = self.rows.tx.put(self.rows.tables.of::<T>(), T::key(key), T::value(value), WriteFlags::UPSERT);
        put.map_err(|error| database_error(T::ID.name(), error))
    }

    /// Sets values of many keys of a table, best in their order.
    pub(super) fn puts<T: Table>(&self) -> Result<Puts<'_, T>, StoreError> {
        let cursor = self.rows.tx.cursor(self.rows.tables.of::<T>());
        let cursor = cursor.map_err(|error| database_error("open a cursor", error))?;
        Ok(Puts { writing: self, cursor, table: PhantomData })
    }

    /// Removes a row, which need not be there.
    pub(super) fn delete<T: Table>(&self, key: &T::Key) -> Result<(), StoreError> {
        self.spend()?;
        let deleted = self.rows.tx.del(self.rows.tables.of::<T>(), T::key(key), None);
        deleted.map(drop).map_err(|error| database_error(T::ID.name(), error))
    }

    /// Removes the rows whose keys start with `prefix`.
    pub(super) fn delete_prefix<T: Table>(&self, prefix: &[u8]) -> Result<(), StoreError> {
        for (key, _) in self.rows.collect::<T>(prefix)? {
            self.delete::<T>(&key)?;
        }
        Ok(())
    }

    /// Counts one write.
    pub(super) fn spend(&self) -> Result<(), StoreError> {
        match self.left.get() {
            Some(0) => Err(database_error("write", MdbxError::Other(POWER_CUT))),
            left => {
                self.left.set(left.map(|left| left - 1));
                Ok(())
            }
        }
    }
}

/// Writes of one table that go on from the row before.
///
/// PERF: a row on the page of the one before is found without a way down from the root.
pub(super) struct Puts<'w, T> {
    writing: &'w Writing<'w>,
    cursor: Cursor<'w, Rw>,
    table: PhantomData<T>,
}

impl<T: Table> Puts<'_, T> {
    /// Sets the value of a key.
    pub(super) fn put(&mut self, key: &T::Key, value: &T::Value) -> Result<(), StoreError> {
        self.writing.spend()?;
        let put = self.cursor.put(T::key(key).as_ref(), T::value(value).as_ref(), WriteFlags::UPSERT);
        put.map_err(|error| database_error(T::ID.name(), error))
    }
}

/// `EIO`, as a disk that is gone gives it.
const POWER_CUT: i32 = 5;

fn decode<T: Table>(key: &[u8], value: &[u8]) -> Result<Row<T>, StoreError> {
    let read_key = T::read_key(key).ok_or_else(|| malformed::<T>("key", key))?;
    let read_value = T::read_value(value).ok_or_else(|| malformed::<T>("value at key", key))?;
    Ok((read_key, read_value))
}

fn malformed<T: Table>(what: &str, bytes: &[u8]) -> StoreError {
    StoreError::Corrupt {
        table: T::ID.name(),
        what: format!("{what} {}", alloy_primitives::hex::encode_prefixed(bytes)),
    }
}

fn read_error<T: Table>(error: ReadError) -> StoreError {
    match error {
        ReadError::Mdbx(error) => database_error(T::ID.name(), error),
        ReadError::Decoding(error) => StoreError::Corrupt { table: T::ID.name(), what: error.to_string() },
    }
}
