//! The checks against real chains and the official tests. An archive that is not there is skipped; with `CI=true` it
//! must be.

use super::*;
use crate::{
    chain_spec::{ChainSpec, Fork, Rules},
    env::{check_intrinsic, tx_env},
    error::ExecuteError,
    recover::{decode_block, decode_transaction, recover_senders},
    rule::Rule,
    types::{Block, TxIndex},
};
use alloy_consensus::Header;
use alloy_eips::eip7840::BlobParams;
use alloy_primitives::{Address, B256, Sealable, Sealed, map::HashMap};
use alloy_trie::root::state_root_unhashed;
use laminar_fixtures::{
    Fixture, Loaded, Loader,
    official::{BlockchainTest, TransactionTest},
};
use std::path::PathBuf;

fn open(archive: &str) -> Option<Loader> {
    let folder = std::env::var_os("LAMINAR_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let path = folder.join(archive);
    if path.exists() {
        return Some(laminar_fixtures::open(&path).unwrap());
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is missing", path.display());
    println!("skipped: {} is missing", path.display());
    None
}

#[test]
fn witness_blocks_follow_from_their_parents() {
    let Some(loader) = open("mainnet-witness.tar.zst") else {
        return;
    };
    let mut headers = 0;
    for loaded in loader {
        let Fixture::Witness(fixture) = loaded.unwrap().fixture else {
            continue;
        };
        let spec = ChainSpec::known(&fixture.chain_id.to_string()).unwrap();
        let chain = std::iter::once(&fixture.block.header).chain(&fixture.headers);
        for (child, parent) in chain.zip(&fixture.headers) {
            assert_eq!(check_header(&spec, child, &parent.clone().seal_slow()), Ok(()), "block {}", child.number);
            headers += 1;
        }
        let rules = spec.rules_for(&fixture.block.header);
        check_body(&rules, &fixture.block).unwrap();
        check_transactions_root(&fixture.block).unwrap();
        recover_senders(&fixture.block.body.transactions, &rules).unwrap();
    }
    assert!(headers >= 23, "{headers} headers");
}

#[test]
fn first_blocks_of_mainnet_keep_every_proof_of_work_rule() {
    let Some(loader) = open("chains.tar.zst") else { return };
    let spec = ChainSpec::mainnet();
    let mut blocks = 0;
    for loaded in loader {
        // The archive holds other chains and files of other kinds.
        let Ok(Loaded { fixture: Fixture::Era1(era), .. }) = loaded else {
            continue;
        };
        let mut recent: Vec<Ancestor> = Vec::new();
        for block in era.blocks() {
            let block = block.unwrap();
            if let Some(parent) = recent.last() {
                let header = &block.block.header;
                assert_eq!(check_header(&spec, header, &parent.header), Ok(()), "block {}", header.number);
                check_body(&spec.rules_for(header), &block.block).unwrap();
                let by_hash = |hash| recent.iter().rev().find(|ancestor| ancestor.header.hash() == hash).cloned();
                assert_eq!(check_ommers(&spec, &block.block, by_hash), Ok(()), "block {}", header.number);
            }
            let ommers = block.block.body.ommers.iter().map(Header::hash_slow).collect();
            recent.push(Ancestor { header: block.block.header.seal_unchecked(block.hash), ommers });
            recent.drain(..recent.len().saturating_sub(8));
            blocks += 1;
        }
    }
    assert_eq!(blocks, 8192);
}

#[test]
fn chain_of_a_genesis_file_follows_its_schedule() {
    let Some(loader) = open("chains.tar.zst") else { return };
    let (mut genesis, mut chain) = (None, None);
    for loaded in loader.flatten().filter(|loaded| loaded.name.contains("geth_devp2p_chain")) {
        match loaded.fixture {
            Fixture::Genesis(found) => genesis = Some(found),
            Fixture::ChainRlp(found) => chain = Some(found),
            _ => {}
        }
    }
    let (genesis, chain) = (genesis.unwrap(), chain.unwrap());
    let spec = ChainSpec::from_genesis(&genesis).unwrap();
    let accounts = genesis.alloc.iter().map(|(address, account)| (*address, account.clone().into_trie_account()));
    let mut parent = spec.genesis_header(&genesis, state_root_unhashed(accounts)).seal_slow();
    let mut forks = Vec::new();
    for block in chain.blocks() {
        let block = block.unwrap();
        let header = block.header.clone();
        assert_eq!(check_header(&spec, &header, &parent), Ok(()), "block {}", header.number);
        check_body(&spec.rules_for(&header), &block).unwrap();
        forks.push(spec.rules_for(&header).fork());
        parent = header.seal_slow();
    }
    forks.dedup();
    assert_eq!((parent.number, forks), (600, vec![Fork::Shanghai, Fork::Cancun, Fork::Prague]));
}

/// Every check that needs no state.
fn check_static(spec: &ChainSpec, rlp: &[u8], known: &HashMap<B256, Sealed<Header>>) -> Result<Block, Rule> {
    let rule = |error| match error {
        ExecuteError::InvalidBlock { rule, .. } => rule,
        other => panic!("not a refusal: {other}"),
    };
    let block = decode_block(rlp)?;
    let any = known.values().next().unwrap();
    let parent = known.get(&block.header.parent_hash).unwrap_or(any);
    check_header(spec, &block.header, parent)?;
    let rules = spec.rules_for(&block.header);
    check_body(&rules, &block).map_err(rule)?;
    recover_senders(&block.body.transactions, &rules).map_err(rule)?;
    Ok(block)
}

fn check_chain(name: &str, case: &BlockchainTest) -> (usize, usize) {
    let schedule = case.config.blob_schedule.iter().map(|(fork, entry)| {
        let params = BlobParams {
            target_blob_count: entry.target,
            max_blob_count: entry.max,
            update_fraction: entry.base_fee_update_fraction.into(),
            ..BlobParams::cancun()
        };
        (fork.as_str(), params)
    });
    let spec = ChainSpec::for_test_network(&case.network, schedule).unwrap();
    let genesis = decode_block(case.genesis_rlp.as_ref().unwrap()).unwrap().header.seal_slow();
    let mut known = HashMap::from_iter([(genesis.hash(), genesis)]);
    let (mut valid, mut refused) = (0, 0);
    for block in &case.blocks {
        match (check_static(&spec, &block.rlp, &known), &block.expect_exception) {
            (Ok(block), None) => {
                assert_eq!(check_transactions_root(&block).map(drop), Ok(()), "{name}");
                let header = block.header.seal_slow();
                known.insert(header.hash(), header);
                valid += 1;
            }
            // Only execution can tell.
            (Ok(_), Some(_)) => {}
            (Err(rule), Some(expected)) => {
                let expected = expected.to_string();
                assert!(rule.matches(&expected), "{name}: expected {expected}, found {rule}");
                refused += 1;
            }
            (Err(rule), None) => panic!("{name}: a valid block is refused: {rule}"),
        }
    }
    (valid, refused)
}

#[test]
fn official_chains_pass_or_break_the_named_rule() {
    let Some(loader) = open("ethereum-tests.tar.zst") else {
        return;
    };
    let (mut valid, mut refused) = (0, 0);
    for loaded in loader {
        let Fixture::BlockchainTests(cases) = loaded.unwrap().fixture else {
            continue;
        };
        for (name, case) in &cases {
            let counts = check_chain(name, case);
            valid += counts.0;
            refused += counts.1;
        }
    }
    assert!(valid > 500 && refused > 50, "{valid} valid, {refused} refused");
}

/// Decodes, recovers and prices one transaction.
fn sender_and_gas(bytes: &[u8], rules: &Rules) -> Result<(Address, u64), Rule> {
    let transaction = decode_transaction(bytes)?;
    let senders = recover_senders(std::slice::from_ref(&transaction), rules).map_err(|error| match error {
        ExecuteError::InvalidBlock { rule, .. } => rule,
        other => panic!("not a refusal: {other}"),
    })?;
    let gas = check_intrinsic(&tx_env(&transaction, &senders, TxIndex(0)), rules)?;
    Ok((senders.addresses[0], gas.initial_total_gas()))
}

fn check_transaction_case(name: &str, case: &TransactionTest) -> usize {
    for (fork, expected) in &case.result {
        let rules = ChainSpec::for_test_network(fork, []).unwrap().rules_at(1, 1);
        match (sender_and_gas(&case.txbytes, &rules), &expected.exception) {
            (Ok(found), None) => {
                assert_eq!((Some(found.0), Some(found.1)), (expected.sender, expected.intrinsic_gas), "{name} {fork}");
            }
            (Ok(_), Some(expected)) => panic!("{name} {fork}: expected {expected}, found a valid transaction"),
            (Err(rule), Some(expected)) => {
                let expected = expected.to_string();
                assert!(rule.matches(&expected), "{name} {fork}: expected {expected}, found {rule}");
            }
            (Err(rule), None) => {
                // Fees of 2^128 and more, which nobody could pay, do not fit alloy's types.
                let too_dear = ["V_equals38", "GasLimitPriceProductOverflowtMinusOne"].contains(&name);
                assert!(too_dear, "{name} {fork}: a valid transaction is refused: {rule}");
            }
        }
    }
    case.result.len()
}

#[test]
fn official_transactions_are_decoded_recovered_and_priced() {
    let Some(loader) = open("ethereum-tests.tar.zst") else {
        return;
    };
    let mut results = 0;
    for loaded in loader {
        let Fixture::TransactionTests(cases) = loaded.unwrap().fixture else {
            continue;
        };
        results += cases.iter().map(|(name, case)| check_transaction_case(name, case)).sum::<usize>();
    }
    assert!(results > 1500, "{results} results");
}
