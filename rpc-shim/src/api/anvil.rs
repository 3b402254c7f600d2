//! `anvil_`, `hardhat_` and `evm_`: the controls of a development chain.
//!
//! Place in the flow: registered only on a development chain; each method is one call of [`Dev`](crate::dev::Dev). The names of one
//! control stand together, because tools disagree about the prefix.
//! Invariant: a control has taken effect when it answers.

use super::{Args, Context, Deadline, eth_send::dev, eth_send::number, method};
use crate::{
    convert::Quantity,
    dev::{DevError, Edit, Mining},
    error::RpcError,
};
use alloy_primitives::{Address, B256, Bytes, U64};
use alloy_rpc_types_anvil::MineOptions;
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use laminar_executor::chain_spec::Fork;
use serde::Serialize;
use std::time::Duration;

/// Blocks that one call may mine.
const BLOCKS_MAX: u64 = 100_000;

/// What a quick control does.
type Quick<R> = fn(&Context, Args<'_>) -> Result<R, RpcError>;
/// What a control does that executes or hashes.
type Heavy<R> = fn(&Context, Args<'_>, Deadline) -> Result<R, RpcError>;

impl From<DevError> for RpcError {
    fn from(error: DevError) -> Self {
        match error {
            DevError::Pool(error) => error.into(),
            DevError::Timestamp { .. } => Self::params(error),
            other => Self::internal(&other),
        }
    }
}

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    register_edits(module)?;
    register_mining(module)?;
    register_time(module)?;
    register_accounts(module)?;
    register_pool(module)
}

fn quick<R: Serialize + Clone + 'static>(
    module: &mut RpcModule<Context>,
    names: &[&'static str],
    control: Quick<R>,
) -> Result<(), RegisterMethodError> {
    names.iter().try_for_each(|name| method::quick(module, name, control))
}

fn change<R: Serialize + 'static>(
    module: &mut RpcModule<Context>,
    names: &[&'static str],
    control: Heavy<R>,
) -> Result<(), RegisterMethodError> {
    names.iter().try_for_each(|name| method::change(module, name, control))
}

fn edit(context: &Context, address: Address, edit: Edit) -> Result<bool, RpcError> {
    dev(context)?.edit(address, edit)?;
    Ok(true)
}

fn register_edits(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    change(module, &["anvil_setBalance", "hardhat_setBalance", "tenderly_setBalance"], |context, args, _| {
        let (address, wei) = args.read::<(Address, Quantity)>()?;
        edit(context, address, Edit::Balance(wei.0))
    })?;
    change(module, &["anvil_addBalance", "hardhat_addBalance", "tenderly_addBalance"], |context, args, _| {
        let (address, wei) = args.read::<(Address, Quantity)>()?;
        edit(context, address, Edit::AddBalance(wei.0))
    })?;
    change(module, &["anvil_setNonce", "hardhat_setNonce", "evm_setAccountNonce"], |context, args, _| {
        let (address, nonce) = args.read::<(Address, Quantity)>()?;
        edit(context, address, Edit::Nonce(nonce.to_u64()))
    })?;
    change(module, &["anvil_setCode", "hardhat_setCode", "evm_setAccountCode"], |context, args, _| {
        let (address, code) = args.read::<(Address, Bytes)>()?;
        edit(context, address, Edit::Code(code))
    })?;
    change(module, &["anvil_setStorageAt", "hardhat_setStorageAt", "evm_setAccountStorageAt"], |context, args, _| {
        let (address, slot, value) = args.read::<(Address, Quantity, B256)>()?;
        edit(context, address, Edit::Slot(slot.0, value.into()))
    })?;
    change(module, &["evm_snapshot", "anvil_snapshot"], |context, args, _| {
        args.read::<()>()?;
        Ok(U64::from(dev(context)?.snapshot()))
    })?;
    change(module, &["evm_revert", "anvil_revert"], |context, args, _| {
        let (id,) = args.read::<(Quantity,)>()?;
        Ok(dev(context)?.revert(id.to_u64())?)
    })?;
    change(module, &["anvil_reset", "hardhat_reset"], |context, args, _| {
        let (forking,) = args.read::<(Option<serde_json::Value>,)>()?;
        if forking.is_some_and(|forking| forking.pointer("/forking/jsonRpcUrl").is_some_and(|url| !url.is_null())) {
            return Err(RpcError::params("forking is not supported"));
        }
        dev(context)?.reset()?;
        Ok(true)
    })?;
    change(module, &["anvil_rollback"], |context, args, _| {
        let (depth,) = args.read::<(Option<Quantity>,)>()?;
        if !dev(context)?.rollback(number(depth).unwrap_or(1))? {
            return Err(RpcError::params("rollback depth exceeds the chain's length"));
        }
        Ok(())
    })
}

fn register_mining(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    change(module, &["anvil_mine"], |context, args, _| {
        let (blocks, seconds) = args.read::<(Option<Quantity>, Option<Quantity>)>()?;
        let seconds = number(seconds);
        mine(context, number(blocks).unwrap_or(1), |_| seconds)
    })?;
    change(module, &["hardhat_mine"], |context, args, _| {
        let (blocks, seconds) = args.read::<(Option<Quantity>, Option<Quantity>)>()?;
        // The interval is one between the new blocks.
        let seconds = number(seconds);
        mine(context, number(blocks).unwrap_or(1), |block| seconds.filter(|_| block > 0))
    })?;
    change(module, &["evm_mine"], |context, args, _| {
        mine_as_told(context, args)?;
        Ok("0x0")
    })?;
    quick(module, &["anvil_getAutomine", "hardhat_getAutomine"], |context, args| {
        args.read::<()>()?;
        Ok(dev(context)?.mining() == Mining::Auto)
    })?;
    quick(module, &["evm_setAutomine", "anvil_setAutomine"], |context, args| {
        let (yes,) = args.read::<(bool,)>()?;
        dev(context)?.set_mining(if yes { Mining::Auto } else { Mining::Manual });
        Ok(true)
    })?;
    quick(module, &["evm_setIntervalMining", "anvil_setIntervalMining"], |context, args| {
        let (seconds,) = args.read::<(Quantity,)>()?;
        let every = Duration::from_secs(seconds.to_u64());
        dev(context)?.set_mining(if every.is_zero() { Mining::Manual } else { Mining::Interval(every) });
        Ok(true)
    })?;
    quick(module, &["anvil_getIntervalMining"], |context, args| {
        args.read::<()>()?;
        Ok(match dev(context)?.mining() {
            Mining::Interval(every) => Some(every.as_secs()),
            Mining::Auto | Mining::Manual => None,
        })
    })?;
    quick(module, &["anvil_setCoinbase", "hardhat_setCoinbase"], |context, args| {
        let (address,) = args.read::<(Address,)>()?;
        dev(context)?.set_coinbase(address);
        Ok(true)
    })?;
    quick(module, &["anvil_setPrevRandao", "hardhat_setPrevRandao"], |context, args| {
        let (randao,) = args.read::<(Quantity,)>()?;
        dev(context)?.set_prev_randao(randao.0.into());
        Ok(true)
    })?;
    quick(module, &["evm_setBlockGasLimit", "anvil_setBlockGasLimit"], |context, args| {
        let (gas,) = args.read::<(Quantity,)>()?;
        dev(context)?.set_gas_limit(gas.to_u64())?;
        Ok(true)
    })?;
    let names = ["anvil_setNextBlockBaseFeePerGas", "hardhat_setNextBlockBaseFeePerGas"];
    quick(module, &names, |context, args| {
        let (wei,) = args.read::<(Quantity,)>()?;
        dev(context)?.set_next_base_fee(wei.to_u64())?;
        Ok(true)
    })
}

/// Mines what the parameters of `evm_mine` say; how many blocks.
pub(super) fn mine_as_told(context: &Context, args: Args<'_>) -> Result<u64, RpcError> {
    let (options,) = args.read::<(Option<MineOptions>,)>()?;
    let (timestamp, blocks) = match options {
        None => (None, 1),
        Some(MineOptions::Options { timestamp, blocks }) => (timestamp, blocks.unwrap_or(1)),
        Some(MineOptions::Timestamp(timestamp)) => (timestamp, 1),
    };
    if let Some(timestamp) = timestamp {
        dev(context)?.set_next_timestamp(timestamp)?;
    }
    mine(context, blocks, |_| None)?;
    Ok(blocks)
}

/// Mines blocks, each so many seconds after the one before it if `seconds` says. It takes its time: blocks that were asked for are not
/// given up half way.
fn mine(context: &Context, blocks: u64, seconds: impl Fn(u64) -> Option<u64>) -> Result<(), RpcError> {
    if blocks > BLOCKS_MAX {
        return Err(RpcError::params(format_args!("at most {BLOCKS_MAX} blocks are mined at once")));
    }
    let dev = dev(context)?;
    for block in 0..blocks {
        dev.mine_after(seconds(block))?;
    }
    Ok(())
}

fn register_time(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    quick(module, &["evm_increaseTime", "anvil_increaseTime"], |context, args| {
        let (seconds,) = args.read::<(Quantity,)>()?;
        Ok(dev(context)?.increase_time(seconds.to_u64()))
    })?;
    quick(module, &["evm_setTime", "anvil_setTime"], |context, args| {
        let (timestamp,) = args.read::<(Quantity,)>()?;
        dev(context)?.set_time(timestamp.to_u64());
        Ok(timestamp.to_u64())
    })?;
    quick(module, &["evm_setNextBlockTimestamp", "anvil_setNextBlockTimestamp"], |context, args| {
        let (timestamp,) = args.read::<(Quantity,)>()?;
        dev(context)?.set_next_timestamp(timestamp.to_u64())?;
        Ok(timestamp.to_u64())
    })?;
    quick(module, &["anvil_setBlockTimestampInterval", "evm_setBlockTimestampInterval"], |context, args| {
        let (seconds,) = args.read::<(Quantity,)>()?;
        dev(context)?.set_interval(Some(seconds.to_u64()));
        Ok(true)
    })?;
    let names = ["anvil_removeBlockTimestampInterval", "evm_removeBlockTimestampInterval"];
    quick(module, &names, |context, args| {
        args.read::<()>()?;
        Ok(dev(context)?.set_interval(None))
    })
}

fn register_accounts(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    quick(module, &["anvil_impersonateAccount", "hardhat_impersonateAccount"], |context, args| {
        let (address,) = args.read::<(Address,)>()?;
        dev(context)?.impersonate(address);
        Ok(true)
    })?;
    let names = ["anvil_stopImpersonatingAccount", "hardhat_stopImpersonatingAccount"];
    quick(module, &names, |context, args| {
        let (address,) = args.read::<(Address,)>()?;
        dev(context)?.stop_impersonating(&address);
        Ok(true)
    })?;
    quick(module, &["anvil_autoImpersonateAccount", "hardhat_autoImpersonateAccount"], |context, args| {
        let (yes,) = args.read::<(bool,)>()?;
        dev(context)?.impersonate_all(yes);
        Ok(true)
    })
}

fn register_pool(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    quick(module, &["anvil_dropTransaction", "hardhat_dropTransaction"], |context, args| {
        let (hash,) = args.read::<(B256,)>()?;
        Ok(context.pool.remove(&hash, None).map(|tx| tx.hash()))
    })?;
    quick(module, &["anvil_dropAllTransactions", "hardhat_dropAllTransactions"], |context, args| {
        args.read::<()>()?;
        context.pool.clear(None);
        Ok(true)
    })?;
    quick(module, &["anvil_removePoolTransactions"], |context, args| {
        let (address,) = args.read::<(Address,)>()?;
        context.pool.clear(Some(address));
        Ok(true)
    })?;
    quick(module, &["anvil_setMinGasPrice", "hardhat_setMinGasPrice"], |context, args| {
        let (wei,) = args.read::<(Quantity,)>()?;
        if context.pool.head().rules.is_active(Fork::London) {
            return Err(RpcError::params("setMinGasPrice is not supported when EIP-1559 is active"));
        }
        context.pool.set(|settings| settings.price_min_wei = wei.0.saturating_to());
        Ok(true)
    })
}
