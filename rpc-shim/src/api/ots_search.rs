//! `ots_`: what Otterscan asks about an account's history.
//!
//! Place in the flow: one namespace of two files; there is no index of accounts, so blocks run again.
//! Invariant: a transaction belongs to every account that a call of it came from or went to. A search that would take longer than a
//! call may is refused; it never leaves something out.

use super::{Args, Context, Deadline, eth_call::limits, eth_state, method, ots_blocks};
use crate::{
    convert::{self, Quantity, RpcTransaction},
    error::RpcError,
    node::BlockRecord,
    trace::{self, TraceSource},
};
use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, KECCAK256_EMPTY};
use alloy_rpc_types_trace::{
    otterscan::{ContractCreator, TransactionsWithReceipts},
    parity::{Action, LocalizedTransactionTrace, TraceOutput},
};
use jsonrpsee::{RpcModule, core::RegisterMethodError};
use revm::database_interface::DatabaseRef;
use std::{collections::BTreeSet, sync::Arc};

/// Transactions that are enough for a page; a block is never divided.
const PAGE_MAX: u64 = 1000;

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    method::heavy(module, "ots_searchTransactionsBefore", |context, args, deadline| {
        search(context, args, deadline, Direction::Back)
    })?;
    method::heavy(module, "ots_searchTransactionsAfter", |context, args, deadline| {
        search(context, args, deadline, Direction::Forth)
    })?;
    method::heavy(module, "ots_getTransactionBySenderAndNonce", |context, args, deadline| {
        let (sender, nonce) = args.read::<(Address, Quantity)>()?;
        let found = eth_state::sent_by(context, sender, nonce.to_u64(), deadline)?;
        Ok(found.and_then(|(record, index)| record.transaction_hashes().nth(index)))
    })?;
    method::heavy(module, "ots_getContractCreator", contract_creator)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Direction {
    /// From newer blocks to older ones.
    Back,
    /// From older blocks to newer ones.
    Forth,
}

type Page = TransactionsWithReceipts<RpcTransaction>;

/// The transactions of an account in the blocks before or after one; zero stands for the end of the chain. Newest first.
fn search(context: &Context, args: Args<'_>, deadline: Deadline, direction: Direction) -> Result<Page, RpcError> {
    let (address, start, size) = args.read::<(Address, Quantity, Quantity)>()?;
    let (start, size) = (start.to_u64(), size.to_u64().clamp(1, PAGE_MAX) as usize);
    let (first, head) = (context.node.genesis().header.number + 1, context.node.head().header.number);
    let mut numbers: Box<dyn Iterator<Item = u64>> = match (direction, start) {
        (Direction::Back, 0) => Box::new((first..=head).rev()),
        (Direction::Back, start) => Box::new((first..start.min(head.saturating_add(1))).rev()),
        (Direction::Forth, start) => Box::new(start.saturating_add(1).max(first)..=head),
    };
    let (mut txs, mut receipts) = (Vec::new(), Vec::new());
    let mut is_end = true;
    for number in numbers.by_ref() {
        deadline.check()?;
        let Some(record) = context.node.block_by_number(number) else { continue };
        let mut found = touching(context, &record, address, deadline)?;
        if direction == Direction::Back {
            found.reverse();
        }
        txs.extend(found.iter().filter_map(|index| convert::transaction(&record, *index)));
        receipts.extend(found.iter().filter_map(|index| ots_blocks::receipt(context, &record, *index)));
        if txs.len() >= size {
            is_end = numbers.next().is_none();
            break;
        }
    }
    if direction == Direction::Forth {
        txs.reverse();
        receipts.reverse();
    }
    let is_start = start == 0;
    let (first_page, last_page) = match direction {
        Direction::Back => (is_start, is_end),
        Direction::Forth => (is_end, is_start),
    };
    Ok(TransactionsWithReceipts { txs, receipts, first_page, last_page })
}

/// The positions of the transactions that touch an account, ascending.
fn touching(
    context: &Context,
    record: &Arc<BlockRecord>,
    address: Address,
    deadline: Deadline,
) -> Result<Vec<usize>, RpcError> {
    let traces = traces(context, record, deadline)?;
    let of_address = traces.iter().filter(|trace| is_party(trace, address));
    let positions = of_address.filter_map(|trace| trace.transaction_position).map(|position| position as usize);
    Ok(positions.collect::<BTreeSet<_>>().into_iter().collect())
}

fn traces(
    context: &Context,
    record: &Arc<BlockRecord>,
    deadline: Deadline,
) -> Result<Vec<LocalizedTransactionTrace>, RpcError> {
    let count = record.body.transactions.len();
    if count == 0 {
        return Ok(Vec::new());
    }
    let source = TraceSource::new(&context.node, Arc::clone(record))?;
    let block = source.block(context.node.spec());
    Ok(trace::localized_traces(&block, source.view.clone(), 0..count, limits(context, deadline).deadline)?)
}

fn is_party(trace: &LocalizedTransactionTrace, address: Address) -> bool {
    let created = match &trace.trace.result {
        Some(TraceOutput::Create(created)) => Some(created.address),
        _ => None,
    };
    created == Some(address)
        || match &trace.trace.action {
            Action::Call(call) => call.from == address || call.to == address,
            Action::Create(create) => create.from == address,
            Action::Selfdestruct(end) => end.address == address || end.refund_address == address,
            Action::Reward(_) => false,
        }
}

/// Who created a contract, and in which transaction; null for what is no contract, or was one from the genesis on.
fn contract_creator(
    context: &Context,
    args: Args<'_>,
    deadline: Deadline,
) -> Result<Option<ContractCreator>, RpcError> {
    let (address,) = args.read::<(Address,)>()?;
    let node = &context.node;
    let has_code = |number: u64| {
        deadline.check()?;
        let account = node.state_at(BlockId::from(number))?.basic_ref(address)?;
        Ok::<_, RpcError>(account.is_some_and(|account| account.code_hash != KECCAK256_EMPTY))
    };
    let (mut without, mut with) = (node.genesis().header.number, node.head().header.number);
    if !has_code(with)? || has_code(without)? {
        return Ok(None);
    }
    while with - without > 1 {
        let middle = without + (with - without) / 2;
        if has_code(middle)? {
            with = middle;
        } else {
            without = middle;
        }
    }
    let Some(record) = node.block_by_number(with) else { return Ok(None) };
    let creation = traces(context, &record, deadline)?.into_iter().find_map(|trace| {
        let hash: B256 = trace.transaction_hash?;
        match (trace.trace.action, trace.trace.result) {
            (Action::Create(create), Some(TraceOutput::Create(created))) if created.address == address => {
                Some(ContractCreator { hash, creator: create.from })
            }
            _ => None,
        }
    });
    Ok(creation)
}
