//! What a development chain starts with: accounts, forks, fees, time.
//!
//! Place in the flow: flags of `dev`, by the names that anvil gave them; they count where no `--chain` says otherwise.
//! Invariant: the same flags are the same genesis where a folder keeps the chain, so that it can be opened again with them. A chain in
//! memory begins now, unless told otherwise.

use alloy_genesis::Genesis;
use alloy_primitives::U256;
use laminar_rpc_shim::dev::{self, Dev, Keys};

/// Wei in an ether.
const ETHER_WEI: u64 = 1_000_000_000_000_000_000;

/// Flags of a development chain's genesis.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Development chain")]
pub(super) struct StartFlags {
    /// Chain id; 31337 is what wallets and tools take for a local chain.
    #[arg(long, value_name = "ID", requires = "dev", default_value_t = dev::CHAIN_ID)]
    chain_id: u64,
    /// Words that the accounts come from.
    #[arg(short, long, visible_alias = "dev.mnemonic", value_name = "WORDS", requires = "dev")]
    #[arg(default_value = dev::MNEMONIC)]
    pub(super) mnemonic: String,
    /// Number of accounts.
    #[arg(short, long, value_name = "N", requires = "dev", default_value_t = dev::ACCOUNTS)]
    pub(super) accounts: usize,
    /// Ether of each account.
    #[arg(long, value_name = "ETHER", requires = "dev", default_value_t = dev::BALANCE_ETHER)]
    balance: u64,
    /// The newest fork that is active.
    #[arg(long, value_name = "FORK", requires = "dev", value_enum, default_value_t = Hardfork::Osaka)]
    hardfork: Hardfork,
    /// Base fee of the genesis in wei per gas; that of each block follows from the one before.
    #[arg(long = "block-base-fee-per-gas", visible_alias = "base-fee", value_name = "WEI", requires = "dev")]
    base_fee: Option<u64>,
    /// Time of the genesis in seconds since 1970; the chain's time goes on from there [default: that of the system; with --datadir
    /// 0, and that of the system from block 1 on].
    #[arg(long, value_name = "SECONDS", requires = "dev")]
    timestamp: Option<u64>,
}

/// Forks that a development chain may stop at: those with proof of stake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
enum Hardfork {
    #[value(alias = "merge")]
    Paris,
    Shanghai,
    Cancun,
    Prague,
    #[value(alias = "latest")]
    Osaka,
}

impl StartFlags {
    /// The accounts.
    pub(super) fn keys(&self) -> Keys {
        Keys::of_mnemonic(&self.mnemonic, self.accounts)
    }

    /// Block 0 with what `keys` own; `now` is its time in seconds where no flag says one and the chain is not kept.
    pub(super) fn genesis(&self, keys: &Keys, now: Option<u64>) -> Genesis {
        let balance_wei = U256::from(self.balance) * U256::from(ETHER_WEI);
        let mut genesis = dev::genesis(self.chain_id, keys.addresses(), balance_wei);
        let config = &mut genesis.config;
        for (fork, time) in [
            (Hardfork::Shanghai, &mut config.shanghai_time),
            (Hardfork::Cancun, &mut config.cancun_time),
            (Hardfork::Prague, &mut config.prague_time),
            (Hardfork::Osaka, &mut config.osaka_time),
        ] {
            *time = time.filter(|_| fork <= self.hardfork);
        }
        genesis.base_fee_per_gas = self.base_fee.map(u128::from).or(genesis.base_fee_per_gas);
        genesis.timestamp = self.timestamp.or(now).unwrap_or(genesis.timestamp);
        genesis
    }

    /// Lets the chain's time begin where the flags say.
    pub(super) fn set_clock(&self, dev: &Dev) {
        if let Some(timestamp) = self.timestamp {
            dev.set_time(timestamp);
        }
    }
}
