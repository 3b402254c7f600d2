//! A tiny world for hand-written cases: a parent state, unsigned transactions, one check.

use crate::check::{WORKERS, check_prepared};
use alloy_consensus::Header;
use alloy_eips::eip7702::{Authorization, RecoveredAuthority, RecoveredAuthorization};
use alloy_primitives::{Address, B256, TxKind, U256};
use laminar_executor::{
    Block, Outcome,
    chain_spec::{ChainSpec, Rules},
    env::{PreparedBlock, block_env, cfg_env},
};
use laminar_state_db::{Account, MemoryState};
use revm::{context::TxEnv, context_interface::either::Either};

/// A block in the making, in Osaka unless moved.
pub(crate) struct World {
    pub(crate) state: MemoryState,
    pub(crate) header: Header,
    pub(crate) txs: Vec<TxEnv>,
}

/// The beneficiary of every block.
pub(crate) const BENEFICIARY: Address = Address::repeat_byte(0xbe);

impl World {
    /// A world with the contracts that Prague asks for.
    pub(crate) fn new() -> Self {
        let header = Header {
            number: 24_000_000,
            timestamp: 1_770_000_000,
            beneficiary: BENEFICIARY,
            gas_limit: 100_000_000,
            base_fee_per_gas: Some(7),
            excess_blob_gas: Some(0),
            parent_beacon_block_root: Some(B256::ZERO),
            ..Header::default()
        };
        let mut world = Self { state: MemoryState::default(), header, txs: Vec::new() };
        for address in [
            alloy_eips::eip7002::WITHDRAWAL_REQUEST_PREDEPLOY_ADDRESS,
            alloy_eips::eip7251::CONSOLIDATION_REQUEST_PREDEPLOY_ADDRESS,
        ] {
            world.contract(address, &[revm::bytecode::opcode::STOP], 0);
        }
        world
    }

    /// The same at another place of mainnet's schedule.
    pub(crate) fn at(number: u64, timestamp: u64) -> Self {
        let mut world = Self::new();
        (world.header.number, world.header.timestamp) = (number, timestamp);
        world
    }

    /// Puts an account without code into the parent state.
    pub(crate) fn account(&mut self, address: Address, nonce: u64, wei: u64) {
        self.state.insert_account(address, Account { nonce, balance: U256::from(wei), ..Account::default() });
    }

    /// Puts a contract into the parent state.
    pub(crate) fn contract(&mut self, address: Address, code: &[u8], wei: u64) {
        let code_hash = self.state.insert_code(code.to_vec().into());
        self.state.insert_account(address, Account { nonce: 1, balance: U256::from(wei), code_hash });
    }

    /// Appends a call; the nonce counts the sender's transactions from its nonce in the parent state.
    pub(crate) fn call(&mut self, from: Address, to: Address, wei: u64) -> &mut TxEnv {
        let sent = self.txs.iter().filter(|tx| tx.caller == from).count() as u64;
        let nonce = self.state.account(&from).map_or(0, |account| account.nonce) + sent;
        self.txs.push(TxEnv {
            caller: from,
            gas_limit: 400_000,
            gas_price: 9,
            kind: TxKind::Call(to),
            value: U256::from(wei),
            nonce,
            chain_id: None,
            ..TxEnv::default()
        });
        self.txs.last_mut().expect("just pushed")
    }

    /// Appends a transaction that does nothing but carry `authority`'s authorization to run the code of `to` (EIP-7702).
    pub(crate) fn delegate(&mut self, from: Address, authority: Address, nonce: u64, to: Address) {
        let authorization = Authorization { chain_id: U256::ZERO, address: to, nonce };
        let authority = RecoveredAuthority::Valid(authority);
        let tx = self.call(from, Address::repeat_byte(0xf1), 0);
        (tx.tx_type, tx.chain_id, tx.gas_priority_fee) = (4, Some(1), Some(1));
        tx.authorization_list = vec![Either::Right(RecoveredAuthorization::new_unchecked(authorization, authority))];
    }

    /// The rules of the block.
    pub(crate) fn rules(&self) -> Rules {
        ChainSpec::mainnet().rules_for(&self.header)
    }

    /// Block and prepared block.
    pub(crate) fn prepare(&self) -> (Block, PreparedBlock) {
        let rules = self.rules();
        let (block_env, cfg_env) = (block_env(&rules, &self.header), cfg_env(&rules));
        (
            Block::uncle(self.header.clone()),
            PreparedBlock { rules, parent_hash: self.header.parent_hash, block_env, cfg_env, txs: self.txs.clone() },
        )
    }

    /// Runs the block in every mode against sequential revm, several times, because threads take different orders.
    #[track_caller]
    pub(crate) fn check(&self) -> Outcome {
        let (block, prepared) = self.prepare();
        for _ in 0..4 {
            check_prepared(&block, &prepared, &self.state, &WORKERS);
        }
        check_prepared(&block, &prepared, &self.state, &WORKERS)
    }
}
