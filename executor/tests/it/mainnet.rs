//! Real mainnet blocks with a flat pre-state: every mode gives what sequential revm gives, and what the header says.

use crate::check::check_block;
use laminar_executor::{
    chain_spec::ChainSpec,
    check_header::{logs_bloom, receipts_root},
};
use laminar_fixtures::{Fixture, PrestateBlock};
use laminar_state_db::{Account, MemoryState};
use std::path::PathBuf;

/// The archive, or `None` where it is not to be had; with `CI=true` it must be there.
pub(crate) fn archive(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("LAMINAR_DATA")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"), PathBuf::from);
    let path = folder.join(name);
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{} is missing", path.display());
    println!("skipped: {} is missing", path.display());
    None
}

/// The block's pre-state in memory.
pub(crate) fn memory_state(fixture: &PrestateBlock) -> MemoryState {
    let mut state = MemoryState::default();
    for (address, account) in &fixture.accounts {
        let code_hash = state.insert_code(account.code.clone());
        state.insert_account(*address, Account { nonce: account.nonce, balance: account.balance, code_hash });
        for (slot, value) in &account.storage {
            state.insert_slot(*address, *slot, *value);
        }
    }
    for (number, hash) in &fixture.block_hashes {
        state.insert_block_hash(*number, *hash);
    }
    state
}

#[test]
fn every_prestate_block_is_identical_in_every_mode() {
    let Some(path) = archive("mainnet-prestate.tar.zst") else { return };
    let mut blocks = 0;
    for loaded in laminar_fixtures::open(&path).unwrap() {
        let Fixture::Prestate(fixture) = loaded.unwrap().fixture else { continue };
        let header = &fixture.block.header;
        let rules = ChainSpec::mainnet().rules_for(header);
        let outcome = check_block(rules, &fixture.block, &memory_state(&fixture));
        assert_eq!(outcome.gas_used, header.gas_used, "block {}", header.number);
        assert_eq!(logs_bloom(&outcome.receipts), header.logs_bloom, "block {}", header.number);
        if rules.receipts_carry_status() {
            assert_eq!(receipts_root(&outcome.receipts), header.receipts_root, "block {}", header.number);
        }
        blocks += 1;
    }
    assert_eq!(blocks, 53);
}
