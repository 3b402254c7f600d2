//! `eth_`: logs, polled filters, and subscriptions.
//!
//! Place in the flow: one namespace of several with this prefix.
//! Invariant: a query is bounded in blocks and in results; blocks whose bloom cannot fit are skipped by their header.

use super::{Args, Context, Deadline, method};
use crate::{
    convert,
    error::RpcError,
    filters::{Kind, matching},
    node::HeadChange,
};
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::U64;
use alloy_rpc_types_eth::{
    Filter, FilterBlockOption, FilterChanges, Log,
    pubsub::{Params as SubscriptionParams, SubscriptionKind},
};
use jsonrpsee::{
    PendingSubscriptionSink, RpcModule, SubscriptionSink,
    core::RegisterMethodError,
    server::SubscriptionMessage,
    types::{ErrorObjectOwned, Params},
};
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::broadcast::error::RecvError;

/// Addresses, or topics in one position, that one query may name, as in geth.
const ALTERNATIVES_MAX: usize = 1000;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::heavy(module, "eth_getLogs", logs)?;
    method::quick(module, "eth_newFilter", new_filter)?;
    method::quick(module, "eth_newBlockFilter", |context, args| {
        args.read::<()>()?;
        context.filters.install(&context.node, Kind::Blocks)
    })?;
    method::quick(module, "eth_newPendingTransactionFilter", |context, args| {
        args.read::<(Option<bool>,)>()?;
        context.filters.install(&context.node, Kind::Transactions)
    })?;
    method::quick(module, "eth_uninstallFilter", |context, args| {
        args.read::<(U64,)>().map(|(id,)| context.filters.uninstall(id))
    })?;
    method::heavy(module, "eth_getFilterChanges", |context, args, _| -> Result<FilterChanges, RpcError> {
        let (id,) = args.read::<(U64,)>()?;
        context.filters.changes(&context.node, id)
    })?;
    method::heavy(module, "eth_getFilterLogs", |context, args, deadline| {
        let (id,) = args.read::<(U64,)>()?;
        query(context, &context.filters.query(id)?, deadline)
    })?;
    module.register_subscription(
        "eth_subscribe",
        "eth_subscription",
        "eth_unsubscribe",
        |params, pending, context, _| subscribe(params, pending, context),
    )?;
    Ok(())
}

fn logs(context: &Context, args: Args<'_>, deadline: Deadline) -> Result<Vec<Log>, RpcError> {
    let (filter,) = args.read::<(Filter,)>()?;
    query(context, &filter, deadline)
}

fn new_filter(context: &Context, args: Args<'_>) -> Result<U64, RpcError> {
    let (filter,) = args.read::<(Filter,)>()?;
    check_alternatives(&filter)?;
    context.filters.install(&context.node, Kind::Logs(Box::new(filter)))
}

fn check_alternatives(filter: &Filter) -> Result<(), RpcError> {
    let most = filter.topics.iter().map(|topic| topic.len()).chain([filter.address.len()]).max().unwrap_or_default();
    if most > ALTERNATIVES_MAX {
        let what = format_args!("exceed max addresses or topics per search position ({ALTERNATIVES_MAX})");
        return Err(RpcError::params(what));
    }
    Ok(())
}

fn query(context: &Context, filter: &Filter, deadline: Deadline) -> Result<Vec<Log>, RpcError> {
    check_alternatives(filter)?;
    let node = &context.node;
    let (from, to) = match filter.block_option {
        FilterBlockOption::AtBlockHash(hash) => {
            let record = node.block_by_hash(&hash).ok_or_else(|| RpcError::server("unknown block"))?;
            return Ok(matching(filter, &record, false));
        }
        FilterBlockOption::Range { from_block, to_block } => (from_block, to_block),
    };
    let number = |tag: Option<BlockNumberOrTag>| match tag.unwrap_or_default() {
        BlockNumberOrTag::Number(number) => Ok(number),
        tag => node.block(tag.into()).map(|record| record.header.number).ok_or_else(|| node.no_block(tag.into())),
    };
    let (from, to, head) = (number(from)?, number(to)?, node.head().header.number);
    if from > to {
        return Err(RpcError::params("invalid block range params"));
    }
    if to > head {
        return Err(RpcError::params("block range extends beyond current head block"));
    }
    let max = context.limits.logs_blocks_max;
    if to - from >= max {
        return Err(RpcError::params(format_args!("query exceeds max block range {max}")));
    }
    let mut found = Vec::new();
    for number in from..=to {
        deadline.check()?;
        let Some(record) = node.block_by_number(number) else { continue };
        found.extend(matching(filter, &record, false));
        let max = context.limits.logs_max;
        if found.len() > max {
            let fits = number.saturating_sub(1).max(from);
            let what = format_args!("query exceeds max results {max}, retry with the range {from}-{fits}");
            return Err(RpcError::params(what));
        }
    }
    Ok(found)
}

/// Serves a subscription until the client or the node ends it.
async fn subscribe(params: Params<'static>, pending: PendingSubscriptionSink, context: Arc<Context>) {
    let read = Args::new(&params).read::<(SubscriptionKind, Option<SubscriptionParams>)>();
    let filter = match read {
        Ok((SubscriptionKind::NewHeads, _)) => None,
        Ok((SubscriptionKind::Logs, Some(SubscriptionParams::Logs(filter)))) => Some(filter),
        Ok((SubscriptionKind::Logs, _)) => Some(Box::default()),
        Ok(_) => {
            let refusal = RpcError::params("no such subscription here");
            return pending.reject(ErrorObjectOwned::from(refusal)).await;
        }
        Err(refusal) => return pending.reject(ErrorObjectOwned::from(refusal)).await,
    };
    let mut heads = context.node.subscribe_heads();
    let mut seen = context.node.head().hash();
    let Ok(sink) = pending.accept().await else { return };
    loop {
        let change = tokio::select! {
            () = sink.closed() => return,
            change = heads.recv() => change,
        };
        let change = match change {
            Ok(change) => change,
            // What a slow client missed is read from the tree.
            Err(RecvError::Lagged(_)) => {
                heads = heads.resubscribe();
                Arc::new(context.node.since(&seen).unwrap_or_default())
            }
            Err(RecvError::Closed) => return,
        };
        seen = change.added.last().map_or(seen, |record| record.hash());
        let sent = match &filter {
            None => send_heads(&sink, &change).await,
            Some(filter) => send_logs(&sink, filter, &change).await,
        };
        if sent.is_none() {
            return;
        }
    }
}

async fn send_heads(sink: &SubscriptionSink, change: &HeadChange) -> Option<()> {
    for record in &change.added {
        send(sink, &convert::header(record)).await?;
    }
    Some(())
}

async fn send_logs(sink: &SubscriptionSink, filter: &Filter, change: &HeadChange) -> Option<()> {
    let removed = change.removed.iter().map(|record| (record, true));
    for (record, removed) in removed.chain(change.added.iter().map(|record| (record, false))) {
        for log in matching(filter, record, removed) {
            send(sink, &log).await?;
        }
    }
    Some(())
}

/// `None` once the client is gone.
async fn send(sink: &SubscriptionSink, item: &impl Serialize) -> Option<()> {
    let message = SubscriptionMessage::new(sink.method_name(), sink.subscription_id(), item).ok()?;
    sink.send(message).await.ok()
}
