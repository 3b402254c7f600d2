//! `anvil_dumpState` and `anvil_loadState`: the accounts of a development chain as bytes, and back.
//!
//! Place in the flow: registered only on a development chain; loading is a series of edits.
//! Invariant: the form is anvil's, JSON under gzip. A dump has the accounts and no blocks, and anvil loads it; the blocks
//! of a dump by anvil are not loaded: the accounts are put over the state after the head.

use super::{Args, Context, Deadline, eth_send::dev, method};
use crate::{
    dev::{Dev, Edit},
    error::RpcError,
    node::Node,
};
use alloy_primitives::{Address, B256, Bytes, U256};
use flate2::{Compression, read::GzDecoder, write::GzEncoder};
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use revm::database_interface::DatabaseRef;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    io::{Read, Write},
};

/// Bytes that a dump may have when unpacked: 512 MiB.
const UNPACKED_LEN_MAX: u64 = 512 << 20;
/// First bytes of gzip.
const GZIP: &[u8] = &[0x1f, 0x8b];

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    for name in ["anvil_dumpState", "hardhat_dumpState"] {
        method::heavy(module, name, dump)?;
    }
    for name in ["anvil_loadState", "hardhat_loadState"] {
        method::change(module, name, load)?;
    }
    Ok(())
}

/// What a dump holds; what else anvil writes is left alone.
#[derive(Debug, Serialize, Deserialize)]
struct Dump {
    /// The block after which the accounts are: null, since anvil would look for it among `blocks`.
    #[serde(default, skip_deserializing)]
    block: (),
    /// Its number: null too, but anvil reads no dump without it.
    #[serde(default, skip_deserializing)]
    best_block_number: (),
    accounts: BTreeMap<Address, DumpedAccount>,
    /// Blocks and transactions, which anvil expects to be there.
    #[serde(default, skip_deserializing)]
    blocks: [(); 0],
    #[serde(default, skip_deserializing)]
    transactions: [(); 0],
}

#[derive(Debug, Serialize, Deserialize)]
struct DumpedAccount {
    nonce: u64,
    balance: U256,
    #[serde(default)]
    code: Bytes,
    #[serde(default)]
    storage: BTreeMap<B256, B256>,
}

fn dump(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Bytes, RpcError> {
    // Whether states before the head are dumped too: they are not.
    args.read::<(Option<bool>,)>()?;
    let json = dump_state(&context.node, deadline)?;
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(&json).map_err(|error| RpcError::internal(&error))?;
    Ok(packed.finish().map_err(|error| RpcError::internal(&error))?.into())
}

fn load(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<bool, RpcError> {
    let (bytes,) = args.read::<(Bytes,)>()?;
    load_state(dev(context)?, &bytes, deadline)?;
    Ok(true)
}

/// The accounts after the head, as JSON.
///
/// # Errors
/// The state cannot be read, or not in time.
pub fn dump_state(node: &Node, deadline: Deadline) -> Result<Vec<u8>, RpcError> {
    let state = node.state_of(&node.head().hash())?;
    let mut accounts = BTreeMap::new();
    for address in state.addresses()? {
        deadline.check()?;
        let Some(account) = state.basic_ref(address)? else { continue };
        let code = state.code_by_hash_ref(account.code_hash)?.original_bytes();
        let slots = state.slots(&address)?;
        let storage = slots.into_iter().map(|(slot, value)| (slot.into(), value.into())).collect();
        accounts.insert(address, DumpedAccount { nonce: account.nonce, balance: account.balance, code, storage });
    }
    let dump = Dump { block: (), best_block_number: (), accounts, blocks: [], transactions: [] };
    serde_json::to_vec(&dump).map_err(|error| RpcError::internal(&error))
}

/// Puts the accounts of a dump, packed or not, over the state after the head.
///
/// # Errors
/// It is no dump, nothing has changed; or the state cannot be written, or not in time.
pub fn load_state(dev: &Dev, dump: &[u8], deadline: Deadline) -> Result<(), RpcError> {
    let invalid = |error: &dyn std::fmt::Display| RpcError::params(format_args!("invalid state: {error}"));
    let mut unpacked = Vec::new();
    let json = if dump.starts_with(GZIP) {
        let mut reader = GzDecoder::new(dump).take(UNPACKED_LEN_MAX);
        reader.read_to_end(&mut unpacked).map_err(|error| invalid(&error))?;
        &unpacked
    } else {
        dump
    };
    let dump: Dump = serde_json::from_slice(json).map_err(|error| invalid(&error))?;
    for (address, account) in dump.accounts {
        deadline.check()?;
        dev.edit(address, Edit::Balance(account.balance))?;
        dev.edit(address, Edit::Nonce(account.nonce))?;
        dev.edit(address, Edit::Code(account.code))?;
        for (slot, value) in account.storage {
            dev.edit(address, Edit::Slot(slot.into(), value.into()))?;
        }
    }
    Ok(())
}
