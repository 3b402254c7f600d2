//! The difficulty of a proof-of-work block.
//!
//! Place in the flow: part of the header check before the merge.
//! Source: yellow paper section 4.3.4; EIP-2 (Homestead), EIP-100 (Byzantium), and the delays of the bomb in EIP-649,
//! 1234, 2384, 3554, 4345 and 5133.

use crate::chain_spec::{Fork, Rules};
use alloy_consensus::Header;
use alloy_primitives::U256;

const DIFFICULTY_MIN: u64 = 131_072;
const BOUND_DIVISOR: u64 = 2048;
const BOMB_PERIOD: u64 = 100_000;
/// The steepest fall of one block, in steps.
const STEPS_DOWN_MAX: u64 = 99;

/// The difficulty of the block with this number and timestamp after `parent`.
pub fn expected_difficulty(rules: &Rules, number: u64, timestamp: u64, parent: &Header) -> U256 {
    let step = parent.difficulty / U256::from(BOUND_DIVISOR);
    let elapsed = timestamp.saturating_sub(parent.timestamp);
    let base = match adjustment(rules, elapsed, parent.ommers_hash_is_empty()) {
        Adjustment::Up(steps) => parent.difficulty.saturating_add(step.saturating_mul(U256::from(steps))),
        Adjustment::Down(steps) => parent.difficulty.saturating_sub(step.saturating_mul(U256::from(steps))),
    };
    base.saturating_add(bomb(rules, number)).max(U256::from(DIFFICULTY_MIN))
}

enum Adjustment {
    Up(u64),
    Down(u64),
}

/// How many steps the difficulty moves for the seconds between parent and child.
fn adjustment(rules: &Rules, elapsed: u64, parent_without_ommers: bool) -> Adjustment {
    let (slack, spent) = if rules.is_active(Fork::Byzantium) {
        (if parent_without_ommers { 1 } else { 2 }, elapsed / 9)
    } else if rules.is_active(Fork::Homestead) {
        (1, elapsed / 10)
    } else if elapsed < 13 {
        return Adjustment::Up(1);
    } else {
        return Adjustment::Down(1);
    };
    match spent.checked_sub(slack) {
        Some(down) => Adjustment::Down(down.min(STEPS_DOWN_MAX)),
        None => Adjustment::Up(slack - spent),
    }
}

/// The exponential part, `2^(period - 2)` from the third period on.
fn bomb(rules: &Rules, number: u64) -> U256 {
    let period = number.saturating_sub(bomb_delay(rules)) / BOMB_PERIOD;
    match period.checked_sub(2) {
        // A shift beyond the word is a difficulty that no chain reaches; saturate instead of wrapping to zero.
        Some(exponent) if exponent < 256 => U256::from(1) << exponent,
        Some(_) => U256::MAX,
        None => U256::ZERO,
    }
}

/// Blocks by which the forks so far have put off the bomb.
fn bomb_delay(rules: &Rules) -> u64 {
    let delays = [
        (Fork::GrayGlacier, 11_400_000),
        (Fork::ArrowGlacier, 10_700_000),
        (Fork::London, 9_700_000),
        (Fork::MuirGlacier, 9_000_000),
        (Fork::Constantinople, 5_000_000),
        (Fork::Byzantium, 3_000_000),
    ];
    delays.into_iter().find(|(fork, _)| rules.is_active(*fork)).map_or(0, |(_, delay)| delay)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chain_spec::ChainSpec;
    use alloy_primitives::B256;

    /// Number, parent's and own timestamp, parent's and own difficulty of mainnet blocks.
    const MAINNET: [(u64, u64, u64, u128, u128); 4] = [
        (1, 0, 1_438_269_988, 17_179_869_184, 17_171_480_576),
        (2, 1_438_269_988, 1_438_270_017, 17_171_480_576, 17_163_096_064),
        (3, 1_438_270_017, 1_438_270_048, 17_163_096_064, 17_154_715_646),
        (4, 1_438_270_048, 1_438_270_077, 17_154_715_646, 17_146_339_321),
    ];

    fn parent(difficulty: u128, timestamp: u64) -> Header {
        Header { difficulty: U256::from(difficulty), timestamp, ..Header::default() }
    }

    #[test]
    fn first_mainnet_blocks_follow_the_frontier_formula() {
        for (number, parent_time, time, parent_difficulty, difficulty) in MAINNET {
            let rules = ChainSpec::mainnet().rules_at(number, time);
            let found = expected_difficulty(&rules, number, time, &parent(parent_difficulty, parent_time));
            assert_eq!(found, U256::from(difficulty), "block {number}");
        }
    }

    #[test]
    fn homestead_falls_by_at_most_ninety_nine_steps() {
        let rules = ChainSpec::for_test_network("Homestead", []).unwrap().rules_at(1, 0);
        let base = 2048 * 1000;
        let table = [(0, base + 1000), (9, base + 1000), (10, base), (20, base - 1000), (100_000, base - 99_000)];
        for (elapsed, difficulty) in table {
            let found = expected_difficulty(&rules, 1, 50 + elapsed, &parent(base, 50));
            assert_eq!(found, U256::from(difficulty), "{elapsed} s");
        }
    }

    #[test]
    fn byzantium_counts_the_ommers_of_the_parent() {
        let rules = ChainSpec::for_test_network("Byzantium", []).unwrap().rules_at(1, 0);
        let base = 2048 * 1000;
        let mut with_ommers = parent(base, 0);
        with_ommers.ommers_hash = B256::ZERO;
        assert_eq!(expected_difficulty(&rules, 1, 8, &with_ommers), U256::from(base + 2000));
        assert_eq!(expected_difficulty(&rules, 1, 8, &parent(base, 0)), U256::from(base + 1000));
        assert_eq!(expected_difficulty(&rules, 1, 9, &parent(base, 0)), U256::from(base));
    }

    #[test]
    fn bomb_is_put_off_by_each_fork() {
        let spec = ChainSpec::mainnet();
        let table = [
            (199_999, 0),
            (200_000, 1),
            (1_150_000, 1 << 9),
            (4_369_999, 1_u64 << 41),
            (4_370_000, 1 << 11),
            (7_280_000, 1 << 20),
            (9_199_999, 1 << 39),
            (9_200_000, 1),
            (12_965_000, 1 << 30),
            (13_773_000, 1 << 28),
            (15_050_000, 1 << 34),
        ];
        for (number, expected) in table {
            assert_eq!(bomb(&spec.rules_at(number, 0), number), U256::from(expected), "block {number}");
        }
        let frontier = ChainSpec::for_test_network("Frontier", []).unwrap().rules_at(u64::MAX, 0);
        assert_eq!(bomb(&frontier, u64::MAX), U256::MAX);
    }

    #[test]
    fn difficulty_has_a_floor() {
        let rules = ChainSpec::for_test_network("London", []).unwrap().rules_at(1, 0);
        assert_eq!(expected_difficulty(&rules, 1, 10_000, &parent(131_072, 0)), U256::from(131_072));
    }
}
