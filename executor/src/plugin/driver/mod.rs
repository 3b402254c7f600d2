//! Drives the block executors of any alloy-evm chain: workers run transactions ahead, one executor commits them in order.
//!
//! Place in the flow: for hosts that have a `BlockExecutorFactory` and leave the block's loop to us.
//! Invariant: the committing executor does what it would do alone: pre-execution changes, one `commit_transaction` for each
//! transaction in block order, `finish`. A result that a worker's executor gave is committed only if everything that it read is
//! so in the committed state and the transaction fits into the block's gas; any other transaction is executed by the committing
//! executor itself, which has the last word on every error.
//!
//! Neither the executors nor their databases may leave their thread, so the shape is: each worker builds an executor of its own
//! over a [`View`] (parent and published results), the calling thread builds the committing one over a [`Ledger`]. Only results
//! travel. While the next transaction is still running elsewhere, the calling thread runs ahead too.

mod ledger;

use super::ahead::{Ahead, Found, FrameWatch, Run, Version, View};
use crate::{
    schedule::Pool,
    sync::{Mutex, spin_loop, yield_now},
    types::TxIndex,
};
use alloy_consensus::Transaction;
use alloy_evm::{
    Evm, EvmEnv, EvmFactory, RecoveredTx, ToTxEnv,
    block::{BlockExecutionError, BlockExecutionResult, BlockExecutor, BlockExecutorFactory, TxResult},
};
use ledger::Ledger;
use revm::{
    DatabaseRef,
    context_interface::{Block, result::ResultGas},
    database::BundleState,
    inspector::NoOpInspector,
};
use std::fmt;

/// Looks at a running transaction before the calling thread offers its core to others.
const SPINS_MAX: u32 = 64;

/// The transaction environment of a factory's EVMs.
type TxOf<F> = <<F as BlockExecutorFactory>::EvmFactory as EvmFactory>::Tx;
/// The environment of a factory's EVMs.
type EnvOf<F> = EvmEnv<
    <<F as BlockExecutorFactory>::EvmFactory as EvmFactory>::Spec,
    <<F as BlockExecutorFactory>::EvmFactory as EvmFactory>::BlockEnv,
>;
/// What an executor gives for a transaction before it is committed.
type ResultOf<F> = <F as BlockExecutorFactory>::TxExecutionResult;
/// The executor of a worker.
type Runner<'a, 'v, F, P> = <F as BlockExecutorFactory>::Executor<'a, View<'v, P>, FrameWatch>;
/// The executor that commits.
type Committing<'a, 'v, F, P> = <F as BlockExecutorFactory>::Executor<'a, Ledger<'v, P>, NoOpInspector>;

/// A block as a host of alloy-evm has it.
pub struct HostBlock<'a, F: BlockExecutorFactory, T> {
    /// Block environment and configuration.
    pub env: EnvOf<F>,
    /// What the executor needs beside them.
    pub context: F::ExecutionCtx<'a>,
    /// The transactions with their senders, in block order.
    pub txs: &'a [T],
}

impl<F: BlockExecutorFactory, T> fmt::Debug for HostBlock<'_, F, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostBlock").field("txs", &self.txs.len()).finish_non_exhaustive()
    }
}

/// What a driven block gives.
#[derive(Clone, Debug)]
pub struct Driven<R> {
    /// Receipts, requests and gas, as the executor's `finish` gives them.
    pub result: BlockExecutionResult<R>,
    /// The changed state with its reverts.
    pub state: BundleState,
    /// Transactions of which a worker's result was committed; the others were executed where they were committed.
    pub adopted: usize,
}

/// Executes a block with the executors of `factory` on the threads of `pool`, on `parent`, the state after its parent.
///
/// The factory's executors must be such that `execute_transaction_without_commit` depends on the environment, the transaction
/// and the database alone, as Ethereum's does; and beyond the block's gas they must not refuse a transaction for what was
/// committed before it.
///
/// # Errors
/// What the executor itself says of the block, or [`BlockExecutionError::Internal`] if it panicked.
pub fn drive_block<'a, F, T, P>(
    factory: &'a F,
    pool: &Pool,
    block: HostBlock<'a, F, T>,
    parent: &P,
) -> Result<Driven<F::Receipt>, BlockExecutionError>
where
    F: BlockExecutorFactory<EvmFactory: EvmFactory<BlockEnv: Sync>, Transaction: Transaction, Receipt: Send> + Sync,
    F::ExecutionCtx<'a>: Sync,
    T: ToTxEnv<TxOf<F>> + RecoveredTx<F::Transaction> + Sync,
    P: DatabaseRef + Sync,
{
    let ahead = Ahead::new(block.txs.len(), |output: &ResultOf<F>| &output.result().state);
    let workers = pool.workers().min(block.txs.len().max(1));
    let driver = Driver { factory, block: &block, parent, ahead: &ahead };
    let driven = Mutex::new(None);
    pool.run(workers, |worker| {
        if worker == 0 {
            *driven.lock() = Some(driver.commit_all(workers > 1));
        } else {
            driver.run_ahead();
        }
    });
    driven.into_inner().unwrap_or_else(|| Err(BlockExecutionError::msg("the block executor panicked")))
}

struct Driver<'a, 'd, F: BlockExecutorFactory, T, P> {
    factory: &'a F,
    block: &'d HostBlock<'a, F, T>,
    parent: &'d P,
    ahead: &'d Ahead<ResultOf<F>>,
}

impl<'a, F, T, P> Driver<'a, '_, F, T, P>
where
    F: BlockExecutorFactory<Transaction: Transaction>,
    T: ToTxEnv<TxOf<F>> + RecoveredTx<F::Transaction>,
    P: DatabaseRef,
{
    /// What a worker does: it runs what nobody has claimed.
    fn run_ahead(&self) {
        let mut runner = self.runner();
        while self.run_next(&mut runner) {}
    }

    fn runner(&self) -> Runner<'a, '_, F, P> {
        let (view, watch) = View::new(self.parent, self.ahead.overlay());
        let evm = self.factory.evm_factory().create_evm_with_inspector(view, self.block.env.clone(), watch);
        self.factory.create_executor(evm, self.block.context.clone())
    }

    /// Runs one transaction ahead; false if none is left.
    fn run_next(&self, runner: &mut Runner<'a, '_, F, P>) -> bool {
        let Some(claim) = self.ahead.next() else { return false };
        runner.evm_mut().db_mut().begin(Version::of(claim.index));
        // What fails here says nothing about the transaction: the committing executor runs it again.
        if let Ok(output) = runner.execute_transaction_without_commit(&self.block.txs[claim.index.as_usize()]) {
            claim.deliver(runner.evm_mut().db_mut().take_reads(), output);
        }
        true
    }

    /// What the calling thread does: it commits the block, and runs ahead while it has to wait.
    fn commit_all(&self, helps: bool) -> Result<Driven<F::Receipt>, BlockExecutionError> {
        let _guard = CancelOnDrop(self.ahead);
        let ledger = Ledger::new(self.parent, self.ahead.overlay());
        let evm = self.factory.evm_factory().create_evm(ledger, self.block.env.clone());
        let mut executor = self.factory.create_executor(evm, self.block.context.clone());
        executor.apply_pre_execution_changes()?;
        let mut runner = helps.then(|| self.runner());
        let mut gas = GasSums::default();
        let mut adopted = 0;
        for at in 0..self.block.txs.len() {
            let index = TxIndex::from_usize(at);
            let run = self.wait_for(index, runner.as_mut());
            adopted += usize::from(self.commit(&mut executor, index, run, &mut gas)?);
        }
        executor.evm_mut().db_mut().begin(Version::of(TxIndex::from_usize(self.block.txs.len())), None);
        let (evm, result) = executor.finish()?;
        Ok(Driven { result, state: evm.into_db().into_bundle(), adopted })
    }

    /// The run of a transaction, if there is one; while it is on its way, other transactions are run.
    fn wait_for(&self, index: TxIndex, mut runner: Option<&mut Runner<'a, '_, F, P>>) -> Option<Box<Run<ResultOf<F>>>> {
        let mut looks = 0;
        loop {
            match self.ahead.take(index) {
                Found::Run(run) => return run,
                Found::Running if runner.as_mut().is_some_and(|runner| self.run_next(runner)) => looks = 0,
                Found::Running if looks < SPINS_MAX => spin_loop(),
                Found::Running => yield_now(),
            }
            looks += 1;
        }
    }

    /// Commits a transaction; true if its run was adopted.
    fn commit(
        &self,
        executor: &mut Committing<'a, '_, F, P>,
        index: TxIndex,
        run: Option<Box<Run<ResultOf<F>>>>,
        gas: &mut GasSums,
    ) -> Result<bool, BlockExecutionError> {
        let tx = &self.block.txs[index.as_usize()];
        // The executor's own admission is not asked for an adopted run. Gas that surely fits it would admit; the rest it sees.
        let fits = gas.fit(tx.tx().gas_limit(), executor.evm().block().gas_limit());
        let run = run.filter(|_| fits);
        // A read that fails here fails in the executor too, and is reported from there.
        let settled = run.as_ref().and_then(|run| run.check(executor.evm_mut().db_mut()).ok().flatten());
        let is_adopted = settled.is_some();
        executor.evm_mut().db_mut().begin(Version::of(index), settled);
        let output = match run.filter(|_| is_adopted) {
            Some(run) => run.output,
            None => executor.execute_transaction_without_commit(tx)?,
        };
        gas.add(output.result().result.gas());
        executor.commit_transaction(output);
        Ok(is_adopted)
    }
}

/// Gas of the committed transactions, in each way of counting that a block has a limit for (EIP-8037).
#[derive(Clone, Copy, Debug, Default)]
struct GasSums {
    paid: u64,
    regular: u64,
    state: u64,
}

impl GasSums {
    /// Whether a transaction fits into the block however it counts.
    fn fit(&self, tx_gas_limit: u64, block_gas_limit: u64) -> bool {
        let used = self.paid.max(self.regular).max(self.state);
        tx_gas_limit <= block_gas_limit.saturating_sub(used)
    }

    const fn add(&mut self, gas: &ResultGas) {
        self.paid = self.paid.saturating_add(gas.tx_gas_used());
        self.regular = self.regular.saturating_add(gas.block_regular_gas_used());
        self.state = self.state.saturating_add(gas.block_state_gas_used());
    }
}

/// Stops running ahead when the committing thread is done, whatever the reason.
struct CancelOnDrop<'a, R>(&'a Ahead<R>);

impl<R> Drop for CancelOnDrop<'_, R> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}
