//! The conformance archives, which are not part of the repository.

use std::{env, io::Read, path::PathBuf};

/// Calls `visit` with path and content of each file of an archive whose path `wants` accepts.
///
/// Where the archive is missing, says so and does nothing; with `CI=true` that is a failure.
pub(crate) fn for_each_file(name: &str, wants: impl Fn(&str) -> bool, mut visit: impl FnMut(&str, Vec<u8>)) {
    let default = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let path = env::var_os("LAMINAR_DATA").map_or(default, PathBuf::from).join(format!("{name}.tar.zst"));
    let Ok(file) = std::fs::File::open(&path) else {
        assert_ne!(env::var("CI").as_deref(), Ok("true"), "missing archive {}", path.display());
        eprintln!("skipped: no archive {}", path.display());
        return;
    };
    let mut archive = tar::Archive::new(zstd::Decoder::new(file).expect("a zstd stream"));
    let mut visited = 0;
    for entry in archive.entries().expect("a tar archive") {
        let mut entry = entry.expect("an entry");
        let path = entry.path().expect("a path").to_string_lossy().into_owned();
        if !entry.header().entry_type().is_file() || !wants(&path) {
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("content of an entry");
        visit(&path, bytes);
        visited += 1;
    }
    assert!(visited > 0, "no wanted file in {}", path.display());
}
