//! One revm instance over a state that a call may change.
//!
//! Place in the flow: every method that runs something beside a block's own execution runs it here.
//! Invariant: `run` and `inspect` leave the state as it was; `commit` puts a run's changes into it. Touched empty accounts are
//! gone after a commit where EIP-161 holds.

use super::{
    CallError, CallLimits, Deadline, Environment, Invalid, MovablePrecompiles,
    deadline::{self, STOPPED},
};
use laminar_executor::env::install_net_gas_metering;
use revm::{
    Context, Database, DatabaseCommit, ExecuteEvm, InspectEvm, Inspector, Journal,
    context::{
        BlockEnv, CfgEnv, ContextTr, Evm, JournalTr, LocalContext, TxEnv,
        result::{EVMError, ExecResultAndState, ExecutionResult},
    },
    database::CacheDB,
    database_interface::{DBErrorMarker, DatabaseRef},
    handler::{EthFrame, instructions::EthInstructions},
    inspector::NoOpInspector,
    interpreter::interpreter::EthInterpreter,
    primitives::hardfork::SpecId,
    state::EvmState,
};

/// Bytes that the trace of a run may take in memory: 128 MiB, with full stacks about as many steps as fit into the longest answer. The
/// vectors that grow to it take up to three times as much for a moment.
pub(crate) const TRACE_LEN_MAX: usize = 128 << 20;
/// How revm's error says that a trace was longer; in the words of the library's own limit.
pub(crate) const EXCEEDED: &str = "trace recorded byte limit exceeded";

/// A state that a call may change: what it wrote and read over a view that nobody changes.
pub type CallState<DB> = CacheDB<DB>;

/// The context of a [`Machine`].
pub type MachineContext<DB> =
    Context<BlockEnv, TxEnv, CfgEnv, CallState<DB>, Journal<CallState<DB>>, Deadline, LocalContext>;

type MachineEvm<DB, I> = Evm<
    MachineContext<DB>,
    I,
    EthInstructions<EthInterpreter, MachineContext<DB>>,
    MovablePrecompiles,
    EthFrame<EthInterpreter>,
>;

/// What a run gave: its result and the accounts that it loaded, changed or not.
pub type Ran = ExecResultAndState<ExecutionResult, EvmState>;

/// A revm instance for the calls or transactions of one block.
pub struct Machine<DB: DatabaseRef, I = NoOpInspector> {
    pub(super) evm: MachineEvm<DB, I>,
}

impl<DB: DatabaseRef, I> std::fmt::Debug for Machine<DB, I> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Machine").finish_non_exhaustive()
    }
}

impl<DB: DatabaseRef> Machine<DB>
where
    DB::Error: DBErrorMarker,
{
    /// An instance for `environment` on `state`.
    pub fn new(
        environment: &Environment,
        state: CallState<DB>,
        precompiles: MovablePrecompiles,
        deadline: Deadline,
    ) -> Self {
        let spec = environment.cfg.spec;
        let mut journaled_state = Journal::new(state);
        journaled_state.set_spec_id(spec);
        let context = Context {
            block: environment.block.clone(),
            tx: TxEnv::default(),
            cfg: environment.cfg.clone(),
            journaled_state,
            chain: deadline,
            local: LocalContext::default(),
            error: Ok(()),
        };
        let mut instructions = EthInstructions::new_mainnet_with_spec(spec);
        deadline::install(&mut instructions);
        install_net_gas_metering(&environment.rules, &mut instructions);
        Self { evm: Evm::new_with_inspector(context, NoOpInspector, instructions, precompiles) }
    }

    /// An instance for one call with its limits, precompiles where they belong.
    pub fn for_call(environment: &Environment, state: CallState<DB>, limits: &CallLimits) -> Self {
        Self::new(environment, state, MovablePrecompiles::new(environment.cfg.spec), limits.deadline)
    }
}

impl<DB: DatabaseRef, I> Machine<DB, I>
where
    DB::Error: DBErrorMarker,
{
    /// The same instance with another inspector.
    pub fn with_inspector<J>(self, inspector: J) -> Machine<DB, J> {
        Machine { evm: self.evm.with_inspector(inspector) }
    }

    /// The state with what was committed.
    pub const fn state(&self) -> &CallState<DB> {
        &self.evm.ctx.journaled_state.database
    }

    /// The state, to change.
    pub const fn state_mut(&mut self) -> &mut CallState<DB> {
        &mut self.evm.ctx.journaled_state.database
    }

    /// Gives the state back.
    pub fn into_state(self) -> CallState<DB> {
        self.evm.ctx.journaled_state.database
    }

    /// The configuration, for what differs from call to call.
    pub const fn cfg_mut(&mut self) -> &mut CfgEnv {
        &mut self.evm.ctx.cfg
    }

    /// The block environment, for what differs from call to call.
    pub const fn block_mut(&mut self) -> &mut BlockEnv {
        &mut self.evm.ctx.block
    }

    /// The block environment.
    pub const fn block(&self) -> &BlockEnv {
        &self.evm.ctx.block
    }

    /// The inspector.
    pub const fn inspector(&mut self) -> &mut I {
        &mut self.evm.inspector
    }

    /// The inspector, and the state that it reports on.
    pub const fn inspector_and_state(&mut self) -> (&mut I, &CallState<DB>) {
        (&mut self.evm.inspector, &self.evm.ctx.journaled_state.database)
    }

    /// Puts another inspector in and gives the one before.
    pub fn replace_inspector(&mut self, inspector: I) -> I {
        std::mem::replace(&mut self.evm.inspector, inspector)
    }

    /// Runs a transaction without looking at it; the state stays.
    ///
    /// # Errors
    /// The transaction is not valid, the deadline passed, or the state cannot be read.
    pub fn run(&mut self, tx: TxEnv) -> Result<Ran, CallError> {
        let ran = self.evm.transact(tx.clone());
        ran.map_err(|error| self.explain(&tx, error))
    }

    /// Runs a transaction under the inspector; the state stays.
    ///
    /// # Errors
    /// As [`Self::run`].
    pub fn inspect(&mut self, tx: TxEnv) -> Result<Ran, CallError>
    where
        I: Inspector<MachineContext<DB>>,
    {
        let ran = self.evm.inspect_tx(tx.clone());
        ran.map_err(|error| self.explain(&tx, error))
    }

    /// Puts what a run changed into the state.
    pub fn commit(&mut self, mut changes: EvmState) {
        if self.evm.ctx.cfg.spec.is_enabled_in(SpecId::SPURIOUS_DRAGON) {
            // CONSENSUS: EIP-161. The cache would keep an empty account; gone and destroyed are the same to it.
            for account in changes.values_mut() {
                if account.is_touched() && account.is_empty() && !account.is_created() {
                    account.mark_selfdestruct();
                }
            }
        }
        self.state_mut().commit(changes);
    }

    /// The nonce that the next transaction of a sender has.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn nonce(&mut self, sender: alloy_primitives::Address) -> Result<u64, CallError> {
        Ok(self.state_mut().basic(sender).map_err(CallError::state)?.map_or(0, |account| account.nonce))
    }

    fn explain(&mut self, tx: &TxEnv, error: EVMError<DB::Error>) -> CallError {
        // A refused run leaves accounts in the journal.
        self.evm.ctx.journal_mut().finalize();
        match error {
            EVMError::Transaction(invalid) => {
                CallError::Invalid(Invalid::explain(invalid, tx, &self.evm.ctx.block, &self.evm.ctx.cfg))
            }
            EVMError::Database(error) => CallError::state(error),
            EVMError::Custom(what) if what == STOPPED => CallError::Timeout { timeout: self.evm.ctx.chain.timeout() },
            EVMError::Custom(what) if what == EXCEEDED => CallError::request(format_args!(
                "trace too long: more than {} MiB; ask for less of each step, or trace a shorter run",
                TRACE_LEN_MAX >> 20
            )),
            other => CallError::Internal { what: other.to_string() },
        }
    }
}
