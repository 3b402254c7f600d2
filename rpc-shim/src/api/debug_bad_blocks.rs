//! `debug_getBadBlocks`: the last blocks that were refused.
//!
//! Place in the flow: answers from what the node keeps of refused payloads and imports.
//! Invariant: the form is geth's. A transaction whose signature tells no sender is from the zero address.

use super::{Args, Context, Deadline, method};
use crate::{
    convert::{self, Detail, RpcBlock},
    error::RpcError,
    node::{BadBlock, BlockRecord},
};
use alloy_consensus::{Sealable, transaction::SignerRecoverable};
use alloy_eips::eip7685::Requests;
use alloy_primitives::{B256, Bytes, U256};
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use laminar_executor::pipeline::KeptBlock;
use serde::Serialize;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::heavy(module, "debug_getBadBlocks", bad_blocks)
}

/// A refused block.
#[derive(Debug, Serialize)]
struct BadBlockAnswer {
    hash: B256,
    block: RpcBlock,
    rlp: Bytes,
}

fn bad_blocks(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Vec<BadBlockAnswer>, RpcError> {
    args.read::<()>()?;
    let blocks = context.node.bad_blocks();
    let answers = blocks.iter().map(|bad| deadline.check().map(|()| answer(bad)));
    answers.collect()
}

fn answer(bad: &BadBlock) -> BadBlockAnswer {
    let BadBlock { hash, block, .. } = bad;
    let senders = block.body.transactions.iter().map(|tx| tx.recover_signer().unwrap_or_default()).collect();
    let kept = KeptBlock {
        header: block.header.clone().seal_unchecked(*hash),
        body: block.body.clone(),
        senders,
        receipts: Vec::new(),
        requests: Requests::default(),
        block_access_list: None,
        total_difficulty: U256::ZERO,
    };
    let record = BlockRecord { kept, stats: None, changes: None };
    BadBlockAnswer { hash: *hash, block: convert::block(&record, Detail::Full), rlp: alloy_rlp::encode(block).into() }
}
