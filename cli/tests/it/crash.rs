//! `laminar import` is killed (`SIGKILL`) at random instants, again and again: each time the folder holds a block of the chain that
//! is no older than the one before, `db verify` passes, and in the end the import that goes on comes to the same head. Each chain gets
//! its share of the kills.
//!
//! `LAMINAR_CRASHES=300 cargo test -p laminar-cli --test it crash -- --nocapture` prints the counts of the long run.

use super::{
    command::{Ran, laminar},
    data::archive,
    samples::Scratch,
};
use alloy_primitives::keccak256;
use serde_json::Value;
use std::{
    collections::BTreeSet,
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const CRASHES: &str = "LAMINAR_CRASHES";
const CRASHES_DEFAULT: u64 = 12;
/// Kills that the whole of an import is to see, about.
const KILLS: u32 = 4;

/// A chain file and where it leads.
struct Chain {
    file: PathBuf,
    genesis: PathBuf,
    /// Block 0 and on, by number.
    head: Value,
    took: Duration,
}

impl Chain {
    /// Imports the whole chain once.
    fn new(chains: &Path, file: &str, genesis: &str) -> Self {
        let (file, genesis) = (chains.join(file), chains.join(genesis));
        let scratch = Scratch::new();
        let mut chain = Self { file, genesis, head: Value::Null, took: Duration::ZERO };
        let begun = Instant::now();
        let (_, summary) = chain.import(scratch.path()).json();
        chain.took = begun.elapsed();
        chain.head = summary["tip"].clone();
        chain
    }

    fn args(&self, dir: &Path) -> Vec<PathBuf> {
        let args = ["import".as_ref(), "--json".as_ref(), "--quiet".as_ref(), self.file.as_path()];
        let more = ["--datadir".as_ref(), dir, "--chain".as_ref(), self.genesis.as_path()];
        args.into_iter().chain(more).map(Path::to_owned).collect()
    }

    fn import(&self, dir: &Path) -> Ran {
        let ran = laminar(self.args(dir));
        assert_eq!(ran.code, 0, "{ran:?}");
        ran
    }

    /// Kills an import after a while; says whether it had come to its end before.
    fn import_and_kill(&self, dir: &Path, after: Duration) -> bool {
        let mut child = Command::new(env!("CARGO_BIN_EXE_laminar"))
            .args(self.args(dir))
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        thread::sleep(after);
        child.kill().unwrap();
        child.wait().unwrap().success()
    }
}

/// The newest block of a folder whose tables fit together; nothing if it holds no store yet.
#[track_caller]
fn verified(dir: &Path) -> Option<Value> {
    let db = |command: &str| laminar(["db", command, "--json", "--datadir", dir.to_str().unwrap()]);
    let ran = db("verify");
    if ran.code == 2 {
        ran.check(2, &["holds no store"]);
        return None;
    }
    assert_eq!(ran.code, 0, "{ran:?}");
    let [verified, stats]: [Value; 2] = [ran, db("stats")].map(|ran| serde_json::from_str(&ran.out).unwrap());
    assert_eq!(verified["ok"], true, "{verified}");
    let tip = stats["tip"].clone();
    assert_eq!(verified["blocks"].as_u64(), tip["number"].as_u64().map(|number| number + 1), "{verified}");
    Some(tip)
}

fn number(tip: Option<&Value>) -> u64 {
    tip.and_then(|tip| tip["number"].as_u64()).unwrap_or_default()
}

#[test]
fn killed_at_any_instant_an_import_goes_on_to_the_same_head() {
    let Some(path) = archive("chains.tar.zst") else { return };
    let crashes = std::env::var(CRASHES).map_or(CRASHES_DEFAULT, |text| text.parse().unwrap());
    let scratch = Scratch::new();
    let unpacked = zstd::Decoder::new(File::open(path).unwrap()).unwrap();
    tar::Archive::new(unpacked).unpack(scratch.path()).unwrap();
    let chains = scratch.path().join("chains");
    let chains = [
        Chain::new(&chains, "mainnet_era1/mainnet-00000-5ec1ffb8.era1", "mainnet_era1/mainnet_genesis.json"),
        Chain::new(&chains, "geth_devp2p_chain/chain.rlp", "geth_devp2p_chain/genesis.json"),
    ];
    let mut counts = Counts::default();
    for (place, chain) in (1..).zip(&chains) {
        let dir = scratch.path().join("store");
        counts.kill_until(crashes * place / chains.len() as u64, chain, &dir);
        fs::remove_dir_all(&dir).unwrap();
    }
    let Counts { crashes, imports, tips } = counts;
    println!("{crashes} crashes over {imports} imports: {} different tips, all verified", tips.len());
}

/// What a loop of kills saw.
#[derive(Default)]
struct Counts {
    crashes: u64,
    imports: u64,
    /// Blocks that folders held after a kill.
    tips: BTreeSet<String>,
}

impl Counts {
    /// Kills imports of a chain until there were so many kills in all, and lets the last one come to its end.
    fn kill_until(&mut self, crashes: u64, chain: &Chain, dir: &Path) {
        let mut tip = None;
        while self.crashes < crashes {
            let crash = self.crashes;
            let seed = u64::from_be_bytes(keccak256(crash.to_be_bytes())[..8].try_into().unwrap());
            let after = (2 * chain.took / KILLS).mul_f64(seed as f64 / u64::MAX as f64);
            let is_done = chain.import_and_kill(dir, after);
            let found = verified(dir);
            assert!(number(found.as_ref()) >= number(tip.as_ref()), "crash {crash}: {tip:?}, then {found:?}");
            self.tips.extend(found.as_ref().map(Value::to_string));
            tip = found;
            if is_done || tip.as_ref() == Some(&chain.head) {
                assert_eq!(tip.as_ref(), Some(&chain.head), "crash {crash}");
                fs::remove_dir_all(dir).unwrap();
                (tip, self.imports) = (None, self.imports + 1);
            }
            self.crashes += u64::from(!is_done);
        }
        let (_, summary) = chain.import(dir).json();
        assert_eq!(summary["tip"], chain.head, "{summary}");
        assert_eq!(verified(dir).as_ref(), Some(&chain.head));
        self.imports += 1;
    }
}
