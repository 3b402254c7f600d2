//! What an operator decides about the blocks that the node builds.
//!
//! Place in the flow: read by `follow` when it makes the block builder.
//! Invariant: whatever is accepted here makes blocks that others take.

use alloy_primitives::{Bytes, hex};
use laminar_rpc_shim::engine::BuilderSettings;

/// Bytes of extra data that a header has room for.
const EXTRA_DATA_LEN_MAX: usize = alloy_consensus::constants::MAXIMUM_EXTRA_DATA_SIZE;

/// Flags of the block builder.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Block building")]
pub(crate) struct BuilderFlags {
    /// Extra data of own blocks: text, or bytes as 0x..., at most 32 bytes [default: laminar].
    #[arg(long = "builder.extradata", value_name = "DATA", value_parser = extra_data)]
    builder_extra_data: Option<Bytes>,
    /// The gas limit that own blocks move to [default: 60000000].
    #[arg(long = "builder.gaslimit", value_name = "GAS")]
    builder_gas_limit: Option<u64>,
}

impl BuilderFlags {
    /// The settings of the builder.
    pub(super) fn settings(&self) -> BuilderSettings {
        let mut settings = BuilderSettings::default();
        settings.extra_data = self.builder_extra_data.clone().unwrap_or(settings.extra_data);
        settings.gas_limit = self.builder_gas_limit.unwrap_or(settings.gas_limit);
        settings
    }
}

fn extra_data(text: &str) -> Result<Bytes, String> {
    let data = match text.strip_prefix("0x") {
        Some(digits) => hex::decode(digits).map_err(|error| error.to_string())?,
        None => text.as_bytes().to_vec(),
    };
    if data.len() > EXTRA_DATA_LEN_MAX {
        return Err(format!("expected at most {EXTRA_DATA_LEN_MAX} bytes, found {}", data.len()));
    }
    Ok(data.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extra_data_is_text_or_bytes() {
        for (text, data) in [("", &b""[..]), ("0x", b""), ("laminar", b"laminar"), ("0x0aFF", &[0x0a, 0xff])] {
            assert_eq!(extra_data(text).unwrap().as_ref(), data, "{text}");
        }
        for text in ["0x0", "0xgg", "a text that is longer than 32 bytes"] {
            assert!(extra_data(text).is_err(), "{text}");
        }
    }
}
