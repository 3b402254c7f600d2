//! Flags of the transaction pool.
//!
//! Place in the flow: read where `dev` and `follow` make their pool.
//! Invariant: what is not given is the chain's own default: a development chain takes nearly everything.

use laminar_rpc_shim::pool::{LegacySidecars, Settings};

/// Flags of the pool.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Transaction pool")]
pub(crate) struct PoolFlags {
    /// Waiting transactions that are simulated before their block comes; 0 is none [default: 16384].
    #[arg(long = "txpool.simulations", value_name = "N")]
    simulations: Option<usize>,
    /// How much more a replacement must pay, in percent [default: 10].
    #[arg(long = "txpool.pricebump", value_name = "PERCENT")]
    price_bump: Option<u32>,
    /// Transactions of one remote sender [default: 64; no limit on a development chain].
    #[arg(long = "txpool.max-account-slots", value_name = "N")]
    account_slots: Option<usize>,
    /// Computes the proofs of cells for blob transactions that come with one proof a blob after Osaka, which are refused otherwise.
    #[arg(long = "rpc.force-blob-sidecar-upcasting")]
    upcasts_sidecars: bool,
}

impl PoolFlags {
    /// `defaults` with what was asked for.
    pub(super) fn settings(&self, defaults: Settings) -> Settings {
        Settings {
            simulations_max: self.simulations.unwrap_or(defaults.simulations_max),
            price_bump_percent: self.price_bump.unwrap_or(defaults.price_bump_percent),
            sender_max: self.account_slots.unwrap_or(defaults.sender_max),
            legacy_sidecars: match self.upcasts_sidecars {
                true => LegacySidecars::AreConverted,
                false => defaults.legacy_sidecars,
            },
            ..defaults
        }
    }
}
