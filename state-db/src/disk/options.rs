//! How a store on disk is opened.

/// Settings of a store on disk. They may differ each time that it is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct StoreOptions {
    /// Bytes up to which the file may grow. Reserves as much address space, not memory and not disk.
    pub size_max: usize,
    /// Bytes of memory for the newest state: half for the nodes of tries that recent blocks touched, three eighths for accounts
    /// and slots, an eighth for analysed code. Zero keeps nothing.
    pub cache_size_max: usize,
    /// Blocks below the tip whose states stay readable; `None` keeps all. What is pruned once is gone.
    pub history_len: Option<u64>,
    /// Committed blocks that may be in memory only. With zero a commit is durable when it returns; else a crash takes the
    /// store back by at most so many blocks, to the one that [`Store::durable`](crate::Store::durable) said last.
    pub write_behind_max: u64,
    /// Read transactions of a snapshot: so many threads read the file at once without waiting for each other.
    pub readers: usize,
    /// Who may write.
    pub access: Access,
}

/// Whether a store may be changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Access {
    /// Blocks are committed. One process at a time.
    #[default]
    ReadWrite,
    /// Everything that writes is refused. Works on a folder that cannot be written, and beside a process that writes.
    ReadOnly,
}

impl Default for StoreOptions {
    fn default() -> Self {
        Self {
            size_max: 1 << 40,
            cache_size_max: 1 << 30,
            history_len: None,
            write_behind_max: 0,
            readers: 4,
            access: Access::default(),
        }
    }
}
