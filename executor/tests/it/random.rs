//! Random blocks of real EVM programs over a tiny address space: conflicts everywhere, every mode must agree.

use crate::{
    check::check_prepared,
    program::{BENEFICIARY, CONTRACTS, SENDERS, Step, assemble, contract, sender, step, subject},
};
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, TxKind, U256};
use laminar_executor::{
    Block,
    chain_spec::{ChainSpec, Rules},
    env::{PreparedBlock, block_env, cfg_env},
};
use laminar_state_db::{Account, MemoryState};
use proptest::prelude::*;
use revm::context::TxEnv;

/// A transaction in outline; nonces follow from the order.
#[derive(Clone, Copy, Debug)]
struct Draft {
    sender: u8,
    /// 0 to 7 subjects, 8 and 9 senders' peers: plain transfers.
    to: u8,
    wei: u8,
    tip: u8,
    gas: u8,
}

fn draft() -> impl Strategy<Value = Draft> {
    (0..SENDERS, 0u8..10, 0u8..40, 0u8..3, 0u8..4).prop_map(|(sender, to, wei, tip, gas)| Draft {
        sender,
        to,
        wei,
        tip,
        gas,
    })
}

fn destination(draft: Draft) -> Address {
    match draft.to {
        to @ 0..=7 => subject(to),
        to => sender(to - 6),
    }
}

/// The forks whose rules differ in what parallel execution can get wrong.
fn fork(n: u8) -> (u64, u64) {
    match n % 5 {
        0 => (1_000_000, 0),
        1 => (2_700_000, 0),
        2 => (13_000_000, 1_630_000_000),
        3 => (18_000_000, 1_690_000_000),
        _ => (24_000_000, 1_770_000_000),
    }
}

fn header(fork_at: (u64, u64)) -> Header {
    Header {
        number: fork_at.0,
        timestamp: fork_at.1,
        beneficiary: BENEFICIARY,
        gas_limit: 100_000_000,
        gas_used: 10_000_000,
        base_fee_per_gas: Some(7),
        excess_blob_gas: Some(0),
        ..Header::default()
    }
}

fn parent(programs: &[Vec<Step>]) -> MemoryState {
    let mut state = MemoryState::default();
    for n in 0..SENDERS {
        let account = Account { nonce: 0, balance: U256::from(10_000_000_000u64), ..Account::default() };
        state.insert_account(sender(n), account);
    }
    for (n, steps) in (0..CONTRACTS).zip(programs) {
        let code_hash = state.insert_code(assemble(steps));
        let account = Account { nonce: 1, balance: U256::from(20 * u64::from(n)), code_hash };
        state.insert_account(contract(n), account);
        state.insert_slot(contract(n), U256::from(1), U256::from(n));
    }
    state
}

fn prepared(rules: Rules, header: &Header, drafts: &[Draft]) -> PreparedBlock {
    let mut nonces = [0u64; SENDERS as usize];
    let base_fee = header.base_fee_per_gas.filter(|_| rules.is_active(laminar_executor::chain_spec::Fork::London));
    let txs = drafts.iter().map(|draft| {
        let nonce = &mut nonces[usize::from(draft.sender % SENDERS)];
        *nonce += 1;
        TxEnv {
            tx_type: 0,
            caller: sender(draft.sender),
            gas_limit: if draft.to >= 8 { 21_000 } else { 200_000 + 300_000 * u64::from(draft.gas) },
            gas_price: u128::from(base_fee.unwrap_or_default()) + u128::from(draft.tip),
            kind: TxKind::Call(destination(*draft)),
            value: U256::from(draft.wei),
            nonce: *nonce - 1,
            chain_id: None,
            ..TxEnv::default()
        }
    });
    PreparedBlock {
        rules,
        parent_hash: header.parent_hash,
        block_env: block_env(&rules, header),
        cfg_env: cfg_env(&rules),
        txs: txs.collect(),
    }
}

#[track_caller]
fn check(fork_at: (u64, u64), programs: &[Vec<Step>], drafts: &[Draft]) {
    let header = header(fork_at);
    let rules = ChainSpec::mainnet().rules_for(&header);
    // The rules around the transactions have tests of their own; here the header asks for none that needs a contract.
    let header = Header { parent_beacon_block_root: Some(B256::ZERO), ..header };
    let prepared = prepared(rules, &header, drafts);
    let block = Block::uncle(header);
    let mut state = parent(programs);
    install_system_contracts(&mut state);
    check_prepared(&block, &prepared, &state, &[1, 2, 3, 8]);
}

/// Prague's request contracts must exist; these return nothing.
fn install_system_contracts(state: &mut MemoryState) {
    for address in [
        alloy_eips::eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
        alloy_eips::eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
    ] {
        let code_hash = state.insert_code(vec![revm::bytecode::opcode::STOP].into());
        state.insert_account(address, Account { nonce: 1, balance: U256::ZERO, code_hash });
    }
}

/// 96 cases, or what `PROPTEST_CASES` says.
fn config() -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(96);
    ProptestConfig { cases, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn random_blocks_are_identical_in_every_mode(
        fork_at in 0u8..5,
        programs in prop::collection::vec(prop::collection::vec(step(), 1..8), CONTRACTS as usize),
        drafts in prop::collection::vec(draft(), 1..24),
    ) {
        check(fork(fork_at), &programs, &drafts);
    }
}
