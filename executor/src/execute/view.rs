//! The state as one run sees it: revm's `Database` over multi-version memory or the committed prefix, and the parent below.
//!
//! Place in the flow: between a revm instance and everything it can read; the only way a run reaches state.
//! Invariant: a run on the committed prefix sees exactly the state after all transactions before it. A speculative run sees
//! any mixture of published values, each location once, because revm's journal asks for each location once a run.
//! It writes nothing; what the run wrote is captured from the journal.

use super::mapping_keys::MappingKeys;
use crate::{
    block_state::{BlockState, Owed, SlotNow},
    error::ExecuteError,
    location::Location,
    mv_memory::MvMemory,
    read_set::{BalanceRule, EnvironmentReads},
    types::TxIndex,
};
use alloy_primitives::{Address, B256, U256, map::AddressMap};
use laminar_state_db::Account;
use revm::{Database, DatabaseRef, bytecode::Bytecode, database_interface::DBErrorMarker, state::AccountInfo};

/// A failed read, with the location that was being read.
#[derive(Debug, thiserror::Error)]
#[error("reading {location}: {source}")]
pub struct ViewError {
    location: Location,
    #[source]
    source: Box<dyn std::error::Error + Send + Sync>,
}

impl DBErrorMarker for ViewError {}

impl ViewError {
    fn at<E: std::error::Error + Send + Sync + 'static>(location: Location) -> impl FnOnce(E) -> Self {
        move |source| Self { location, source: Box::new(source) }
    }
}

impl From<ViewError> for ExecuteError {
    fn from(error: ViewError) -> Self {
        Self::State { location: error.location, source: error.source }
    }
}

/// What a run notes beside its result: the rules that its result depends on.
#[derive(Debug, Default)]
pub(super) struct Notes {
    /// Balances that the run compared or looked at, apart from the sender's fee.
    pub(super) balances: AddressMap<BalanceRule>,
    /// The sender's nonce was taken from the transaction, not from the state.
    pub(super) nonce_assumed: bool,
    /// The run tried to create an account, so nonces of accounts without code matter.
    pub(super) creates: bool,
    /// What the run looked at of its block.
    pub(super) environment: EnvironmentReads,
}

/// Whose turn it is: what the view needs to know of the running transaction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn {
    pub(super) index: TxIndex,
    pub(super) sender: Address,
    pub(super) nonce: u64,
}

/// The state under one revm instance.
#[derive(Debug)]
pub(crate) struct StateView<'a, DB> {
    parent: &'a DB,
    memory: &'a MvMemory,
    /// The committed prefix while a run on it is going on; `None` while runs are speculative.
    pub(super) committed: Option<BlockState>,
    /// What the committed prefix does not have yet.
    pub(super) owed: Option<Owed>,
    pub(super) turn: Turn,
    pub(super) notes: Notes,
    pub(super) mapping_keys: MappingKeys,
}

impl<'a, DB: DatabaseRef> StateView<'a, DB> {
    /// A speculative view.
    pub(super) fn new(parent: &'a DB, memory: &'a MvMemory) -> Self {
        let turn = Turn { index: TxIndex(0), sender: Address::ZERO, nonce: 0 };
        let (notes, mapping_keys) = (Notes::default(), MappingKeys::default());
        Self { parent, memory, committed: None, owed: None, turn, notes, mapping_keys }
    }

    /// Starts the run of `turn` with empty notes.
    pub(super) fn begin(&mut self, turn: Turn) {
        self.turn = turn;
        self.notes.balances.clear();
        self.notes.nonce_assumed = false;
        self.notes.creates = false;
        self.notes.environment = EnvironmentReads::default();
    }

    /// An account as the run sees it, without notes.
    pub(super) fn account(&self, address: Address) -> Result<Option<Account>, ViewError> {
        match self.written(&address) {
            Some(account) => Ok(account),
            None => Ok(self.parent_account(address)?.as_ref().map(Account::from)),
        }
    }

    /// The account in the parent state.
    pub(super) fn parent_account(&self, address: Address) -> Result<Option<AccountInfo>, ViewError> {
        parent_account(self.parent, address)
    }

    fn written(&self, address: &Address) -> Option<Option<Account>> {
        match &self.committed {
            Some(state) => {
                let committed = state.account(address);
                let owed = self.owed.filter(|owed| owed.address == *address);
                owed.map_or(committed, |owed| Some(Some(owed.added_to(committed))))
            }
            None => self.memory.account(address, self.turn.index),
        }
    }
}

/// An account in the parent state.
pub(super) fn parent_account<DB: DatabaseRef>(parent: &DB, address: Address) -> Result<Option<AccountInfo>, ViewError> {
    parent.basic_ref(address).map_err(ViewError::at(Location::Balance(address)))
}

impl<DB: DatabaseRef> Database for StateView<'_, DB> {
    type Error = ViewError;

    fn basic(&mut self, address: Address) -> Result<Option<AccountInfo>, ViewError> {
        let mut info = match self.written(&address) {
            Some(account) => account.map(AccountInfo::from),
            None => self.parent_account(address)?,
        };
        if self.committed.is_none() && address == self.turn.sender {
            // CONSENSUS: only an account without code has a nonce that no other sender's transaction can move (a delegated
            // account can be called and create). The assumption is checked against the committed nonce before merging.
            if let Some(info) = info.as_mut().filter(|info| info.nonce != self.turn.nonce && info.is_empty_code_hash())
            {
                info.nonce = self.turn.nonce;
                self.notes.nonce_assumed = true;
            }
        }
        Ok(info)
    }

    fn code_by_hash(&mut self, hash: B256) -> Result<Bytecode, ViewError> {
        let written = match &self.committed {
            Some(state) => state.code(&hash).cloned(),
            None => self.memory.code(&hash),
        };
        match written {
            Some(code) => Ok(code),
            None => self.parent.code_by_hash_ref(hash).map_err(ViewError::at(Location::CodeHash(hash))),
        }
    }

    fn storage(&mut self, address: Address, slot: U256) -> Result<U256, ViewError> {
        let written = match &self.committed {
            Some(state) => match state.slot(&address, &slot) {
                SlotNow::Value(value) => Some(value),
                SlotNow::Parent => None,
            },
            None => self.memory.slot(&address, &slot, self.turn.index),
        };
        match written {
            Some(value) => Ok(value),
            None => self.parent.storage_ref(address, slot).map_err(ViewError::at(Location::Slot(address, slot))),
        }
    }

    fn block_hash(&mut self, number: u64) -> Result<B256, ViewError> {
        self.parent.block_hash_ref(number).map_err(ViewError::at(Location::BlockHash(number)))
    }
}
