//! A hash as geth reads it: with `0x` in front.
//!
//! Place in the flow: a parameter. Our own types also take hexadecimal digits alone.

use alloy_primitives::B256;
use serde::{Deserialize, Deserializer, de::Error};

/// A hash that was written with its prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PrefixedHash(pub(crate) B256);

impl<'de> Deserialize<'de> for PrefixedHash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if !text.starts_with("0x") {
            return Err(D::Error::custom("hex string without 0x prefix"));
        }
        text.parse().map(Self).map_err(D::Error::custom)
    }
}
