//! The layering: a module uses only modules that stand above it in `lib.rs`, a crate only crates below it.
//!
//! Reads the sources as text. Unit tests, which stand at the end of their files, may use what they like.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

/// A crate, the crates of this workspace that it may use, and what it must never use.
const CRATES: [(&str, &[&str], &[&str]); 5] = [
    ("state-db", &[], &["alloy-consensus", "alloy-evm", "tokio", "ureq"]),
    ("fixtures", &[], &["revm", "alloy-evm", "tokio", "ureq"]),
    ("executor", &["laminar-state-db"], &["tokio", "ureq"]),
    ("rpc-shim", &["laminar-state-db", "laminar-executor"], &[]),
    ("cli", &["laminar-state-db", "laminar-executor", "laminar-rpc-shim", "laminar-fixtures"], &[]),
];

#[test]
fn modules_use_only_modules_above_them() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let order = module_order(&read(&src.join("lib.rs")));
    assert!(order.len() > 20, "found only {order:?}");
    let place = |name: &str| order.iter().position(|module| module == name);
    let mut imports = 0;
    for file in rust_files(&src) {
        let path = module_path(&src, &file);
        let Some(module) = path.first() else { continue };
        let own = place(module).unwrap_or_else(|| panic!("{module} is not in lib.rs"));
        for used in root_names(&read(&file), path.len()).iter().filter(|used| *used != module) {
            let used_at = place(used).unwrap_or_else(|| panic!("{}: `{used}` is no module", file.display()));
            assert!(used_at < own, "{}: `{module}` uses `{used}`, which stands below it", file.display());
            imports += 1;
        }
    }
    assert!(imports > 50, "found only {imports} imports");
}

#[test]
fn crates_use_only_crates_below_them() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    for (name, may_use, never) in CRATES {
        let used = dependencies(&read(&root.join(name).join("Cargo.toml")));
        for dependency in used.iter().filter(|dependency| dependency.starts_with("laminar-")) {
            assert!(may_use.contains(&dependency.as_str()), "{name} uses {dependency}");
        }
        let forbidden = never.iter().find(|dependency| used.contains(**dependency));
        assert_eq!(forbidden, None, "{name} uses it");
    }
    let workspace = read(&root.join("Cargo.toml"));
    let members = workspace.lines().find_map(|line| line.strip_prefix("members = ")).expect("members");
    let known: BTreeSet<_> = CRATES.iter().map(|(name, ..)| format!("\"{name}\"")).collect();
    let members: BTreeSet<_> = members.trim_matches(['[', ']']).split(", ").map(str::to_owned).collect();
    assert_eq!(members, known, "a crate without a place in the order");
}

#[test]
fn names_from_the_root_are_found_in_every_spelling() {
    let source = "//! [`crate::doc`]\nuse crate::{a::{self, X}, b, c::d::{Y, Z}};\nuse super::super::e::W;\nuse super::near;\n\
        pub(super) fn f(x: crate::g::H) {} // crate::comment\nuse crate::i::J;\n#[cfg(test)]\nmod tests { use crate::k; }\n";
    let names = |depth| root_names(source, depth).into_iter().collect::<Vec<_>>().join(" ");
    assert_eq!(names(2), "a b c e g i");
    assert_eq!(names(1), "a b c g i near");
}

/// Modules in the order of their `mod` lines.
fn module_order(lib: &str) -> Vec<String> {
    let names = lib.lines().filter_map(|line| line.trim_start_matches("pub ").strip_prefix("mod ")?.strip_suffix(';'));
    names.map(str::to_owned).collect()
}

/// The names directly under the crate's root that a module `depth` levels down uses outside its unit tests.
fn root_names(source: &str, depth: usize) -> BTreeSet<String> {
    let code: Vec<&str> = source
        .lines()
        .take_while(|line| !line.starts_with("#[cfg(test)]"))
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect();
    let code = code.join("\n");
    let climbing = "super::".repeat(depth);
    let from_root = code.match_indices("crate::").map(|(at, prefix)| &code[at + prefix.len()..]);
    let from_below = code.match_indices(&climbing).filter(|(at, _)| !code[..*at].ends_with("super::"));
    let from_below = from_below.map(|(at, prefix)| &code[at + prefix.len()..]);
    from_root.chain(from_below).flat_map(first_names).filter(|name| name != "super").collect()
}

/// The first name of each path in `a::b`, or in `{a::b, c}`.
fn first_names(path: &str) -> Vec<String> {
    let Some(group) = path.strip_prefix('{') else { return vec![ident(path)] };
    let (mut depth, mut names, mut expected) = (0, Vec::new(), true);
    for (at, sign) in group.char_indices() {
        match sign {
            '}' if depth == 0 => break,
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => expected = true,
            _ if expected && !sign.is_whitespace() => {
                names.push(ident(&group[at..]));
                expected = false;
            }
            _ => {}
        }
    }
    names
}

fn ident(text: &str) -> String {
    text.chars().take_while(|sign| sign.is_alphanumeric() || *sign == '_').collect()
}

/// The names under `[dependencies]`.
fn dependencies(manifest: &str) -> BTreeSet<String> {
    let lines = manifest.lines().skip_while(|line| *line != "[dependencies]").skip(1);
    let lines = lines.take_while(|line| !line.starts_with('['));
    lines.filter_map(|line| line.split(['.', ' ', '=']).next()).map(str::to_owned).collect()
}

/// `["merge", "fold"]` for `src/merge/fold.rs`, `["merge"]` for `src/merge/mod.rs`, nothing for `src/lib.rs`.
fn module_path(src: &Path, file: &Path) -> Vec<String> {
    let relative = file.strip_prefix(src).expect("a file of src").with_extension("");
    let parts = relative.iter().map(|part| part.to_str().expect("a name in UTF-8").to_owned());
    parts.filter(|part| part != "mod" && part != "lib").collect()
}

/// Every source file but those that hold tests only.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        let test_only = path.ends_with("tests.rs") || path.ends_with("real_blocks.rs");
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") && !test_only {
            files.push(path);
        }
    }
    files
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
