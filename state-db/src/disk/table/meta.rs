//! `Meta`: what holds for the whole store.
//!
//! | key | value |
//! | --- | --- |
//! | `format` | version of this layout, 4 bytes big-endian |
//! | `tip` | number (8 bytes) and hash (32) of the newest block: the durable mark |
//! | `oldest` | number of the oldest block whose state can be read, 8 bytes |
//! | `chain`, `tags` | what the caller notes beside the blocks, in its own form; there once it was noted |
//! | `bare_storage` | addresses with storage but neither nonce nor code at the genesis, 20 bytes each (EIP-7610) |

use super::{Table, TableId};
use crate::store::Note;
use alloy_primitives::Bytes;

/// The rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum MetaKey {
    Format,
    Tip,
    Oldest,
    BareStorage,
    Note(Note),
}

impl MetaKey {
    const ALL: [Self; 6] =
        [Self::Format, Self::Tip, Self::Oldest, Self::BareStorage, Self::Note(Note::Chain), Self::Note(Note::Tags)];

    const fn name(self) -> &'static str {
        match self {
            Self::Format => "format",
            Self::Tip => "tip",
            Self::Oldest => "oldest",
            Self::BareStorage => "bare_storage",
            Self::Note(Note::Chain) => "chain",
            Self::Note(Note::Tags) => "tags",
        }
    }
}

/// See the module.
pub(in super::super) struct Meta;

impl Table for Meta {
    const ID: TableId = TableId::Meta;
    type Key = MetaKey;
    type Value = Bytes;

    fn key(key: &MetaKey) -> impl AsRef<[u8]> {
        key.name()
    }

    fn read_key(bytes: &[u8]) -> Option<MetaKey> {
        MetaKey::ALL.into_iter().find(|key| key.name().as_bytes() == bytes)
    }

    fn value(value: &Bytes) -> impl AsRef<[u8]> {
        value.clone()
    }

    fn read_value(bytes: &[u8]) -> Option<Bytes> {
        Some(Bytes::copy_from_slice(bytes))
    }
}
