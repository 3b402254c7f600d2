//! A folder that cannot be used: in use, not there to be written, full, or of a newer program. Each time one line that says why, exit
//! code 2, and what was there is there afterwards.

use super::{
    chain::{BLOCKS, Chain},
    command::{Ran, laminar, ran},
    restart::Running,
    samples::Scratch,
};
use serde_json::Value;
use std::{
    fs,
    io::ErrorKind,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::Command,
};

/// The first blocks are imported, the others wait.
const KEPT: u64 = 5;

/// A folder with the first blocks of a chain, and the chain.
fn begun(scratch: &Scratch) -> (PathBuf, Chain) {
    let chain = chain(scratch);
    let dir = scratch.path().join("store");
    assert_eq!(chain.import_begin(&dir).code, 0);
    (dir, chain)
}

fn chain(scratch: &Scratch) -> Chain {
    Chain::new(scratch, KEPT as usize)
}

fn db(command: &str, dir: &Path) -> Ran {
    laminar(["db".as_ref(), command.as_ref(), "--json".as_ref(), "--datadir".as_ref(), dir.as_os_str()])
}

/// The folder holds all blocks up to one that is not before `at_least`, and they fit together; returns its number.
#[track_caller]
fn verified(dir: &Path, at_least: u64) -> u64 {
    let [verified, stats] = ["verify", "stats"].map(|command| {
        let ran = db(command, dir);
        assert_eq!(ran.code, 0, "{ran:?}");
        serde_json::from_str::<Value>(&ran.out).unwrap()
    });
    let tip = stats["tip"]["number"].as_u64().unwrap();
    assert_eq!((&verified["ok"], verified["blocks"].as_u64()), (&true.into(), Some(tip + 1)));
    assert!(tip >= at_least, "block {tip}, and {at_least} were committed");
    tip
}

/// Every command that writes, on a folder.
fn writers(dir: &Path, chain: &Chain) -> [Vec<String>; 3] {
    let args =
        |args: &[&str]| [args, &["--datadir", dir.to_str().unwrap()]].concat().into_iter().map(str::to_owned).collect();
    let node = args(&["node", "--dev", "--http.port", "0", "--chain", chain.genesis.to_str().unwrap()]);
    [chain.args(dir), node, args(&["db", "prune", "--keep", "1"])]
}

#[test]
fn a_second_process_may_look_and_not_write() {
    let scratch = Scratch::new();
    let (dir, chain) = (scratch.path().join("chain"), chain(&scratch));
    let node = Running::start(&dir);
    node.mine(3);
    for args in writers(&dir, &chain) {
        laminar(&args).check(2, &[dir.to_str().unwrap(), "in use by another process"]);
    }
    assert_eq!(verified(&dir, 3), 3);
    node.mine(2);
    assert_eq!(verified(&dir, 5), 5);
}

#[test]
fn what_is_no_folder_is_named_and_stays() {
    let scratch = Scratch::new();
    let chain = chain(&scratch);
    let file = scratch.write("file", "mine");
    for (dir, reason) in [
        (file.clone(), "exists"),
        (file.join("below"), "Not a directory"),
        (PathBuf::from("/proc/laminar"), "No such file"),
    ] {
        let [import, node, prune] = writers(&dir, &chain);
        for args in [import, node] {
            laminar(&args).check(2, &[dir.to_str().unwrap(), reason]);
        }
        laminar(&prune).check(2, &[dir.to_str().unwrap(), "holds no store"]);
        for command in ["stats", "verify"] {
            db(command, &dir).check(2, &[dir.to_str().unwrap(), "holds no store"]);
        }
    }
    assert_eq!(fs::read(file).unwrap(), b"mine");
}

/// The command as somebody to whom permissions apply; `None` if we are root and cannot become less.
fn unprivileged(args: &[String]) -> Option<Ran> {
    let scratch = Scratch::new();
    fs::set_permissions(scratch.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let applies = |error: std::io::Error| error.kind() == ErrorKind::PermissionDenied;
    if fs::write(scratch.path().join("x"), "").is_err_and(applies) {
        return Some(laminar(args));
    }
    // Root without the rights to pass over permissions.
    let less = ["--bounding-set=-dac_override,-dac_read_search", "--inh-caps=-dac_override,-dac_read_search"];
    let works = Command::new("setpriv").args(less).arg("true").status().is_ok_and(|status| status.success());
    if !works {
        eprintln!("skipped: permissions do not apply to root, and setpriv does not help");
        return None;
    }
    Some(ran(Command::new("setpriv").args(less).arg(env!("CARGO_BIN_EXE_laminar")).args(args).output().unwrap()))
}

#[test]
fn permissions_are_told_and_reading_needs_no_more_than_reading() {
    let scratch = Scratch::new();
    let (dir, chain) = begun(&scratch);
    let set = |mode: u32, dir_mode: u32| {
        for entry in fs::read_dir(&dir).unwrap() {
            fs::set_permissions(entry.unwrap().path(), fs::Permissions::from_mode(mode)).unwrap();
        }
        fs::set_permissions(&dir, fs::Permissions::from_mode(dir_mode)).unwrap();
    };
    let verify = ["db", "verify", "--datadir", dir.to_str().unwrap()].map(str::to_owned);
    // Modes of the files and of the folder; whether reading works.
    for (mode, dir_mode, can_read) in [(0o444, 0o555, true), (0o444, 0o755, true), (0o000, 0o755, false)] {
        set(mode, dir_mode);
        for args in writers(&dir, &chain) {
            let Some(refused) = unprivileged(&args) else { return };
            refused.check(2, &[dir.to_str().unwrap(), "ermission denied"]);
        }
        let Some(looked) = unprivileged(&verify) else { return };
        match can_read {
            true => assert_eq!(looked.code, 0, "{looked:?}"),
            false => looked.check(2, &[dir.to_str().unwrap(), "ermission denied"]),
        }
        set(0o644, 0o755);
        assert_eq!(verified(&dir, KEPT), KEPT);
    }
    let new = scratch.path().join("closed/store");
    fs::create_dir(scratch.path().join("closed")).unwrap();
    fs::set_permissions(scratch.path().join("closed"), fs::Permissions::from_mode(0o555)).unwrap();
    if let Some(refused) = unprivileged(&writers(&new, &chain)[0]) {
        refused.check(2, &[new.to_str().unwrap(), "ermission denied"]);
    }
}

/// Files may have so many bytes at most (`RLIMIT_FSIZE`), which a write then finds out.
#[test]
fn an_import_on_a_full_disk_keeps_what_it_committed_and_goes_on_later() {
    let scratch = Scratch::new();
    let (dir, chain) = begun(&scratch);
    let [import, ..] = writers(&dir, &chain);
    let used = serde_json::from_str::<Value>(&db("stats", &dir).out).unwrap()["file_bytes"].as_u64().unwrap();
    let mut tip = KEPT;
    for (more, is_ignored) in [(0, true), (0, false), (8, true), (32, true), (64, true), (64, false)] {
        let limit = used / 512 + more * 2;
        // Without a handler the system ends the process, which is one more way to die.
        let trap = if is_ignored { "trap '' XFSZ;" } else { "" };
        let script = format!(r#"{trap} ulimit -c 0; ulimit -f {limit}; exec "$0" "$@""#);
        let output = Command::new("sh").arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_laminar")).args(&import).output();
        let output = output.unwrap();
        if is_ignored {
            ran(output).check(2, &["the disk is full"]);
        } else {
            assert_eq!(output.status.code(), None, "{output:?}");
        }
        tip = verified(&dir, tip);
        assert!(tip < BLOCKS as u64, "there was room for all");
    }
    let new = scratch.path().join("new");
    let script = r#"trap '' XFSZ; ulimit -f 64; exec "$0" "$@""#;
    let [create, ..] = writers(&new, &chain);
    let output = Command::new("sh").arg("-c").arg(script).arg(env!("CARGO_BIN_EXE_laminar")).args(&create).output();
    ran(output.unwrap()).check(2, &["the disk is full"]);
    for dir in [&dir, &new] {
        assert_eq!(chain.import(dir).code, 0);
        assert_eq!(verified(dir, tip), BLOCKS as u64);
    }
}

/// A file system of so many bytes, where the system lets us have one.
#[test]
fn an_import_on_a_full_file_system_keeps_what_it_committed_and_goes_on_later() {
    const SCRIPT: &str = r#"
        mount -t tmpfs -o size=$2k none "$1" || { echo "no tmpfs"; exit 0; }
        laminar="$3"; chain="$4"; genesis="$5"; dir="$1/store"
        "$laminar" import "$chain" --chain "$genesis" --datadir "$dir" 2>&1; echo "full $?"
        "$laminar" import "$chain" --chain "$genesis" --datadir "$dir" 2>&1; echo "again $?"
        if [ -e "$dir/mdbx.dat" ]; then "$laminar" db verify --datadir "$dir" 2>&1; echo "verify $?"; fi
        mount -o remount,size=256m "$1"
        "$laminar" import --quiet "$chain" --chain "$genesis" --datadir "$dir" 2>&1; echo "room $?"
        "$laminar" db stats --json --datadir "$dir"
        "$laminar" db verify --datadir "$dir" 2>&1; echo "whole $?"
    "#;
    let scratch = Scratch::new();
    let chain = chain(&scratch);
    let mount = scratch.path().join("mount");
    fs::create_dir(&mount).unwrap();
    for kib in [16, 100, 200, 300, 400] {
        let (exe, kib) = (env!("CARGO_BIN_EXE_laminar"), kib.to_string());
        let args = [mount.to_str().unwrap(), &kib, exe, chain.file.to_str().unwrap(), chain.genesis.to_str().unwrap()];
        let output = Command::new("unshare").args(["-rm", "sh", "-c", SCRIPT, "sh"]).args(args).output();
        let said = output.map(|output| String::from_utf8(output.stdout).unwrap()).unwrap_or_default();
        if said.is_empty() || said.contains("no tmpfs") {
            eprintln!("skipped: no file system of our own: {said}");
            return;
        }
        let has =
            |line: &str| assert!(said.lines().any(|said| said == line), "{kib} KiB: expected {line:?} in\n{said}");
        ["full 2", "again 2", "room 0", "whole 0"].into_iter().for_each(has);
        assert!(said.contains("the disk is full") || said.contains("No space left"), "{kib} KiB: {said}");
        assert!(!said.contains("panicked") && !said.contains("verify 1"), "{kib} KiB: {said}");
        assert!(said.contains(&format!("\"number\":{}", BLOCKS as u64)), "{kib} KiB: {said}");
    }
}

#[test]
fn a_newer_format_is_named_and_left_alone() {
    let scratch = Scratch::new();
    let (dir, chain) = begun(&scratch);
    let path = dir.join("mdbx.dat");
    let mut bytes = fs::read(&path).unwrap();
    let row = b"format\0\0\0\x01";
    let places: Vec<_> = (0..bytes.len() - row.len()).filter(|at| bytes[*at..].starts_with(row)).collect();
    assert!(!places.is_empty(), "the row is in the file");
    places.iter().for_each(|at| bytes[at + row.len() - 1] = 9);
    fs::write(&path, &bytes).unwrap();
    let wanted = [dir.to_str().unwrap(), "newer format: expected version 1, found 9"];
    for args in writers(&dir, &chain) {
        laminar(&args).check(2, &wanted);
    }
    for command in ["stats", "verify"] {
        db(command, &dir).check(2, &wanted);
    }
    assert!(fs::read(&path).unwrap() == bytes, "the file is as it was");
    places.iter().for_each(|at| bytes[at + row.len() - 1] = 1);
    fs::write(&path, &bytes).unwrap();
    assert_eq!(verified(&dir, KEPT), KEPT);
}
