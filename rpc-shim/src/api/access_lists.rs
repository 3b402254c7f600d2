//! `eth_`: the access lists of blocks (EIP-7928).
//!
//! Place in the flow: one namespace of several with this prefix.
//! Invariant: the list is the one that the block's execution gives, whether or not its fork has lists: where none is kept the block
//! runs once more, and its list is given only if the state after it is the one that its header commits to.

use super::{Args, Context, Deadline, eth_blocks, method};
use crate::{
    error::{Code, RpcError},
    node::BlockRecord,
};
use alloy_eip7928::BlockAccessList;
use alloy_eips::BlockId;
use alloy_primitives::Bytes;
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use laminar_executor::{
    Block, BlockExecutor, Config, Knowledge, Mode,
    env::PreparedBlock,
    recover::{Senders, recover_authorities},
};
use std::num::NonZeroUsize;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::heavy(module, "eth_getBlockAccessList", access_list)?;
    method::heavy(module, "eth_getBlockAccessListByBlockHash", access_list)?;
    method::heavy(module, "eth_getBlockAccessListByBlockNumber", access_list)?;
    method::heavy(module, "eth_getBlockAccessListRaw", raw)?;
    method::heavy(module, "debug_getRawBlockAccessList", raw)
}

fn access_list(context: &Context, args: Args<'_>, _: Deadline) -> Result<Option<BlockAccessList>, RpcError> {
    list_of(context, &args)
}

fn raw(context: &Context, args: Args<'_>, _: Deadline) -> Result<Option<Bytes>, RpcError> {
    Ok(list_of(context, &args)?.map(|list| alloy_rlp::encode(&list).into()))
}

/// The list of a block; null for one that is not there or not made yet.
fn list_of(context: &Context, args: &Args<'_>) -> Result<Option<BlockAccessList>, RpcError> {
    let (id,) = args.read::<(BlockId,)>()?;
    if id == BlockId::pending() {
        return Ok(None);
    }
    let Some(record) = eth_blocks::find(context, id)? else { return Ok(None) };
    let missing = || RpcError::new(Code::ResourceNotFound, "block access list not available for this block");
    match record.block_access_list.clone() {
        Some(list) => Ok(Some(list)),
        None => built(context, &record)?.map(Some).ok_or_else(missing),
    }
}

/// The list that the block gives when it runs again; `None` for a genesis, and where the state before it was edited since.
fn built(context: &Context, record: &BlockRecord) -> Result<Option<BlockAccessList>, RpcError> {
    if record.header.number == context.node.genesis().header.number {
        return Ok(None);
    }
    let parent = context.node.state_of(&record.header.parent_hash)?;
    let rules = context.node.spec().rules_for(&record.header);
    let block = Block::new(record.header.inner().clone(), record.body.clone());
    // The senders that are kept: those of a development chain need not have signed.
    let authorizations = recover_authorities(&block.body.transactions);
    let senders = Senders { addresses: record.senders.clone(), authorizations };
    let mut prepared = PreparedBlock::new(rules, &block, &senders).map_err(|error| RpcError::internal(&error))?;
    prepared.cfg_env.disable_eip3607 = context.dev.is_some();
    let config =
        Config { threads: NonZeroUsize::MIN, mode: Mode::Sequential, block_access_list: true, ..Config::default() };
    let executor = BlockExecutor::new(config).map_err(|error| RpcError::internal(&error))?;
    let Ok(outcome) = executor.execute(&block, &prepared, &parent, Knowledge::Nothing) else { return Ok(None) };
    let root = parent.root_after(&outcome.changes).map_err(|error| RpcError::internal(&error))?;
    Ok(outcome.block_access_list.filter(|_| root == record.header.state_root))
}
