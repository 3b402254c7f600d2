//! Makes the sample blocks in `fixtures/blocks/` from the generated workloads, or checks that they are what it would make.
//!
//! ```text
//! cargo run --release -p laminar-cli --example make_samples            # writes fixtures/blocks/*.rlp and *.json
//! cargo run --release -p laminar-cli --example make_samples -- --check # fails if a file differs, is missing or is left over
//! ```
//! Invariant: the files depend on the recipes alone. A workload with a transaction that is not valid is refused by name,
//! index and rule, and nothing is written.

mod seal;

use anyhow::{Context, bail, ensure};
use laminar_fixtures::workload::RECIPES;
use seal::seal;
use std::{
    collections::BTreeMap,
    env, fs,
    io::{self, Write},
    path::PathBuf,
};

/// All committed blocks together.
const BYTES_MAX: usize = 6_000_000;

fn main() -> anyhow::Result<()> {
    let mut check = false;
    let mut folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/blocks"));
    for arg in env::args().skip(1) {
        match arg.as_str() {
            "--check" => check = true,
            flag if flag.starts_with('-') => bail!("unknown flag {flag}; usage: make_samples [--check] [FOLDER]"),
            path => folder = path.into(),
        }
    }
    let files = make()?;
    if check { compare(&folder, &files) } else { write(&folder, &files) }
}

/// The content of every file by name.
fn make() -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut files = BTreeMap::new();
    let mut out = io::stdout().lock();
    for recipe in RECIPES {
        let workload = recipe.build(&recipe.sample);
        let sealed = seal(&workload).with_context(|| format!("workload {}", recipe.name))?;
        let rlp = sealed.encode();
        writeln!(
            out,
            "{:<26} {:>5} txs {:>7.2} Mgas {:>6} nodes {:>4} codes {:>8} bytes",
            recipe.name,
            sealed.block.body.transactions.len(),
            sealed.block.header.gas_used as f64 / 1e6,
            sealed.nodes.len(),
            sealed.codes.len(),
            rlp.len(),
        )?;
        files.insert(format!("{}.rlp", recipe.name), rlp);
        files.insert(format!("{}.json", recipe.name), [sealed.to_sidecar(), b"\n".to_vec()].concat());
    }
    let bytes: usize = files.values().map(Vec::len).sum();
    writeln!(out, "{} files, {bytes} bytes", files.len())?;
    ensure!(bytes <= BYTES_MAX, "expected at most {BYTES_MAX} bytes, found {bytes}");
    Ok(files)
}

fn write(folder: &PathBuf, files: &BTreeMap<String, Vec<u8>>) -> anyhow::Result<()> {
    fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    for (name, bytes) in files {
        let path = folder.join(name);
        fs::write(&path, bytes).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

fn compare(folder: &PathBuf, files: &BTreeMap<String, Vec<u8>>) -> anyhow::Result<()> {
    for (name, want) in files {
        let path = folder.join(name);
        let found = fs::read(&path).with_context(|| path.display().to_string())?;
        ensure!(found == *want, "{}: differs from what the recipe gives", path.display());
    }
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        let is_block = name.ends_with(".rlp") || name.ends_with(".json");
        ensure!(!is_block || files.contains_key(&name), "{}: no recipe makes it", folder.join(&name).display());
    }
    Ok(())
}
