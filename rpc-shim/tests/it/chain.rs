//! Imports: side chains, reorganisations, and what refused blocks leave behind.

use crate::forge::{Contents, RECIPIENT, branch, chain, chain_on, correct, draft, forge, wallet};
use alloy_consensus::TxLegacy;
use alloy_primitives::{B256, Bytes, TxKind, U256};
use laminar_executor::{
    Block,
    rule::{OmmerFault, Rule},
};
use laminar_rpc_shim::node::{
    BlockRecord, ChainError, Delivered, HeadChange, ImportError, Imported, InvalidBlock, Node,
};
use laminar_state_db::{Account, MemoryState};
use revm::DatabaseRef;
use std::sync::Arc;

/// Spoils a block.
type Change = fn(&mut Block);

/// Imports a block from its bytes.
fn import(node: &Node, block: &Block) -> Result<Imported, ImportError> {
    Delivered::decode(&alloy_rlp::encode(block)).and_then(|delivered| node.import(delivered))
}

/// The removed and the added blocks.
fn hashes(change: &HeadChange) -> (Vec<B256>, Vec<B256>) {
    let of = |records: &[Arc<BlockRecord>]| records.iter().map(|record| record.hash()).collect();
    (of(&change.removed), of(&change.added))
}

fn hash(block: &Block) -> B256 {
    block.header.hash_slow()
}

fn withdrawn(gwei: u64) -> Contents {
    Contents { withdrawn_gwei: gwei, ..Contents::default() }
}

fn mined(miner: u8) -> Contents {
    Contents { miner, ..Contents::default() }
}

/// Why a block is refused once its header fits its body.
fn refusal(chain: &Node, mut block: Block) -> InvalidBlock {
    for _ in 0..12 {
        match import(chain, &block).unwrap_err() {
            ImportError::Invalid(invalid) if matches!(invalid.rule, Rule::Header(_)) => {
                correct(&mut block.header, &invalid.rule)
            }
            ImportError::Invalid(invalid) => return *invalid,
            other => panic!("{other}"),
        }
    }
    panic!("a header is complete after one correction a field");
}

/// What the recipient of withdrawals has at a block, in gwei.
fn recipient_gwei(chain: &Node, at: B256) -> u64 {
    let info = chain.state_of(&at).unwrap().basic_ref(RECIPIENT).unwrap();
    info.map(|info| (info.balance / U256::from(1_000_000_000)).to()).unwrap_or_default()
}

/// Head, number of blocks, and the state of the head.
fn picture(chain: &Node) -> (B256, usize, u64) {
    let head = chain.head().hash();
    (head, chain.blocks_len(), recipient_gwei(chain, head))
}

#[test]
fn reorg_of_depth_three_unwinds_and_comes_back() {
    let chain = chain("Shanghai");
    let genesis = chain.head().hash();
    let long = branch(&chain, genesis, 3, &withdrawn(5));
    let other = branch(&chain, genesis, 3, &withdrawn(7));
    assert_eq!(chain.head().hash(), genesis, "an import moves no head");
    let (a, b): (Vec<_>, Vec<_>) = (long.iter().map(hash).collect(), other.iter().map(hash).collect());

    let reorg = chain.set_head(a[2]).unwrap();
    assert_eq!(hashes(&reorg), (vec![], a.clone()));
    assert_eq!(picture(&chain), (a[2], 7, 15));
    let reorg = chain.set_head(b[2]).unwrap();
    assert_eq!(hashes(&reorg), (vec![a[2], a[1], a[0]], b.clone()));
    assert_eq!(picture(&chain), (b[2], 7, 21));
    assert!(chain.is_canonical(&b[0]) && !chain.is_canonical(&a[0]));
    chain.set_head(a[1]).unwrap();
    assert_eq!(picture(&chain), (a[1], 7, 10));
    assert_eq!((recipient_gwei(&chain, genesis), recipient_gwei(&chain, b[0])), (0, 7));
}

#[test]
fn blocks_of_two_branches_may_arrive_interleaved() {
    let maker = chain("Shanghai");
    let genesis = maker.head().hash();
    let a = branch(&maker, genesis, 3, &withdrawn(1));
    let b = branch(&maker, genesis, 3, &withdrawn(2));
    let chain = chain("Shanghai");
    for (a, b) in a.iter().zip(&b) {
        assert_eq!(import(&chain, a).unwrap(), Imported::New(hash(a)));
        assert_eq!(import(&chain, b).unwrap(), Imported::New(hash(b)));
    }
    assert_eq!(import(&chain, &a[1]).unwrap(), Imported::Known(hash(&a[1])));
    assert_eq!(recipient_gwei(&chain, hash(&a[2])), 3);
    assert_eq!(recipient_gwei(&chain, hash(&b[2])), 6);
}

#[test]
fn invalid_child_changes_nothing() {
    let mut chain = chain("Shanghai");
    let genesis = chain.head().hash();
    let a = branch(&chain, genesis, 2, &withdrawn(5));
    chain.set_head(hash(&a[1])).unwrap();
    let side = forge(&chain, genesis, withdrawn(9));
    let before = picture(&chain);
    let tampers: [(&str, Change); 6] = [
        ("wrong state root", |b| b.header.state_root = B256::ZERO),
        ("wrong gas used", |b| b.header.gas_used += 1),
        ("wrong base fee per gas", |b| b.header.base_fee_per_gas = Some(1)),
        ("timestamp not after", |b| b.header.timestamp = 1),
        ("wrong transactions root", |b| b.header.transactions_root = B256::ZERO),
        ("wrong withdrawals root", |b| b.body.withdrawals = Some(vec![].into())),
    ];
    // Children of the head and of the tip of a side chain, so that the state has to move for some.
    let forger = crate::forge::chain("Shanghai");
    import(&forger, &side).unwrap();
    let on_side = forge(&forger, hash(&side), withdrawn(1));
    a.iter().for_each(|block| assert!(import(&forger, block).is_ok()));
    let on_head = forge(&forger, hash(&a[1]), withdrawn(1));
    for good in [on_side, on_head] {
        for (part, tamper) in tampers {
            let mut block = good.clone();
            tamper(&mut block);
            let error = import(&chain, &block).unwrap_err();
            assert!(matches!(error, ImportError::Invalid(_)), "{error}");
            assert!(error.to_string().contains(part), "expected {part:?} in: {error}");
            assert_eq!(picture(&chain), before, "{part}");
            let child = draft(&chain, hash(&a[1]), Contents::default());
            let orphan =
                Block { header: alloy_consensus::Header { parent_hash: hash(&block), ..child.header }, ..child };
            assert!(matches!(import(&chain, &orphan), Err(ImportError::UnknownParent { .. })));
        }
        assert!(import(&chain, &good).is_ok(), "the untampered block is still welcome");
        assert_eq!(picture(&chain).0, before.0);
        // Start the next round from the same picture.
        chain = crate::forge::chain("Shanghai");
        a.iter().chain([&side]).for_each(|block| assert!(import(&chain, block).is_ok()));
        chain.set_head(hash(&a[1])).unwrap();
    }
}

#[test]
fn unknown_parent_is_no_verdict_on_the_block() {
    let maker = chain("Shanghai");
    let genesis = maker.head().hash();
    let blocks = branch(&maker, genesis, 2, &withdrawn(1));
    let chain = chain("Shanghai");
    let error = import(&chain, &blocks[1]).unwrap_err();
    assert!(matches!(error, ImportError::UnknownParent { parent, .. } if parent == hash(&blocks[0])));
    assert!(error.matches("BlockException.UNKNOWN_PARENT") && !error.matches("BlockException.INVALID_STATE_ROOT"));
    blocks.iter().for_each(|block| assert!(import(&chain, block).is_ok()));
    let unknown = B256::repeat_byte(1);
    assert!(matches!(chain.set_head(unknown), Err(ChainError::UnknownBlock { hash }) if hash == unknown));
}

#[test]
fn bytes_that_are_no_block_are_refused() {
    let chain = chain("Shanghai");
    for bytes in [&[][..], &[0xc0], &[0x80, 1, 2]] {
        let error = Delivered::decode(bytes).and_then(|delivered| chain.import(delivered)).unwrap_err();
        assert!(error.matches("BlockException.RLP_STRUCTURES_ENCODING"), "{error}");
    }
}

#[test]
fn heavier_chain_is_preferred_before_the_merge_and_the_last_one_after_it() {
    let chain = chain("London");
    let genesis = chain.head().hash();
    // A block soon after its parent is harder.
    let slow = forge(&chain, genesis, Contents { miner: 1, seconds: 60, ..Contents::default() });
    let fast = forge(&chain, genesis, mined(2));
    chain.set_head(hash(&slow)).unwrap();
    assert!(fast.header.difficulty > slow.header.difficulty && chain.prefers(&hash(&fast)));
    chain.set_head(hash(&fast)).unwrap();
    assert!(!chain.prefers(&hash(&slow)) && !chain.prefers(&hash(&fast)));
    let on_slow = forge(&chain, hash(&slow), mined(1));
    assert!(chain.prefers(&hash(&on_slow)), "two blocks outweigh one");

    let chain = crate::forge::chain("Shanghai");
    let genesis = chain.head().hash();
    let a = branch(&chain, genesis, 2, &withdrawn(1));
    chain.set_head(hash(&a[1])).unwrap();
    let b = forge(&chain, genesis, withdrawn(2));
    assert!(chain.prefers(&hash(&b)));
    assert!(!chain.prefers(&B256::repeat_byte(9)));
}

#[test]
fn ommers_are_paid_and_named_once() {
    let chain = chain("London");
    let genesis = chain.head().hash();
    let uncle = forge(&chain, genesis, mined(9));
    let first = forge(&chain, genesis, mined(1));
    let with_ommer = Contents { ommers: vec![uncle.header], ..mined(1) };
    let second = forge(&chain, hash(&first), with_ommer.clone());
    let balance = |chain: &Node, miner: u8| {
        let info = chain.state_of(&hash(&second)).unwrap().basic_ref(alloy_primitives::Address::repeat_byte(miner));
        info.unwrap().unwrap().balance
    };
    let ether = U256::from(10).pow(U256::from(18));
    assert_eq!(balance(&chain, 9), ether * U256::from(2) * U256::from(7) / U256::from(8));
    assert_eq!(balance(&chain, 1), ether * U256::from(4) + ether / U256::from(16));

    let again = draft(&chain, hash(&second), with_ommer);
    let rule = refusal(&chain, again).rule;
    assert_eq!(rule, Rule::Ommer { position: 0, fault: OmmerFault::AlreadyNamed });
}

#[test]
fn hashes_of_ancestors_come_from_the_blocks_own_branch() {
    let chain = chain("Shanghai");
    let genesis = chain.head().hash();
    let a = branch(&chain, genesis, 3, &withdrawn(1));
    let b = branch(&chain, genesis, 2, &withdrawn(2));
    chain.set_head(hash(&a[2])).unwrap();
    let state = chain.state_of(&hash(&b[1])).unwrap();
    assert_eq!(state.block_hash_ref(0).unwrap(), genesis);
    assert_eq!(state.block_hash_ref(1).unwrap(), hash(&b[0]));
    assert_eq!(state.block_hash_ref(2).unwrap(), hash(&b[1]));
    assert!(state.block_hash_ref(3).is_err());
}

#[test]
fn transactions_leave_receipts_and_senders() {
    let chain = chain("Shanghai");
    let genesis = chain.head().hash();
    let sender = wallet();
    let tx = |nonce| {
        let to = TxKind::Call(RECIPIENT);
        let value = U256::from(1_000_000_000);
        sender.sign(TxLegacy {
            chain_id: Some(1),
            nonce,
            gas_price: 100,
            gas_limit: 21_000,
            to,
            value,
            ..TxLegacy::default()
        })
    };
    let block = forge(&chain, genesis, Contents { transactions: vec![tx(0), tx(1)], ..withdrawn(3) });
    let record = chain.block_by_hash(&hash(&block)).unwrap();
    assert_eq!(record.senders, [sender.address(); 2]);
    assert_eq!(record.receipts.iter().map(|r| r.cumulative_gas_used).collect::<Vec<_>>(), [21_000, 42_000]);
    assert!(record.stats.as_ref().unwrap().incarnations > 0, "the parallel path ran");
    assert_eq!(recipient_gwei(&chain, hash(&block)), 5);
    let wrong_nonce = draft(&chain, hash(&block), Contents { transactions: vec![tx(7)], ..Contents::default() });
    let error = refusal(&chain, wrong_nonce);
    assert_eq!(error.index.map(|index| index.0), Some(0));
    assert_eq!(error.rule, Rule::NonceTooHigh { expected: 2, found: 7 });
}

/// CONSENSUS: EIP-7610.
#[test]
fn nothing_is_created_where_storage_is() {
    let sender = wallet();
    let target = sender.address().create(0);
    let account = Account { balance: U256::from(5), ..Account::default() };
    let create = |nonce| {
        let (to, input) = (TxKind::Create, Bytes::from_static(&[0]));
        sender.sign(TxLegacy {
            chain_id: Some(1),
            nonce,
            gas_price: 100,
            gas_limit: 60_000,
            to,
            input,
            ..TxLegacy::default()
        })
    };
    for occupied in [true, false] {
        let mut state = MemoryState::default();
        state.insert_account(target, account);
        if occupied {
            state.insert_slot(target, U256::ONE, U256::from(3));
        }
        let chain = chain_on("Shanghai", state);
        let genesis = chain.head().hash();
        let block = forge(&chain, genesis, Contents { transactions: vec![create(0), create(1)], ..withdrawn(1) });
        let record = chain.block_by_hash(&hash(&block)).unwrap();
        let success: Vec<_> = record.receipts.iter().map(|receipt| receipt.success).collect();
        assert_eq!(success, [!occupied, true]);
        assert_eq!(record.receipts[0].cumulative_gas_used == 60_000, occupied, "a collision takes all gas");
        let state = chain.state_of(&hash(&block)).unwrap();
        let after = state.account(&target).unwrap().unwrap();
        assert_eq!(after, if occupied { account } else { Account { nonce: 1, ..account } });
        assert_eq!(state.slot(&target, U256::ONE).unwrap(), U256::from(if occupied { 3 } else { 0 }));
    }
}
