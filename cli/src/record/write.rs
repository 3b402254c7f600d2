//! Files that appear complete or not at all.
//!
//! Place in the flow: the last step of `record` and of `db witness`.
//! Invariant: under the name stands either what was there before or everything that was to be written.

use anyhow::Context;
use std::{
    fs::{self, File},
    io::{self, Write},
    path::Path,
    process,
};

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
