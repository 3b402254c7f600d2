//! How a block is executed: a struct that the caller passes in. Nothing here can change a result.
//!
//! Place in the flow: read by the executor when it is built and when it chooses a mode for a block.
//! Invariant: two configurations give identical outcomes up to their statistics.

use std::num::NonZeroUsize;

/// Which path a block takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Chosen for each block from what is known of it.
    #[default]
    Auto,
    /// In parallel, however small the block.
    Parallel,
    /// One transaction after the other on the calling thread.
    Sequential,
}

/// Where predictions come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Predict {
    /// No prediction: transactions run on whatever the block has published when their turn comes. The fastest where nothing is
    /// known before the block.
    #[default]
    None,
    /// Every transaction is simulated on the parent state, in parallel, inside the block's time; results whose reads hold are
    /// adopted, the others run again in dependency order.
    Presimulate,
    /// What the caller knew before the block came: simulations (a mempool's), adopted as `Presimulate` does; or its access
    /// list (EIP-7928).
    Ahead,
    /// From a delivered block access list (EIP-7928): its values are published before the first transaction runs.
    BlockAccessList,
}

/// Where worker threads run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pinning {
    /// Wherever the system puts them: for a process that does other things as well.
    #[default]
    Free,
    /// Each on a core of its own. The thread that calls is not touched: see [`crate::schedule::pin_to_core`].
    OneCoreEach,
}

/// How the executor runs blocks.
#[derive(Clone, Debug)]
pub struct Config {
    /// Workers, the calling thread included.
    pub threads: NonZeroUsize,
    /// Which path blocks take.
    pub mode: Mode,
    /// Where predictions come from.
    pub predict: Predict,
    /// Whether the outcome carries the block's access list (EIP-7928).
    pub block_access_list: bool,
    /// Whether the outcome carries a timeline of every run.
    pub timeline: bool,
    /// Where the executor's threads run.
    pub pinning: Pinning,
}

impl Default for Config {
    /// All cores, mode by block, no prediction, no list, no timeline, not pinned.
    fn default() -> Self {
        Self {
            threads: std::thread::available_parallelism().unwrap_or(NonZeroUsize::MIN),
            mode: Mode::Auto,
            predict: Predict::default(),
            block_access_list: false,
            timeline: false,
            pinning: Pinning::Free,
        }
    }
}
