//! A store's file with bytes changed at many places, or cut: what is asked of it is answered as before or refused in one line, and
//! nothing panics, ends by a signal or goes on for ever.

use super::{
    command::{Ran, laminar},
    samples::{Scratch, sample},
};
use alloy_primitives::keccak256;
use laminar_fixtures::workload;
use serde_json::Value;
use std::{
    fs::{self, File, OpenOptions},
    os::unix::fs::FileExt,
    path::PathBuf,
};

/// Bytes of a page of the file.
const PAGE_LEN: usize = 4096;
/// Places at which bytes are changed.
const PLACES: u64 = 120;

/// A store with a block of token transfers, which has rows in every table.
struct Damaged {
    scratch: Scratch,
    file: File,
    bytes: Vec<u8>,
    /// What `db verify` says of the whole file.
    expected: String,
}

impl Damaged {
    fn new() -> Self {
        let (scratch, name) = (Scratch::new(), "erc20-transfers");
        let recipe = workload::recipe(name).unwrap();
        scratch.write("genesis.json", serde_json::to_vec(&recipe.build(&recipe.sample).genesis).unwrap());
        scratch.write("block.rlp", alloy_rlp::encode(&sample(name).block));
        let path = scratch.path().join("store/mdbx.dat");
        let mut damaged = Self {
            file: File::open(scratch.path()).unwrap(),
            scratch,
            bytes: Vec::new(),
            expected: Default::default(),
        };
        assert_eq!(damaged.import().code, 0);
        let [verified, stats] = ["verify", "stats"].map(|command| damaged.ask(command));
        assert_eq!((verified.code, stats.code), (0, 0), "{verified:?} {stats:?}");
        damaged.expected = verified.out;
        let stats: Value = serde_json::from_str(&stats.out).unwrap();
        let used = stats["file_bytes"].as_u64().unwrap();
        damaged.bytes = fs::read(&path).unwrap();
        damaged.bytes.truncate(used as usize);
        damaged.file = OpenOptions::new().write(true).open(path).unwrap();
        damaged
    }

    fn path(&self, name: &str) -> PathBuf {
        self.scratch.path().join(name)
    }

    fn import(&self) -> Ran {
        let [dir, genesis, block] = ["store", "genesis.json", "block.rlp"].map(|name| self.path(name));
        laminar(["import".into(), block, "--chain".into(), genesis, "--datadir".into(), dir])
    }

    fn ask(&self, command: &str) -> Ran {
        laminar(["db".into(), command.into(), "--json".into(), "--datadir".into(), self.path("store")])
    }

    /// Puts other bytes at a place, asks, and puts the right ones back. Says whether they were found.
    #[track_caller]
    fn check(&self, at: usize, bytes: &[u8]) -> bool {
        self.file.write_all_at(bytes, at as u64).unwrap();
        let is_found = self.check_answer(&format!("{bytes:02x?} at byte {at}"));
        self.file.write_all_at(&self.bytes[at..at + bytes.len()], at as u64).unwrap();
        is_found
    }

    /// The answer is the right one, or one error.
    #[track_caller]
    fn check_answer(&self, what: &str) -> bool {
        let verified = self.ask("verify");
        match verified.code {
            0 => assert_eq!(verified.out, self.expected, "{what}"),
            1 | 2 => drop(verified.error()),
            _ => panic!("{what}: {verified:?}"),
        }
        self.check_end(&self.ask("stats"), what);
        verified.code != 0
    }

    /// A command ended well or with one error.
    #[track_caller]
    fn check_end(&self, ran: &Ran, what: &str) {
        match ran.code {
            0 => {}
            1 | 2 => drop(ran.error()),
            _ => panic!("{what}: {ran:?}"),
        }
    }
}

/// A number that is the same each time.
fn seed(number: u64) -> u64 {
    u64::from_be_bytes(keccak256(number.to_be_bytes())[..8].try_into().unwrap())
}

#[test]
fn changed_bytes_are_found_or_harmless() {
    let damaged = Damaged::new();
    let mut found = 0;
    for number in 0..PLACES {
        let seed = seed(number);
        // Every fourth time a longer piece, else one bit.
        let at = (seed % (damaged.bytes.len() as u64 - 64)) as usize;
        let bytes = match number % 4 {
            0 => keccak256(seed.to_be_bytes()).to_vec(),
            _ => vec![damaged.bytes[at] ^ 1 << (seed >> 61)],
        };
        found += u64::from(damaged.check(at, &bytes));
    }
    assert!(found > PLACES / 10, "only {found} of {PLACES} were found");
    assert!(!damaged.check_answer("whole"));
}

#[test]
fn a_damaged_file_is_pruned_or_refused() {
    let damaged = Damaged::new();
    let prune = ["db", "prune", "--keep", "0", "--datadir"].map(PathBuf::from);
    let prune = || laminar(prune.iter().cloned().chain([damaged.path("store")]));
    let mut refused = 0;
    for page in 0..damaged.bytes.len() / PAGE_LEN {
        // Each page loses what it says of itself and its first row.
        damaged.file.write_all_at(&damaged.bytes, 0).unwrap();
        damaged.file.write_all_at(&[0xa5; 64], (page * PAGE_LEN) as u64).unwrap();
        let ran = prune();
        damaged.check_end(&ran, &format!("page {page}"));
        refused += usize::from(ran.code != 0);
    }
    assert!(refused > 0, "every damage was passed over");
}

#[test]
fn a_file_that_was_cut_is_found_or_whole() {
    let damaged = Damaged::new();
    let len = fs::metadata(damaged.path("store/mdbx.dat")).unwrap().len();
    let mut found = 0;
    for number in 0..PLACES / 4 {
        // Half of the cuts are at the end of a page.
        let at = seed(number) % damaged.bytes.len() as u64;
        let at = if number % 2 == 0 { at } else { at / 4096 * 4096 };
        damaged.file.set_len(at).unwrap();
        found += u64::from(damaged.check_answer(&format!("cut to {at} bytes")));
        damaged.file.write_all_at(&damaged.bytes, 0).unwrap();
        damaged.file.set_len(len).unwrap();
    }
    assert!(found > PLACES / 8, "only {found} cuts were found");
    assert!(!damaged.check_answer("whole"));
}
