//! `anvil_reorg`, `debug_setHead` and what else tools ask about a development chain.
//!
//! Place in the flow: registered only on a development chain.
//! Invariant: a control has taken effect when it answers.

use super::{
    Args, Context, Deadline,
    eth_send::{self, Signer, dev},
    method,
};
use crate::{
    convert::Quantity,
    error::RpcError,
    pool::{Origin, Pooled},
};
use alloy_consensus::Transaction as _;
use alloy_eips::{BlockId, eip4844::Blob};
use alloy_primitives::{Address, B256, Bytes, U64, map::AddressMap};
use alloy_rpc_types_anvil::{ReorgOptions, TransactionData};
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use revm::database_interface::DatabaseRef;

/// Blocks that one call may replace.
const DEPTH_MAX: u64 = 10_000;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::change(module, "anvil_reorg", reorg)?;
    method::change(module, "debug_setHead", set_head)?;
    method::quick(module, "anvil_getGenesisTime", |context, args| {
        args.read::<()>().map(|()| context.node.genesis().header.timestamp)
    })?;
    for name in ["anvil_setLoggingEnabled", "hardhat_setLoggingEnabled"] {
        // Calls are never printed, so there is nothing to switch.
        method::quick(module, name, |_, args| args.read::<(bool,)>().map(|_| ()))?;
    }
    method::heavy(module, "anvil_getBlobByHash", |context, args, _| {
        let (hash,) = args.read::<(B256,)>()?;
        Ok(blobs(context, &[hash]).and_then(|mut blobs| blobs.pop()))
    })?;
    method::heavy(module, "anvil_getBlobsByTransactionHash", |context, args, _| {
        let (hash,) = args.read::<(B256,)>()?;
        let mined = context.node.transaction(&hash);
        let mined = mined.and_then(|(record, index)| record.body.transactions.get(index).cloned());
        let tx = mined.or_else(|| context.pool.get(&hash).map(|tx| tx.transaction().clone()));
        Ok(tx.and_then(|tx| blobs(context, tx.blob_versioned_hashes()?)))
    })
}

/// The blobs behind hashes, if the pool has them all.
fn blobs(context: &Context, hashes: &[B256]) -> Option<Vec<Blob>> {
    let found = context.pool.blobs(hashes).into_iter();
    found.map(|found| found.and_then(|(sidecar, index)| sidecar.blobs().get(index).copied())).collect()
}

/// Shortens the chain to a block.
fn set_head(context: &Context, args: Args<'_>, _: Deadline) -> Result<(), RpcError> {
    let (number,) = args.read::<(U64,)>()?;
    let head = context.node.head().header.number;
    let depth = head.checked_sub(number.to()).ok_or_else(|| RpcError::params("block is not on the chain"))?;
    if !dev(context)?.rollback(depth)? {
        return Err(RpcError::params("block is not on the chain"));
    }
    Ok(())
}

/// Replaces the last blocks by others with the given transactions.
fn reorg(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<(), RpcError> {
    let (depth, transactions) = match args.read::<(Quantity, Option<Vec<(TransactionData, u64)>>)>() {
        Ok((depth, pairs)) => (depth.to_u64(), pairs.unwrap_or_default()),
        Err(_) => {
            let (options,) = args.read::<(ReorgOptions,)>()?;
            (options.depth, options.tx_block_pairs)
        }
    };
    let head = context.node.head().header.number;
    let target = head.checked_sub(depth).filter(|_| depth <= DEPTH_MAX);
    let target = target.ok_or_else(|| RpcError::params("reorg depth exceeds the chain's length"))?;
    let state = context.node.state_at(BlockId::from(target))?;
    let mut blocks: Vec<Vec<Pooled>> = (0..depth).map(|_| Vec::new()).collect();
    let mut nonces = AddressMap::<u64>::default();
    for (transaction, block) in transactions {
        let block = usize::try_from(block).ok().and_then(|block| blocks.get_mut(block));
        let block = block.ok_or_else(|| RpcError::params("block index must be below the reorg depth"))?;
        block.push(match transaction {
            TransactionData::Raw(raw) => signed(context, &raw)?,
            TransactionData::JSON(mut request) => {
                let from = request.from.unwrap_or_else(|| own_account(context));
                let next = match nonces.get(&from) {
                    Some(next) => *next,
                    None => state.basic_ref(from)?.map_or(0, |account| account.nonce),
                };
                let nonce = *request.nonce.get_or_insert(next);
                nonces.insert(from, nonce.saturating_add(1));
                eth_send::pooled(context, request, deadline, Signer::Own)?
            }
        });
    }
    dev(context)?.reorg(target, blocks)?;
    Ok(())
}

fn signed(context: &Context, raw: &Bytes) -> Result<Pooled, RpcError> {
    Ok(Pooled::decode(raw, &context.pool.head().rules, Origin::Local)?)
}

fn own_account(context: &Context) -> Address {
    context.dev.as_ref().and_then(|dev| dev.keys().addresses().next()).unwrap_or_default()
}
