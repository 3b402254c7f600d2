//! Files that appear complete or not at all.
//!
//! Place in the flow: the last step of `record` and of `db witness`; `node` keeps refused payloads with it.
//! Invariant: under the name stands either what was there before or everything that was to be written.

use anyhow::Context;
use laminar_fixtures::WitnessBlock;
use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    process,
};

/// Writes a block with its witness to `path`, which ends in `.rlp`, and its `.json` beside it; bytes of the RLP.
///
/// # Errors
/// As for [`atomically`].
pub(crate) fn save_witness(path: &Path, witness: &WitnessBlock) -> anyhow::Result<usize> {
    let rlp = witness.encode();
    // The sidecar first: a block without one is complete, a sidecar without its block is not offered to anybody.
    atomically(&path.with_extension("json"), &[witness.to_sidecar(), b"\n".to_vec()].concat())?;
    atomically(path, &rlp)?;
    Ok(rlp.len())
}

/// Writes a file through a temporary one beside it.
///
/// # Errors
/// The folder or the disk refuses; nothing is left behind then.
pub(crate) fn atomically(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let name = path.file_name().with_context(|| format!("{}: not a file name", path.display()))?.to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.tmp", process::id()));
    let written = write_whole(&temporary, bytes).and_then(|()| fs::rename(&temporary, path));
    written.inspect_err(|_| drop(fs::remove_file(&temporary))).with_context(|| path.display().to_string())
}

fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn file_is_replaced_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.rlp");
        atomically(&path, b"old").unwrap();
        atomically(&path, b"new").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"new");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        assert!(atomically(&folder.path().join("no/such/folder"), b"x").is_err());
    }
}
