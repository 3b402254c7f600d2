//! What waits in the pool is simulated ahead: built and imported blocks adopt it and are the same as without, and what a moved
//! head or an edit made wrong is not adopted.

use crate::dev::node_with;
use alloy_consensus::TxEip1559;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, TxKind, U256, hex};
use laminar_executor::Predict;
use laminar_rpc_shim::{
    dev::{CHAIN_ID, Dev, Edit, Mining, Options},
    node::{BlockRecord, Delivered},
    pool::Settings,
};
use std::sync::Arc;

/// Adds one to the slot that the call names; a second word makes it put the timestamp into slot 99.
const COUNTER: [u8; 23] = hex!("5f35805460010190556020361115601557426063555b00");
const ADDRESS: Address = Address::repeat_byte(0xc0);

/// A development chain at a fixed time, whose pool keeps so many simulations.
fn dev(simulations_max: usize) -> Arc<Dev> {
    let pool = Settings { simulations_max, ..Settings::dev() };
    let dev = Dev::new(node_with(Predict::Ahead), Options { mining: Mining::Manual, pool, ..Options::default() });
    let dev = Arc::new(dev.unwrap());
    dev.edit(ADDRESS, Edit::Code(Bytes::from_static(&COUNTER))).unwrap();
    dev.start().unwrap();
    dev
}

/// Account `from` counts in `slot`.
fn count(dev: &Dev, from: usize, nonce: u64, slot: u64, looks_at_time: bool) {
    let mut input = U256::from(slot).to_be_bytes_vec();
    input.resize(if looks_at_time { 64 } else { 32 }, 0);
    send(dev, from, nonce, ADDRESS, 100_000, input);
}

fn send(dev: &Dev, from: usize, nonce: u64, to: Address, gas_limit: u64, input: Vec<u8>) {
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit,
        max_fee_per_gas: 40_000_000_000,
        max_priority_fee_per_gas: 1_000_000_000 - u128::from(nonce),
        to: TxKind::Call(to),
        value: U256::from(u64::from(input.is_empty())),
        input: input.into(),
        ..TxEip1559::default()
    };
    let from = dev.keys().addresses().nth(from).unwrap();
    dev.send_raw(&dev.keys().sign(&from, tx).unwrap().encoded_2718()).unwrap();
}

/// Does the same on a chain that simulates ahead and on one that does not; the block that each mines then is the same. Gives
/// how many transactions the former has and how many of them it adopted.
#[track_caller]
fn check(act: impl Fn(&Dev)) -> (usize, u64) {
    let mine = |simulations_max| {
        let dev = dev(simulations_max);
        act(&dev);
        dev.pool().wait_for_simulations();
        let parent = dev.node().head().header.timestamp;
        dev.set_next_timestamp(parent + 1000).unwrap();
        dev.mine().unwrap()
    };
    let (ahead, plain) = (mine(1000), mine(0));
    assert_eq!(ahead.header, plain.header);
    assert_eq!(ahead.receipts, plain.receipts);
    assert_eq!(ahead.changes, plain.changes);
    assert_eq!(plain.stats.as_ref().unwrap().adopted, 0);
    (ahead.body.transactions.len(), ahead.stats.as_ref().unwrap().adopted)
}

#[test]
fn what_holds_is_adopted_and_the_rest_runs_again() {
    // Alone, each on its own slot.
    assert_eq!(check(|dev| (0..5).for_each(|from| count(dev, from, 0, from as u64, false))), (5, 5));
    // The time came out otherwise than foreseen.
    assert_eq!(check(|dev| (0..5).for_each(|from| count(dev, from, 0, from as u64, from == 2))), (5, 4));
    // All on one slot: the first is right, each other one is not.
    assert_eq!(check(|dev| (0..5).for_each(|from| count(dev, from, 0, 7, false))), (5, 1));
    // One sender after the other's nonce, and transfers that only add up.
    assert_eq!(check(|dev| (0..5).for_each(|nonce| count(dev, 0, nonce, nonce, false))), (5, 5));
    let transfers =
        |dev: &Dev| (0..5).for_each(|nonce| send(dev, 1, nonce, Address::repeat_byte(9), 21_000, Vec::new()));
    assert_eq!(check(transfers), (5, 5));
}

#[test]
fn a_moved_head_and_an_edit_take_off_what_they_made_wrong() {
    let mined = |dev: &Dev| {
        // The second waits for the nonce before it, and is left over.
        count(dev, 0, 1, 3, false);
        count(dev, 1, 0, 3, false);
        dev.pool().wait_for_simulations();
        let parent = dev.node().head().header.timestamp;
        dev.set_next_timestamp(parent + 1000).unwrap();
        dev.mine().unwrap();
        count(dev, 0, 0, 4, false);
    };
    assert_eq!(check(mined), (2, 2));
    let edited = |dev: &Dev| {
        count(dev, 0, 0, 3, false);
        dev.pool().wait_for_simulations();
        dev.edit(ADDRESS, Edit::Slot(U256::from(3), U256::from(41))).unwrap();
    };
    assert_eq!(check(edited), (1, 1));
    let went_back = |dev: &Dev| {
        let snapshot = dev.snapshot();
        dev.edit(ADDRESS, Edit::Slot(U256::from(3), U256::from(41))).unwrap();
        count(dev, 0, 0, 3, false);
        dev.pool().wait_for_simulations();
        assert!(dev.revert(snapshot).unwrap());
        if dev.pool().status() == (0, 0) {
            count(dev, 0, 0, 3, false);
        }
    };
    assert_eq!(check(went_back), (1, 1));
}

#[test]
fn an_imported_block_adopts_what_the_pool_has() {
    let (builder, importer, stranger) = (dev(0), dev(1000), dev(1000));
    for dev in [&builder, &importer] {
        (0..5).for_each(|from| count(dev, from, 0, from as u64, from == 2));
    }
    // Has other transactions only.
    count(&stranger, 6, 0, 1, false);
    // Another time than the importer foresaw.
    builder.set_next_timestamp(builder.node().head().header.timestamp + 1000).unwrap();
    let block = builder.mine().unwrap();
    for (dev, adopted) in [(&importer, 4), (&stranger, 0)] {
        dev.pool().wait_for_simulations();
        let delivered = Delivered::new(laminar_executor::Block::new(block.header.inner().clone(), block.body.clone()));
        let hashes: Vec<B256> = block.transaction_hashes().collect();
        let imported =
            dev.node().import_with(delivered, |ready| dev.pool().simulations(ready.prepared, hashes)).unwrap();
        let record: Arc<BlockRecord> = dev.node().block_by_hash(&imported.hash()).unwrap();
        assert_eq!(record.receipts, block.receipts);
        assert_eq!(record.stats.as_ref().unwrap().adopted, adopted);
    }
}

#[test]
fn nothing_is_kept_beyond_the_bound() {
    let dev = dev(3);
    (0..8).for_each(|from| count(&dev, from, 0, from as u64, false));
    dev.pool().wait_for_simulations();
    let waiting = dev.pool().best(u64::MAX, usize::MAX);
    let simulated = waiting.iter().filter(|tx| tx.simulated().is_some()).count();
    assert!((1..=3).contains(&simulated), "{simulated}");
    assert_eq!(dev.mine().unwrap().body.transactions.len(), 8);
}
