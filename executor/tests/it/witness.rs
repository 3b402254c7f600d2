//! Our own witnesses of kept blocks: they suffice for a replay, and are those that the committed samples carry.

use crate::{
    mainnet::archive,
    pipeline::{chains, start, start_on_disk},
};
use laminar_executor::{
    Block, BlockExecutor, Config, Knowledge, Mode,
    chain_spec::ChainSpec,
    env::PreparedBlock,
    pipeline::{ExecutionWitness, Importer, WitnessError, kept_witness},
    recover::recover_senders,
    sequential,
};
use laminar_fixtures::{Fixture, WitnessBlock, workload::RECIPES};
use laminar_state_db::{Store, StoreError, WitnessState};
use std::{convert::Infallible, path::Path};

/// Executes the block on its witness alone, in parallel and sequentially, and takes the root.
fn replay(spec: &ChainSpec, block: &Block, witness: &ExecutionWitness) {
    let number = block.header.number;
    let hashes = witness.headers.iter().map(|header| (header.number, header.hash_slow()));
    let root = witness.headers[0].state_root;
    let state = WitnessState::new(root, witness.nodes.clone(), witness.codes.clone(), hashes).expect("a whole witness");
    let rules = spec.rules_for(&block.header);
    let senders = recover_senders(&block.body.transactions, &rules).unwrap();
    let prepared = PreparedBlock::new(rules, block, &senders).unwrap();
    let executor = BlockExecutor::new(Config { mode: Mode::Parallel, ..Config::default() }).unwrap();
    let outcome = executor.execute(block, &prepared, &state, Knowledge::Nothing).expect("all it reads is there");
    assert_eq!(state.post_state_root(&outcome.changes).expect("all it changes is there"), block.header.state_root);
    let lean = sequential::execute(block, &prepared, &state).expect("all it reads is there");
    assert_eq!(lean.gas_used, block.header.gas_used, "block {number}");
}

fn import(spec: &ChainSpec, store: &Store, blocks: &[Block]) {
    let executor = BlockExecutor::new(Config::default()).unwrap();
    let importer = Importer { spec, executor: &executor, store };
    importer.import(blocks.iter().cloned().map(Ok::<_, Infallible>), |_| ()).expect("valid blocks");
}

fn sample(name: &str) -> WitnessBlock {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../fixtures/blocks/{name}.rlp"));
    match laminar_fixtures::open(&path).unwrap().next().unwrap().unwrap().fixture {
        Fixture::Witness(witness) => *witness,
        other => panic!("{name}: not a witness block: {other:?}"),
    }
}

#[test]
fn witness_of_each_sample_block_is_the_one_it_carries() {
    for recipe in RECIPES {
        let sample = sample(recipe.name);
        let genesis = recipe.build(&recipe.sample).genesis;
        let dir = tempfile::tempdir().unwrap();
        for (store, spec) in [start(&genesis), start_on_disk(&genesis, dir.path())] {
            import(&spec, &store, std::slice::from_ref(&sample.block));
            let (block, witness) = kept_witness(&spec, &store, &sample.block_hash).expect(recipe.name);
            assert_eq!(block, sample.block, "{}", recipe.name);
            assert_eq!(witness.headers, sample.headers, "{}", recipe.name);
            assert_eq!(witness.nodes, sample.nodes, "{}", recipe.name);
            // The samples carry the codes of all accounts that are touched, also where nobody looks at the code.
            assert!(witness.codes.iter().all(|code| sample.codes.contains(code)), "{}", recipe.name);
            replay(&spec, &block, &witness);
        }
    }
}

#[test]
fn witnesses_of_blocks_of_real_chains_suffice() {
    let Some(path) = archive("chains.tar.zst") else { return };
    let mut witnesses = 0;
    for (folder, (genesis, blocks)) in chains(&path) {
        let (Some(genesis), false) = (genesis, blocks.is_empty()) else { continue };
        let blocks = if blocks[0].header.number == 0 { &blocks[1..] } else { &blocks[..] };
        let (store, spec) = start(&genesis);
        let blocks = &blocks[..blocks.len().min(1_000)];
        import(&spec, &store, blocks);
        for block in blocks.iter().step_by(7).chain(blocks.last()) {
            let (kept, witness) = kept_witness(&spec, &store, &block.header.hash_slow()).expect(&folder);
            assert_eq!(kept, *block, "{folder}");
            assert_eq!(witness.headers[0].hash_slow(), block.header.parent_hash, "{folder}");
            replay(&spec, block, &witness);
            witnesses += 1;
        }
    }
    assert!(witnesses > 200, "{witnesses} witnesses");
}

#[test]
fn genesis_and_unknown_blocks_have_none() {
    let (store, spec) = start(&RECIPES[0].build(&RECIPES[0].sample).genesis);
    let genesis = kept_witness(&spec, &store, &store.tip().hash);
    assert!(matches!(genesis, Err(WitnessError::Genesis)), "{genesis:?}");
    let unknown = kept_witness(&spec, &store, &alloy_primitives::B256::ZERO);
    assert!(matches!(unknown, Err(WitnessError::Store(StoreError::UnknownBlock { .. }))), "{unknown:?}");
}
