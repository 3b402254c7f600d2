//! `eth_`: accounts, code and storage after a block.
//!
//! Place in the flow: one namespace of several with this prefix; answers from snapshots of the state.

use super::{Args, Context, Deadline, method};
use crate::{convert::StorageKey, error::RpcError};
use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, Bytes, U64, U256};
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
    method::heavy(module, "eth_getStorageValues", storage_values)
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
    if block.is_some_and(|block| block.is_pending())
        && let Some(next) = context.pool.next_nonce(&address)
    {
        return Ok(U64::from(next));
    }
    Ok(U64::from(account(context, address, block)?.nonce))
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
