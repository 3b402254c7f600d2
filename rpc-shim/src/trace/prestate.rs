//! geth's prestate tracer: the accounts that a transaction looked at, as they were before it, and what became of them.
//!
//! Place in the flow: an inspector beside the library's, whose tracer knows neither code hashes nor empty accounts and takes in what
//! geth leaves out.
//! Invariant: as in geth, what counts as looked at is decided by opcode, before it runs: sender, recipient, beneficiary, authorities,
//! targets of calls and their delegations, created contracts, operands of `BALANCE` and `EXTCODE*`, and slots of `SLOAD` and `SSTORE`.

use crate::call::{CallError, CallState, MachineContext, Ran};
use alloy_primitives::{Address, B256, Bytes, KECCAK256_EMPTY, U256, map::AddressSet};
use revm::{
    Inspector,
    bytecode::opcode,
    context::{Transaction, TxEnv},
    context_interface::transaction::AuthorizationTr,
    database_interface::DatabaseRef,
    interpreter::{
        CreateInputs, CreateOutcome, Interpreter,
        interpreter_types::{InputsTr, Jumps},
    },
    primitives::hardfork::SpecId,
    state::AccountInfo,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// What is left out or added.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct PrestateConfig {
    /// Only what changed, before and after.
    diff_mode: bool,
    disable_code: bool,
    disable_storage: bool,
    /// Accounts too that did not exist before.
    include_empty: bool,
}

/// Notes what a transaction looks at.
#[derive(Clone, Debug, Default)]
pub(super) struct Lookups {
    is_on: bool,
    accounts: BTreeMap<Address, BTreeSet<U256>>,
    created: AddressSet,
    destroyed: AddressSet,
}

impl Lookups {
    /// Notes something only if `is_on`.
    pub(super) fn new(is_on: bool) -> Self {
        Self { is_on, ..Self::default() }
    }

    fn account(&mut self, address: Address) -> &mut BTreeSet<U256> {
        self.accounts.entry(address).or_default()
    }

    /// Notes who has a part in the transaction as such.
    fn begin(&mut self, tx: &TxEnv, beneficiary: Address) {
        self.account(tx.caller);
        let target = match tx.kind.to() {
            Some(target) => *target,
            None => {
                let created = tx.caller.create(tx.nonce);
                self.created.insert(created);
                created
            }
        };
        self.account(target);
        self.account(beneficiary);
        for authority in tx.authorization_list().filter_map(|auth| auth.authority()) {
            self.account(authority);
        }
    }
}

impl<DB: DatabaseRef> Inspector<MachineContext<DB>> for Lookups {
    fn step(&mut self, interpreter: &mut Interpreter, context: &mut MachineContext<DB>) {
        if !self.is_on {
            return;
        }
        let this = interpreter.input.target_address();
        let operand = |at: usize| interpreter.stack.peek(at).ok();
        let address = |at: usize| operand(at).map(|word| Address::from_word(word.into()));
        match interpreter.bytecode.opcode() {
            opcode::SLOAD | opcode::SSTORE => {
                if let Some(slot) = operand(0) {
                    self.account(this).insert(slot);
                }
            }
            opcode::EXTCODECOPY | opcode::EXTCODEHASH | opcode::EXTCODESIZE | opcode::BALANCE => {
                address(0).map(|address| self.account(address));
            }
            opcode::SELFDESTRUCT => {
                let Some(heir) = address(0) else { return };
                self.account(heir);
                // CONSENSUS: EIP-6780.
                if !context.cfg.spec.is_enabled_in(SpecId::CANCUN) || self.created.contains(&this) {
                    self.destroyed.insert(this);
                }
            }
            opcode::CALL | opcode::CALLCODE | opcode::DELEGATECALL | opcode::STATICCALL => {
                let (Some(target), Some(_)) = (address(1), operand(4)) else { return };
                self.account(target);
                if let Some(delegate) = delegate(context, &target) {
                    self.account(delegate);
                }
            }
            _ => {}
        }
    }

    fn create(&mut self, context: &mut MachineContext<DB>, inputs: &mut CreateInputs) -> Option<CreateOutcome> {
        if self.is_on && !context.journaled_state.inner.depth.eq(&0) {
            let state = &context.journaled_state.inner.state;
            let nonce = state.get(&inputs.caller()).map_or(0, |account| account.info.nonce);
            let created = inputs.created_address(nonce);
            self.account(created);
            self.created.insert(created);
        }
        None
    }
}

/// Where an account's code is, if it is delegated (EIP-7702); looks without warming anything.
fn delegate<DB: DatabaseRef>(context: &MachineContext<DB>, address: &Address) -> Option<Address> {
    let loaded = context.journaled_state.inner.state.get(address).map(|account| account.info.clone());
    let info = loaded.or_else(|| context.journaled_state.database.basic_ref(*address).ok()?)?;
    let code = match info.code {
        Some(code) => code,
        None => context.journaled_state.database.code_by_hash_ref(info.code_hash).ok()?,
    };
    code.eip7702_address()
}

/// An account in an answer; what is `None` is left out.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
struct AccountState {
    #[serde(skip_serializing_if = "Option::is_none")]
    balance: Option<U256>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nonce: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Bytes>,
    #[serde(skip_serializing_if = "Option::is_none")]
    code_hash: Option<B256>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    storage: BTreeMap<B256, B256>,
}

/// The trace of a transaction that `lookups` watched, from the state before it and what it gave.
pub(super) fn prestate<DB: DatabaseRef>(
    mut lookups: Lookups,
    tx: &TxEnv,
    beneficiary: Address,
    config: PrestateConfig,
    state: &CallState<DB>,
    ran: &Ran,
) -> Result<Value, CallError>
where
    DB::Error: std::error::Error + Send + Sync + 'static,
{
    lookups.begin(tx, beneficiary);
    let (mut pre, mut post) = (BTreeMap::new(), BTreeMap::new());
    for (address, slots) in &lookups.accounts {
        let info = state.basic_ref(*address).map_err(CallError::state)?.unwrap_or_default();
        let mut before = account_before(state, &info, config)?;
        for slot in slots.iter().filter(|_| !config.disable_storage) {
            let value = state.storage_ref(*address, *slot).map_err(CallError::state)?;
            before.storage.insert(B256::from(*slot), value.into());
        }
        if config.diff_mode && !lookups.destroyed.contains(address) {
            match account_after(ran, *address, &info, &mut before, config) {
                Some(after) => post.insert(*address, after),
                None => continue,
            };
        }
        if config.include_empty || !info.is_empty() {
            pre.insert(*address, before);
        }
    }
    Ok(if config.diff_mode { json!({ "pre": pre, "post": post }) } else { json!(pre) })
}

fn account_before<DB: DatabaseRef>(
    state: &CallState<DB>,
    info: &AccountInfo,
    config: PrestateConfig,
) -> Result<AccountState, CallError>
where
    DB::Error: std::error::Error + Send + Sync + 'static,
{
    let has_code = !info.is_empty_code_hash() && !info.code_hash.is_zero();
    let code = match has_code && !config.disable_code {
        true => Some(state.code_by_hash_ref(info.code_hash).map_err(CallError::state)?.original_bytes()),
        false => None,
    };
    Ok(AccountState {
        balance: Some(info.balance),
        nonce: (info.nonce != 0).then_some(info.nonce),
        code,
        code_hash: has_code.then_some(info.code_hash),
        storage: BTreeMap::new(),
    })
}

/// What changed of an account, or `None` if nothing did; of `before`, slots stay that changed and were set.
fn account_after(
    ran: &Ran,
    address: Address,
    info: &AccountInfo,
    before: &mut AccountState,
    config: PrestateConfig,
) -> Option<AccountState> {
    let account = ran.state.get(&address)?;
    let now = &account.info;
    let code_hash = |info: &AccountInfo| if info.code_hash.is_zero() { KECCAK256_EMPTY } else { info.code_hash };
    let changed_code = (code_hash(now) != code_hash(info)).then(|| code_hash(now));
    let code = changed_code.filter(|_| !config.disable_code).and(now.code.as_ref());
    let mut after = AccountState {
        balance: (now.balance != info.balance).then_some(now.balance),
        nonce: (now.nonce != info.nonce).then_some(now.nonce),
        code: code.map(|code| code.original_bytes()),
        code_hash: changed_code,
        storage: BTreeMap::new(),
    };
    let mut is_changed = after.balance.is_some() || after.nonce.is_some() || changed_code.is_some();
    before.storage.retain(|slot, value| {
        let present = account.storage.get(&U256::from_be_bytes(slot.0)).map(|slot| B256::from(slot.present_value));
        let present = present.unwrap_or(*value);
        if present == *value {
            return false;
        }
        is_changed = true;
        if !present.is_zero() {
            after.storage.insert(*slot, present);
        }
        !value.is_zero()
    });
    is_changed.then_some(after)
}
