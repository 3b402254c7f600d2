//! The steps of an import: check what needs no execution, execute on the parent's state, check what execution gave, keep it.
//!
//! Place in the flow: between decoding and the tree. One import executes at a time; checks before execution run beside it.
//! Invariant: the order is that of the execution specification: header, body, ommers, senders, execution, transactions root,
//! outcome, state root; the first broken rule is reported. Until the last check passed nothing is kept.

use super::{chain::Node, error::ImportError, store::StateView, tree::BlockRecord};
use alloy_consensus::Sealable;
use alloy_eip7928::{BlockAccessList, compute_block_access_list_hash, total_bal_items, validate_block_access_list};
use alloy_primitives::{B256, U256};
use laminar_executor::{
    Block, BlockExecutor, Knowledge, Outcome,
    chain_spec::Rules,
    check_header::{
        Computed, check_access_list_len, check_body, check_header, check_ommers, check_outcome,
        check_terminal_difficulty, check_transactions_root, summarize_receipts,
    },
    env::PreparedBlock,
    recover::{Senders, decode_block, recover_senders},
    rule::{Field, Mismatch, Rule},
    system_calls::requests_hash,
};
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

/// A block between its checks.
struct Checked {
    hash: B256,
    rules: Rules,
    senders: Senders,
    prepared: PreparedBlock,
    total_difficulty: U256,
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
        let Delivered { block, access_list } = delivered;
        let hash = block.header.hash_slow();
        if self.block_by_hash(&hash).is_some() {
            return Ok(Imported::Known(hash));
        }
        let checked = self.check(hash, &block)?;
        if let Some(list) = access_list.as_ref().filter(|_| checked.rules.has_block_access_list()) {
            check_delivered_list(&block, list).map_err(|rule| ImportError::invalid(hash, rule))?;
        }
        let _writer = self.writer.lock();
        // Another may have brought the same block while this one was checked.
        if self.block_by_hash(&hash).is_some() {
            return Ok(Imported::Known(hash));
        }
        let outcome = self.execute(&block, &checked, access_list.as_ref(), foresee)?;
        check_results(&checked.rules, &block, &outcome, access_list.as_ref())
            .map_err(|rule| ImportError::invalid(hash, rule))?;
        self.keep(block, checked, outcome)
    }

    /// Everything that needs no execution.
    fn check(&self, hash: B256, block: &Block) -> Result<Checked, ImportError> {
        let header = &block.header;
        let invalid = |rule| ImportError::invalid(hash, rule);
        let parent = self.block_by_hash(&header.parent_hash);
        let parent = parent.ok_or(ImportError::UnknownParent { hash, parent: header.parent_hash })?;
        check_header(&self.spec, header, &parent.header).map_err(invalid)?;
        check_terminal_difficulty(&self.spec, header, parent.total_difficulty).map_err(invalid)?;
        let rules = self.spec.rules_for(header);
        check_body(&rules, block).map_err(|error| ImportError::of(hash, error))?;
        check_ommers(&self.spec, block, |hash| self.tree.read().ancestor(hash)).map_err(invalid)?;
        let prepare = || {
            let senders = recover_senders(&block.body.transactions, &rules)?;
            let prepared = PreparedBlock::new(rules, block, &senders)?;
            Ok((senders, prepared))
        };
        let (senders, prepared) = prepare().map_err(|error| ImportError::of(hash, error))?;
        let total_difficulty = parent.total_difficulty.saturating_add(header.difficulty);
        Ok(Checked { hash, rules, senders, prepared, total_difficulty })
    }

    /// Executes on the parent's state.
    fn execute(
        &self,
        block: &Block,
        checked: &Checked,
        access_list: Option<&BlockAccessList>,
        foresee: impl FnOnce(&Ready<'_>) -> Knowledge,
    ) -> Result<Outcome, ImportError> {
        let header = &block.header;
        let parent = self.store.view_at(&header.parent_hash);
        let parent = parent.ok_or(ImportError::UnknownParent { hash: checked.hash, parent: header.parent_hash })?;
        let prepared = &checked.prepared;
        let ready = Ready { block, prepared, parent: &parent, executor: &self.executor, access_list };
        let knowledge = foresee(&ready);
        let outcome = self.executor.execute(block, prepared, &parent, knowledge);
        outcome.map_err(|error| ImportError::of(checked.hash, error))
    }

    /// Stages the changes, and keeps the block if the root is the header's.
    fn keep(&self, block: Block, checked: Checked, outcome: Outcome) -> Result<Imported, ImportError> {
        let hash = checked.hash;
        let header = &block.header;
        let changes = Arc::new(outcome.changes);
        let root = self.store.stage((header.number, hash), &header.parent_hash, &changes);
        let root = root.ok_or(ImportError::UnknownParent { hash, parent: header.parent_hash })?;
        let computed = Computed { state_root: Some(root), ..Computed::default() };
        if let Err(rule) = check_outcome(&checked.rules, header, &computed).into_result() {
            self.store.discard(&hash);
            return Err(ImportError::invalid(hash, rule));
        }
        let Block { header, body } = block;
        self.tree.write().insert(BlockRecord {
            header: header.seal_unchecked(hash),
            body,
            senders: checked.senders.addresses,
            receipts: outcome.receipts,
            requests: outcome.requests,
            block_access_list: outcome.block_access_list,
            total_difficulty: checked.total_difficulty,
            stats: outcome.stats,
            changes,
        });
        Ok(Imported::New(hash))
    }
}

/// A delivered list by its own form: order and hash. Its size is checked with the list that execution builds.
///
/// CONSENSUS: EIP-7928.
fn check_delivered_list(block: &Block, list: &BlockAccessList) -> Result<(), Rule> {
    validate_block_access_list(list, block.body.transactions.len())
        .map_err(|error| Rule::BlockAccessList { what: error.to_string() })?;
    let Some(found) = block.header.block_access_list_hash else { return Ok(()) };
    Ok(Mismatch::check(Field::BlockAccessListHash, compute_block_access_list_hash(list), found)?)
}

/// What execution gave, but for the state root, which costs most and is checked last.
fn check_results(
    rules: &Rules,
    block: &Block,
    outcome: &Outcome,
    delivered: Option<&BlockAccessList>,
) -> Result<(), Rule> {
    // CONSENSUS: no rule depends on when this root is checked; like the specification's own, ours comes after the transactions,
    // so that a transaction that cannot be run is the reason that is given.
    check_transactions_root(block)?;
    let built = outcome.block_access_list.as_ref().filter(|_| rules.has_block_access_list());
    if let Some(built) = built {
        check_access_list_len(&block.header, total_bal_items(built))?;
        if let Some(what) = delivered.and_then(|delivered| first_difference(built, delivered)) {
            return Err(Rule::BlockAccessList { what });
        }
    }
    let computed = Computed {
        gas_used: Some(outcome.gas_used),
        receipts: Some(summarize_receipts(&outcome.receipts)),
        requests_hash: Some(requests_hash(&outcome.requests)),
        block_access_list_hash: built.map(|list| compute_block_access_list_hash(list)),
        state_root: None,
    };
    check_outcome(rules, &block.header, &computed).into_result()
}

/// The first account on which the list that execution built and the delivered one differ.
fn first_difference(built: &BlockAccessList, delivered: &BlockAccessList) -> Option<String> {
    let position = (0..built.len().max(delivered.len())).find(|at| built.get(*at) != delivered.get(*at))?;
    let entry = |list: &BlockAccessList| list.get(position).map_or("nothing".to_owned(), |entry| format!("{entry:?}"));
    Some(format!("entry {position}: expected {}, found {}", entry(built), entry(delivered)))
}
