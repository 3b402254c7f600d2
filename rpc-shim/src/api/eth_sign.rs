//! `eth_` and `personal_`: signing with the accounts of a development chain.
//!
//! Place in the flow: registered only on a development chain.
//! Invariant: only keys of the chain sign; whoever else is asked for is refused with -32602. Messages are hashed as EIP-191 says,
//! typed data as EIP-712 says.

use super::{
    Args, Context, Deadline,
    eth_fill::{self, Unsigned},
    eth_send::dev,
    method,
};
use crate::error::RpcError;
use alloy_dyn_abi::TypedData;
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, Bytes, Signature};
use alloy_rpc_types_eth::TransactionRequest;
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use serde::{Deserialize, Deserializer, de::Error};
use serde_json::Value;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::heavy(module, "eth_signTransaction", sign_transaction)?;
    method::quick(module, "eth_sign", |context, args| {
        let (address, message) = args.read::<(Address, Bytes)>()?;
        sign(context, address, &message)
    })?;
    method::quick(module, "personal_sign", |context, args| {
        let (message, address) = args.read::<(Bytes, Address)>()?;
        sign(context, address, &message)
    })?;
    method::heavy(module, "eth_signTypedData", sign_typed_data)?;
    method::heavy(module, "eth_signTypedData_v3", sign_typed_data)?;
    method::heavy(module, "eth_signTypedData_v4", sign_typed_data)
}

/// The refusal of an account whose key is not here.
pub(super) fn no_signer() -> RpcError {
    RpcError::params("No Signer available")
}

fn encoded(signature: Option<Signature>) -> Result<Bytes, RpcError> {
    Ok(Bytes::copy_from_slice(&signature.ok_or_else(no_signer)?.as_bytes()))
}

fn sign(context: &Context, address: Address, message: &[u8]) -> Result<Bytes, RpcError> {
    encoded(dev(context)?.keys().sign_message(&address, message))
}

/// Typed data, as an object or, as wallets send it, as the text of one.
#[derive(Debug)]
struct Typed(TypedData);

impl<'de> Deserialize<'de> for Typed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = match Value::deserialize(deserializer)? {
            Value::String(text) => serde_json::from_str(&text).map_err(D::Error::custom)?,
            value => value,
        };
        TypedData::deserialize(value).map(Self).map_err(D::Error::custom)
    }
}

fn sign_typed_data(context: &Context, args: Args<'_>, _: Deadline) -> Result<Bytes, RpcError> {
    let (address, Typed(data)) = args.read::<(Address, Typed)>()?;
    let digest = data.eip712_signing_hash().map_err(RpcError::params)?;
    encoded(dev(context)?.keys().sign_hash(&address, digest))
}

fn sign_transaction(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Bytes, RpcError> {
    let (request,) = args.read::<(TransactionRequest,)>()?;
    let (from, unsigned) = eth_fill::fill(context, request, deadline)?;
    let unsigned = Unsigned::new(unsigned);
    let signature = dev(context)?.keys().sign_hash(&from, unsigned.signature_hash()).ok_or_else(no_signer)?;
    Ok(unsigned.with_signature(signature).0.encoded_2718().into())
}
