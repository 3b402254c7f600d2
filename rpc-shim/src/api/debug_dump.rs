//! `debug_dumpBlock`: the accounts after a block.
//!
//! Place in the flow: one method of the namespace; answers from a snapshot of the state.
//! Invariant: the form and the bound are geth's: accounts in the order of their hashes, as far as [`ACCOUNTS_MAX`].

use super::{Args, Context, Deadline, method};
use crate::error::RpcError;
use alloy_eips::{BlockId, BlockNumberOrTag};
use alloy_primitives::{Address, B256, Bytes, hex, keccak256};
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use serde::Serialize;
use std::collections::BTreeMap;

/// Accounts that one dump has, as in geth.
const ACCOUNTS_MAX: usize = 256;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::heavy(module, "debug_dumpBlock", dump)
}

#[derive(Serialize)]
struct Dump {
    /// Without a prefix, as geth writes it.
    root: String,
    accounts: BTreeMap<Address, DumpedAccount>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct DumpedAccount {
    /// In wei, decimal.
    balance: String,
    nonce: u64,
    root: B256,
    code_hash: B256,
    #[serde(skip_serializing_if = "is_empty")]
    code: Bytes,
    /// Values without prefix and leading zeros.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    storage: BTreeMap<B256, String>,
    address: Address,
    key: B256,
}

fn is_empty(bytes: &Bytes) -> bool {
    bytes.is_empty()
}

fn dump(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Dump, RpcError> {
    let (number,) = args.read::<(BlockNumberOrTag,)>()?;
    let not_found = || RpcError::server(format_args!("block #{number} not found"));
    let record = context.node.block(number.into()).ok_or_else(not_found)?;
    let state = context.node.state_at(BlockId::hash(record.hash()))?;
    let mut keys: Vec<_> = state.addresses()?.into_iter().map(|address| (keccak256(address), address)).collect();
    keys.sort_unstable();
    keys.truncate(ACCOUNTS_MAX);
    let mut accounts = BTreeMap::new();
    for (key, address) in keys {
        deadline.check()?;
        let proof = state.proof(&address, &[])?;
        let Some(account) = proof.account else { continue };
        let storage = state.slots(&address)?.into_iter().filter(|(_, value)| !value.is_zero());
        let written = |bytes: Vec<u8>| hex::encode(bytes);
        let dumped = DumpedAccount {
            balance: account.balance.to_string(),
            nonce: account.nonce,
            root: proof.storage_root,
            code_hash: account.code_hash,
            code: state.code(&account.code_hash)?.original_bytes(),
            storage: storage.map(|(slot, value)| (slot.into(), written(value.to_be_bytes_trimmed_vec()))).collect(),
            address,
            key,
        };
        accounts.insert(address, dumped);
    }
    Ok(Dump { root: hex::encode(record.header.state_root), accounts })
}
