//! The blocks of chain files, one file after the other, without holding a file in memory.
//!
//! Place in the flow: the input of `import`; `progress` reads how far it is.
//! Invariant: what a file is is told from its first bytes; the first block or file that cannot be read ends the blocks.

use laminar_executor::Block;
use laminar_fixtures::{ChainReader, Era1Reader, Fixture, FixtureError, Loaded};
use std::{
    fs::File,
    io::{self, BufReader, Cursor, Read},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

/// Bytes that are read from a file at once.
const BUFFER_LEN: usize = 1 << 20;

/// Blocks as they are read.
pub(super) type Blocks = Box<dyn Iterator<Item = Result<Block, FixtureError>> + Send>;

/// Chain files in the order in which they were named.
#[derive(Debug)]
pub(super) struct Sources {
    files: Vec<PathBuf>,
    bytes: u64,
    read: Arc<AtomicU64>,
}

/// How a file is read.
enum Kind {
    /// Blocks in RLP, as they stand in the file.
    Chain,
    /// An era1 file.
    Era1,
    /// To be told by the loaders, which take the whole file: compressed, or no chain at all.
    Other,
}

impl Sources {
    /// Looks at all files, so that a wrong path is told before the work.
    ///
    /// # Errors
    /// A file cannot be opened.
    pub(super) fn new(files: Vec<PathBuf>) -> Result<Self, FixtureError> {
        let mut bytes = 0;
        for file in &files {
            let opened = File::open(file).and_then(|opened| opened.metadata());
            bytes += opened.map_err(|source| unreadable(file, source))?.len();
        }
        Ok(Self { files, bytes, read: Arc::default() })
    }

    /// Bytes of all files.
    pub(super) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Bytes that were read so far.
    pub(super) fn read(&self) -> Arc<AtomicU64> {
        self.read.clone()
    }

    /// The blocks of all files.
    pub(super) fn blocks(self) -> Blocks {
        let Self { files, read, .. } = self;
        let blocks = files.into_iter().flat_map(move |file| {
            blocks_of(&file, &read).unwrap_or_else(|error| Box::new(std::iter::once(Err(error))))
        });
        Box::new(blocks)
    }
}

fn blocks_of(path: &Path, read: &Arc<AtomicU64>) -> Result<Blocks, FixtureError> {
    let name = path.display().to_string();
    let mut file = File::open(path).map_err(|source| unreadable(path, source))?;
    let mut head = Vec::new();
    (&mut file).take(8).read_to_end(&mut head).map_err(|source| unreadable(path, source))?;
    let kind = Kind::of(&head);
    let counted = Counted { inner: Cursor::new(head).chain(file), read: read.clone() };
    let reader = BufReader::with_capacity(BUFFER_LEN, counted);
    Ok(match kind {
        Kind::Chain => Box::new(ChainReader::new(name, reader)),
        Kind::Era1 => Box::new(Era1Reader::new(name, reader).map(|block| Ok(block?.block))),
        Kind::Other => Box::new(laminar_fixtures::open(path)?.flat_map(|loaded| {
            loaded.and_then(unpacked).unwrap_or_else(|error| Box::new(std::iter::once(Err(error))))
        })),
    })
}

/// The blocks of a file that the loaders have read.
fn unpacked(loaded: Loaded) -> Result<Blocks, FixtureError> {
    match loaded.fixture {
        Fixture::ChainRlp(chain) => Ok(Box::new(ChainReader::new(chain.file, Cursor::new(chain.bytes)))),
        Fixture::Era1(era) => {
            Ok(Box::new(Era1Reader::new(era.file, Cursor::new(era.bytes)).map(|block| Ok(block?.block))))
        }
        _ => Err(FixtureError::Mismatch {
            file: loaded.name,
            field: "format".to_owned(),
            expected: "blocks in rlp or era1".to_owned(),
            found: "another fixture".to_owned(),
        }),
    }
}

impl Kind {
    fn of(head: &[u8]) -> Self {
        match head {
            // A version record of no bytes.
            [0x65, 0x32, 0, 0, 0, 0, 0, 0] => Self::Era1,
            // A block is a list of more than 55 bytes.
            [0xf8..=0xff, ..] => Self::Chain,
            _ => Self::Other,
        }
    }
}

fn unreadable(path: &Path, source: io::Error) -> FixtureError {
    let file = path.display().to_string();
    match source.kind() {
        io::ErrorKind::NotFound => FixtureError::NotFound { file },
        _ => FixtureError::Io { file, source },
    }
}

/// Counts what is read.
struct Counted<R> {
    inner: R,
    read: Arc<AtomicU64>,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        // A figure for people; it orders nothing.
        self.read.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}
