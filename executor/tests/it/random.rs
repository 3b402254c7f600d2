//! Random blocks of real EVM programs over a tiny address space: conflicts everywhere, every mode must agree.

use crate::{
    check::WORKERS,
    outline::{Draft, Outline},
    program::{CONTRACTS, SENDERS, Step},
};
use proptest::prelude::*;

pub(crate) fn step() -> impl Strategy<Value = Step> {
    let (a, b) = (0u8..8, 0u8..8);
    prop_oneof![
        4 => (a.clone(), b.clone()).prop_map(|(a, b)| Step::Add(a, b)),
        2 => (a.clone(), b.clone()).prop_map(|(a, b)| Step::Copy(a, b)),
        2 => (a.clone(), b.clone()).prop_map(|(a, b)| Step::Balance(a, b)),
        1 => a.clone().prop_map(Step::SelfBalance),
        1 => (a.clone(), b.clone()).prop_map(|(a, b)| Step::CodeHash(a, b)),
        1 => (a.clone(), b.clone()).prop_map(|(a, b)| Step::CodeSize(a, b)),
        5 => (a.clone(), b.clone()).prop_map(|(a, b)| Step::Call(a, b)),
        1 => a.clone().prop_map(Step::DelegateCall),
        1 => a.clone().prop_map(Step::StaticCall),
        2 => (a.clone(), b.clone()).prop_map(|(a, b)| Step::Create2(a, b)),
        1 => a.clone().prop_map(Step::Create),
        2 => (a.clone(), b).prop_map(|(a, b)| Step::SelfDestruct(a, b)),
        1 => a.clone().prop_map(Step::RevertIfOdd),
        1 => a.clone().prop_map(Step::Log),
        1 => a.clone().prop_map(Step::Transient),
        1 => (a.clone(), 0u8..8).prop_map(|(a, b)| Step::Block(a, b)),
        1 => a.prop_map(Step::Scarce),
    ]
}

pub(crate) fn draft() -> impl Strategy<Value = Draft> {
    (0..SENDERS, 0u8..10, 0u8..40, 0u8..3, 0u8..4).prop_map(|(sender, to, wei, tip, gas)| Draft {
        sender,
        to,
        wei,
        tip,
        gas,
    })
}

/// 96 cases, or what `PROPTEST_CASES` says.
pub(crate) fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(96);
    ProptestConfig { cases, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn random_blocks_are_identical_in_every_mode(
        fork in 0u8..5,
        programs in prop::collection::vec(prop::collection::vec(step(), 1..8), CONTRACTS as usize),
        drafts in prop::collection::vec(draft(), 1..24),
    ) {
        Outline { fork, programs, drafts }.check(&WORKERS);
    }
}

#[test]
fn blocks_read_from_bytes_are_identical_in_every_mode() {
    for seed in 0..8u64 {
        let word = |at: u64| alloy_primitives::keccak256((seed << 32 | at).to_be_bytes());
        let bytes: Vec<u8> = (0..8).flat_map(|at| word(at).0).collect();
        Outline::from_bytes(&bytes).check(&[3]);
    }
    Outline::from_bytes(&[]).check(&[3]);
}
