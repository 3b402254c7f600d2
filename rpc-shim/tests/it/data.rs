//! The conformance archives that `LAMINAR_DATA` points to. Without them a test says so and passes; under `CI=true` it fails.

use serde_json::Value;
use std::{collections::BTreeMap, io::Read, path::PathBuf};

/// The files of an archive by their path inside it, or `None` if it may be missing and is.
pub(crate) fn files(name: &str) -> Option<BTreeMap<String, Vec<u8>>> {
    let folder = std::env::var_os("LAMINAR_DATA")
        .map_or_else(|| PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")), PathBuf::from);
    let path = folder.join(format!("{name}.tar.zst"));
    if !path.is_file() {
        assert_ne!(std::env::var("CI").as_deref(), Ok("true"), "no archive {}", path.display());
        eprintln!("skipped: no archive {}", path.display());
        return None;
    }
    let reader = zstd::Decoder::new(std::fs::File::open(&path).unwrap()).unwrap();
    let mut files = BTreeMap::new();
    for entry in tar::Archive::new(reader).entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let inside = path.split_once(&format!("{name}/")).map_or(path.as_str(), |(_, inside)| inside).to_owned();
        let mut data = Vec::new();
        entry.read_to_end(&mut data).unwrap();
        files.insert(inside, data);
    }
    Some(files)
}

/// Where two JSON values differ first; objects have no order.
pub(crate) fn first_difference(path: &str, left: &Value, right: &Value) -> Option<String> {
    match (left, right) {
        (Value::Object(a), Value::Object(b)) => {
            let keys: std::collections::BTreeSet<_> = a.keys().chain(b.keys()).collect();
            keys.into_iter().find_map(|key| {
                first_difference(
                    &format!("{path}.{key}"),
                    a.get(key).unwrap_or(&Value::Null),
                    b.get(key).unwrap_or(&Value::Null),
                )
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            a.iter().zip(b).enumerate().find_map(|(at, (a, b))| first_difference(&format!("{path}[{at}]"), a, b))
        }
        _ if left == right => None,
        _ => Some(format!("{path}: expected {left}, found {right}").chars().take(400).collect()),
    }
}
