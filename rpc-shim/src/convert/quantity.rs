//! A number as tools for development chains send it: `"0x10"`, `"16"` or `16`.
//!
//! Invariant: whatever does not fit 256 bits, or is negative, is refused.

use alloy_primitives::U256;
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

/// A number in any of the forms that development tools use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Quantity(pub(crate) U256);

impl Quantity {
    /// The number, if it fits 64 bits; the greatest one otherwise.
    pub(crate) fn to_u64(self) -> u64 {
        self.0.saturating_to()
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let number = match &value {
            Value::String(text) if text.is_empty() || text == "0x" => None,
            Value::String(text) => text.parse().ok(),
            Value::Number(number) => number.as_u64().map(U256::from),
            _ => None,
        };
        number.map(Self).ok_or_else(|| D::Error::custom(format_args!("expected a number, found {value}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_nothing_else() {
        let read = |text: &str| serde_json::from_str::<Quantity>(text).ok().map(|quantity| quantity.0);
        for text in ["\"0x10\"", "\"16\"", "16"] {
            assert_eq!(read(text), Some(U256::from(16)), "{text}");
        }
        for text in ["\"\"", "\"0x\"", "-1", "1.5", "null", "\"0xzz\"", "[1]"] {
            assert_eq!(read(text), None, "{text}");
        }
        assert_eq!(read(&format!("\"0x1{}\"", "0".repeat(64))), None);
    }
}
