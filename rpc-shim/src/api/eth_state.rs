//! `eth_`: accounts, code and storage after a block.
//!
//! Place in the flow: one namespace of several with this prefix; answers from snapshots of the state.

use super::{Args, Context, Deadline, method};
use crate::{convert::StorageKey, error::RpcError};
use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, Bytes, U64, U256};
use alloy_rpc_types_eth::{AccountInfo, EIP1186AccountProofResponse, EIP1186StorageProof};
use alloy_serde::JsonStorageKey;
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use laminar_state_db::Account;
use std::collections::BTreeMap;

/// Slots that one `eth_getStorageValues` may ask for, as in geth.
const SLOTS_MAX: usize = 1024;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::quick(module, "eth_getBalance", balance)?;
    method::quick(module, "eth_getTransactionCount", transaction_count)?;
    method::quick(module, "eth_getCode", code)?;
    method::quick(module, "eth_getStorageAt", storage_at)?;
    method::heavy(module, "eth_getStorageValues", storage_values)?;
    method::quick(module, "eth_getAccountInfo", account_info)?;
    method::heavy(module, "eth_getProof", proof)
}

fn account(context: &Context, address: Address, block: Option<BlockId>) -> Result<Account, RpcError> {
    let state = context.node.state_at(block.unwrap_or_default())?;
    Ok(state.account(address)?.unwrap_or_default())
}

fn balance(context: &Context, args: Args<'_>) -> Result<U256, RpcError> {
    let (address, block) = args.read()?;
    Ok(account(context, address, block)?.balance)
}

fn transaction_count(context: &Context, args: Args<'_>) -> Result<U64, RpcError> {
    let (address, block) = args.read::<(Address, Option<BlockId>)>()?;
    // What waits in the pool counts as if it were in the next block.
    let pooled = if block == Some(BlockId::pending()) { context.pool.next_nonce(&address) } else { None };
    let nonce = account(context, address, block)?.nonce;
    Ok(U64::from(pooled.map_or(nonce, |pooled| pooled.max(nonce))))
}

fn code(context: &Context, args: Args<'_>) -> Result<Bytes, RpcError> {
    let (address, block) = args.read::<(Address, Option<BlockId>)>()?;
    let state = context.node.state_at(block.unwrap_or_default())?;
    match state.account(address)? {
        Some(account) if account.has_code() => Ok(state.code(account.code_hash)?.original_bytes()),
        _ => Ok(Bytes::new()),
    }
}

fn storage_at(context: &Context, args: Args<'_>) -> Result<B256, RpcError> {
    let (address, key, block) = args.read::<(Address, StorageKey, Option<BlockId>)>()?;
    let state = context.node.state_at(block.unwrap_or_default())?;
    Ok(state.slot(address, key.slot)?.into())
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
    let state = context.node.state_at(block.unwrap_or_default())?;
    let read = |(address, slots): (Address, Vec<B256>)| {
        deadline.check()?;
        let values = slots.into_iter().map(|slot| Ok(state.slot(address, slot.into())?.into()));
        Ok((address, values.collect::<Result<_, RpcError>>()?))
    };
    asked.into_iter().map(read).collect()
}

/// Balance, nonce and code at once, which saves forking clients two calls.
fn account_info(context: &Context, args: Args<'_>) -> Result<AccountInfo, RpcError> {
    let (address, block) = args.read::<(Address, Option<BlockId>)>()?;
    let state = context.node.state_at(block.unwrap_or_default())?;
    let account = state.account(address)?.unwrap_or_default();
    let code = state.code(account.code_hash)?.original_bytes();
    Ok(AccountInfo { balance: account.balance, nonce: account.nonce, code })
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
