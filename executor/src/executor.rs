//! The executor: a block in, an outcome out, by the path that suits the block.
//!
//! Place in the flow: what hosts, the pipeline and the command call.
//! Invariant: the outcome depends on block, rules and parent state alone. Everything around the transactions is the same code
//! for every path; nothing of the caller's is changed, whatever happens.

use crate::{
    choice::{PARALLEL_GAS_MIN, handful, pays_in_parallel},
    clock::Clock,
    config::{Config, Mode, Predict},
    env::PreparedBlock,
    error::ExecuteError,
    merge::{Committer, Invalid, Surroundings},
    mv_memory::MvMemory,
    outcome::{Drafted, Outcome, Path, Span, Stats},
    parallel::{self, Manner, Scratch},
    partition::Plan,
    predict::{Declared, Promises},
    prepared::Prepared,
    presimulate::{self, Simulations},
    schedule::Pool,
    sync::Mutex,
    system_calls,
    trial::Trial,
    types::{Block, Receipt, TxIndex},
};
use alloy_eip7928::BlockAccessList;
use alloy_eips::eip7685::Requests;
use alloy_primitives::{Address, U256};
use revm::DatabaseRef;

/// What the caller knows of a block before its first transaction runs. A hint: it can be wrong or absent.
#[derive(Debug, Default)]
#[expect(clippy::large_enum_variant, reason = "one a block, moved twice")]
pub enum Knowledge {
    /// Nothing.
    #[default]
    Nothing,
    /// Simulations of its transactions on the parent state, in block order, as [`BlockExecutor::simulate`] makes them.
    Simulations(Simulations),
    /// Its access list (EIP-7928), delivered or from an earlier run.
    BlockAccessList(BlockAccessList),
}

impl Knowledge {
    /// Calls `name` for what is said to be written: an account, or with its number a slot of it. Some may come twice.
    pub fn for_each_written(&self, mut name: impl FnMut(Address, Option<U256>)) {
        match self {
            Self::Nothing => {}
            Self::Simulations(simulations) => simulations.for_each_written(name),
            Self::BlockAccessList(list) => {
                for account in list {
                    let is_changed = !account.balance_changes.is_empty()
                        || !account.nonce_changes.is_empty()
                        || !account.code_changes.is_empty()
                        || !account.storage_changes.is_empty();
                    if is_changed {
                        name(account.address, None);
                    }
                    account.storage_changes.iter().for_each(|changes| name(account.address, Some(changes.slot)));
                }
            }
        }
    }
}

/// Executes blocks on a worker pool of its own.
#[derive(Debug)]
pub struct BlockExecutor {
    config: Config,
    pool: Pool,
    /// Lies here between blocks; who finds none, because another thread has it, begins with an empty one.
    scratch: Mutex<Option<Scratch>>,
}

impl BlockExecutor {
    /// An executor with its threads started.
    ///
    /// # Errors
    /// The system gives no more threads.
    pub fn new(config: Config) -> Result<Self, rayon::ThreadPoolBuildError> {
        let pool = Pool::new(config.threads, config.pinning)?;
        Ok(Self { config, pool, scratch: Mutex::default() })
    }

    /// The configuration it was built with.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Executes `block` on `parent`. `prepared` is the block with recovered senders.
    ///
    /// # Errors
    /// See [`ExecuteError`]; nothing was changed.
    pub fn execute<DB: DatabaseRef + Sync>(
        &self,
        block: &Block,
        prepared: &PreparedBlock,
        parent: &DB,
        knowledge: Knowledge,
    ) -> Result<Outcome, ExecuteError> {
        let clock = Clock::new(self.config.timeline);
        let around = Surroundings { block: prepared, parent };
        let gas_used = block.header.gas_used;
        let path = self.path(gas_used, prepared, &knowledge);
        let trial = self.trial(path, gas_used, prepared, &knowledge);
        if path == Path::Parallel && trial.is_none() {
            self.pool.wake();
        }
        let committer = self.begin(block, around, Invalid::EndsBlock)?;
        let (committer, alone) = match trial {
            Some(trial) => self.run_trial(around, committer, trial)?,
            None => (committer, 0),
        };
        let path = if alone == prepared.txs.len() { Path::Sequential } else { path };
        let (committer, mut stats) = self.run(path, around, committer, knowledge, clock)?;
        stats.incarnations += alone as u64;
        finish(block, around, committer, stats)
    }

    /// Builds a block on `parent`: executes `candidates` in their order and leaves out those that are not valid where their
    /// turn comes, or that do not fit into what is left of the block's gas and blob gas.
    ///
    /// `draft` gives what is fixed before the first transaction: of its header what execution reads, ommers, withdrawals.
    ///
    /// # Errors
    /// [`ExecuteError::InvalidBlock`] never names a transaction: the draft itself breaks a rule, or a system contract does not
    /// answer. See [`ExecuteError`] for the others; nothing was changed.
    pub fn build<DB: DatabaseRef + Sync>(
        &self,
        draft: &Block,
        candidates: &PreparedBlock,
        parent: &DB,
        knowledge: Knowledge,
    ) -> Result<Drafted, ExecuteError> {
        let clock = Clock::new(self.config.timeline);
        let around = Surroundings { block: candidates, parent };
        let committer = self.begin(draft, around, Invalid::IsLeftOut)?;
        let path = self.path(draft.header.gas_limit, candidates, &knowledge);
        let (mut committer, stats) = self.run(path, around, committer, knowledge, clock)?;
        let left_out = committer.take_left_out();
        Ok(Drafted { outcome: finish(draft, around, committer, stats)?, left_out })
    }

    /// Executes the transactions of a block on `parent` and nothing around them: no system calls, rewards, withdrawals or
    /// requests. For state tests, and for calls that are not a block.
    ///
    /// # Errors
    /// See [`ExecuteError`]; nothing was changed.
    pub fn execute_transactions<DB: DatabaseRef + Sync>(
        &self,
        prepared: &PreparedBlock,
        parent: &DB,
        knowledge: Knowledge,
    ) -> Result<Outcome, ExecuteError> {
        let clock = Clock::new(self.config.timeline);
        let around = Surroundings { block: prepared, parent };
        let committer = Committer::new(around, self.config.block_access_list, Invalid::EndsBlock)?;
        let path = self.path(prepared.block_env.gas_limit, prepared, &knowledge);
        let (mut committer, stats) = self.run(path, around, committer, knowledge, clock)?;
        let receipts = committer.take_receipts();
        Ok(outcome(committer, receipts, Requests::default(), stats))
    }

    /// Simulates every transaction of the block alone on `parent`, the state after the block's parent: what a mempool
    /// would have done before the block came.
    pub fn simulate<DB: DatabaseRef + Sync>(&self, prepared: &PreparedBlock, parent: &DB) -> Simulations {
        presimulate::presimulate(&self.pool, Surroundings { block: prepared, parent }, Clock::new(false))
    }

    /// A committer at the first transaction: what the rules do before it is done.
    fn begin<DB: DatabaseRef>(
        &self,
        block: &Block,
        around: Surroundings<'_, DB>,
        invalid: Invalid,
    ) -> Result<Committer, ExecuteError> {
        let rules = &around.block.rules;
        let with_list = self.config.block_access_list || rules.has_block_access_list();
        let mut committer = Committer::new(around, with_list, invalid)?;
        system_calls::before_transactions(rules, block, &mut committer.before_transactions(around))?;
        Ok(committer)
    }

    fn run<DB: DatabaseRef + Sync>(
        &self,
        path: Path,
        around: Surroundings<'_, DB>,
        committer: Committer,
        knowledge: Knowledge,
        clock: Clock,
    ) -> Result<(Committer, Stats), ExecuteError> {
        if path == Path::Sequential {
            return self.run_sequentially(around, committer);
        }
        let presimulates = self.config.predict == Predict::Presimulate;
        let declared = Declared::of(around.block);
        let mut scratch = self.scratch.lock().take().unwrap_or_default();
        let memory = scratch.memory(around.block.txs.len());
        let (known, spans) = self.predict(around, committer.next(), &declared, knowledge, memory, clock)?;
        let manner = Manner { workers: self.workers(&known), adapts: self.config.mode == Mode::Auto, clock };
        let (committer, mut stats) =
            parallel::run(&self.pool, around, known, declared, committer, manner, &mut scratch)?;
        *self.scratch.lock() = Some(scratch);
        stats.timeline.extend(spans);
        // Simulations inside the block's time are runs like any other.
        stats.incarnations += if presimulates { around.block.txs.len() as u64 } else { 0 };
        Ok((committer, stats))
    }

    /// The trial that decides if a block gets workers, where nothing is known of it and they may not pay.
    fn trial(&self, path: Path, gas_used: u64, prepared: &PreparedBlock, knowledge: &Knowledge) -> Option<Trial> {
        let knows = match self.config.predict {
            Predict::None => false,
            Predict::Presimulate => true,
            Predict::Ahead | Predict::BlockAccessList => !matches!(knowledge, Knowledge::Nothing),
        };
        let decides = path == Path::Parallel && self.config.mode == Mode::Auto && !knows;
        if decides { Trial::of(&prepared.txs, gas_used) } else { None }
    }

    /// Commits transactions one after the other until it is clear that the rest deserves workers, and gives their number.
    fn run_trial<DB: DatabaseRef + Sync>(
        &self,
        around: Surroundings<'_, DB>,
        committer: Committer,
        mut trial: Trial,
    ) -> Result<(Committer, usize), ExecuteError> {
        let committer = parallel::run_rest(around, committer, |committer| trial.goes_on(committer))?;
        let alone = committer.next().as_usize();
        if alone < around.block.txs.len() {
            self.pool.wake();
        }
        Ok((committer, alone))
    }

    /// How many workers a block gets: by choice only the calling thread, if nearly everything is adopted.
    fn workers(&self, known: &Prepared) -> usize {
        let has_graph = known.plan.batches() > 0;
        let little = has_graph && known.plan.task_gas() < PARALLEL_GAS_MIN;
        if self.config.mode == Mode::Auto && little { 1 } else { self.pool.workers() }
    }

    fn path(&self, gas_used: u64, prepared: &PreparedBlock, knowledge: &Knowledge) -> Path {
        let txs = prepared.txs.len();
        match self.config.mode {
            _ if txs == 0 => Path::Sequential,
            Mode::Sequential => Path::Sequential,
            Mode::Parallel => Path::Parallel,
            // Adopting needs no workers, so it pays for every block.
            Mode::Auto if self.adopts(knowledge) => Path::Parallel,
            Mode::Auto if self.pool.workers() > 1 && pays_in_parallel(prepared, gas_used) => Path::Parallel,
            Mode::Auto => Path::Sequential,
        }
    }

    fn adopts(&self, knowledge: &Knowledge) -> bool {
        self.config.predict == Predict::Ahead && matches!(knowledge, Knowledge::Simulations(_))
    }

    fn predict<DB: DatabaseRef + Sync>(
        &self,
        around: Surroundings<'_, DB>,
        start: TxIndex,
        declared: &Declared,
        knowledge: Knowledge,
        memory: MvMemory,
        clock: Clock,
    ) -> Result<(Prepared, Vec<Span>), ExecuteError> {
        let txs = around.block.txs.len();
        let plan = || {
            Plan::in_order(declared.order(around.block, start)).in_handfuls(handful(around.block, self.pool.workers()))
        };
        let gas_limits = |at: usize| around.block.txs[at].gas_limit;
        let prepared = match (self.config.predict, knowledge) {
            (Predict::Ahead, Knowledge::Simulations(known)) => match known.into_attempts(&self.pool, around) {
                Some((known, outputs)) => {
                    let known = Prepared::from_simulations(known, outputs, memory, &self.pool, gas_limits)?;
                    let is_chained = self.config.mode == Mode::Auto && known.is_mostly_stale();
                    if is_chained { known.without_graph(start) } else { known }
                }
                None => Prepared::nothing(plan(), memory),
            },
            (Predict::BlockAccessList | Predict::Ahead, Knowledge::BlockAccessList(list)) => {
                let promises = Promises::publish(list, txs, around.parent, &self.pool, &memory)?;
                Prepared::from_promises(promises, plan(), memory)
            }
            (Predict::Presimulate, _) => {
                let mut simulations = presimulate::presimulate(&self.pool, around, clock);
                let spans = std::mem::take(&mut simulations.spans);
                let (known, outputs) = simulations.into_attempts(&self.pool, around).unwrap_or_default();
                return Ok((Prepared::from_simulations(known, outputs, memory, &self.pool, gas_limits)?, spans));
            }
            (Predict::None | Predict::Ahead | Predict::BlockAccessList, _) => Prepared::nothing(plan(), memory),
        };
        Ok((prepared, Vec::new()))
    }

    fn run_sequentially<DB: DatabaseRef>(
        &self,
        around: Surroundings<'_, DB>,
        committer: Committer,
    ) -> Result<(Committer, Stats), ExecuteError> {
        let incarnations = (around.block.txs.len() - committer.next().as_usize()) as u64;
        let stats = Stats { path: Path::Sequential, workers: 1, incarnations, ..Stats::default() };
        Ok((parallel::run_rest(around, committer, |_| true)?, stats))
    }
}

/// The rules after the transactions, and the outcome.
fn finish<DB: DatabaseRef>(
    block: &Block,
    around: Surroundings<'_, DB>,
    mut committer: Committer,
    stats: Stats,
) -> Result<Outcome, ExecuteError> {
    let receipts = committer.take_receipts();
    let requests = {
        let mut state = committer.after_transactions(around);
        system_calls::after_transactions(&around.block.rules, block, &receipts, &mut state)?
    };
    Ok(outcome(committer, receipts, requests, stats))
}

fn outcome(committer: Committer, receipts: Vec<Receipt>, requests: Requests, mut stats: Stats) -> Outcome {
    let committed = committer.finish();
    stats.transfers = committed.transfers;
    Outcome {
        receipts,
        gas_used: committed.gas_used,
        blob_gas_used: committed.blob_gas_used,
        requests,
        changes: committed.changes,
        block_access_list: committed.block_access_list,
        stats,
    }
}
