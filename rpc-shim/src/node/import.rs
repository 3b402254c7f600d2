//! The steps of an import: check what needs no execution, execute on the parent's state, check what execution gave, keep it.
//!
//! Place in the flow: between decoding and the tree. One import executes at a time; checks before execution run beside it.
//! Invariant: the order is that of the execution specification: header, body, ommers, senders, execution, transactions root,
//! outcome, state root; the first broken rule is reported. Until the last check passed nothing is kept.

use super::{
    ahead::RootAhead,
    chain::Node,
    costs::{Counted, ImportCosts},
    error::{ImportError, InvalidBlock},
    record::BlockRecord,
};
use crate::metrics::{self, Stage, Stopwatch};
use alloy_consensus::Sealable;
use alloy_eip7928::BlockAccessList;
use alloy_primitives::B256;
use laminar_executor::{
    Block, BlockExecutor, Knowledge, Outcome,
    env::PreparedBlock,
    pipeline::{
        KeptBlock,
        steps::{self, Checked, Parent, check_delivered_list, check_results, check_state_root},
    },
    recover::decode_block,
};
use laminar_state_db::StateView;
use std::sync::Arc;

/// A block as it comes from outside.
#[derive(Clone, Debug)]
pub struct Delivered {
    /// The block.
    pub block: Block,
    /// Its access list (EIP-7928), where the sender gives it. It is checked like the block itself.
    pub access_list: Option<BlockAccessList>,
}

impl Delivered {
    /// A block without an access list.
    pub const fn new(block: Block) -> Self {
        Self { block, access_list: None }
    }

    /// Decodes the RLP of a block.
    ///
    /// # Errors
    /// [`ImportError::Invalid`] if the bytes are not a block.
    pub fn decode(bytes: &[u8]) -> Result<Self, ImportError> {
        decode_block(bytes).map(Self::new).map_err(|rule| ImportError::refusal(None, None, rule))
    }
}

/// A block that passed every check before execution.
#[derive(Debug)]
pub struct Ready<'a> {
    /// The block.
    pub block: &'a Block,
    /// The block with its senders.
    pub prepared: &'a PreparedBlock,
    /// The state that it runs on.
    pub parent: &'a StateView,
    /// The executor that is going to run it.
    pub executor: &'a BlockExecutor,
    /// Its access list, if one was delivered.
    pub access_list: Option<&'a BlockAccessList>,
}

/// What an import did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Imported {
    /// The block was executed and is in the tree.
    New(B256),
    /// The block was in the tree already; nothing was executed.
    Known(B256),
}

impl Imported {
    /// Hash of the block.
    pub const fn hash(self) -> B256 {
        match self {
            Self::New(hash) | Self::Known(hash) => hash,
        }
    }
}

impl Node {
    /// Imports a block. A delivered access list is what is known of it. The head stays: see [`Node::set_head`] and
    /// [`Node::prefers`].
    ///
    /// # Errors
    /// See [`ImportError`]; nothing has changed.
    pub fn import(&self, delivered: Delivered) -> Result<Imported, ImportError> {
        self.import_with(delivered, |ready| match ready.access_list {
            Some(list) => Knowledge::BlockAccessList(list.clone()),
            None => Knowledge::Nothing,
        })
    }

    /// Imports a block; `foresee` says what is known of it before its first transaction runs, which changes speed only.
    ///
    /// # Errors
    /// See [`ImportError`]; nothing has changed.
    pub fn import_with(
        &self,
        delivered: Delivered,
        foresee: impl FnOnce(&Ready<'_>) -> Knowledge,
    ) -> Result<Imported, ImportError> {
        self.import_measured(delivered, foresee, &mut ImportCosts::default())
    }

    /// The same, and `costs` tells afterwards what it took to import a block that was not known.
    ///
    /// # Errors
    /// See [`ImportError`]; nothing has changed.
    pub fn import_measured(
        &self,
        delivered: Delivered,
        foresee: impl FnOnce(&Ready<'_>) -> Knowledge,
        costs: &mut ImportCosts,
    ) -> Result<Imported, ImportError> {
        let Delivered { block, access_list } = delivered;
        let hash = block.header.hash_slow();
        let failed = |source| ImportError::Store { hash, source };
        if self.find(&hash).map_err(failed)?.is_some() {
            return Ok(Imported::Known(hash));
        }
        let mut watch = Stopwatch::start();
        let refused = |error| self.refused(hash, &block, error);
        let checked = self.check(hash, &block).map_err(refused)?;
        if let Some(list) = access_list.as_ref().filter(|_| checked.rules.has_block_access_list()) {
            check_delivered_list(&block, list).map_err(|rule| refused(ImportError::invalid(hash, rule)))?;
        }
        costs.check = watch.lap(Stage::Check);
        let _writer = self.writer.lock();
        // Another may have brought the same block while this one was checked.
        if self.find(&hash).map_err(failed)?.is_some() {
            return Ok(Imported::Known(hash));
        }
        let mut watch = Stopwatch::start();
        let outcome = self.execute(&block, &checked, access_list.as_ref(), foresee, costs).map_err(refused)?;
        costs.execute = watch.lap(Stage::Execute);
        metrics::executed(outcome.gas_used, outcome.receipts.len(), costs.execute, &outcome.stats);
        check_results(&checked.rules, &block, &outcome, access_list.as_ref())
            .map_err(|rule| refused(ImportError::invalid(hash, rule)))?;
        let Block { header, body } = block;
        let kept = KeptBlock {
            header: header.seal_unchecked(hash),
            body,
            senders: checked.senders.addresses,
            receipts: outcome.receipts,
            requests: outcome.requests,
            block_access_list: outcome.block_access_list,
            total_difficulty: checked.total_difficulty,
        };
        let changes = Some(Arc::new(outcome.changes));
        self.stage(BlockRecord { kept, stats: Some(outcome.stats), changes })?;
        costs.root = watch.lap(Stage::Root);
        Ok(Imported::New(hash))
    }

    /// Everything that needs no execution.
    fn check(&self, hash: B256, block: &Block) -> Result<Checked, ImportError> {
        let parent = self.find(&block.header.parent_hash).map_err(|source| ImportError::Store { hash, source })?;
        let parent = parent.ok_or(ImportError::UnknownParent { hash, parent: block.header.parent_hash })?;
        let parent = Parent { header: &parent.header, total_difficulty: parent.total_difficulty };
        let ancestor = |hash: B256| self.block_by_hash(&hash).map(|record| record.as_ancestor());
        steps::check(&self.spec, hash, block, parent, ancestor).map_err(|error| ImportError::of(hash, error))
    }

    /// Executes on the parent's state. Beside it the root begins.
    fn execute(
        &self,
        block: &Block,
        checked: &Checked,
        access_list: Option<&BlockAccessList>,
        foresee: impl FnOnce(&Ready<'_>) -> Knowledge,
        costs: &mut ImportCosts,
    ) -> Result<Outcome, ImportError> {
        let hash = checked.hash;
        let parent = self.store.view_at(&block.header.parent_hash);
        let parent = parent.map_err(|source| ImportError::Store { hash, source })?;
        let prepared = &checked.prepared;
        let ready = Ready { block, prepared, parent: &parent, executor: &self.executor, access_list };
        let knowledge = foresee(&ready);
        let (ahead, reads) = (RootAhead::new(&parent), costs.reads.as_ref());
        let outcome = ahead.beside(|naming| {
            if let Some(naming) = naming {
                naming.name_known(prepared, &knowledge);
            }
            self.executor.execute(block, prepared, &Counted { state: &parent, reads, naming }, knowledge)
        });
        (costs.ahead_keys, costs.ahead) = ahead.done();
        outcome.map_err(|error| ImportError::of(hash, error))
    }

    /// Keeps an executed block if the root of what it changes is the header's; the caller holds `writer`.
    pub(super) fn stage(&self, record: BlockRecord) -> Result<Arc<BlockRecord>, ImportError> {
        let (hash, header) = (record.hash(), record.header.inner());
        let failed = |source| ImportError::Store { hash, source };
        let changes = record.changes.clone().unwrap_or_default();
        let root = self.store.stage(record.to_data(), changes).map_err(failed)?;
        if let Err(rule) = check_state_root(&self.spec.rules_for(header), header, root) {
            self.store.discard(&hash).map_err(failed)?;
            let KeptBlock { header, body, .. } = record.kept;
            let block = Block { header: header.into_inner(), body };
            return Err(self.refused(hash, &block, ImportError::invalid(hash, rule)));
        }
        Ok(self.insert(record))
    }

    /// Keeps a block that broke a rule, for whoever asks; gives the error back.
    fn refused(&self, hash: B256, block: &Block, error: ImportError) -> ImportError {
        if let ImportError::Invalid(invalid) = &error {
            self.bad_blocks.keep(hash, block.clone(), InvalidBlock::clone(invalid));
        }
        error
    }
}
