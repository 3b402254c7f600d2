//! Lean sequential revm: the fastest honest sequential loop, which shares no code with the parallel path.
//!
//! Place in the flow: the oracle of the tests and the baseline of every speed figure; never part of a block's execution.
//! Invariant: one mainnet revm instance reused for the block over a hash map of the state, `transact` and commit for each
//! transaction, receipts kept; no bundle, no reverts, no tracing. Its rules around the transactions are the shared ones.

use crate::{
    env::{PreparedBlock, install_net_gas_metering},
    error::ExecuteError,
    location::Location,
    system_calls::{self, SYSTEM_CALL_GAS, SystemCallOutput, SystemState},
    types::{Block, Receipt, TxIndex},
};
use alloy_eips::eip7685::Requests;
use alloy_primitives::{Address, B256, Bytes, U256, map::AddressMap};
use laminar_state_db::{Account, SlotMap};
use revm::{
    Context, Database, DatabaseRef, ExecuteEvm, Journal, MainBuilder, MainnetEvm,
    bytecode::Bytecode,
    context::{BlockEnv, CfgEnv, ContextSetters, LocalContext, TxEnv, result::EVMError},
    context_interface::JournalTr,
    database_interface::DBErrorMarker,
    handler::{Handler, MainnetHandler, SYSTEM_ADDRESS, SystemCallTx},
    primitives::hardfork::SpecId,
    state::{Account as JournalAccount, AccountInfo, EvmState},
};

/// A failed read of the parent.
#[derive(Debug, thiserror::Error)]
#[error("reading {location}: {source}")]
pub struct ReadError {
    location: Location,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl DBErrorMarker for ReadError {}

impl From<ReadError> for ExecuteError {
    fn from(error: ReadError) -> Self {
        Self::State { location: error.location, source: error.source }
    }
}

fn reading<E: std::error::Error + Send + Sync + 'static>(location: Location) -> impl FnOnce(E) -> ReadError {
    move |source| ReadError { location, source: Box::new(source) }
}

/// One account of the map: `info` is `None` where the account does not exist.
#[derive(Clone, Debug, Default)]
struct CachedAccount {
    info: Option<AccountInfo>,
    storage: SlotMap<U256>,
    /// Nothing of the parent's storage is left.
    storage_cleared: bool,
}

/// A hash map of the state over the parent, filled by reads and commits.
#[derive(Debug)]
pub struct MapState<'a, DB> {
    parent: &'a DB,
    accounts: AddressMap<CachedAccount>,
    codes: alloy_primitives::map::B256Map<Bytecode>,
}

impl<'a, DB: DatabaseRef> MapState<'a, DB> {
    /// An empty map over `parent`.
    pub fn new(parent: &'a DB) -> Self {
        Self { parent, accounts: AddressMap::default(), codes: Default::default() }
    }

    fn load(&mut self, address: Address) -> Result<&mut CachedAccount, ReadError> {
        use std::collections::hash_map::Entry;
        Ok(match self.accounts.entry(address) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let info = self.parent.basic_ref(address).map_err(reading(Location::Balance(address)))?;
                entry.insert(CachedAccount { info, ..CachedAccount::default() })
            }
        })
    }

    /// An account after what was committed so far.
    ///
    /// # Errors
    /// The parent cannot be read.
    pub fn account(&mut self, address: Address) -> Result<Option<Account>, ReadError> {
        Ok(self.load(address)?.info.as_ref().map(Account::from))
    }

    /// A slot after what was committed so far.
    ///
    /// # Errors
    /// The parent cannot be read.
    pub fn slot(&mut self, address: Address, slot: U256) -> Result<U256, ReadError> {
        self.storage(address, slot)
    }

    /// Every account that was read or written, and every slot of it.
    pub fn entries(&self) -> impl Iterator<Item = (Address, Option<Account>, Vec<(U256, U256)>)> + '_ {
        self.accounts.iter().map(|(address, cached)| {
            let slots = cached.storage.iter().map(|(slot, value)| (*slot, *value)).collect();
            (*address, cached.info.as_ref().map(Account::from), slots)
        })
    }

    /// CONSENSUS: EIP-161 for touched empty accounts; before it, `finalize` has untouched or created them.
    fn commit(&mut self, state: EvmState) {
        for (address, account) in state {
            if account.is_touched() {
                self.commit_account(address, account);
            }
        }
    }

    fn commit_account(&mut self, address: Address, account: JournalAccount) {
        let cached = self.accounts.entry(address).or_default();
        let destroyed = account.is_selfdestructed();
        if destroyed || account.is_created() {
            cached.storage.clear();
            cached.storage_cleared = true;
        }
        if destroyed || (account.is_empty() && !account.is_created()) {
            cached.info = None;
            return;
        }
        for (slot, value) in account.storage {
            cached.storage.insert(slot, value.present_value());
        }
        if account.info.code_hash != revm::primitives::KECCAK_EMPTY
            && let Some(code) = &account.info.code
            && cached.info.as_ref().is_none_or(|info| info.code_hash != account.info.code_hash)
        {
            self.codes.insert(account.info.code_hash, code.clone());
        }
        cached.info = Some(account.info);
    }
}

impl<DB: DatabaseRef> Database for MapState<'_, DB> {
    type Error = ReadError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, ReadError> {
        Ok(self.load(address)?.info.clone())
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, ReadError> {
        match self.codes.get(&hash) {
            Some(code) => Ok(code.clone()),
            None => self.parent.code_by_hash_ref(hash).map_err(reading(Location::CodeHash(hash))),
        }
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, ReadError> {
        let parent = self.parent;
        let cached = self.load(address)?;
        if let Some(value) = cached.storage.get(&slot) {
            return Ok(*value);
        }
        let value = if cached.storage_cleared {
            U256::ZERO
        } else {
            parent.storage_ref(address, slot).map_err(reading(Location::Slot(address, slot)))?
        };
        cached.storage.insert(slot, value);
        Ok(value)
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, ReadError> {
        self.parent.block_hash_ref(number).map_err(reading(Location::BlockHash(number)))
    }
}

/// The instance of the loop.
pub type LeanEvm<'a, DB> =
    MainnetEvm<Context<BlockEnv, TxEnv, CfgEnv, MapState<'a, DB>, Journal<MapState<'a, DB>>, ()>>;

/// A reused instance for one block.
pub fn instance<'a, DB: DatabaseRef>(prepared: &PreparedBlock, parent: &'a DB) -> LeanEvm<'a, DB> {
    let mut journaled_state = Journal::new(MapState::new(parent));
    journaled_state.set_spec_id(prepared.cfg_env.spec);
    let context: Context<_, _, _, _, _, ()> = Context {
        block: prepared.block_env.clone(),
        tx: TxEnv::default(),
        cfg: prepared.cfg_env.clone(),
        journaled_state,
        chain: (),
        local: LocalContext::default(),
        error: Ok(()),
    };
    let mut evm = context.build_mainnet();
    install_net_gas_metering(&prepared.rules, &mut evm.instruction);
    evm
}

/// What the loop gives.
#[derive(Debug)]
pub struct LeanOutcome<'a, DB> {
    /// Receipts in block order.
    pub receipts: Vec<Receipt>,
    /// Gas of all transactions.
    pub gas_used: u64,
    /// Requests (EIP-7685).
    pub requests: Requests,
    /// The state after the block.
    pub state: MapState<'a, DB>,
}

/// Executes a block on `parent`, one transaction after the other.
///
/// # Errors
/// See [`ExecuteError`].
pub fn execute<'a, DB: DatabaseRef>(
    block: &Block,
    prepared: &PreparedBlock,
    parent: &'a DB,
) -> Result<LeanOutcome<'a, DB>, ExecuteError> {
    let mut evm = instance(prepared, parent);
    system_calls::before_transactions(&prepared.rules, block, &mut LeanState(&mut evm))?;
    let mut receipts: Vec<Receipt> = Vec::with_capacity(prepared.txs.len());
    let mut gas_used = 0;
    for (position, tx) in prepared.txs.iter().enumerate() {
        let index = TxIndex::from_usize(position);
        let left = prepared.block_env.gas_limit.saturating_sub(gas_used);
        if tx.gas_limit > left {
            let bounds = Some((left, tx.gas_limit));
            return Err(ExecuteError::invalid_tx(index, crate::rule::Rule::GasAllowance { bounds }));
        }
        let result = evm.transact(tx.clone()).map_err(|error| at(index, error))?;
        evm.ctx.journaled_state.database.commit(result.state);
        gas_used += result.result.tx_gas_used();
        receipts.push(Receipt {
            tx_type: prepared.tx_type(index),
            success: result.result.is_success(),
            cumulative_gas_used: gas_used,
            logs: result.result.into_logs(),
        });
    }
    let requests = system_calls::after_transactions(&prepared.rules, block, &receipts, &mut LeanState(&mut evm))?;
    Ok(LeanOutcome { receipts, gas_used, requests, state: evm.ctx.journaled_state.database })
}

fn at(index: TxIndex, error: EVMError<ReadError>) -> ExecuteError {
    match error {
        EVMError::Transaction(invalid) => ExecuteError::invalid_tx(index, invalid),
        EVMError::Database(error) => error.into(),
        other => ExecuteError::Bug { stage: "sequential", what: format!("tx {index}: {other}") },
    }
}

struct LeanState<'e, 'a, DB: DatabaseRef>(&'e mut LeanEvm<'a, DB>);

impl<'a, DB: DatabaseRef> LeanState<'_, 'a, DB> {
    fn state(&mut self) -> &mut MapState<'a, DB> {
        &mut self.0.ctx.journaled_state.database
    }

    fn clears_empty(&self) -> bool {
        self.0.ctx.cfg.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON)
    }
}

impl<DB: DatabaseRef> SystemState for LeanState<'_, '_, DB> {
    fn system_call(&mut self, to: Address, input: Bytes) -> Result<Option<SystemCallOutput>, ExecuteError> {
        if !self.has_code(to)? {
            return Ok(None);
        }
        // CONSENSUS: 30 million gas; revm's own default has more, for a later fork.
        self.0.ctx.set_tx(TxEnv { gas_limit: SYSTEM_CALL_GAS, ..TxEnv::new_system_tx(to, input) });
        let result = MainnetHandler::<_, EVMError<ReadError>, _>::default().run_system_call(self.0);
        let result = result.map_err(|error| at(TxIndex(0), error))?;
        let mut state = self.0.finalize();
        state.remove(&SYSTEM_ADDRESS);
        self.state().commit(state);
        let output = result.output().cloned().unwrap_or_default();
        Ok(Some(SystemCallOutput { success: result.is_success(), output }))
    }

    fn has_code(&mut self, address: Address) -> Result<bool, ExecuteError> {
        Ok(self.state().account(address)?.is_some_and(|account| account.has_code()))
    }

    fn add_balance(&mut self, address: Address, wei: U256) -> Result<(), ExecuteError> {
        let clears_empty = self.clears_empty();
        let cached = self.state().load(address)?;
        let mut info = cached.info.take().unwrap_or_default();
        info.balance = info.balance.saturating_add(wei);
        cached.info = (!clears_empty || !info.is_empty()).then_some(info);
        Ok(())
    }

    fn take_balance(&mut self, address: Address) -> Result<U256, ExecuteError> {
        let cached = self.state().load(address)?;
        Ok(cached.info.as_mut().map(|info| std::mem::take(&mut info.balance)).unwrap_or_default())
    }
}
