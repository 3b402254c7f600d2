//! A storage slot as callers name it.
//!
//! Place in the flow: a parameter of `eth_getStorageAt` and `eth_getProof`.
//! Invariant: as in geth, hex with or without `0x`, of odd length too, up to 32 bytes; shorter keys count from the right.

use alloy_primitives::{U256, hex};
use serde::{Deserialize, Deserializer, de::Error};

/// Digits of the longest key.
const DIGITS_MAX: usize = 64;

/// A storage slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct StorageKey {
    /// The slot's number.
    pub(crate) slot: U256,
    /// Whether the caller wrote a whole word, which then is written back as one.
    pub(crate) is_word: bool,
}

impl<'de> Deserialize<'de> for StorageKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(&text);
        let invalid = || D::Error::custom(format_args!("invalid hex in storage key: {text:?}"));
        if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(invalid());
        }
        if digits.len() > DIGITS_MAX {
            let what = format_args!("storage key too long (want at most 32 bytes): {text:?}");
            return Err(D::Error::custom(what));
        }
        let even = if digits.len() % 2 == 1 { format!("0{digits}") } else { digits.to_owned() };
        let bytes = hex::decode(even).map_err(|_| invalid())?;
        Ok(Self { slot: U256::from_be_slice(&bytes), is_word: digits.len() == DIGITS_MAX })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_hex_of_any_length_up_to_a_word() {
        let read = |text: &str| serde_json::from_value::<StorageKey>(text.into());
        for (text, slot, is_word) in
            [("0x", 0, false), ("0x1", 1, false), ("ff", 255, false), (&format!("0x{:064x}", 7), 7, true)]
        {
            assert_eq!(read(text).unwrap(), StorageKey { slot: U256::from(slot), is_word });
        }
        for text in ["0xasdf", "-1", &format!("0x{:065x}", 0), "0xé"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
