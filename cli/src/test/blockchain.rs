//! Blockchain tests: a genesis, blocks to import in order, and the head and state that they must lead to.
//!
//! Place in the flow: one kind of case; the chain does the work.
//! Invariant: a block that must be refused is refused for the reason that the case names; every other block is imported, and
//! its receipts and access list are those of the case.

use super::{
    accounts, difference, network,
    runner::{Ended, Runner, foresee},
};
use alloy_eip7928::BlockAccessList;
use alloy_primitives::{B256, Bytes};
use anyhow::{Context, bail, ensure};
use laminar_executor::{
    Knowledge, recover,
    rule::{Field, Rule},
};
use laminar_fixtures::{
    Prestate,
    official::{BlockchainTest, TestBlock, TestHeader},
};
use laminar_rpc_shim::node::{Delivered, ImportError, Imported, Node};

/// Runs a case.
///
/// # Errors
/// What differs from the case.
pub(crate) fn run(test: &BlockchainTest, runner: &mut Runner) -> anyhow::Result<Ended> {
    let spec = match network::spec(&test.network, &test.config) {
        Ok(spec) => spec,
        Err(error) => return Ok(Ended::Skipped(error.to_string())),
    };
    check_genesis(&test.genesis_header, test.genesis_rlp.as_ref())?;
    let genesis = test.genesis_header.header.clone();
    let node = Node::new(spec, genesis, network::state(&test.pre), runner.executor())?;
    for (position, block) in test.blocks.iter().enumerate() {
        let last = position + 1 == test.blocks.len();
        let post_state = test.post_state.as_ref().filter(|_| last);
        import(&node, runner, block, post_state).with_context(|| format!("block {position} of the case"))?;
    }
    check_head(
        &node,
        &End { hash: test.last_block_hash, state: test.post_state.as_ref(), root: test.post_state_hash },
    )?;
    Ok(Ended::Passed)
}

/// How a chain must end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct End<'a> {
    /// The head.
    pub(crate) hash: B256,
    /// The head's state, where the case gives it.
    pub(crate) state: Option<&'a Prestate>,
    /// Its root, where the case gives that instead.
    pub(crate) root: Option<B256>,
}

/// Checks that a genesis header hashes to what the case says, and is the one of the genesis block.
///
/// # Errors
/// It does not, or is not.
pub(crate) fn check_genesis(genesis: &TestHeader, rlp: Option<&Bytes>) -> anyhow::Result<()> {
    let found = genesis.header.hash_slow();
    ensure!(found == genesis.hash, "genesis hash: expected {}, found {found}", genesis.hash);
    let Some(rlp) = rlp else { return Ok(()) };
    let block = recover::decode_block(rlp).context("genesis block")?;
    ensure!(block.header == genesis.header, "genesis block: expected the header of the case, found another");
    Ok(())
}

/// Checks the head and its state.
///
/// # Errors
/// What differs.
pub(crate) fn check_head(node: &Node, end: &End<'_>) -> anyhow::Result<()> {
    let head = node.head();
    let (head, root) = (head.hash(), head.header.state_root);
    ensure!(head == end.hash, "head: expected {}, found {head}", end.hash);
    if let Some(expected) = end.root {
        ensure!(root == expected, "state root of the head: expected {expected}, found {root}");
    }
    let Some(expected) = end.state else { return Ok(()) };
    let state = node.state_of(&head)?;
    if let Some(difference) = accounts::first_difference(expected, &state) {
        bail!("state of the head: {difference}");
    }
    let (expected, found) = (network::state(expected).state_root(), state.state_root());
    ensure!(found == expected, "state of the head: expected the root {expected}, found {found}: accounts too many");
    Ok(())
}

fn import(node: &Node, runner: &mut Runner, block: &TestBlock, post_state: Option<&Prestate>) -> anyhow::Result<()> {
    let access_list = access_list(block)?;
    let imported = Delivered::decode(&block.rlp)
        .map(|delivered| Delivered { access_list: access_list.clone(), ..delivered })
        .and_then(|delivered| node.import_with(delivered, foresee));
    match (&block.expect_exception, imported) {
        (None, Ok(imported)) => check_imported(node, runner, block, imported),
        (None, Err(error)) => Err(explain(node, block, post_state, error)),
        (Some(expected), Ok(_)) => bail!("expected {expected}, found a valid block"),
        (Some(expected), Err(error)) if error.matches(&expected.to_string()) => Ok(()),
        (Some(expected), Err(error)) => Err(anyhow::Error::new(error).context(format!("expected {expected}"))),
    }
}

fn check_imported(node: &Node, runner: &mut Runner, block: &TestBlock, imported: Imported) -> anyhow::Result<()> {
    let hash = imported.hash();
    if let Some(header) = &block.block_header {
        ensure!(header.hash == hash, "block hash: expected {}, found {hash}", header.hash);
    }
    let record = node.block_by_hash(&hash).context("an imported block is in the tree")?;
    if let Imported::New(_) = imported {
        runner.count(record.body.transactions.len(), record.stats.as_ref().context("a recent block has them")?)?;
    }
    let receipts =
        block.receipts.as_ref().and_then(|expected| difference::in_gas_of_receipts(expected, &record.receipts));
    let lists = block.block_access_list.as_ref().zip(record.block_access_list.as_ref());
    let lists = lists.and_then(|(expected, found)| difference::in_access_list(expected, found));
    if let Some(difference) = receipts.or(lists) {
        bail!(difference);
    }
    if node.prefers(&hash) {
        node.set_head(hash)?;
    }
    Ok(())
}

/// The list that comes with the block, whether it is the right one or one that must be refused.
fn access_list(block: &TestBlock) -> anyhow::Result<Option<BlockAccessList>> {
    if block.block_access_list.is_some() {
        return Ok(block.block_access_list.clone());
    }
    let spoilt = block.rlp_decoded.as_ref().and_then(|decoded| decoded.get("blockAccessList"));
    let Some(spoilt) = spoilt.filter(|list| !list.is_null()) else { return Ok(None) };
    serde_json::from_value(spoilt.clone()).context("blockAccessList of rlp_decoded").map(Some)
}

/// Adds what can be said about a refusal beyond the rule: the block is executed once more and compared with the case.
fn explain(node: &Node, block: &TestBlock, post_state: Option<&Prestate>, error: ImportError) -> anyhow::Error {
    let ImportError::Invalid(invalid) = &error else { return error.into() };
    let of_state = matches!(&invalid.rule, Rule::Header(mismatch) if mismatch.field == Field::StateRoot);
    let mut found = None;
    if let Ok(delivered) = Delivered::decode(&block.rlp) {
        // The import fails as before; only what the closure sees is wanted.
        let _ = node.import_with(delivered, |ready| {
            if let Ok(outcome) = ready.executor.execute(ready.block, ready.prepared, ready.parent, Knowledge::Nothing) {
                let lists = block.block_access_list.as_ref().zip(outcome.block_access_list.as_ref());
                let receipts = block.receipts.as_ref();
                found = receipts
                    .and_then(|expected| difference::in_receipts(expected, &outcome.receipts))
                    .or_else(|| lists.and_then(|(expected, found)| difference::in_access_list(expected, found)))
                    .or_else(|| {
                        let after = accounts::After { parent: ready.parent, changes: &outcome.changes };
                        accounts::first_difference(post_state.filter(|_| of_state)?, &after)
                    });
            }
            Knowledge::Nothing
        });
    }
    match found {
        Some(found) => anyhow::Error::new(error).context(found),
        None => error.into(),
    }
}
