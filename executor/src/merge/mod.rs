//! The single writer: takes finished runs in block order, checks them, folds them, builds receipts.
//!
//! Place in the flow: after schedule delivers a transaction's run; before the outcome.
//! Invariant: only a [`Committer`] writes block state, in block order, once per transaction. A run that does not hold is made
//! again on the committed prefix, and that second run always counts: nothing before it can change any more.
//! It starts no threads and takes no locks; whoever owns it is the one who merges.

mod access_list;
mod beneficiary;
mod fold;
mod progress;
mod system;
mod terms;

use crate::{
    block_state::BlockState,
    effects::{AccountAccess, Attempt, Fate, Simulation, Transfer, TxResult},
    env::PreparedBlock,
    error::ExecuteError,
    execute::{Amounts, Instance, TRANSFER_GAS},
    location::Location,
    mv_memory::{Doubts, MvMemory, Revoked},
    rule::Rule,
    types::{Receipt, TxIndex},
    validate::{Verdict, validate},
};
use access_list::AccessListBuilder;
use alloy_eip7928::BlockAccessList;
use alloy_primitives::U256;
use beneficiary::Beneficiary;
use fold::Ledger;
use laminar_state_db::BlockChanges;
use revm::{DatabaseRef, context_interface::Transaction as _, primitives::hardfork::SpecId};
pub(crate) use system::SystemView;
pub(crate) use terms::{Invalid, Source, Taken};

/// The one who writes: the committed prefix and everything that grows with it.
#[derive(Debug)]
pub(crate) struct Committer {
    ledger: Ledger,
    invalid: Invalid,
    /// Transactions that were left out, in order, each with the rule that it breaks.
    left_out: Vec<(TxIndex, Rule)>,
    /// Number of transactions in the block so far.
    included: u64,
    receipts: Vec<Receipt>,
    gas_used: u64,
    blob_gas_used: u64,
    beneficiary: Beneficiary,
    revoked: Revoked,
    transfers: u64,
}

/// What a committer leaves when the block is done.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) gas_used: u64,
    pub(crate) blob_gas_used: u64,
    pub(crate) changes: BlockChanges,
    pub(crate) block_access_list: Option<BlockAccessList>,
    /// Transactions folded as plain transfers.
    pub(crate) transfers: u64,
}

/// A block's fixed surroundings while it is merged.
#[derive(Debug)]
pub(crate) struct Surroundings<'a, DB> {
    pub(crate) block: &'a PreparedBlock,
    pub(crate) parent: &'a DB,
}

impl<DB> Clone for Surroundings<'_, DB> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<DB> Copy for Surroundings<'_, DB> {}

impl Committer {
    /// A committer at the start of the block.
    ///
    /// # Errors
    /// Reading the beneficiary from the parent failed.
    pub(crate) fn new<DB: DatabaseRef>(
        around: Surroundings<'_, DB>,
        with_list: bool,
        invalid: Invalid,
    ) -> Result<Self, ExecuteError> {
        let block = around.block;
        let ledger = Ledger {
            state: BlockState::with_capacity(block.txs.len() * 2 + 8),
            access_list: with_list.then(AccessListBuilder::default),
            clears_empty: block.cfg_env.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON),
            steps: block.txs.len() as u64,
        };
        Ok(Self {
            ledger,
            invalid,
            left_out: Vec::new(),
            included: 0,
            receipts: Vec::with_capacity(block.txs.len()),
            gas_used: 0,
            blob_gas_used: 0,
            beneficiary: Beneficiary::of(around)?,
            revoked: Revoked::default(),
            transfers: 0,
        })
    }

    /// Adds what was taken back while runs were under way.
    pub(crate) fn revoke(&mut self, revoked: Revoked) {
        self.revoked.extend(revoked);
    }

    /// Commits the next transaction from `attempt`, which was told its values by `source`, running it again if it does not
    /// hold. `memory` is told what a second run changes, for those who run ahead.
    ///
    /// # Errors
    /// The transaction is invalid and the block was given, or a read failed. Nothing was written.
    pub(crate) fn commit<DB: DatabaseRef>(
        &mut self,
        instance: &mut Instance<'_, DB>,
        block: &PreparedBlock,
        memory: Option<&MvMemory>,
        attempt: Attempt,
        source: Source,
    ) -> Result<Taken, ExecuteError> {
        let index = self.next();
        if let Err(error) = self.admit(block, index) {
            return self.leave_out(index, error, memory, attempt.simulation());
        }
        let (stale, at) = match attempt {
            Attempt::Transfer(transfer) => {
                if !self.transfer_is_doubtful(block, index, source) && self.try_fold_transfer(block, index, &transfer) {
                    return Ok(Taken::AsDelivered);
                }
                (None, Some(Location::Balance(block.txs[index.as_usize()].caller)))
            }
            Attempt::Simulation(run) => match self.validate(&run, source) {
                Verdict::Holds => {
                    self.fold(block, index, run, instance);
                    return Ok(Taken::AsDelivered);
                }
                Verdict::Stale(location) => (Some(run), Some(location)),
            },
            Attempt::Refused => (None, None),
        };
        let taken = match self.run_again(instance, block, memory, stale.as_deref()) {
            Ok(()) => Ok(Taken::RunAgain(at)),
            Err(error) => self.leave_out(index, error, memory, stale.as_deref()),
        };
        if let Some(stale) = stale {
            instance.recycle(stale);
        }
        taken
    }

    /// Goes on without the next transaction if it is invalid and the block is one in the making. What it published is taken
    /// back, for it did none of it.
    ///
    /// # Errors
    /// `error` itself otherwise.
    fn leave_out(
        &mut self,
        index: TxIndex,
        error: ExecuteError,
        memory: Option<&MvMemory>,
        published: Option<&Simulation>,
    ) -> Result<Taken, ExecuteError> {
        let rule = match error {
            ExecuteError::InvalidBlock { rule, .. } if self.invalid == Invalid::IsLeftOut => rule,
            other => return Err(other),
        };
        if let (Some(memory), Some(published)) = (memory, published) {
            memory.revoke(index, published, None, &mut self.revoked);
        }
        self.left_out.push((index, rule));
        Ok(Taken::LeftOut)
    }

    /// Runs the next transaction on the committed prefix and folds it.
    ///
    /// # Errors
    /// The transaction is invalid, or a read failed.
    fn run_again<DB: DatabaseRef>(
        &mut self,
        instance: &mut Instance<'_, DB>,
        block: &PreparedBlock,
        memory: Option<&MvMemory>,
        stale: Option<&Simulation>,
    ) -> Result<(), ExecuteError> {
        let index = self.next();
        let owed = self.beneficiary.owed(&mut self.ledger);
        match instance.run_on(&mut self.ledger.state, owed, index)? {
            Attempt::Simulation(run) => {
                self.beneficiary.settle_if_in(&mut self.ledger, &run);
                if let Some(memory) = memory {
                    if let Some(stale) = stale {
                        memory.revoke(index, stale, Some(&run), &mut self.revoked);
                    }
                    memory.publish(index, &run);
                }
                self.fold(block, index, run, instance);
            }
            Attempt::Transfer(transfer) => {
                if let (Some(memory), Some(stale)) = (memory, stale) {
                    memory.revoke(index, stale, None, &mut self.revoked);
                }
                assert!(self.try_fold_transfer(block, index, &transfer), "tx {index} does not stand on its own state");
            }
            Attempt::Refused => {
                return Err(ExecuteError::Bug { stage: "merge", what: format!("tx {index} refused on its own state") });
            }
        }
        Ok(())
    }

    /// CONSENSUS: a transaction must fit into what is left of the block's gas (yellow paper 6.2), and of its blob gas
    /// (EIP-4844).
    fn admit(&self, block: &PreparedBlock, index: TxIndex) -> Result<(), ExecuteError> {
        let tx = &block.txs[index.as_usize()];
        let left = block.block_env.gas_limit.saturating_sub(self.gas_used);
        if tx.gas_limit > left {
            return Err(ExecuteError::invalid_tx(index, Rule::GasAllowance { bounds: Some((left, tx.gas_limit)) }));
        }
        let found = self.blob_gas_used + tx.total_blob_gas();
        let expected = block.rules.blob_params.map_or(u64::MAX, |params| params.max_blob_gas_per_block());
        if found > expected {
            return Err(ExecuteError::invalid_tx(index, Rule::BlobGasAllowance { expected, found }));
        }
        Ok(())
    }

    /// Whether an end of the transfer may have been told to the worker as something that was taken back since.
    fn transfer_is_doubtful(&self, block: &PreparedBlock, index: TxIndex, source: Source) -> bool {
        let Some(revoked) = self.revoked_for(source) else { return false };
        let tx = &block.txs[index.as_usize()];
        let taken_back = |address| revoked.of(address).is_some_and(Doubts::account);
        let doubtful = |address| taken_back(address) && self.ledger.state.account(address).is_none();
        doubtful(&tx.caller) || tx.kind.to().is_some_and(doubtful)
    }

    /// Folds a plain transfer if it stands; false if it does not.
    fn try_fold_transfer(&mut self, block: &PreparedBlock, index: TxIndex, transfer: &Transfer) -> bool {
        let tx = &block.txs[index.as_usize()];
        // It can spend what it earned, and a run on the prefix saw it with that.
        if self.beneficiary.is(&tx.caller) || tx.kind.to().is_some_and(|to| self.beneficiary.is(to)) {
            self.beneficiary.settle(&mut self.ledger);
        }
        let amounts = Amounts::of(tx, block.block_env.basefee, block.cfg_env.spec);
        if !self.ledger.try_fold_transfer(self.step(), tx, transfer, &amounts) {
            return false;
        }
        self.transfers += 1;
        let result = TxResult { success: true, gas_used: TRANSFER_GAS, logs: Vec::new() };
        self.finish_tx(block, index, result, Some(amounts.fee));
        true
    }

    fn fold<DB: DatabaseRef>(
        &mut self,
        block: &PreparedBlock,
        index: TxIndex,
        mut run: Box<Simulation>,
        instance: &mut Instance<'_, DB>,
    ) {
        self.ledger.fold(self.step(), &run);
        // CONSENSUS: the fee is paid before accounts that self-destructed are removed, so it goes with a beneficiary that did.
        let is_burnt = |access: &AccountAccess| access.fate == Fate::Destroyed && self.beneficiary.is(&access.address);
        let burnt = run.accounts.iter().any(is_burnt);
        self.finish_tx(block, index, std::mem::take(&mut run.result), (!burnt).then_some(run.fee_wei));
        instance.recycle(run);
    }

    fn finish_tx(&mut self, block: &PreparedBlock, index: TxIndex, result: TxResult, fee_wei: Option<U256>) {
        if let Some(fee) = fee_wei {
            let step = self.step();
            self.beneficiary.pay(&mut self.ledger, step, fee);
        }
        self.included += 1;
        self.gas_used += result.gas_used;
        self.blob_gas_used += block.txs[index.as_usize()].total_blob_gas();
        self.receipts.push(Receipt {
            tx_type: block.tx_type(index),
            success: result.success,
            cumulative_gas_used: self.gas_used,
            logs: result.logs,
        });
    }

    fn validate(&mut self, run: &Simulation, source: Source) -> Verdict {
        self.beneficiary.settle_if_in(&mut self.ledger, run);
        validate(run, &self.ledger.state, self.revoked_for(source))
    }

    /// What a run that was told its values by `source` may have been told wrongly.
    fn revoked_for(&self, source: Source) -> Option<&Revoked> {
        (source == Source::Published).then_some(&self.revoked)
    }

    /// The rules before the transactions see the block through this.
    pub(crate) fn before_transactions<'a, DB>(&'a mut self, around: Surroundings<'a, DB>) -> SystemView<'a, DB> {
        SystemView { committer: self, around, step: 0 }
    }

    /// The rules after the transactions see the block through this.
    pub(crate) fn after_transactions<'a, DB>(&'a mut self, around: Surroundings<'a, DB>) -> SystemView<'a, DB> {
        self.beneficiary.settle(&mut self.ledger);
        let step = self.step();
        SystemView { committer: self, around, step }
    }

    /// Takes the transactions that were left out, in order, each with the rule that it breaks.
    pub(crate) fn take_left_out(&mut self) -> Vec<(TxIndex, Rule)> {
        std::mem::take(&mut self.left_out)
    }

    /// The block access index (EIP-7928) of the next transaction, and of what comes after the last one.
    const fn step(&self) -> u64 {
        self.included + 1
    }

    /// Takes the receipts when all transactions are committed.
    pub(crate) fn take_receipts(&mut self) -> Vec<Receipt> {
        std::mem::take(&mut self.receipts)
    }

    /// Ends the block.
    pub(crate) fn finish(mut self) -> Committed {
        self.beneficiary.settle(&mut self.ledger);
        Committed {
            gas_used: self.gas_used,
            blob_gas_used: self.blob_gas_used,
            changes: self.ledger.state.into_changes(),
            block_access_list: self.ledger.access_list.map(AccessListBuilder::finish),
            transfers: self.transfers,
        }
    }
}
