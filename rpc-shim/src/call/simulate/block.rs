//! One simulated block: overrides, system calls, calls, header.
//!
//! Place in the flow: run after run on the state that the block before left.
//! Invariant: a call that is not valid ends the whole simulation; one that runs and fails is a result. The header is made of what
//! ran, so its hash is that of a block which a node would build from the same calls.

use super::{RootAfter, envelope::envelope, logs::CallLogs, plan::Planned};
use crate::{
    call::{
        CallError, CallState, Deadline, Defaults, Environment, Invalid, InvalidKind, Machine, MovablePrecompiles,
        changes::changes_of, environment::override_header, fill, halt_reason, override_state, system::Around,
    },
    error::RpcError,
};
use alloy_consensus::{
    BlockBody, EMPTY_OMMER_ROOT_HASH, EMPTY_ROOT_HASH, Header, Sealable, TxType, proofs::calculate_transaction_root,
    transaction::Recovered,
};
use alloy_primitives::{B256, Bytes, Log as PrimitiveLog, Sealed, U256};
use alloy_rpc_types_eth::{
    Block as RpcBlock, BlockTransactions, Header as RpcHeader, Log, TransactionInfo, TransactionRequest,
    simulate::{SimCallResult, SimulateError, SimulatedBlock},
};
use laminar_executor::{
    Block, Receipt, Transaction,
    chain_spec::{ChainSpec, Fork, Rules},
    check_header::{blob_gas_used, expected_base_fee, expected_excess_blob_gas, summarize_receipts},
    system_calls::{after_transactions, before_transactions, requests_hash},
};
use revm::{
    context::{TxEnv, result::ExecutionResult},
    database_interface::{DBErrorMarker, DatabaseRef},
};
use std::cmp::Ordering;

/// A simulation between two blocks.
pub(super) struct Simulation<'a, DB: DatabaseRef> {
    pub(super) spec: &'a ChainSpec,
    pub(super) validation: bool,
    pub(super) trace_transfers: bool,
    pub(super) full_transactions: bool,
    pub(super) deadline: Deadline,
    /// What is left of the gas for all calls.
    pub(super) gas_left: u64,
    pub(super) parent: Sealed<Header>,
    pub(super) state: CallState<DB>,
}

/// What the calls of a block gave.
#[derive(Default)]
struct Done {
    transactions: Vec<Recovered<Transaction>>,
    receipts: Vec<Receipt>,
    calls: Vec<SimCallResult>,
    gas_used: u64,
    /// The index of the next log.
    next_log: u64,
}

impl<DB: RootAfter + Clone> Simulation<'_, DB>
where
    DB::Error: DBErrorMarker,
{
    /// Runs a block and makes it the parent of the next.
    pub(super) fn run(&mut self, planned: &Planned<'_>) -> Result<SimulatedBlock<RpcBlock>, CallError> {
        let (rules, header) = self.header(planned)?;
        let environment = self.environment(planned, &header)?;
        let mut precompiles = MovablePrecompiles::new(environment.cfg.spec);
        let asked = planned.asked;
        if let Some(overrides) = asked.and_then(|asked| asked.state_overrides.as_ref()) {
            override_state(&mut self.state, &mut precompiles, overrides)?;
        }
        let withdrawals = rules.is_active(Fork::Shanghai).then(Default::default);
        let body = BlockBody { transactions: Vec::new(), ommers: Vec::new(), withdrawals };
        let mut block = Block { header, body };

        let state = self.take_state();
        let mut machine =
            Machine::new(&environment, state, precompiles, self.deadline).with_inspector(CallLogs::default());
        before_transactions(&rules, &block, &mut Around(&mut machine))?;
        let mut done = Done::default();
        for request in asked.map_or(&[][..], |asked| &asked.calls) {
            self.call(&mut machine, &block.header, request, &mut done)?;
        }
        let requests = after_transactions(&rules, &block, &done.receipts, &mut Around(&mut machine))?;
        self.state = machine.into_state();

        block.body.transactions = done.transactions.iter().map(|tx| tx.inner().clone()).collect();
        if rules.is_active(Fork::Prague) {
            block.header.requests_hash = Some(requests_hash(&requests));
        }
        self.complete(&rules, &mut block, &done)?;
        Ok(self.publish(block, done))
    }

    /// The header as far as it is known before anything ran.
    fn header(&self, planned: &Planned<'_>) -> Result<(Rules, Header), CallError> {
        let parent = &self.parent;
        let mut header = Header {
            parent_hash: parent.hash(),
            ommers_hash: EMPTY_OMMER_ROOT_HASH,
            beneficiary: parent.beneficiary,
            difficulty: parent.difficulty,
            gas_limit: parent.gas_limit,
            ..Header::default()
        };
        if let Some(overrides) = planned.asked.and_then(|asked| asked.block_overrides.as_ref()) {
            override_header(&mut header, overrides)?;
        }
        (header.number, header.timestamp) = (planned.number, planned.timestamp);
        let rules = self.spec.rules_for(&header);
        if rules.is_active(Fork::London) && header.base_fee_per_gas.is_none() {
            // Without validation calls may offer no fee, so there is none to pay.
            header.base_fee_per_gas = if self.validation { expected_base_fee(&rules, parent) } else { Some(0) };
        }
        header.excess_blob_gas = expected_excess_blob_gas(&rules, parent);
        header.withdrawals_root = rules.is_active(Fork::Shanghai).then_some(EMPTY_ROOT_HASH);
        if rules.is_active(Fork::Cancun) {
            header.parent_beacon_block_root.get_or_insert_default();
        }
        Ok((rules, header))
    }

    fn environment(&self, planned: &Planned<'_>, header: &Header) -> Result<Environment, CallError> {
        let mut environment = Environment::of_block(self.spec, header);
        environment.relax();
        environment.cfg.disable_nonce_check = !self.validation;
        let overrides = planned.asked.and_then(|asked| asked.block_overrides.as_ref());
        if let Some(wei) = overrides.and_then(|overrides| overrides.blob_base_fee) {
            environment.override_blob_base_fee(wei)?;
        }
        Ok(environment)
    }

    /// Takes the state out; it is put back when the block is done. A simulation that fails is over.
    fn take_state(&mut self) -> CallState<DB> {
        let view = self.state.db.clone();
        std::mem::replace(&mut self.state, CallState::new(view))
    }

    fn call(
        &mut self,
        machine: &mut Machine<DB, CallLogs>,
        header: &Header,
        request: &TransactionRequest,
        done: &mut Done,
    ) -> Result<(), CallError> {
        let tx = self.transaction(machine, header, request, done.gas_used)?;
        let is_free = tx.gas_price == 0 && tx.gas_priority_fee.unwrap_or_default() == 0;
        machine.cfg_mut().disable_base_fee = !self.validation && is_free;
        machine.replace_inspector(CallLogs::new(self.trace_transfers, done.next_log));
        let envelope = envelope(request, &tx);
        let sender = tx.caller;
        let ran = machine.inspect(tx)?;
        machine.commit(ran.state);
        let logs = std::mem::take(&mut machine.inspector().logs);

        let gas_used = ran.result.tx_gas_used();
        self.gas_left = self.gas_left.saturating_sub(gas_used);
        done.gas_used += gas_used;
        done.next_log = machine.inspector().next;
        done.calls.push(outcome(&ran.result, located(logs, header, &envelope, done)));
        done.receipts.push(Receipt {
            tx_type: TxType::try_from(envelope.tx_type() as u8).unwrap_or(TxType::Legacy),
            success: ran.result.is_success(),
            cumulative_gas_used: done.gas_used,
            logs: ran.result.into_logs(),
        });
        done.transactions.push(Recovered::new_unchecked(envelope, sender));
        Ok(())
    }

    /// revm's transaction of a call: what is not named is the state's nonce and all gas that is left.
    fn transaction(
        &self,
        machine: &mut Machine<DB, CallLogs>,
        header: &Header,
        request: &TransactionRequest,
        used: u64,
    ) -> Result<TxEnv, CallError> {
        let nonce = machine.nonce(request.from.unwrap_or_default())?;
        let left = header.gas_limit.saturating_sub(used);
        let gas = request.gas.unwrap_or(left);
        if gas > left {
            return Err(CallError::Invalid(Invalid {
                kind: InvalidKind::BlockGas,
                message: format!("block gas limit reached: {} >= {}", used.saturating_add(gas), header.gas_limit),
                gas_limit: gas,
            }));
        }
        let defaults = Defaults { gas_cap: self.gas_left, nonce, chain_id: self.spec.chain_id() };
        let mut tx = fill(request, &defaults)?;
        tx.gas_limit = gas.min(self.gas_left);
        if self.validation {
            check_nonce(&tx, nonce)?;
        }
        Ok(tx)
    }

    /// Fills the header with what ran.
    fn complete(&self, rules: &Rules, block: &mut Block, done: &Done) -> Result<(), CallError> {
        let changes = changes_of(&self.state, true)?;
        let summary = summarize_receipts(&done.receipts);
        let header = &mut block.header;
        header.state_root = self.state.db.root_after(&changes)?;
        header.transactions_root = calculate_transaction_root(&block.body.transactions);
        (header.receipts_root, header.logs_bloom) = (summary.root, summary.logs_bloom);
        header.gas_used = done.gas_used;
        header.blob_gas_used = rules.is_active(Fork::Cancun).then(|| blob_gas_used(&block.body.transactions));
        Ok(())
    }

    /// Makes the block the parent of the next and gives it as an answer.
    fn publish(&mut self, block: Block, mut done: Done) -> SimulatedBlock<RpcBlock> {
        let size = U256::from(alloy_rlp::Encodable::length(&block));
        let header = block.header.seal_slow();
        let hash = header.hash();
        self.state.cache.block_hashes.insert(U256::from(header.number), hash);
        for log in done.calls.iter_mut().flat_map(|call| &mut call.logs) {
            log.block_hash = Some(hash);
        }
        let transactions = if self.full_transactions {
            BlockTransactions::Full(full(done.transactions, &header))
        } else {
            BlockTransactions::Hashes(block.body.transactions.iter().map(|tx| *tx.tx_hash()).collect())
        };
        self.parent = header.clone();
        let header = RpcHeader::from_consensus(header, None, Some(size));
        let inner = RpcBlock { header, uncles: Vec::new(), transactions, withdrawals: block.body.withdrawals };
        SimulatedBlock { inner, calls: done.calls }
    }
}

/// As in geth, the nonce is looked at before the fees are.
fn check_nonce(tx: &TxEnv, state: u64) -> Result<(), CallError> {
    let TxEnv { caller, nonce, .. } = tx;
    let (kind, message) = match nonce.cmp(&state) {
        Ordering::Less => {
            (InvalidKind::NonceTooLow, format!("nonce too low: address {caller}, tx: {nonce} state: {state}"))
        }
        Ordering::Greater => {
            (InvalidKind::NonceTooHigh, format!("nonce too high: address {caller}, tx: {nonce} state: {state}"))
        }
        Ordering::Equal if state == u64::MAX => {
            (InvalidKind::Other, format!("nonce has max value: address {caller}, nonce: {state}"))
        }
        Ordering::Equal => return Ok(()),
    };
    Err(CallError::Invalid(Invalid { kind, message, gas_limit: tx.gas_limit }))
}

fn full(transactions: Vec<Recovered<Transaction>>, header: &Sealed<Header>) -> Vec<alloy_rpc_types_eth::Transaction> {
    let numbered = transactions.into_iter().enumerate();
    let full = numbered.map(|(index, tx)| {
        let info = TransactionInfo {
            hash: Some(*tx.tx_hash()),
            index: Some(index as u64),
            block_hash: Some(header.hash()),
            block_number: Some(header.number),
            base_fee: header.base_fee_per_gas,
            block_timestamp: Some(header.timestamp),
        };
        alloy_rpc_types_eth::Transaction::from_transaction(tx.map(Into::into), info)
    });
    full.collect()
}

/// The logs of a call at their place in the block, whose hash is not known yet.
fn located(logs: Vec<(u64, PrimitiveLog)>, header: &Header, transaction: &Transaction, done: &Done) -> Vec<Log> {
    let located = logs.into_iter().map(|(index, inner)| Log {
        inner,
        block_hash: Some(B256::ZERO),
        block_number: Some(header.number),
        block_timestamp: Some(header.timestamp),
        transaction_hash: Some(*transaction.tx_hash()),
        transaction_index: Some(done.transactions.len() as u64),
        log_index: Some(index),
        removed: false,
    });
    located.collect()
}

fn outcome(result: &ExecutionResult, logs: Vec<Log>) -> SimCallResult {
    let gas = result.gas();
    let error = match result {
        ExecutionResult::Success { .. } => None,
        ExecutionResult::Revert { output, .. } => Some(SimulateError {
            code: SimulateError::EXECUTION_REVERTED_CODE,
            message: RpcError::reverted(output.clone()).message,
            data: Some(output.clone()),
        }),
        ExecutionResult::Halt { reason, .. } => Some(SimulateError {
            code: SimulateError::VM_EXECUTION_ERROR_CODE,
            message: halt_reason(reason),
            data: None,
        }),
    };
    SimCallResult {
        return_data: result.output().filter(|_| result.is_success()).cloned().unwrap_or_else(Bytes::new),
        logs,
        gas_used: gas.tx_gas_used(),
        max_used_gas: Some(gas.total_gas_spent().max(gas.floor_gas())),
        status: result.is_success(),
        error,
    }
}
