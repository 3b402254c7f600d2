//! Chains in folders: they answer as chains in memory do, and go on where they were after a restart.

use crate::forge::{Contents, RECIPIENT, branch, forge};
use alloy_consensus::TxEip1559;
use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, TxKind, U256};
use laminar_executor::{Block, BlockExecutor, Config};
use laminar_rpc_shim::{
    dev::{ACCOUNTS, BALANCE_WEI, CHAIN_ID, Dev, Edit, Keys, MNEMONIC, Mining, Options, genesis},
    node::{BlockRecord, ChainError, Delivered, ForkChoice, Node, Origin, StoreOptions},
};
use laminar_state_db::{Access, Maintenance};
use proptest::prelude::*;
use std::{num::NonZeroUsize, path::Path, sync::Arc};
use tempfile::TempDir;

fn keys() -> Keys {
    Keys::of_mnemonic(MNEMONIC, ACCOUNTS)
}

pub(crate) fn executor() -> Arc<BlockExecutor> {
    let config = Config { threads: NonZeroUsize::new(2).unwrap(), ..Config::default() };
    Arc::new(BlockExecutor::new(config).unwrap())
}

fn origin(chain_id: u64) -> Origin {
    Origin::from_genesis(&genesis(chain_id, keys().addresses(), U256::from(BALANCE_WEI))).unwrap()
}

/// A chain whose blocks the forge can complete.
pub(crate) fn shanghai() -> Origin {
    let mut genesis = genesis(CHAIN_ID, [], U256::ZERO);
    let config = &mut genesis.config;
    (config.cancun_time, config.prague_time, config.osaka_time) = (None, None, None);
    (genesis.excess_blob_gas, genesis.blob_gas_used) = (None, None);
    Origin::from_genesis(&genesis).unwrap()
}

pub(crate) fn options() -> StoreOptions {
    StoreOptions { size_max: 64 << 20, cache_size_max: 1 << 20, ..StoreOptions::default() }
}

/// A chain in a folder.
pub(crate) fn open(dir: &Path, origin: Origin) -> Arc<Node> {
    Arc::new(Node::open(dir, options(), Some(origin), executor()).unwrap())
}

pub(crate) fn in_memory(origin: Origin) -> Arc<Node> {
    Arc::new(Node::in_memory(origin, executor()).unwrap())
}

fn dev(node: &Arc<Node>) -> Dev {
    Dev::new(Arc::clone(node), Options { mining: Mining::Manual, ..Options::default() }).unwrap()
}

/// Sends a transfer from the first account, and mines it at a time of its own.
fn mine(dev: &Dev, nonce: u64) -> Arc<BlockRecord> {
    let keys = keys();
    let from = keys.addresses().next().unwrap();
    let tx = TxEip1559 {
        chain_id: CHAIN_ID,
        nonce,
        gas_limit: 21_000,
        max_fee_per_gas: 4_000_000_000,
        to: TxKind::Call(RECIPIENT),
        value: U256::from(nonce + 1),
        ..TxEip1559::default()
    };
    dev.send_raw(&alloy_eips::eip2718::Encodable2718::encoded_2718(&keys.sign(&from, tx).unwrap())).unwrap();
    dev.mine_after(Some(1)).unwrap()
}

fn balance(node: &Node, at: impl Into<BlockId>, address: Address) -> U256 {
    node.state_at(at.into()).unwrap().account(&address).unwrap().unwrap_or_default().balance
}

/// Everything that is kept of a block.
#[track_caller]
fn check_same(found: &BlockRecord, expected: &BlockRecord) {
    assert_eq!((found.hash(), found.header.inner()), (expected.hash(), expected.header.inner()));
    assert_eq!((&found.body, &found.senders), (&expected.body, &expected.senders));
    assert_eq!((&found.receipts, &found.requests), (&expected.receipts, &expected.requests));
    assert_eq!(found.block_access_list, expected.block_access_list);
    assert_eq!(found.total_difficulty, expected.total_difficulty);
}

#[track_caller]
fn verify(dir: &Path) {
    Maintenance::open(dir, Access::ReadOnly).and_then(|store| store.verify()).unwrap();
}

fn deliver(node: &Node, blocks: &[Block]) {
    for block in blocks {
        node.import(Delivered::new(block.clone())).unwrap();
    }
}

fn hash(block: &Block) -> B256 {
    block.header.hash_slow()
}

/// Both answer the same about every block that one of them knows.
#[track_caller]
fn check_equal(disk: &Node, memory: &Node, blocks: &[B256]) {
    assert_eq!((disk.head().hash(), disk.blocks_len()), (memory.head().hash(), memory.blocks_len()));
    for number in 0..=memory.head().header.number + 1 {
        let (a, b) = (disk.block_by_number(number), memory.block_by_number(number));
        assert_eq!(a.as_ref().map(|record| record.hash()), b.as_ref().map(|record| record.hash()), "block {number}");
    }
    for hash in blocks {
        let (a, b) = (disk.block_by_hash(hash).unwrap(), memory.block_by_hash(hash).unwrap());
        check_same(&a, &b);
        assert_eq!(disk.is_canonical(hash), memory.is_canonical(hash));
        assert_eq!(balance(disk, *hash, RECIPIENT), balance(memory, *hash, RECIPIENT));
        for other in blocks {
            assert_eq!(disk.is_ancestor_or_same(hash, other), memory.is_ancestor_or_same(hash, other));
        }
        let hashes = |node: &Node| {
            let change = node.since(hash).unwrap();
            let of = |records: &[Arc<BlockRecord>]| records.iter().map(|record| record.hash()).collect::<Vec<_>>();
            (of(&change.removed), of(&change.added))
        };
        assert_eq!(hashes(disk), hashes(memory));
        for transaction in a.transaction_hashes() {
            let place = |node: &Node| node.transaction(&transaction).map(|(record, index)| (record.hash(), index));
            assert_eq!(place(disk), place(memory));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    /// Numbers choose a known block: to build on, and to become the head.
    #[test]
    fn a_chain_in_a_folder_answers_as_one_in_memory(ops in prop::collection::vec((any::<usize>(), 0u8..4), 1..14)) {
        let dir = TempDir::new().unwrap();
        let (disk, memory) = (open(dir.path(), shanghai()), in_memory(shanghai()));
        let mut blocks = vec![memory.genesis().hash()];
        for (salt, (choice, act)) in ops.into_iter().enumerate() {
            let chosen = blocks[choice % blocks.len()];
            if act == 0 {
                disk.set_head(chosen).unwrap();
                memory.set_head(chosen).unwrap();
            } else {
                let parent = if act == 1 { chosen } else { *blocks.last().unwrap() };
                let contents = Contents { withdrawn_gwei: salt as u64 + 1, ..Contents::default() };
                let block = forge(&memory, parent, contents);
                disk.import(Delivered::new(block.clone())).unwrap();
                blocks.push(hash(&block));
            }
            check_equal(&disk, &memory, &blocks);
        }
        drop(disk);
        verify(dir.path());
        let disk = open(dir.path(), shanghai());
        prop_assert_eq!(disk.head().hash(), memory.head().hash());
        let (found, expected) = (balance(&disk, BlockId::latest(), RECIPIENT), balance(&memory, BlockId::latest(), RECIPIENT));
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn reorgs_of_every_depth_survive_a_restart() {
    let dir = TempDir::new().unwrap();
    let maker = in_memory(shanghai());
    let start = maker.genesis().hash();
    let long = branch(&maker, start, 20, &Contents { withdrawn_gwei: 1, ..Contents::default() });
    let mut node = open(dir.path(), shanghai());
    deliver(&node, &long);
    for depth in 1..=20usize {
        node.set_head(hash(&long[19])).unwrap();
        let fork = if depth == 20 { start } else { hash(&long[19 - depth]) };
        let contents = Contents { withdrawn_gwei: 100 + depth as u64, ..Contents::default() };
        let side = branch(&node, fork, depth as u64, &contents);
        let change = node.set_head(hash(&side[depth - 1])).unwrap();
        assert_eq!((change.removed.len(), change.added.len()), (depth, depth));
        let gwei = U256::from((20 - depth) as u64 + depth as u64 * (100 + depth as u64));
        let expected = gwei * U256::from(1_000_000_000u64);
        assert_eq!(balance(&node, BlockId::latest(), RECIPIENT), expected, "depth {depth}");
        drop(node);
        node = open(dir.path(), shanghai());
        assert_eq!(node.head().hash(), hash(&side[depth - 1]));
        assert_eq!(balance(&node, BlockId::latest(), RECIPIENT), expected, "depth {depth}, after a restart");
        // Side branches end with the process, so the other branch is delivered again.
        deliver(&node, &long);
    }
    drop(node);
    verify(dir.path());
}

#[test]
fn a_development_chain_goes_on_after_a_restart_at_every_block() {
    let dir = TempDir::new().unwrap();
    let mut records: Vec<Arc<BlockRecord>> = Vec::new();
    for nonce in 0..8 {
        let node = open(dir.path(), origin(CHAIN_ID));
        let dev = dev(&node);
        assert_eq!(node.head().header.number, nonce);
        for (number, kept) in (1..).zip(&records) {
            check_same(&node.block_by_number(number).unwrap(), kept);
            let (record, index) = node.transaction(&kept.transaction_hashes().next().unwrap()).unwrap();
            assert_eq!((record.hash(), index), (kept.hash(), 0));
            assert_eq!(balance(&node, number, RECIPIENT), U256::from(number * (number + 1) / 2));
        }
        records.push(mine(&dev, nonce));
    }
    verify(dir.path());
}

#[test]
fn edits_of_the_state_survive_and_later_roots_follow_them() {
    let dir = TempDir::new().unwrap();
    let (memory, address) = (in_memory(origin(CHAIN_ID)), Address::repeat_byte(9));
    let other = dev(&memory);
    for round in 0..3u64 {
        let node = open(dir.path(), origin(CHAIN_ID));
        let dev = dev(&node);
        for dev in [&dev, &other] {
            dev.edit(address, Edit::Balance(U256::from(70 + round))).unwrap();
            dev.edit(address, Edit::Slot(U256::from(round), U256::from(3))).unwrap();
            dev.edit(address, Edit::Code(vec![0x60, round as u8].into())).unwrap();
        }
        drop(dev);
        drop(node);
        let node = open(dir.path(), origin(CHAIN_ID));
        assert_eq!(balance(&node, BlockId::latest(), address), U256::from(70 + round));
        let dev = self::dev(&node);
        for dev in [&dev, &other] {
            dev.set_next_timestamp(100 + round).unwrap();
            dev.mine().unwrap();
        }
        assert_eq!(node.head().header.state_root, memory.head().header.state_root);
    }
    verify(dir.path());
}

#[test]
fn blocks_that_left_memory_are_read_back_and_can_be_gone_back_to() {
    let dir = TempDir::new().unwrap();
    for node in [in_memory(origin(CHAIN_ID)), open(dir.path(), origin(CHAIN_ID))] {
        let dev = dev(&node);
        let snapshot = dev.snapshot();
        let records: Vec<_> = (0..300).map(|nonce| mine(&dev, nonce)).collect();
        for record in [&records[0], &records[150], &records[299]] {
            let found = node.block_by_number(record.header.number).unwrap();
            check_same(&found, record);
            check_same(&node.block_by_hash(&record.hash()).unwrap(), record);
            assert!(node.is_canonical(&record.hash()));
            let (place, _) = node.transaction(&record.transaction_hashes().next().unwrap()).unwrap();
            assert_eq!(place.hash(), record.hash());
        }
        assert!(node.block_by_number(1).unwrap().changes.is_none(), "it was read back");
        assert!(node.is_ancestor_or_same(&records[3].hash(), &records[299].hash()));
        assert_eq!(node.since(&records[9].hash()).unwrap().added.len(), 290);
        assert_eq!(node.blocks_len(), 301);
        assert!(dev.revert(snapshot).unwrap());
        assert_eq!((node.head().header.number, balance(&node, BlockId::latest(), RECIPIENT)), (0, U256::ZERO));
        assert!(node.transaction(&records[0].transaction_hashes().next().unwrap()).is_none());
        // From there the same blocks follow, whether the old ones are still known or not.
        node.set_head(records[299].hash()).unwrap();
        assert_eq!(balance(&node, BlockId::latest(), RECIPIENT), U256::from(300 * 301 / 2));
    }
    verify(dir.path());
}

#[test]
fn tags_survive_a_restart_and_end_with_their_blocks() {
    let dir = TempDir::new().unwrap();
    let node = open(dir.path(), shanghai());
    let blocks = branch(&node, node.genesis().hash(), 6, &Contents::default());
    let head = hash(&blocks[5]);
    let choice = ForkChoice { head, safe: Some(hash(&blocks[3])), finalized: Some(hash(&blocks[1])) };
    node.choose(choice).unwrap();
    node.choose(ForkChoice { finalized: Some(hash(&blocks[2])), ..choice }).unwrap();
    drop(node);
    let node = open(dir.path(), shanghai());
    let number = |record: Option<Arc<BlockRecord>>| record.map(|record| record.header.number);
    assert_eq!((node.head().hash(), number(node.safe()), number(node.finalized())), (head, Some(4), Some(3)));
    node.set_head(hash(&blocks[2])).unwrap();
    assert_eq!((number(node.safe()), number(node.finalized())), (None, Some(3)));
}

#[test]
fn a_folder_is_opened_as_what_it_holds() {
    let dir = TempDir::new().unwrap();
    let node = |origin| Node::open(dir.path(), options(), origin, executor());
    assert!(matches!(node(None), Err(ChainError::NoGenesis { .. })));
    assert!(matches!(node(Origin::known("mainnet")), Err(ChainError::NoGenesis { .. })));
    assert!(matches!(Node::in_memory(Origin::known("mainnet").unwrap(), executor()), Err(ChainError::NoAccounts)));
    let first = node(Some(origin(5))).unwrap();
    let expected = first.genesis().hash();
    let in_use = node(Some(origin(5))).unwrap_err();
    assert!(in_use.to_string().contains("in use"), "{in_use}");
    drop(first);
    let alone = node(None).unwrap();
    assert_eq!((alone.genesis().hash(), alone.spec().chain_id()), (expected, 5));
    assert_eq!(alone.spec().rules_at(1, 1), origin(5).spec().rules_at(1, 1));
    drop(alone);
    let other = Origin::from_genesis(&genesis(5, keys().addresses(), U256::from(7))).unwrap();
    let refused = node(Some(other)).unwrap_err();
    assert!(matches!(&refused, ChainError::OtherChain { found, .. } if *found == Some(expected)), "{refused}");
    let refused = node(Origin::known("mainnet")).unwrap_err().to_string();
    assert!(refused.contains("holds another chain: expected a genesis with hash 0xd4e567"), "{refused}");
}
