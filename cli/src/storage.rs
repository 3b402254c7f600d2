//! How a folder's store is opened, as the command line says it.
//!
//! Place in the flow: below the subcommands that keep a chain in a folder.

use laminar_state_db::StoreOptions;

/// Bytes of a MiB.
const MIB: usize = 1 << 20;
/// More is taken for a mistake in the unit.
const CACHE_MAX: u64 = 1 << 20;

/// The memory that a store may use.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct CacheFlag {
    /// Megabytes of memory for the newest state of a folder: half for tries, the rest for accounts, slots and code.
    #[arg(long, value_name = "MIB", default_value_t = (StoreOptions::default().cache_size_max / MIB) as u64)]
    #[arg(value_parser = clap::value_parser!(u64).range(..=CACHE_MAX))]
    cache: u64,
}

impl CacheFlag {
    /// The usual options, with this cache.
    pub(crate) fn options(self) -> StoreOptions {
        StoreOptions { cache_size_max: self.cache as usize * MIB, ..StoreOptions::default() }
    }
}
