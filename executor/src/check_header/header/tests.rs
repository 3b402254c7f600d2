//! Every header rule with one tampered field, and the transitions between forks.

use super::*;
use alloy_eips::eip7840::BlobParams;
use alloy_primitives::{B64, B256, Bytes, Sealable};

/// Breaks one field of a valid child.
type Tamper = fn(&mut Header);

fn spec(network: &str) -> ChainSpec {
    ChainSpec::for_test_network(network, []).unwrap()
}

fn parent() -> Header {
    Header {
        number: 7,
        timestamp: 1000,
        gas_limit: 30_000_000,
        gas_used: 15_000_000,
        base_fee_per_gas: Some(1_000_000_000),
        withdrawals_root: Some(B256::ZERO),
        blob_gas_used: Some(0),
        excess_blob_gas: Some(0),
        parent_beacon_block_root: Some(B256::ZERO),
        requests_hash: Some(B256::ZERO),
        ..Header::default()
    }
}

/// A valid child under Prague, changed by the test.
fn tampered(change: impl FnOnce(&mut Header)) -> Result<(), Rule> {
    let parent = parent().seal_slow();
    let mut child = Header { parent_hash: parent.hash(), number: 8, timestamp: 1012, ..parent.inner().clone() };
    change(&mut child);
    check_header(&spec("Prague"), &child, &parent)
}

fn name_of(result: Result<(), Rule>) -> &'static str {
    result.map_or_else(|rule| rule.exception(), |()| "valid")
}

#[test]
fn untampered_child_is_valid() {
    assert_eq!(tampered(|_| ()), Ok(()));
}

#[test]
fn each_tampered_field_breaks_its_rule() {
    let cases: [(&str, Tamper); 17] = [
        ("BlockException.UNKNOWN_PARENT", |h| h.parent_hash = B256::ZERO),
        ("BlockException.INVALID_BLOCK_NUMBER", |h| h.number = 9),
        ("BlockException.INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT", |h| h.timestamp = 1000),
        ("BlockException.INCORRECT_BLOCK_FORMAT", |h| h.base_fee_per_gas = None),
        ("BlockException.INCORRECT_BLOCK_FORMAT", |h| h.withdrawals_root = None),
        ("BlockException.INCORRECT_BLOCK_FORMAT", |h| h.requests_hash = None),
        ("BlockException.INCORRECT_BLOCK_FORMAT", |h| h.block_access_list_hash = Some(B256::ZERO)),
        ("BlockException.INCORRECT_BLOCK_FORMAT", |h| h.slot_number = Some(1)),
        ("BlockException.INVALID_DIFFICULTY", |h| h.difficulty = U256::from(1)),
        ("BlockException.INCORRECT_BLOCK_FORMAT", |h| h.nonce = B64::from(1_u64)),
        ("BlockException.INVALID_UNCLES_HASH", |h| h.ommers_hash = B256::ZERO),
        ("BlockException.EXTRA_DATA_TOO_BIG", |h| h.extra_data = Bytes::from(vec![0; 33])),
        ("BlockException.GASLIMIT_TOO_BIG", |h| h.gas_limit = 1 << 63),
        ("BlockException.INVALID_GASLIMIT", |h| h.gas_limit += 30_000_000 / 1024),
        ("BlockException.INVALID_GAS_USED_ABOVE_LIMIT", |h| h.gas_used = h.gas_limit + 1),
        ("BlockException.INVALID_BASEFEE_PER_GAS", |h| h.base_fee_per_gas = Some(1_000_000_001)),
        ("BlockException.INCORRECT_EXCESS_BLOB_GAS", |h| h.excess_blob_gas = Some(1)),
    ];
    for (name, change) in cases {
        assert_eq!(name_of(tampered(change)), name);
    }
}

#[test]
fn gas_limit_moves_by_less_than_a_1024th() {
    let step = 30_000_000 / 1024 - 1;
    for (change, valid) in [(step, true), (step + 1, false)] {
        assert_eq!(tampered(|h| h.gas_limit += change).is_ok(), valid);
        assert_eq!(tampered(|h| h.gas_limit -= change).is_ok(), valid);
    }
    let rules = spec("Prague").rules_at(8, 1012);
    let low = Header { gas_limit: 5001, ..parent() };
    assert_eq!(gas_limit_bounds(&rules, &spec("Prague"), &low).0, 5000);
}

#[test]
fn london_block_starts_at_one_gwei_with_twice_the_gas() {
    let spec = spec("BerlinToLondonAt5");
    let old = Header { number: 4, gas_limit: 1_000_000, ..Header::default() };
    let rules = spec.rules_at(5, 0);
    assert_eq!(expected_base_fee(&rules, &old), Some(1_000_000_000));
    assert_eq!(expected_base_fee(&spec.rules_at(4, 0), &old), None);
    let (min, max) = gas_limit_bounds(&rules, &spec, &old);
    assert!((min..=max).contains(&2_000_000) && !(min..=max).contains(&1_000_000));
}

#[test]
fn base_fee_follows_the_use_of_gas() {
    let rules = spec("Prague").rules_at(8, 1012);
    let after = |gas_used| expected_base_fee(&rules, &Header { gas_used, ..parent() });
    assert_eq!(after(15_000_000), Some(1_000_000_000));
    assert_eq!(after(30_000_000), Some(1_125_000_000));
    assert_eq!(after(0), Some(875_000_000));
}

#[test]
fn excess_blob_gas_takes_the_parameters_of_the_child() {
    let blob = 1 << 17;
    let full = Header { blob_gas_used: Some(6 * blob), excess_blob_gas: Some(blob), ..parent() };
    let after = |network| expected_excess_blob_gas(&spec(network).rules_at(8, 1012), &full);
    assert_eq!(after("Shanghai"), None);
    assert_eq!(after("Cancun"), Some(4 * blob));
    assert_eq!(after("Prague"), Some(blob));
    let first = Header { blob_gas_used: None, excess_blob_gas: None, ..full };
    assert_eq!(expected_excess_blob_gas(&spec("Cancun").rules_at(8, 1012), &first), Some(0));
}

#[test]
fn reserve_price_keeps_the_excess_from_falling_from_osaka_on() {
    let blob = 1 << 17;
    // EIP-7918: at a base fee above 16 blob fees the target is not subtracted but scaled.
    let cheap = Header { blob_gas_used: Some(6 * blob), excess_blob_gas: Some(9 * blob), ..parent() };
    let rules = spec("Osaka").rules_at(8, 1012);
    let params = BlobParams::osaka();
    let scaled = 6 * blob * (params.max_blob_count - params.target_blob_count) / params.max_blob_count;
    assert_eq!(expected_excess_blob_gas(&rules, &cheap), Some(9 * blob + scaled));
    let dear = Header { base_fee_per_gas: Some(7), ..cheap };
    assert_eq!(expected_excess_blob_gas(&rules, &dear), Some(9 * blob));
    let wild = Header { excess_blob_gas: Some(u64::MAX), blob_gas_used: Some(u64::MAX), ..dear };
    assert!(expected_excess_blob_gas(&rules, &wild).is_some());
}

#[test]
fn dao_blocks_carry_the_mark_of_their_side() {
    let rules = ChainSpec::mainnet().rules_at(1_920_003, 0);
    let marked = Header { extra_data: Bytes::from_static(DAO_EXTRA_DATA), ..Header::default() };
    assert_eq!(check_extra_data(&rules, &marked), Ok(()));
    assert_eq!(check_extra_data(&rules, &Header::default()), Err(Rule::ExtraDataDao));
    let later = ChainSpec::mainnet().rules_at(1_920_010, 0);
    assert_eq!(check_extra_data(&later, &Header::default()), Ok(()));
}

#[test]
fn terminal_difficulty_separates_work_from_stake() {
    let spec = spec("ArrowGlacierToParisAtDiffC0000");
    let work = Header { difficulty: U256::from(1), ..Header::default() };
    let stake = Header::default();
    let (below, reached) = (U256::from(0xbffff), U256::from(0xc0000));
    assert_eq!(check_terminal_difficulty(&spec, &work, below), Ok(()));
    assert_eq!(check_terminal_difficulty(&spec, &stake, reached), Ok(()));
    assert!(check_terminal_difficulty(&spec, &work, reached).is_err());
    let early = check_terminal_difficulty(&spec, &stake, below).unwrap_err();
    assert_eq!(early.exception(), "BlockException.IMPORT_IMPOSSIBLE_PARIS_WRONG_POS");
    assert_eq!(check_terminal_difficulty(&ChainSpec::mainnet(), &stake, U256::ZERO), Ok(()));
}
