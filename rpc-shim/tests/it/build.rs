//! Built blocks: every one imports, in every fork; what is left out and why; what the beneficiary earns.

use crate::forge::{chain_on, wallet};
use alloy_consensus::{TxEip1559, TxLegacy};
use alloy_eips::eip4895::Withdrawal;
use alloy_primitives::{Address, B256, TxKind, U256};
use laminar_executor::{Transaction, chain_spec::Fork, rule::Rule};
use laminar_fixtures::wallet::Wallet;
use laminar_rpc_shim::{
    build::{Attributes, Built, draft_header},
    node::{Delivered, Imported, Node},
    pool::{Origin, Pooled},
};
use laminar_state_db::{Account, MemoryState};
use std::sync::Arc;

/// Adds one to its slot 0.
const COUNTER: &[u8] = &[0x60, 0, 0x54, 0x60, 1, 0x01, 0x60, 0, 0x55];
const COUNTER_ADDRESS: Address = Address::repeat_byte(0xcc);
const BENEFICIARY: Address = Address::repeat_byte(0xbe);

const NETWORKS: [&str; 19] = [
    "Frontier",
    "Homestead",
    "EIP150",
    "EIP158",
    "Byzantium",
    "ConstantinopleFix",
    "Istanbul",
    "Berlin",
    "London",
    "Paris",
    "Shanghai",
    "Cancun",
    "Prague",
    "Osaka",
    "BPO1",
    "BPO2",
    "ParisToShanghaiAtTime15k",
    "ShanghaiToCancunAtTime15k",
    "CancunToPragueAtTime15k",
];

/// Accounts that Prague and later forks need, some with ether, and a counter.
pub(crate) fn genesis() -> MemoryState {
    let mut state = MemoryState::default();
    let counter = state.insert_code(COUNTER.to_vec().into());
    state.insert_account(COUNTER_ADDRESS, Account { nonce: 1, code_hash: counter, ..Account::default() });
    let stop = state.insert_code(vec![0].into());
    for address in [
        alloy_eips::eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
        alloy_eips::eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
    ] {
        state.insert_account(address, Account { nonce: 1, code_hash: stop, ..Account::default() });
    }
    for index in 0..4 {
        let balance = U256::from(10).pow(U256::from(18));
        state.insert_account(Wallet::derive(9, index).address(), Account { balance, ..Account::default() });
    }
    state
}

fn call(wallet: &Wallet, nonce: u64, to: Address, wei: u64) -> Transaction {
    // Without a chain id it is valid in every fork.
    wallet.sign(TxLegacy {
        nonce,
        gas_price: 2_000_000_000,
        gas_limit: 60_000,
        to: TxKind::Call(to),
        value: U256::from(wei),
        ..TxLegacy::default()
    })
}

/// Builds on the head of `chain`.
fn build_on(chain: &Node, attributes: &Attributes, transactions: &[Transaction]) -> Built {
    let head = chain.head();
    let rules = chain.spec().rules_at(head.header.number + 1, attributes.timestamp);
    let candidates =
        transactions.iter().map(|tx| Arc::new(Pooled::new(tx.clone(), None, &rules, Origin::Local).unwrap()));
    chain.build(&head, attributes, candidates.collect()).unwrap()
}

/// Imports a built block and compares what the import found with what the builder said.
fn import(chain: &Node, built: &Built) {
    let imported = chain.import(Delivered::new(built.block.clone())).unwrap();
    assert_eq!(imported, Imported::New(built.hash));
    chain.set_head(built.hash).unwrap();
    let record = chain.head();
    assert_eq!((&record.senders, &record.receipts), (&built.senders, &built.receipts));
    assert_eq!((&record.requests, record.changes.as_ref()), (&built.requests, Some(&built.changes)));
}

#[test]
fn every_built_block_imports_in_every_fork() {
    for network in NETWORKS {
        let chain = chain_on(network, genesis());
        let mut counted = 0_u64;
        for round in 0..3_u64 {
            // The second block stands at the time of a transition.
            let timestamp = [12, 15_000, 15_012][round as usize];
            let after_shanghai = chain.spec().rules_at(round + 1, timestamp).is_active(Fork::Shanghai);
            let withdrawal = Withdrawal { address: BENEFICIARY, amount: 3, ..Withdrawal::default() };
            let attributes = Attributes {
                beneficiary: BENEFICIARY,
                prev_randao: B256::repeat_byte(7),
                withdrawals: if after_shanghai { vec![withdrawal] } else { vec![] },
                parent_beacon_block_root: B256::repeat_byte(8),
                ..Attributes::new(timestamp, 40_000_000)
            };
            let wallets: Vec<_> = (0..4).map(|index| Wallet::derive(9, index)).collect();
            let mut transactions: Vec<_> =
                wallets.iter().map(|wallet| call(wallet, round * 2, COUNTER_ADDRESS, 0)).collect();
            transactions.push(call(&wallets[0], round * 2 + 7, COUNTER_ADDRESS, 0));
            transactions.extend(wallets.iter().map(|wallet| call(wallet, round * 2 + 1, RECIPIENT, 5)));
            counted += 4;

            let built = build_on(&chain, &attributes, &transactions);
            let left_out: Vec<_> = built.left_out.iter().map(|(tx, rule)| (tx.nonce(), rule.clone())).collect();
            let expected = Rule::NonceTooHigh { expected: round * 2 + 1, found: round * 2 + 7 };
            assert_eq!(left_out, [(round * 2 + 7, expected)], "{network}");
            assert_eq!(built.receipts.len(), 8, "{network}");
            let slot = &built.changes.account(&COUNTER_ADDRESS).unwrap().storage[&U256::ZERO];
            assert_eq!(slot.after, U256::from(counted), "{network}");
            assert!(built.block.header.gas_limit > 30_000_000, "{network}: towards the target");
            import(&chain, &built);
        }
    }
}

const RECIPIENT: Address = Address::repeat_byte(0x77);

#[test]
fn empty_blocks_import_too() {
    for network in ["Frontier", "Paris", "Osaka"] {
        let chain = chain_on(network, genesis());
        for timestamp in [1, 2, 3] {
            let built = build_on(&chain, &Attributes::new(timestamp, 0), &[]);
            assert_eq!(built.value_wei, U256::ZERO);
            import(&chain, &built);
        }
    }
}

#[test]
fn the_value_of_a_block_is_what_its_beneficiary_earns() {
    let chain = chain_on("Osaka", genesis());
    let attributes = Attributes { beneficiary: BENEFICIARY, ..Attributes::new(12, 30_000_000) };
    let tx = |nonce, tip| {
        wallet().sign(TxEip1559 {
            chain_id: 1,
            nonce,
            gas_limit: 60_000,
            max_fee_per_gas: 1_000,
            max_priority_fee_per_gas: tip,
            to: TxKind::Call(COUNTER_ADDRESS),
            ..TxEip1559::default()
        })
    };
    let built = build_on(&chain, &attributes, &[tx(0, 3), tx(1, 900)]);
    let earned = built.changes.account(&BENEFICIARY).unwrap().after.unwrap().balance;
    assert!(earned > U256::ZERO);
    assert_eq!(built.value_wei, earned);
    import(&chain, &built);
}

#[test]
fn attributes_that_make_no_block_are_refused() {
    let chain = chain_on("London", genesis());
    let head = chain.head();
    let draft = |attributes: &Attributes| {
        draft_header(chain.spec(), &head.header, head.hash(), head.total_difficulty, attributes)
            .map(|(header, _)| header)
            .map_err(|rule| rule.exception())
    };
    let late = draft(&Attributes::new(0, 1));
    assert_eq!(late, Err("BlockException.INVALID_BLOCK_TIMESTAMP_OLDER_THAN_PARENT"));
    let long = Attributes { extra_data: vec![0; 33].into(), ..Attributes::new(1, 1) };
    assert!(draft(&long).is_err());
    let withdrawals = Attributes { withdrawals: vec![Withdrawal::default()], ..Attributes::new(1, 1) };
    assert!(draft(&withdrawals).is_err());
    let built = build_on(&chain, &Attributes::new(1, 1), &[]);
    import(&chain, &built);
}

#[test]
fn an_adopted_block_is_as_good_as_an_imported_one() {
    let (ours, theirs) = (chain_on("Osaka", genesis()), chain_on("Osaka", genesis()));
    for round in 0..3 {
        let tx = call(&wallet(), round, COUNTER_ADDRESS, 0);
        let built = build_on(&ours, &Attributes::new(12 + round, 30_000_000), &[tx]);
        import(&theirs, &built);
        let adopted = ours.adopt(built.clone()).unwrap();
        assert_eq!(ours.adopt(built).unwrap().hash(), adopted.hash());
        ours.set_head(adopted.hash()).unwrap();
        assert_eq!(ours.head().header, theirs.head().header);
        let state = |node: &Node| node.state_of(&node.head().hash()).unwrap().slot(&COUNTER_ADDRESS, U256::ZERO);
        assert_eq!(state(&ours).unwrap(), state(&theirs).unwrap());
    }
}
