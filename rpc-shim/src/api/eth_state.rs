//! `eth_`: accounts, code and storage after a block.
//!
//! Place in the flow: one namespace of several with this prefix; answers from snapshots of the state.
//! Invariant: `pending` is the state after the transactions that would be in the next block; proofs are of blocks that exist, where
//! `pending` is the head.

use super::{Args, Context, Deadline, method};
use crate::{
    convert::{self, RpcTransaction, StorageKey},
    error::RpcError,
    node::BlockRecord,
};
use alloy_consensus::{Transaction as _, TrieAccount};
use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use alloy_rpc_types_eth::{AccountInfo, EIP1186AccountProofResponse, EIP1186StorageProof};
use alloy_serde::JsonStorageKey;
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use laminar_state_db::Account;
use revm::database_interface::DatabaseRef;
use std::{collections::BTreeMap, sync::Arc};

/// Slots that one `eth_getStorageValues` may ask for, as in geth.
const SLOTS_MAX: usize = 1024;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::unless_pending(module, "eth_getBalance", balance)?;
    method::quick(module, "eth_getTransactionCount", transaction_count)?;
    method::unless_pending(module, "eth_getCode", code)?;
    method::unless_pending(module, "eth_getStorageAt", storage_at)?;
    method::heavy(module, "eth_getStorageValues", storage_values)?;
    method::unless_pending(module, "eth_getAccountInfo", account_info)?;
    method::heavy(module, "eth_getAccount", trie_account)?;
    method::heavy(module, "eth_getTransactionBySenderAndNonce", transaction_by_sender_and_nonce)?;
    method::heavy(module, "eth_getProof", proof)
}

fn account(context: &Context, address: Address, block: Option<BlockId>) -> Result<Account, RpcError> {
    let state = context.state_at(block)?;
    Ok(state.account(&address)?.unwrap_or_default())
}

fn balance(context: &Context, args: Args<'_>) -> Result<U256, RpcError> {
    let (address, block) = args.read()?;
    Ok(account(context, address, block)?.balance)
}

fn transaction_count(context: &Context, args: Args<'_>) -> Result<U64, RpcError> {
    let (address, block) = args.read::<(Address, Option<BlockId>)>()?;
    // What waits in the pool counts as if it were in the next block.
    let pooled = if block == Some(BlockId::pending()) { context.pool.next_nonce(&address) } else { None };
    let nonce = context.node.state_at(block.unwrap_or_default())?.account(&address)?.unwrap_or_default().nonce;
    Ok(U64::from(pooled.map_or(nonce, |pooled| pooled.max(nonce))))
}

fn code(context: &Context, args: Args<'_>) -> Result<Bytes, RpcError> {
    let (address, block) = args.read::<(Address, Option<BlockId>)>()?;
    let state = context.state_at(block)?;
    match state.account(&address)? {
        Some(account) if account.has_code() => Ok(state.code(&account.code_hash)?.original_bytes()),
        _ => Ok(Bytes::new()),
    }
}

fn storage_at(context: &Context, args: Args<'_>) -> Result<B256, RpcError> {
    let (address, key, block) = args.read::<(Address, StorageKey, Option<BlockId>)>()?;
    let state = context.state_at(block)?;
    Ok(state.slot(&address, key.slot)?.into())
}

/// Slots by account.
type Slots<T> = BTreeMap<Address, Vec<T>>;

fn storage_values(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Slots<B256>, RpcError> {
    let (asked, block) = args.read::<(Slots<B256>, Option<BlockId>)>()?;
    match asked.values().map(Vec::len).sum::<usize>() {
        0 => return Err(RpcError::params("empty request")),
        slots if slots > SLOTS_MAX => {
            return Err(RpcError::params(format_args!("too many slots (max {SLOTS_MAX}), found {slots}")));
        }
        _ => {}
    }
    let state = context.state_at(block)?;
    let read = |(address, slots): (Address, Vec<B256>)| {
        deadline.check()?;
        let values = slots.into_iter().map(|slot| Ok(state.slot(&address, slot.into())?.into()));
        Ok((address, values.collect::<Result<_, RpcError>>()?))
    };
    asked.into_iter().map(read).collect()
}

/// Balance, nonce and code at once, which saves forking clients two calls.
fn account_info(context: &Context, args: Args<'_>) -> Result<AccountInfo, RpcError> {
    let (address, block) = args.read::<(Address, Option<BlockId>)>()?;
    let state = context.state_at(block)?;
    let account = state.account(&address)?.unwrap_or_default();
    let code = state.code(&account.code_hash)?.original_bytes();
    Ok(AccountInfo { balance: account.balance, nonce: account.nonce, code })
}

/// The account as its trie has it, or null.
fn trie_account(context: &Context, args: Args<'_>, _: Deadline) -> Result<Option<TrieAccount>, RpcError> {
    let (address, block) = args.read::<(Address, Option<BlockId>)>()?;
    let proof = context.node.state_at(block.unwrap_or_default())?.proof(&address, &[])?;
    let storage_root = proof.storage_root;
    let account = proof.account;
    Ok(account.map(|Account { nonce, balance, code_hash }| TrieAccount { nonce, balance, storage_root, code_hash }))
}

fn transaction_by_sender_and_nonce(
    context: &Context,
    args: Args<'_>,
    deadline: Deadline,
) -> Result<Option<RpcTransaction>, RpcError> {
    let (sender, nonce) = args.read::<(Address, U64)>()?;
    let nonce = nonce.to::<u64>();
    if let Some((record, index)) = sent_by(context, sender, nonce, deadline)? {
        return Ok(convert::transaction(&record, index));
    }
    let (ready, waiting) = context.pool.content_of(&sender);
    Ok(ready.iter().chain(&waiting).find(|tx| tx.nonce() == nonce).map(|tx| convert::pending(tx)))
}

/// Where the canonical transaction of a sender with a nonce is: nonces only rise, so the first block after which the sender's
/// is greater has it.
pub(super) fn sent_by(
    context: &Context,
    sender: Address,
    nonce: u64,
    deadline: Deadline,
) -> Result<Option<(Arc<BlockRecord>, usize)>, RpcError> {
    let node = &context.node;
    let is_used_after = |number: u64| {
        deadline.check()?;
        let account = node.state_at(BlockId::from(number))?.basic_ref(sender)?;
        Ok::<_, RpcError>(account.is_some_and(|account| account.nonce > nonce))
    };
    let (mut before, mut after) = (node.genesis().header.number, node.head().header.number);
    if !is_used_after(after)? || is_used_after(before)? {
        return Ok(None);
    }
    while after - before > 1 {
        let middle = before + (after - before) / 2;
        if is_used_after(middle)? {
            after = middle;
        } else {
            before = middle;
        }
    }
    let Some(record) = node.block_by_number(after) else { return Ok(None) };
    let mut sent = record.body.transactions.iter().zip(&record.senders);
    let index = sent.position(|(tx, from)| *from == sender && tx.nonce() == nonce);
    Ok(index.map(|index| (record, index)))
}

fn proof(context: &Context, args: Args<'_>, _: Deadline) -> Result<EIP1186AccountProofResponse, RpcError> {
    let (address, keys, block) = args.read::<(Address, Vec<StorageKey>, Option<BlockId>)>()?;
    if keys.len() > SLOTS_MAX {
        return Err(RpcError::params(format_args!("too many keys (max {SLOTS_MAX}), found {}", keys.len())));
    }
    let state = context.node.state_at(block.unwrap_or_default())?;
    let slots: Vec<U256> = keys.iter().map(|key| key.slot).collect();
    let proof = state.proof(&address, &slots)?;
    let account = proof.account.unwrap_or_default();
    // A whole word is written back as one, a short key as a quantity.
    let written = |key: &StorageKey| {
        if key.is_word { JsonStorageKey::Hash(key.slot.into()) } else { JsonStorageKey::Number(key.slot) }
    };
    let storage_proof = keys.iter().zip(proof.slots);
    Ok(EIP1186AccountProofResponse {
        address,
        balance: account.balance,
        code_hash: account.code_hash,
        nonce: account.nonce,
        storage_hash: proof.storage_root,
        account_proof: proof.nodes,
        storage_proof: storage_proof
            .map(|(key, slot)| EIP1186StorageProof { key: written(key), value: slot.value, proof: slot.nodes })
            .collect(),
    })
}
