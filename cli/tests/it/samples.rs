//! The committed sample blocks, and copies of them with something changed.

use alloy_primitives::Bytes;
use laminar_fixtures::{Fixture, WitnessBlock};
use std::{
    fs,
    path::{Path, PathBuf},
};
use tempfile::TempDir;

/// The folder of all sample blocks.
pub(crate) fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/blocks")
}

/// The path of one sample block.
pub(crate) fn path(name: &str) -> PathBuf {
    folder().join(format!("{name}.rlp"))
}

/// A sample block.
pub(crate) fn sample(name: &str) -> WitnessBlock {
    match laminar_fixtures::open(&path(name)).unwrap().next().unwrap().unwrap().fixture {
        Fixture::Witness(witness) => *witness,
        other => panic!("{name}: not a witness block: {other:?}"),
    }
}

/// A folder that goes away by itself, for files of one test.
pub(crate) struct Scratch(TempDir);

impl Scratch {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Writes a file.
    pub(crate) fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// Writes a witness block without the JSON beside it.
    pub(crate) fn block(&self, block: &WitnessBlock) -> PathBuf {
        self.write("block.rlp", block.encode())
    }

    /// Number of files in the folder.
    pub(crate) fn files(&self) -> usize {
        fs::read_dir(self.path()).unwrap().count()
    }
}

/// The RLP of a sample block.
pub(crate) fn rlp(name: &str) -> Bytes {
    fs::read(path(name)).unwrap().into()
}
