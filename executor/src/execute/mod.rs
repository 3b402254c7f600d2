//! One run of one transaction on a reused revm instance.
//!
//! Place in the flow: workers run transactions speculatively here, merge runs them here on the committed prefix.
//! Invariant: a run changes nothing but its own instance; what it saw and did comes back as a value. The beneficiary's fee is
//! not applied: it is part of the value, because an addition commutes and a write does not.
//!
//! This module and `sequential` are the only ones that drive revm.

mod capture;
mod collision;
mod dispatch;
mod mapping_keys;
mod observe;
mod precompiles;
mod templates;
mod transfer;
mod view;

use crate::{
    block_state::{BlockState, Owed},
    effects::{Attempt, Fate, Purse, Simulation, SlotAccess, Transfer, TxResult},
    env::{PreparedBlock, install_net_gas_metering},
    error::ExecuteError,
    mv_memory::MvMemory,
    read_set::{EnvironmentReads, NonceRule},
    system_calls::{SYSTEM_CALL_GAS, SystemCallOutput},
    types::TxIndex,
};
use alloy_primitives::{Address, Bytes, U256};
use capture::{Sender, capture};
use collision::Guarded;
use laminar_state_db::Account;
use observe::BlockContext;
pub(crate) use precompiles::PrecompileOutputs;
use precompiles::Precompiles;
use revm::{
    Context, DatabaseRef, Journal, MainBuilder, MainnetEvm,
    context::{
        LocalContext, TxEnv,
        result::{EVMError, ExecutionResult, HaltReason, InvalidTransaction},
    },
    context_interface::{Block, Cfg, ContextTr, JournalTr, Transaction},
    handler::{
        EthFrame, EvmTr, EvmTrError, FrameResult, FrameTr, Handler, MainnetHandler, SYSTEM_ADDRESS, SystemCallTx,
        instructions::{EthInstructions, InstructionProvider},
    },
    interpreter::{interpreter::EthInterpreter, interpreter_action::FrameInit},
    primitives::hardfork::SpecId,
    state::EvmState,
};
use templates::Call;
use transfer::plain_recipient;
pub(crate) use transfer::{Amounts, TRANSFER_GAS};
pub use view::ViewError;
use view::{StateView, Turn};

/// Simulations that an instance keeps for their memory.
const SPARE_MAX: usize = 64;
/// Room for slots from which on a simulation is too large to be kept; 96 bytes each.
const SPARE_SLOTS_MAX: usize = 256;

type Evm<'a, DB> =
    revm::context::Evm<Around<'a, DB>, (), EthInstructions<EthInterpreter, Around<'a, DB>>, Precompiles<'a>, EthFrame>;
/// What surrounds the transactions of a block.
type Around<'a, DB> = BlockContext<'a, DB, &'a TxEnv>;
type RunError = EVMError<ViewError, InvalidTransaction>;

/// A revm instance for the transactions of one block, reused from run to run. Each worker owns one.
pub(crate) struct Instance<'a, DB: DatabaseRef> {
    block: &'a PreparedBlock,
    evm: Evm<'a, DB>,
    handler: DeferFee,
    /// Simulations that were merged: their memory serves the next runs, whichever worker made them.
    #[expect(clippy::vec_box, reason = "they come and go as boxes")]
    spare: Vec<Box<Simulation>>,
}

impl<DB: DatabaseRef> std::fmt::Debug for Instance<'_, DB> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Instance").finish_non_exhaustive()
    }
}

impl<'a, DB: DatabaseRef> Instance<'a, DB> {
    /// An instance over `parent` and what the block publishes in `memory`, with the block's `outputs` of precompiles.
    ///
    /// # Panics
    /// If the block has no transactions: there would be nothing to run.
    pub(crate) fn new(
        block: &'a PreparedBlock,
        parent: &'a DB,
        memory: &'a MvMemory,
        outputs: &'a PrecompileOutputs,
    ) -> Self {
        let first = block.txs.first().expect("an instance is made for a block with transactions");
        let evm = context(block, StateView::new(parent, memory), first).build_mainnet();
        let mut evm = evm.with_precompiles(Precompiles::new(block.cfg_env.spec, outputs));
        observe::install(&mut evm.instruction);
        install_net_gas_metering(&block.rules, &mut evm.instruction);
        Self { block, evm, handler: DeferFee::default(), spare: Vec::new() }
    }

    /// Takes a simulation that nobody needs any more.
    pub(crate) fn recycle(&mut self, mut run: Box<Simulation>) {
        if self.spare.len() < SPARE_MAX && run.slots.capacity() < SPARE_SLOTS_MAX {
            run.clear();
            self.spare.push(run);
        }
    }

    /// Prepares for the runs of `indices`, which come next: what can be made for several at once is made now.
    pub(crate) fn foresee(&mut self, indices: &[TxIndex]) {
        let calls = indices.iter().filter_map(|index| Call::of(&self.block.txs[index.as_usize()]));
        self.evm.ctx.journaled_state.database.mapping_keys.foresee(calls);
    }

    /// Runs transaction `index` on what the block has published so far.
    pub(crate) fn speculate(&mut self, index: TxIndex) -> Attempt {
        let tx = &self.block.txs[index.as_usize()];
        match self.try_transfer(index, tx) {
            Ok(Some(transfer)) => return Attempt::Transfer(transfer),
            Ok(None) => {}
            Err(_) => return Attempt::Refused,
        }
        match self.run(index, tx) {
            Ok(run) => Attempt::Simulation(run),
            Err(_) => Attempt::Refused,
        }
    }

    /// Runs transaction `index` on the committed prefix `state`, which comes back as it was, with what is `owed` in addition.
    ///
    /// # Errors
    /// The transaction is invalid, or a read failed.
    pub(crate) fn run_on(
        &mut self,
        state: &mut BlockState,
        owed: Option<Owed>,
        index: TxIndex,
    ) -> Result<Attempt, ExecuteError> {
        let tx = &self.block.txs[index.as_usize()];
        (self.view().committed, self.view().owed) = (Some(std::mem::take(state)), owed);
        let attempt = self.run_committed(index, tx);
        *state = self.view().committed.take().expect("a run keeps the committed prefix in its view");
        attempt
    }

    fn run_committed(&mut self, index: TxIndex, tx: &'a TxEnv) -> Result<Attempt, ExecuteError> {
        if let Some(transfer) = self.try_transfer(index, tx)?
            && Amounts::of(tx, self.block.block_env.basefee, self.block.cfg_env.spec)
                .are_paid_by(tx, &transfer.sender.into())
        {
            return Ok(Attempt::Transfer(transfer));
        }
        match self.run(index, tx) {
            Ok(run) => Ok(Attempt::Simulation(run)),
            Err(EVMError::Transaction(invalid)) => Err(ExecuteError::invalid_tx(index, invalid)),
            Err(EVMError::Database(error)) => Err(error.into()),
            Err(other) => Err(ExecuteError::Bug { stage: "execute", what: format!("tx {index}: {other}") }),
        }
    }

    /// A plain transfer with its ends, if the sender exists and neither end has code: then nothing needs to run.
    fn try_transfer(&mut self, index: TxIndex, tx: &TxEnv) -> Result<Option<Transfer>, ViewError> {
        let Some(recipient) = plain_recipient(tx, &self.evm.ctx.block, &self.evm.ctx.cfg) else { return Ok(None) };
        let view = self.view();
        view.begin(Turn { index, sender: tx.caller, nonce: tx.nonce });
        let Some(sender) = view.account(tx.caller)?.as_ref().and_then(Purse::of) else { return Ok(None) };
        Ok(match view.account(recipient)? {
            None => Some(Transfer { sender, recipient: None }),
            Some(account) => Purse::of(&account).map(|purse| Transfer { sender, recipient: Some(purse) }),
        })
    }

    fn run(&mut self, index: TxIndex, tx: &'a TxEnv) -> Result<Box<Simulation>, RunError> {
        self.view().begin(Turn { index, sender: tx.caller, nonce: tx.nonce });
        self.evm.ctx.tx = tx;
        self.evm.precompiles.remembered_gas = 0;
        let outcome = self.handler.run(&mut Guarded(&mut self.evm));
        let journal = &mut self.evm.ctx.journaled_state;
        match outcome {
            Ok(result) => {
                let sender = Sender {
                    address: tx.caller,
                    required: tx.max_balance_spending().map_err(EVMError::Transaction)?,
                    authorizes: !tx.authorization_list.is_empty(),
                };
                let notes = &mut journal.database.notes;
                notes.creates |= tx.kind.is_create();
                // The first frame may not even have begun: see `collision`.
                if result.is_halt() {
                    notes.environment.insert(EnvironmentReads::BENEFICIARY);
                }
                let mut run = self.spare.pop().unwrap_or_default();
                (run.result, run.fee_wei) = (tx_result(result), self.handler.fee_wei);
                capture(&mut run, &mut journal.inner.state, notes, sender);
                Ok(run)
            }
            Err(error) => {
                journal.inner.state.clear();
                Err(error)
            }
        }
    }

    /// Gas of what precompiles had given before and gave again in the last run.
    pub(crate) const fn remembered_gas(&self) -> u64 {
        self.evm.precompiles.remembered_gas
    }

    fn view(&mut self) -> &mut StateView<'a, DB> {
        &mut self.evm.ctx.journaled_state.database
    }
}

/// Runs a system call on the committed prefix: from `SYSTEM_ADDRESS`, 30 million gas, no value, fee or nonce.
///
/// # Errors
/// A read failed.
pub(crate) fn system_call<DB: DatabaseRef>(
    block: &PreparedBlock,
    parent: &DB,
    state: &mut BlockState,
    to: Address,
    input: Bytes,
) -> Result<(Simulation, SystemCallOutput), ExecuteError> {
    let memory = MvMemory::new(0);
    let mut view = StateView::new(parent, &memory);
    view.committed = Some(std::mem::take(state));
    // CONSENSUS: EIP-4788 and others give a system call 30 million gas; revm's own default has more, for a later fork.
    let tx = TxEnv { gas_limit: SYSTEM_CALL_GAS, ..TxEnv::new_system_tx(to, input) };
    let mut evm: MainnetEvm<BlockContext<'_, DB, TxEnv>> = context(block, view, tx).build_mainnet();
    let outcome = MainnetHandler::<_, RunError, _>::default().run_system_call(&mut evm);
    let journal = &mut evm.ctx.journaled_state;
    *state = journal.database.committed.take().expect("a run keeps the committed prefix in its view");
    let result = outcome.map_err(|error| match error {
        EVMError::Database(error) => error.into(),
        other => ExecuteError::Bug { stage: "system call", what: format!("to {to}: {other}") },
    })?;
    // CONSENSUS: the caller of a system call is not part of what the block accessed (EIP-7928), and nothing of it changes.
    journal.inner.state.remove(&SYSTEM_ADDRESS);
    let output =
        SystemCallOutput { success: result.is_success(), output: result.output().cloned().unwrap_or_default() };
    let sender = Sender { address: SYSTEM_ADDRESS, required: U256::ZERO, authorizes: false };
    let mut run = Simulation { result: tx_result(result), ..Simulation::default() };
    capture(&mut run, &mut journal.inner.state, &journal.database.notes, sender);
    Ok((run, output))
}

/// An account of the parent state.
///
/// # Errors
/// The read failed.
pub(crate) fn parent_account<DB: DatabaseRef>(parent: &DB, address: Address) -> Result<Option<Account>, ExecuteError> {
    Ok(view::parent_account(parent, address)?.as_ref().map(Account::from))
}

/// Whether everything that a run saw is so in `parent`: then it may stand for a run on that parent. A failed read is a no.
pub(crate) fn holds_on_parent<DB: DatabaseRef>(attempt: &Attempt, parent: &DB) -> bool {
    let account = |address| parent_account(parent, address);
    match attempt {
        // Merge looks at the ends of a transfer as they are, but takes them from here where the block has not written them.
        Attempt::Transfer(_) | Attempt::Refused => false,
        Attempt::Simulation(run) => run.iter().all(|(access, slots)| {
            let same = |now: Option<Account>| access.nonce != NonceRule::Assumed && now == access.seen;
            let slot =
                |slot: &SlotAccess| parent.storage_ref(access.address, slot.slot).is_ok_and(|now| now == slot.seen);
            account(access.address).is_ok_and(same) && (access.fate == Fate::Created || slots.iter().all(slot))
        }),
    }
}

fn context<'a, DB: DatabaseRef, TX: Transaction>(
    block: &PreparedBlock,
    view: StateView<'a, DB>,
    tx: TX,
) -> BlockContext<'a, DB, TX> {
    let mut journaled_state = Journal::new(view);
    journaled_state.set_spec_id(block.cfg_env.spec);
    Context {
        block: block.block_env.clone(),
        tx,
        cfg: block.cfg_env.clone(),
        journaled_state,
        chain: (),
        local: LocalContext::default(),
        error: Ok(()),
    }
}

fn tx_result(result: ExecutionResult<HaltReason>) -> TxResult {
    let (success, gas_used) = (result.is_success(), result.tx_gas_used());
    TxResult { success, gas_used, logs: result.into_logs() }
}

/// Ethereum's handler, except that the beneficiary's fee is computed and left to merge.
#[derive(Debug, Default)]
struct DeferFee {
    fee_wei: U256,
}

impl DeferFee {
    /// Runs the transaction that is set in `evm`.
    fn run<EVM>(&mut self, evm: &mut EVM) -> Result<ExecutionResult<HaltReason>, RunError>
    where
        EVM: EvmTr<
                Context: ContextTr<Journal: JournalTr<State = EvmState>>,
                Frame: FrameTr<FrameResult = FrameResult, FrameInit = FrameInit>,
                Instructions: InstructionProvider,
            >,
        RunError: EvmTrError<EVM>,
    {
        let mut handler = DeferFeeHandler { fee_wei: std::cell::Cell::new(U256::ZERO), evm: std::marker::PhantomData };
        let result = Handler::run(&mut handler, evm);
        self.fee_wei = handler.fee_wei.get();
        result
    }
}

struct DeferFeeHandler<EVM> {
    fee_wei: std::cell::Cell<U256>,
    evm: std::marker::PhantomData<EVM>,
}

impl<EVM> Handler for DeferFeeHandler<EVM>
where
    EVM: EvmTr<
            Context: ContextTr<Journal: JournalTr<State = EvmState>>,
            Frame: FrameTr<FrameResult = FrameResult, FrameInit = FrameInit>,
        >,
    RunError: EvmTrError<EVM>,
{
    type Evm = EVM;
    type Error = RunError;
    type HaltReason = HaltReason;

    /// CONSENSUS: yellow paper section 6, EIP-1559: gas used times price, from London on without the burnt base fee.
    fn reward_beneficiary(&self, evm: &mut EVM, result: &mut FrameResult) -> Result<(), RunError> {
        let context = evm.ctx_ref();
        let base_fee = u128::from(context.block().basefee());
        let price = context.tx().effective_gas_price(base_fee);
        let spec: SpecId = context.cfg().spec().into();
        let earned = if spec.is_enabled_in(SpecId::LONDON) { price.saturating_sub(base_fee) } else { price };
        let gas = result.gas();
        self.fee_wei.set(U256::from(earned) * U256::from(gas.used().saturating_sub(gas.reservoir())));
        Ok(())
    }
}
