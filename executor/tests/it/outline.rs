//! Blocks of real EVM programs over a tiny address space, in outline: conflicts everywhere, every mode must agree.
//!
//! The property test draws outlines, the fuzz target reads them from bytes; both check them here.

use crate::{
    check::{check_prepared, executor, first_difference},
    program::{BENEFICIARY, CONTRACTS, SENDERS, Step, assemble, contract, looker, looker_code, sender, subject},
};
use alloy_consensus::Header;
use alloy_primitives::{Address, B256, TxKind, U256};
use laminar_executor::{
    Block, Knowledge, Predict, Simulations,
    chain_spec::{ChainSpec, Rules},
    env::{PreparedBlock, block_env, cfg_env},
    sequential, simulate_each,
};
use laminar_state_db::{Account, MemoryState};
use revm::context::TxEnv;

/// A transaction in outline; nonces follow from the order.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draft {
    pub(crate) sender: u8,
    /// 0 to 7 subjects, 8 and 9 senders' peers: plain transfers.
    pub(crate) to: u8,
    pub(crate) wei: u8,
    pub(crate) tip: u8,
    pub(crate) gas: u8,
}

/// A block in outline.
#[derive(Clone, Debug)]
pub(crate) struct Outline {
    /// Which of the forks that matter.
    pub(crate) fork: u8,
    /// One program a contract.
    pub(crate) programs: Vec<Vec<Step>>,
    pub(crate) drafts: Vec<Draft>,
}

/// Most steps of a program that is read from bytes.
const STEPS_MAX: u8 = 8;
/// Most transactions of a block that is read from bytes.
const TXS_MAX: u8 = 24;

impl Outline {
    /// An outline from any bytes; those that are missing count as zero.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Self {
        let mut bytes = bytes.iter().copied();
        let mut next = || bytes.next().unwrap_or_default();
        let fork = next();
        let programs = (0..CONTRACTS)
            .map(|_| (0..next() % STEPS_MAX).map(|_| Step::of_kind(next(), next() % 8, next() % 8)).collect());
        let programs = programs.collect();
        let drafts = (0..1 + next() % TXS_MAX).map(|_| Draft {
            sender: next() % SENDERS,
            to: next() % 10,
            wei: next() % 40,
            tip: next() % 3,
            gas: next() % 4,
        });
        Self { fork, programs, drafts: drafts.collect() }
    }

    /// Runs the block in every mode with these numbers of workers.
    #[track_caller]
    pub(crate) fn check(&self, workers: &[usize]) {
        let header = header(fork(self.fork));
        let state = self.state(&header);
        let (block, prepared) = self.block(header);
        check_prepared(&block, &prepared, &state, workers);
    }

    /// Runs the block with simulations that a pool made one by one in a block that it foresaw: `foresee` gives its header.
    /// Gives how many were adopted.
    #[track_caller]
    pub(crate) fn check_foreseen(&self, foresee: impl FnOnce(&mut Header)) -> u64 {
        let actual = Header { parent_hash: B256::repeat_byte(7), ..header(fork(self.fork)) };
        let mut foreseen = actual.clone();
        foresee(&mut foreseen);
        let state = self.state(&actual);
        let simulated = simulate_each(&self.block(foreseen).1, &state, &[]);
        let (block, prepared) = self.block(actual);
        let mut want = sequential::execute(&block, &prepared, &state).expect("sequential");
        let mut adopted = None;
        for workers in [1, 2] {
            let known = Simulations::gather(&prepared, simulated.iter().map(Some));
            let known = known.map_or(Knowledge::Nothing, Knowledge::Simulations);
            let got = executor(workers, Predict::Ahead).execute(&block, &prepared, &state, known).expect("parallel");
            assert_eq!(first_difference(&mut want, &got, &state), None, "x {workers}");
            let found = *adopted.get_or_insert(got.stats.adopted);
            assert_eq!(got.stats.adopted, found, "x {workers}: adopted");
        }
        adopted.unwrap_or_default()
    }

    fn block(&self, header: Header) -> (Block, PreparedBlock) {
        let rules = ChainSpec::mainnet().rules_for(&header);
        // The rules around the transactions have tests of their own; here the header asks for none that needs a contract.
        let header = Header { parent_beacon_block_root: Some(B256::ZERO), ..header };
        let prepared = prepared(rules, &header, &self.drafts);
        (Block::uncle(header), prepared)
    }

    fn state(&self, header: &Header) -> MemoryState {
        let mut state = parent(&self.programs);
        state.insert_block_hash(header.number - 1, header.parent_hash);
        install_system_contracts(&mut state);
        state
    }
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
    for n in 0..8 {
        let code_hash = state.insert_code(looker_code(n));
        state.insert_account(looker(n), Account { nonce: 1, balance: U256::ZERO, code_hash });
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
