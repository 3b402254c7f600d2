//! Real chains through the pipeline: every block committed with every check passed, or stopped where a block is bad.

use crate::mainnet::archive;
use laminar_executor::{
    Block, BlockExecutor, Config, ExecuteError,
    chain_spec::ChainSpec,
    pipeline::{ImportError, Importer, genesis_data},
    rule::Rule,
};
use laminar_fixtures::{Fixture, FixtureError, Loaded};
use laminar_state_db::{BlockData, MemoryState, Store, StoreOptions};
use std::{collections::BTreeMap, path::Path};

/// A store with the genesis alone, and the chain's rules.
pub(crate) fn start(genesis: &alloy_genesis::Genesis) -> (Store, ChainSpec) {
    let (spec, state, block) = origin(genesis);
    (Store::memory(state, block).expect("in memory"), spec)
}

/// The same in an empty folder.
pub(crate) fn start_on_disk(genesis: &alloy_genesis::Genesis, dir: &Path) -> (Store, ChainSpec) {
    let (spec, state, block) = origin(genesis);
    let options = StoreOptions { size_max: 256 << 20, cache_size_max: 1 << 20, ..StoreOptions::default() };
    (Store::create(dir, options, state, block).expect("creates"), spec)
}

fn origin(genesis: &alloy_genesis::Genesis) -> (ChainSpec, MemoryState, BlockData) {
    let spec = ChainSpec::from_genesis(genesis).expect("a supported schedule");
    let mut state = MemoryState::from_genesis(genesis);
    let header = spec.genesis_header(genesis, state.state_root());
    let block = genesis_data(&header, header.hash_slow());
    (spec, state, block)
}

/// Geneses and chains of the archive by folder.
pub(crate) fn chains(path: &Path) -> BTreeMap<String, (Option<alloy_genesis::Genesis>, Vec<Block>)> {
    let mut found = BTreeMap::<String, (Option<alloy_genesis::Genesis>, Vec<Block>)>::new();
    for Loaded { name, fixture, .. } in laminar_fixtures::open(path).unwrap().filter_map(Result::ok) {
        let folder = Path::new(&name).parent().map(|folder| folder.display().to_string()).unwrap_or_default();
        let (genesis, blocks) = found.entry(folder).or_default();
        match fixture {
            Fixture::Genesis(read) => *genesis = Some(*read),
            Fixture::ChainRlp(chain) => blocks.extend(chain.blocks().map(Result::unwrap)),
            Fixture::Era1(era) => blocks.extend(era.blocks().map(|block| block.unwrap().block)),
            _ => {}
        }
    }
    found
}

fn read(blocks: &[Block]) -> impl Iterator<Item = Result<Block, FixtureError>> + Send {
    blocks.iter().cloned().map(Ok)
}

fn check(folder: &str, genesis: &alloy_genesis::Genesis, blocks: &[Block]) {
    let executor = BlockExecutor::new(Config::default()).unwrap();
    let (store, spec) = start(genesis);
    let importer = Importer { spec: &spec, executor: &executor, store: &store };
    let blocks = if blocks[0].header.number == 0 { &blocks[1..] } else { blocks };
    let last = blocks.last().expect("blocks").header.hash_slow();

    // A block that claims another state stops the import; everything before it stays.
    let bad_at = blocks.len() / 2;
    let mut bad = blocks[..bad_at + 2].to_vec();
    bad[bad_at].header.state_root.0[0] ^= 1;
    let error = importer.import(read(&bad), |_| ()).expect_err(folder);
    let ImportError::Execute { block, source } = error else { panic!("{folder}: {error}") };
    assert_eq!(block.number, bad[bad_at].header.number, "{folder}");
    assert!(matches!(*source, ExecuteError::InvalidBlock { rule: Rule::Header(_), .. }), "{folder}: {source:?}");
    assert_eq!(store.tip().hash, blocks[bad_at].header.parent_hash, "{folder}");

    // The same import with the right block goes on where it stopped.
    let mut reports = 0;
    let done = importer.import(read(blocks), |_| reports += 1).expect(folder);
    assert_eq!((done.known, done.blocks), (bad_at as u64, (blocks.len() - bad_at) as u64), "{folder}");
    assert_eq!((store.tip().hash, done.tip), (last, store.tip()), "{folder}");
    assert!(reports > 0, "{folder}");

    // A block that stands nowhere.
    let error = importer.import(read(&blocks[bad_at..bad_at + 1]), |_| ());
    assert_eq!(error.expect("committed already").known, 1);
    let mut orphan = blocks[blocks.len() - 1].clone();
    orphan.header.number += 1;
    let error = importer.import(read(&[orphan]), |_| ()).expect_err(folder);
    assert!(matches!(error, ImportError::UnknownParent { .. }), "{folder}: {error}");
}

#[test]
fn chains_of_the_archive_are_imported_with_every_root() {
    let Some(path) = archive("chains.tar.zst") else { return };
    let mut blocks_len = 0;
    for (folder, (genesis, blocks)) in chains(&path) {
        let (Some(genesis), false) = (genesis, blocks.is_empty()) else { continue };
        check(&folder, &genesis, &blocks);
        blocks_len += blocks.len();
    }
    assert!(blocks_len > 8_192 + 500, "{blocks_len} blocks");
}
