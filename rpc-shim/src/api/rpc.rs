//! `rpc_`: which namespaces are served.
//!
//! Place in the flow: registered last, because it lists the others.

use super::{Args, Context, method};
use crate::error::RpcError;
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use std::collections::BTreeMap;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    let mut namespaces: BTreeMap<String, &'static str> = BTreeMap::from([("rpc".to_owned(), "1.0")]);
    let prefixes = module.method_names().filter_map(|name| Some(name.split_once('_')?.0.to_owned()));
    namespaces.extend(prefixes.map(|prefix| (prefix, "1.0")));
    let modules = move |_: &Context, args: Args<'_>| -> Result<_, RpcError> {
        args.read::<()>()?;
        Ok(namespaces.clone())
    };
    method::quick(module, "rpc_modules", modules)
}
