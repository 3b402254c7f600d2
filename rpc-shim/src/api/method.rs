//! The ways in which a method is registered.
//!
//! Place in the flow: used by the `register` function of each namespace.
//! Invariant: a quick method touches memory only; everything whose cost a caller decides is heavy.

use super::{Args, Context, Deadline, Work};
use crate::error::RpcError;
use jsonrpsee::{RpcModule, core::RegisterMethodError, types::ErrorObjectOwned};
use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};

/// How parameters name the pending block.
const PENDING: &str = "\"pending\"";

/// Registers a method that answers at once, on the thread of the connection.
pub(crate) fn quick<R: Serialize + Clone + 'static>(
    module: &mut RpcModule<Context>,
    name: &'static str,
    method: impl for<'a> Fn(&'a Context, Args<'a>) -> Result<R, RpcError> + Send + Sync + 'static,
) -> Result<(), RegisterMethodError> {
    module.register_method(name, move |params, context, _| -> Result<R, ErrorObjectOwned> {
        Ok(method(context, Args::new(&params))?)
    })?;
    Ok(())
}

/// As [`quick`], for a method that may be asked about the pending block: that one has to be built, on a blocking thread.
pub(crate) fn unless_pending<R: Serialize + Clone + Send + 'static>(
    module: &mut RpcModule<Context>,
    name: &'static str,
    method: impl for<'a> Fn(&'a Context, Args<'a>) -> Result<R, RpcError> + Copy + Send + Sync + 'static,
) -> Result<(), RegisterMethodError> {
    module.register_async_method(name, move |params, context, _| async move {
        let answer = if params.as_str().is_some_and(|text| text.contains(PENDING)) {
            context.run_heavy(Work::Read, move |context, _| method(context, Args::new(&params))).await
        } else {
            method(&context, Args::new(&params))
        };
        answer.map_err(ErrorObjectOwned::from)
    })?;
    Ok(())
}

/// Registers a method that reads; it runs, and writes its answer, on a blocking thread.
pub(crate) fn heavy<R: Serialize>(
    module: &mut RpcModule<Context>,
    name: &'static str,
    method: impl for<'a> Fn(&'a Context, Args<'a>, Deadline) -> Result<R, RpcError> + Clone + Send + Sync + 'static,
) -> Result<(), RegisterMethodError> {
    blocking(module, name, Work::Read, method)
}

/// As [`heavy`], for a method that changes the chain or the pool.
pub(crate) fn change<R: Serialize>(
    module: &mut RpcModule<Context>,
    name: &'static str,
    method: impl for<'a> Fn(&'a Context, Args<'a>, Deadline) -> Result<R, RpcError> + Clone + Send + Sync + 'static,
) -> Result<(), RegisterMethodError> {
    blocking(module, name, Work::Write, method)
}

fn blocking<R: Serialize>(
    module: &mut RpcModule<Context>,
    name: &'static str,
    kind: Work,
    method: impl for<'a> Fn(&'a Context, Args<'a>, Deadline) -> Result<R, RpcError> + Clone + Send + Sync + 'static,
) -> Result<(), RegisterMethodError> {
    module.register_async_method(name, move |params, context, _| {
        let method = method.clone();
        async move {
            let work = move |context: &Context, deadline: Deadline| {
                let answer = method(context, Args::new(&params), deadline)?;
                to_raw_value(&answer).map_err(|error| RpcError::internal(&error))
            };
            context.run_heavy(kind, work).await.map_err(ErrorObjectOwned::from) as Result<Box<RawValue>, _>
        }
    })?;
    Ok(())
}
