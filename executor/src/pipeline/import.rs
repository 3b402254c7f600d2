//! The pipeline over a store: blocks of one branch in, a longer committed branch out.
//!
//! Place in the flow: `import` drives it; a store, memory or disk, keeps what it gives.
//! Invariant: a block is committed only with every check passed, the state root included. What stops the import changes
//! nothing of the stopping block and loses nothing before it.
//! Execution runs ahead of the roots: it reads the newest staged state through the changes of the blocks that are executed
//! and not staged yet.

use super::{
    kept::{BlockParts, Extra, block_data},
    queue::{Stage, Stages, Stopped, run, run_in_turn},
    steps::{self, Checked, Parent},
};
use crate::{
    chain_spec::{ChainSpec, Rules},
    check_header::Ancestor,
    error::ExecuteError,
    executor::{BlockExecutor, Knowledge},
    sync::Mutex,
    types::{Block, Transaction},
};
use alloy_consensus::{BlockBody, Header};
use alloy_primitives::{B256, Sealable, Sealed, U256};
use alloy_rlp::Decodable;
use laminar_state_db::{BlockChanges, BlockData, BlockRef, StateView, Store, StoreError};
use std::{collections::VecDeque, sync::Arc};

/// Ancestors that the rules of ommers look at.
const ANCESTORS_LEN: usize = 7;

/// Extends the committed branch of a store.
#[derive(Clone, Copy, Debug)]
pub struct Importer<'a> {
    /// The rules.
    pub spec: &'a ChainSpec,
    /// Who executes.
    pub executor: &'a BlockExecutor,
    /// Where the blocks go.
    pub store: &'a Store,
}

/// What was committed so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Blocks that this import committed.
    pub blocks: u64,
    /// Blocks that were committed before and were passed over.
    pub known: u64,
    /// Transactions in `blocks`.
    pub transactions: u64,
    /// Gas used by `blocks`.
    pub gas_used: u64,
    /// The newest committed block.
    pub tip: BlockRef,
}

/// Why an import stopped. Everything before the block is committed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImportError<E: std::error::Error + 'static> {
    /// The blocks could not be read further.
    #[error(transparent)]
    Read(E),
    /// The block breaks a rule, the state could not be read, or an invariant of ours broke: see the class of the source.
    #[error("block {} with hash {}", .block.number, .block.hash)]
    Execute {
        /// The block.
        block: BlockRef,
        /// The class and the reason.
        #[source]
        source: Box<ExecuteError>,
    },
    /// The block does not stand on the block before it, or on the committed branch.
    #[error("block {} with hash {}: unknown parent {parent}", .block.number, .block.hash)]
    UnknownParent {
        /// The block.
        block: BlockRef,
        /// The parent that its header names.
        parent: B256,
    },
    /// The store failed; it says nothing about a block.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The store's newest blocks cannot be read back.
    #[error("committed block {} with hash {} cannot be read back", .block.number, .block.hash)]
    Kept {
        /// The block.
        block: BlockRef,
    },
    /// A stage panicked: our bug.
    #[error("invariant broken while {stage}: {what}")]
    Bug {
        /// The stage.
        stage: Stage,
        /// The panic's message.
        what: String,
    },
}

/// How the stages run.
#[derive(Clone, Copy)]
enum Manner {
    AtOnce,
    InTurn,
}

/// A block between checks and execution.
type Ready = (Block, Checked);

/// A block between execution and root.
struct Executed {
    data: BlockData,
    changes: Arc<BlockChanges>,
    header: Header,
    rules: Rules,
    gas_used: u64,
}

/// A staged block.
struct Staged {
    id: BlockRef,
    transactions: u64,
    gas_used: u64,
}

impl Importer<'_> {
    /// Imports blocks in order, each on the one before; those that were committed before the call are passed over, so that an import
    /// can be repeated. `report` is called after every commit.
    ///
    /// # Errors
    /// See [`ImportError`].
    pub fn import<E: std::error::Error + Send + 'static>(
        &self,
        blocks: impl Iterator<Item = Result<Block, E>> + Send,
        report: impl FnMut(&Progress) + Send,
    ) -> Result<Progress, ImportError<E>> {
        self.import_by(Manner::AtOnce, blocks, report)
    }

    /// The same, one stage after the other on the calling thread: what the pipeline is measured against.
    ///
    /// # Errors
    /// See [`ImportError`].
    pub fn import_in_turn<E: std::error::Error + Send + 'static>(
        &self,
        blocks: impl Iterator<Item = Result<Block, E>> + Send,
        report: impl FnMut(&Progress) + Send,
    ) -> Result<Progress, ImportError<E>> {
        self.import_by(Manner::InTurn, blocks, report)
    }

    fn import_by<E: std::error::Error + Send + 'static>(
        &self,
        manner: Manner,
        blocks: impl Iterator<Item = Result<Block, E>> + Send,
        mut report: impl FnMut(&Progress) + Send,
    ) -> Result<Progress, ImportError<E>> {
        let tip = self.store.tip();
        let mut checker = Checker::new(self.spec, self.store, tip)?;
        let mut runner = Runner { importer: *self, base: self.store.view_at(&tip.hash)?, ahead: VecDeque::new() };
        let known = Mutex::new(0);
        let mut done = Progress { tip, ..Progress::default() };
        let unknown = blocks.filter_map(|block| match block.map_err(ImportError::Read) {
            Ok(block) => match self.is_committed(&block, tip) {
                Ok(true) => {
                    *known.lock() += 1;
                    None
                }
                Ok(false) => Some(Ok(block)),
                Err(error) => Some(Err(error.into())),
            },
            Err(error) => Some(Err(error)),
        });
        let stages = Stages {
            check: move |block| checker.check(block),
            // Moved, so that what it last read goes with its thread: a snapshot keeps the last commit from using free pages again.
            execute: move |ready| runner.execute(ready),
            root: |executed| self.stage(executed),
            commit: |batch: Vec<Staged>| {
                let Some(last) = batch.last() else { return Ok(()) };
                self.store.commit(&last.id.hash)?;
                done.tip = last.id;
                done.blocks += batch.len() as u64;
                done.transactions += batch.iter().map(|block| block.transactions).sum::<u64>();
                done.gas_used += batch.iter().map(|block| block.gas_used).sum::<u64>();
                done.known = *known.lock();
                report(&done);
                Ok(())
            },
        };
        let ended = match manner {
            Manner::AtOnce => run(unknown, stages),
            Manner::InTurn => run_in_turn(unknown, stages),
        };
        done.known = known.into_inner();
        match ended {
            Ok(()) => Ok(done),
            Err(Stopped::Failed(_, error)) => Err(error),
            Err(Stopped::Panicked(stage, what)) => Err(ImportError::Bug { stage, what }),
        }
    }

    /// Whether the block was committed before the import, which began at `tip`.
    fn is_committed(&self, block: &Block, tip: BlockRef) -> Result<bool, StoreError> {
        Ok(block.header.number <= tip.number
            && self.store.canonical_hash(block.header.number)? == Some(block.header.hash_slow()))
    }

    fn stage<E: std::error::Error>(&self, executed: Executed) -> Result<Staged, ImportError<E>> {
        let Executed { data, changes, header, rules, gas_used } = executed;
        let (id, transactions) = (data.id, data.transactions.len() as u64);
        let root = self.store.stage(data, changes)?;
        if let Err(rule) = steps::check_state_root(&rules, &header, root) {
            self.store.discard(&id.hash)?;
            return Err(ImportError::Execute { block: id, source: Box::new(ExecuteError::invalid(rule)) });
        }
        Ok(Staged { id, transactions, gas_used })
    }
}

/// The stage that needs no state: it knows the ancestors of the next block.
struct Checker<'a> {
    spec: &'a ChainSpec,
    /// The newest last; never empty.
    ancestors: VecDeque<Ancestor>,
    total_difficulty: U256,
}

impl<'a> Checker<'a> {
    fn new<E: std::error::Error>(spec: &'a ChainSpec, store: &Store, tip: BlockRef) -> Result<Self, ImportError<E>> {
        let unreadable = |block| ImportError::Kept { block };
        let mut ancestors = VecDeque::new();
        let mut at = tip;
        while ancestors.len() < ANCESTORS_LEN
            && let Some(block) = store.block(&at.hash)?
        {
            let header = Header::decode(&mut block.header.as_ref()).map_err(|_| unreadable(at))?;
            let body = BlockBody::<Transaction>::decode(&mut block.body.as_ref()).map_err(|_| unreadable(at))?;
            ancestors.push_front(ancestor(header.seal_unchecked(at.hash), &body));
            let Some(number) = at.number.checked_sub(1) else { break };
            at = BlockRef { number, hash: block.parent };
        }
        let newest = store.block(&tip.hash)?.ok_or_else(|| unreadable(tip))?;
        let extra = Extra::decode(&newest.extra).map_err(|_| unreadable(tip))?;
        Ok(Self { spec, ancestors, total_difficulty: extra.total_difficulty })
    }

    fn check<E: std::error::Error>(&mut self, block: Block) -> Result<Ready, ImportError<E>> {
        let hash = block.header.hash_slow();
        let id = BlockRef { number: block.header.number, hash };
        let parent = block.header.parent_hash;
        let Some(newest) = self.ancestors.back().filter(|newest| newest.header.hash() == parent) else {
            return Err(ImportError::UnknownParent { block: id, parent });
        };
        let parent = Parent { header: &newest.header, total_difficulty: self.total_difficulty };
        let find = |hash| self.ancestors.iter().find(|ancestor| ancestor.header.hash() == hash).cloned();
        let checked = steps::check(self.spec, hash, &block, parent, find)
            .map_err(|error| ImportError::Execute { block: id, source: Box::new(error) })?;
        self.total_difficulty = checked.total_difficulty;
        if self.ancestors.len() == ANCESTORS_LEN {
            self.ancestors.pop_front();
        }
        self.ancestors.push_back(ancestor(block.header.clone().seal_unchecked(hash), &block.body));
        Ok((block, checked))
    }
}

/// The stage that executes, ahead of what is staged.
struct Runner<'a> {
    importer: Importer<'a>,
    /// The newest state that was staged when last looked.
    base: StateView,
    /// Executed blocks above it, oldest first.
    ahead: VecDeque<(Arc<BlockData>, B256, Arc<BlockChanges>)>,
}

impl Runner<'_> {
    fn execute<E: std::error::Error>(&mut self, (block, checked): Ready) -> Result<Executed, ImportError<E>> {
        let parent = self.parent()?;
        let Checked { hash, rules, senders, prepared, total_difficulty } = checked;
        let id = BlockRef { number: block.header.number, hash };
        let failed = |error| ImportError::Execute { block: id, source: Box::new(error) };
        let outcome = self.importer.executor.execute(&block, &prepared, &parent, Knowledge::Nothing).map_err(failed)?;
        let encoded = steps::check_results(&rules, &block, &outcome, None);
        let encoded = encoded.map_err(|rule| failed(ExecuteError::invalid(rule)))?;
        let data = block_data(&BlockParts {
            hash,
            header: &block.header,
            body: &block.body,
            encoded: &encoded,
            senders: &senders.addresses,
            requests: &outcome.requests,
            block_access_list: outcome.block_access_list.as_ref(),
            total_difficulty,
        });
        let (gas_used, changes) = (outcome.gas_used, Arc::new(outcome.changes));
        // Views read only the block's number and hash of it.
        let name = BlockData { id, parent: data.parent, ..BlockData::default() };
        self.ahead.push_back((Arc::new(name), block.header.state_root, changes.clone()));
        Ok(Executed { data, changes, header: block.header, rules, gas_used })
    }

    /// The state that the next block runs on.
    fn parent(&mut self) -> Result<StateView, StoreError> {
        let store = self.importer.store;
        while let Some((block, ..)) = self.ahead.front() {
            match store.view_at(&block.id.hash) {
                Ok(view) => self.base = view,
                Err(StoreError::UnknownBlock { .. }) => break,
                Err(error) => return Err(error),
            }
            self.ahead.pop_front();
        }
        Ok(self.ahead.iter().fold(self.base.clone(), |view, (block, root, changes)| {
            view.with_block(block.clone(), *root, changes.clone())
        }))
    }
}

fn ancestor(header: Sealed<Header>, body: &BlockBody<Transaction>) -> Ancestor {
    Ancestor { header, ommers: body.ommers.iter().map(Sealable::hash_slow).collect() }
}
