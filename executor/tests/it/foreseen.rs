//! Simulations that a pool made one by one in a block that it foresaw: whatever the block turns out to be, the result is
//! sequential revm's, and what the foresight got right is adopted.

use crate::{
    outline::{Draft, Outline},
    program::{CONTRACTS, Step, contract},
    random::{config, draft, step},
    world::World,
};
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, U256};
use laminar_executor::{Simulations, simulate_each};
use proptest::prelude::*;

/// What a foreseen block can get wrong.
const MISTAKES: [fn(&mut Header); 8] = [
    |header| header.beneficiary = Address::repeat_byte(0xbd),
    |header| header.timestamp += 1,
    |header| header.mix_hash = B256::repeat_byte(3),
    |header| header.gas_limit += 1,
    |header| header.base_fee_per_gas = Some(8),
    |header| header.excess_blob_gas = Some(50_000_000),
    |header| header.parent_hash = B256::repeat_byte(8),
    |header| header.beneficiary = contract(3),
];

/// Four transactions of four senders, of which only the first calls a contract with this program.
fn outline(steps: &[Step]) -> Outline {
    let mut programs = vec![Vec::new(); usize::from(CONTRACTS)];
    programs[0] = steps.to_vec();
    let draft = |sender, to| Draft { sender, to, wei: 0, tip: 1, gas: 1 };
    Outline { fork: 4, programs, drafts: vec![draft(0, 0), draft(1, 1), draft(2, 2), draft(3, 9)] }
}

/// How many of the four are adopted after each mistake, in the order of [`MISTAKES`], and after none.
#[track_caller]
fn check(steps: &[Step], adopted: [u64; 9]) {
    let outline = outline(steps);
    let found: Vec<_> = MISTAKES.iter().map(|mistake| outline.check_foreseen(mistake)).collect();
    assert_eq!((found, outline.check_foreseen(|_| ())), (adopted[..8].to_vec(), adopted[8]), "{steps:?}");
}

#[test]
fn only_what_a_run_looked_at_must_have_been_foreseen() {
    check(&[Step::Add(0, 1)], [4, 4, 4, 4, 0, 4, 0, 4, 4]);
    check(&[Step::Block(0, 0)], [3, 4, 4, 4, 0, 4, 0, 3, 4]);
    check(&[Step::Block(0, 1)], [4, 3, 4, 4, 0, 4, 0, 4, 4]);
    check(&[Step::Block(0, 3)], [4, 4, 3, 4, 0, 4, 0, 4, 4]);
    check(&[Step::Block(0, 4)], [4, 4, 4, 3, 0, 4, 0, 4, 4]);
    check(&[Step::Block(0, 7)], [4, 4, 4, 4, 0, 4, 0, 4, 4]);
    // An account that is cheap only for the beneficiary, looked at or not even that.
    check(&[Step::CodeSize(0, 7)], [3, 4, 4, 4, 0, 4, 0, 3, 4]);
    check(&[Step::Scarce(7)], [3, 4, 4, 4, 0, 4, 0, 3, 4]);
    check(&[Step::Scarce(6)], [3, 4, 4, 4, 0, 4, 0, 3, 4]);
}

#[test]
fn an_earlier_simulation_is_kept_where_it_holds() {
    let mut world = World::new();
    for n in 1..=3 {
        world.account(Address::repeat_byte(n), 0, 1_000_000_000);
        let code =
            [&[0x60, n, 0x54, 0x60, 0, 0x55][..], if n == 3 { &[0x60, 1, 0x43, 0x03, 0x40] } else { &[] }].concat();
        world.contract(Address::repeat_byte(0x10 + n), &code, 0);
        world.call(Address::repeat_byte(n), Address::repeat_byte(0x10 + n), 0);
    }
    world.state.insert_block_hash(world.header.number - 1, B256::repeat_byte(0x4a));
    let earlier = simulate_each(&world.prepare().1, &world.state, &[]);
    assert!(earlier.iter().all(|simulated| simulated.has_result()));
    let earlier: Vec<_> = earlier.into_iter().map(Some).collect();
    world.header.parent_hash = B256::repeat_byte(9);
    world.state.insert_slot(Address::repeat_byte(0x11), U256::from(1), U256::from(5));
    let (_, prepared) = world.prepare();
    let later = simulate_each(&prepared, &world.state, &earlier);
    let kept: Vec<_> =
        earlier.iter().flatten().zip(&later).map(|(earlier, later)| later.is_same_run(earlier)).collect();
    assert_eq!(kept, [false, true, false], "the first reads what changed, the third a block hash");
    assert!(Simulations::gather(&prepared, earlier.iter().map(Option::as_ref)).is_none(), "of another parent");
    assert!(Simulations::gather(&prepared, later.iter().map(Some)).is_some());
    assert!(Simulations::gather(&prepared, later[1..].iter().map(Some)).is_none(), "one is missing");
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn whatever_was_foreseen_random_blocks_are_identical(
        fork in 2u8..5,
        programs in prop::collection::vec(prop::collection::vec(step(), 1..8), CONTRACTS as usize),
        drafts in prop::collection::vec(draft(), 1..24),
        mistakes in prop::collection::vec(0..MISTAKES.len(), 0..3),
    ) {
        let outline = Outline { fork, programs, drafts };
        outline.check_foreseen(|header| mistakes.iter().for_each(|at| MISTAKES[*at](header)));
    }
}
