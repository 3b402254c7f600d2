//! The methods of the `engine` namespace.
//!
//! Place in the flow: the edge of `engine`; the authenticated server serves them and nobody else.
//! Invariant: a method reads its parameters, calls one function and writes its answer; [`CAPABILITIES`] names all that a
//! consensus client may choose from.

use super::{
    attributes::{ForkchoiceCall, ForkchoiceVersion},
    blobs::{blobs_v1, blobs_v2, blobs_v3},
    bodies::{BodyVersion, bodies_by_hash, bodies_by_range},
    envelope::GetPayloadVersion,
    handshake::{ClientVersion, transition_configuration},
    service::EngineApi,
    version::NewPayloadVersion,
};
use crate::{
    api::Args,
    error::{Code, RpcError},
};
use alloy_primitives::{B256, U64};
use alloy_rpc_types_engine::{PayloadId, TransitionConfiguration};
use jsonrpsee::{
    RpcModule,
    core::RegisterMethodError,
    types::{ErrorObjectOwned, Params},
};
use serde::Serialize;
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};

type Answer = Result<Box<RawValue>, ErrorObjectOwned>;

const NEW_PAYLOAD: [(&str, NewPayloadVersion); 5] = [
    ("engine_newPayloadV1", NewPayloadVersion::V1),
    ("engine_newPayloadV2", NewPayloadVersion::V2),
    ("engine_newPayloadV3", NewPayloadVersion::V3),
    ("engine_newPayloadV4", NewPayloadVersion::V4),
    ("engine_newPayloadV5", NewPayloadVersion::V5),
];

const FORKCHOICE: [(&str, ForkchoiceVersion); 4] = [
    ("engine_forkchoiceUpdatedV1", ForkchoiceVersion::V1),
    ("engine_forkchoiceUpdatedV2", ForkchoiceVersion::V2),
    ("engine_forkchoiceUpdatedV3", ForkchoiceVersion::V3),
    ("engine_forkchoiceUpdatedV4", ForkchoiceVersion::V4),
];

const GET_PAYLOAD: [(&str, GetPayloadVersion); 6] = [
    ("engine_getPayloadV1", GetPayloadVersion::V1),
    ("engine_getPayloadV2", GetPayloadVersion::V2),
    ("engine_getPayloadV3", GetPayloadVersion::V3),
    ("engine_getPayloadV4", GetPayloadVersion::V4),
    ("engine_getPayloadV5", GetPayloadVersion::V5),
    ("engine_getPayloadV6", GetPayloadVersion::V6),
];

/// The method that is not in its own answer.
const EXCHANGE_CAPABILITIES: &str = "engine_exchangeCapabilities";

/// All methods of the namespace.
///
/// # Panics
/// If a method is registered twice, which a test would have shown.
pub fn module(api: EngineApi) -> RpcModule<EngineApi> {
    let mut module = RpcModule::new(api);
    register(&mut module).expect("no method is registered twice");
    module
}

fn register(module: &mut RpcModule<EngineApi>) -> Result<(), RegisterMethodError> {
    for (name, version) in NEW_PAYLOAD {
        module.register_async_method(name, move |params, api, _| async move {
            let params = values(&params)?;
            write(api.new_payload(version, params).await)
        })?;
    }
    for (name, version) in FORKCHOICE {
        module.register_async_method(name, move |params, api, _| async move {
            let call = ForkchoiceCall::from_params(version, &values(&params)?)?;
            write(api.forkchoice(call).await)
        })?;
    }
    for (name, version) in GET_PAYLOAD {
        reading(module, name, move |api, args| {
            let (id,) = args.read::<(PayloadId,)>()?;
            let built = api.processes.take(id).ok_or_else(|| RpcError::new(Code::UnknownPayload, "Unknown payload"))?;
            version.answer(&built)
        })?;
    }
    register_bodies(module)?;
    register_blobs(module)?;
    register_handshake(module)
}

fn register_bodies(module: &mut RpcModule<EngineApi>) -> Result<(), RegisterMethodError> {
    let versions = [
        ("engine_getPayloadBodiesByHashV1", "engine_getPayloadBodiesByRangeV1", BodyVersion::V1),
        ("engine_getPayloadBodiesByHashV2", "engine_getPayloadBodiesByRangeV2", BodyVersion::V2),
    ];
    for (by_hash, by_range, version) in versions {
        reading(module, by_hash, move |api, args| {
            let (hashes,) = args.read::<(Vec<B256>,)>()?;
            bodies_by_hash(&api.node, version, &hashes)
        })?;
        reading(module, by_range, move |api, args| {
            let (start, count) = args.read::<(U64, U64)>()?;
            bodies_by_range(&api.node, version, start.to(), count.to())
        })?;
    }
    Ok(())
}

fn register_blobs(module: &mut RpcModule<EngineApi>) -> Result<(), RegisterMethodError> {
    reading(module, "engine_getBlobsV1", |api, args| {
        let (hashes,) = args.read::<(Vec<B256>,)>()?;
        blobs_v1(&api.pool, &api.head_rules(), &hashes)
    })?;
    reading(module, "engine_getBlobsV2", |api, args| {
        let (hashes,) = args.read::<(Vec<B256>,)>()?;
        blobs_v2(&api.pool, &api.head_rules(), &hashes)
    })?;
    reading(module, "engine_getBlobsV3", |api, args| {
        let (hashes,) = args.read::<(Vec<B256>,)>()?;
        blobs_v3(&api.pool, &api.head_rules(), &hashes)
    })
}

fn register_handshake(module: &mut RpcModule<EngineApi>) -> Result<(), RegisterMethodError> {
    reading(module, "engine_getClientVersionV1", |_, args| {
        let (theirs,) = args.read::<(ClientVersion,)>()?;
        tracing::debug!(target: "laminar::engine", client = %theirs.name, version = %theirs.version, "consensus client");
        Ok([ClientVersion::laminar()])
    })?;
    reading(module, "engine_exchangeTransitionConfigurationV1", |api, args| {
        let (theirs,) = args.read::<(TransitionConfiguration,)>()?;
        Ok(transition_configuration(api.node.spec(), &theirs))
    })?;
    let names: Vec<&str> = module.method_names().collect();
    reading(module, EXCHANGE_CAPABILITIES, move |_, args| {
        args.read::<(Vec<String>,)>()?;
        Ok(names.clone())
    })
}

/// Registers a method that only reads; it runs on a blocking thread, for it may wait or write megabytes.
fn reading<T: Serialize>(
    module: &mut RpcModule<EngineApi>,
    name: &'static str,
    method: impl Fn(&EngineApi, Args<'_>) -> Result<T, RpcError> + Clone + Send + Sync + 'static,
) -> Result<(), RegisterMethodError> {
    module
        .register_blocking_method(name, move |params, api, _| -> Answer { write(method(&api, Args::new(&params))) })?;
    Ok(())
}

fn values(params: &Params<'_>) -> Result<Vec<Value>, RpcError> {
    params.parse().map_err(RpcError::params)
}

fn write<T: Serialize>(answer: Result<T, RpcError>) -> Answer {
    let text = answer.and_then(|answer| to_raw_value(&answer).map_err(|error| RpcError::internal(&error)));
    text.map_err(ErrorObjectOwned::from)
}
