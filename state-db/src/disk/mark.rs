//! The durable mark: which block is the newest, and the oldest whose state is kept.
//!
//! Place in the flow: written with every commit, in its transaction; read when the store is opened and by each snapshot.

use super::{
    rows::{Reading, Writing},
    table::{Meta, MetaKey},
};
use crate::store::{BlockRef, Kept, StoreError};
use alloy_primitives::{B256, Bytes};
use signet_libmdbx::TransactionKind;

impl<K: TransactionKind> Reading<'_, K> {
    /// The newest block.
    pub(super) fn tip(&self) -> Result<Kept, StoreError> {
        let mark = self.need::<Meta>(&MetaKey::Tip)?;
        let (number, hash) = mark.split_at_checked(8).filter(|(_, hash)| hash.len() == 32).ok_or_else(corrupt)?;
        let number = u64::from_be_bytes(number.try_into().map_err(|_| corrupt())?);
        let kept = self.kept(number)?;
        if kept.id.hash != B256::from_slice(hash) {
            return Err(corrupt());
        }
        Ok(kept)
    }

    /// Number of the oldest block whose state is kept.
    pub(super) fn oldest(&self) -> Result<u64, StoreError> {
        let number = self.need::<Meta>(&MetaKey::Oldest)?;
        Ok(u64::from_be_bytes(number[..].try_into().map_err(|_| corrupt())?))
    }
}

impl Writing<'_> {
    pub(super) fn set_tip(&self, tip: &BlockRef) -> Result<(), StoreError> {
        let mark = [&tip.number.to_be_bytes()[..], tip.hash.as_slice()].concat();
        self.put::<Meta>(&MetaKey::Tip, &mark.into())
    }

    pub(super) fn set_oldest(&self, number: u64) -> Result<(), StoreError> {
        self.put::<Meta>(&MetaKey::Oldest, &Bytes::copy_from_slice(&number.to_be_bytes()))
    }
}

fn corrupt() -> StoreError {
    StoreError::Corrupt { table: "Meta", what: "the mark of the newest or oldest block".to_owned() }
}
