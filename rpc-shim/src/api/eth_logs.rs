//! `eth_`: logs, polled filters, and subscriptions.
//!
//! Place in the flow: one namespace of several with this prefix.
//! Invariant: a query is bounded in blocks and in results; blocks whose bloom cannot fit are skipped by their header.

use super::{Args, Context, Deadline, method};
use crate::{
    convert::{self, Detail, RpcTransaction},
    error::RpcError,
    filters::{FilterId, Kind, matching},
    node::HeadChange,
    pool::PoolEvent,
};
use alloy_eips::BlockNumberOrTag;
use alloy_primitives::{B256, U64};
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
use tokio::sync::broadcast::{Receiver, error::RecvError};

/// Addresses, or topics in one position, that one query may name, as in geth.
const ALTERNATIVES_MAX: usize = 1000;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::heavy(module, "eth_getLogs", logs)?;
    method::quick(module, "eth_newFilter", new_filter)?;
    method::quick(module, "eth_newBlockFilter", |context, args| {
        args.read::<()>()?;
        context.filters.install(&context.node, &context.pool, Kind::Blocks)
    })?;
    method::quick(module, "eth_newPendingTransactionFilter", |context, args| {
        let (full,) = args.read::<(Option<bool>,)>()?;
        let kind = Kind::Transactions(Detail::from_flag(full.unwrap_or_default()));
        context.filters.install(&context.node, &context.pool, kind)
    })?;
    method::quick(module, "eth_uninstallFilter", |context, args| {
        args.read::<(FilterId,)>().map(|(id,)| context.filters.uninstall(id))
    })?;
    method::heavy(
        module,
        "eth_getFilterChanges",
        |context, args, _| -> Result<FilterChanges<RpcTransaction>, RpcError> {
            let (id,) = args.read::<(FilterId,)>()?;
            context.filters.changes(&context.node, id)
        },
    )?;
    method::heavy(module, "eth_getFilterLogs", |context, args, deadline| {
        let (id,) = args.read::<(FilterId,)>()?;
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
    if filter.get_from_block().zip(filter.get_to_block()).is_some_and(|(from, to)| from > to) {
        return Err(RpcError::params("invalid block range params"));
    }
    context.filters.install(&context.node, &context.pool, Kind::Logs(Box::new(filter)))
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
        let fits = node.header_by_number(number).is_some_and(|header| filter.matches_bloom(header.logs_bloom));
        let Some(record) = fits.then(|| node.block_by_number(number)).flatten() else { continue };
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

/// What a subscription tells of.
enum Topic {
    Heads,
    Logs(Box<Filter>),
    Transactions(Detail),
    /// The node is never behind anybody, so there is one message: that it is not.
    Syncing,
}

impl Topic {
    fn read(params: &Params<'_>) -> Result<Self, RpcError> {
        let (kind, params) = Args::new(params).read::<(SubscriptionKind, Option<SubscriptionParams>)>()?;
        Ok(match (kind, params) {
            (SubscriptionKind::NewHeads, _) => Self::Heads,
            (SubscriptionKind::Logs, Some(SubscriptionParams::Logs(filter))) => {
                check_alternatives(&filter)?;
                Self::Logs(filter)
            }
            (SubscriptionKind::Logs, _) => Self::Logs(Box::default()),
            (SubscriptionKind::NewPendingTransactions, Some(SubscriptionParams::Bool(full))) => {
                Self::Transactions(Detail::from_flag(full))
            }
            (SubscriptionKind::NewPendingTransactions, _) => Self::Transactions(Detail::Hashes),
            (SubscriptionKind::Syncing, _) => Self::Syncing,
            _ => return Err(RpcError::params("no such subscription here")),
        })
    }
}

/// Serves a subscription until the client or the node ends it.
async fn subscribe(params: Params<'static>, pending: PendingSubscriptionSink, context: Arc<Context>) {
    let topic = match Topic::read(&params) {
        Ok(topic) => topic,
        Err(refusal) => return pending.reject(ErrorObjectOwned::from(refusal)).await,
    };
    // Before the client knows, so that it misses nothing from then on.
    let (heads, seen) = (context.node.subscribe_heads(), context.node.head().hash());
    let events = context.pool.subscribe();
    let Ok(sink) = pending.accept().await else { return };
    match topic {
        Topic::Heads => follow_heads(&context, &sink, None, heads, seen).await,
        Topic::Logs(filter) => follow_heads(&context, &sink, Some(filter), heads, seen).await,
        Topic::Transactions(detail) => follow_pool(&sink, detail, events).await,
        Topic::Syncing => {
            if send(&sink, &false).await.is_some() {
                sink.closed().await;
            }
        }
    }
}

async fn follow_heads(
    context: &Context,
    sink: &SubscriptionSink,
    filter: Option<Box<Filter>>,
    mut heads: Receiver<Arc<HeadChange>>,
    mut seen: B256,
) {
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
            None => send_heads(sink, &change).await,
            Some(filter) => send_logs(sink, filter, &change).await,
        };
        if sent.is_none() {
            return;
        }
    }
}

/// Transactions as they become executable. A client that is too slow misses some.
async fn follow_pool(sink: &SubscriptionSink, detail: Detail, mut events: Receiver<PoolEvent>) {
    loop {
        let event = tokio::select! {
            () = sink.closed() => return,
            event = events.recv() => event,
        };
        let sent = match (event, detail) {
            (Ok(PoolEvent::Pending(tx)), Detail::Hashes) => send(sink, &tx.hash()).await,
            (Ok(PoolEvent::Pending(tx)), Detail::Full) => send(sink, &convert::pending(&tx)).await,
            (Ok(PoolEvent::Dropped(..)) | Err(RecvError::Lagged(_)), _) => Some(()),
            (Err(RecvError::Closed), _) => None,
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
