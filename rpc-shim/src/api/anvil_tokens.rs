//! `anvil_dealERC20` and `anvil_setERC20Allowance`: what an ERC-20 says that somebody has or may take.
//!
//! Place in the flow: registered only on a development chain; ends in one edit of one slot.
//! Invariant: as on anvil, the slot is the one of the token that the question reads and that, set to the amount, makes the token
//! answer the amount. Where there is none, because a token computes what it says, nothing changes.

use super::{
    Args, Context, Deadline,
    eth_call::{limits, place},
    eth_send::dev,
    method,
};
use crate::{
    call::{self, Call},
    convert::Quantity,
    dev::Edit,
    error::{Code, RpcError},
};
use alloy_eips::BlockId;
use alloy_primitives::{Address, B256, Bytes, U256, hex};
use alloy_rpc_types_eth::{
    TransactionRequest,
    state::{AccountOverride, StateOverride},
};
use jsonrpsee::{RpcModule, core::RegisterMethodError};

/// `balanceOf(address)`.
const BALANCE_OF: [u8; 4] = hex!("70a08231");
/// `allowance(address,address)`.
const ALLOWANCE: [u8; 4] = hex!("dd62ed3e");

pub(crate) fn register(module: &mut RpcModule<Context>) -> Result<(), RegisterMethodError> {
    for name in ["anvil_dealERC20", "hardhat_dealERC20", "anvil_setERC20Balance"] {
        method::change(module, name, |context, args: Args<'_>, deadline| {
            let (account, token, amount) = args.read::<(Address, Address, Quantity)>()?;
            set(
                context,
                Said { token, question: question(BALANCE_OF, &[account]), what: "balance" },
                amount.0,
                deadline,
            )
        })?;
    }
    method::change(module, "anvil_setERC20Allowance", |context, args: Args<'_>, deadline| {
        let (owner, spender, token, amount) = args.read::<(Address, Address, Address, Quantity)>()?;
        let question = question(ALLOWANCE, &[owner, spender]);
        set(context, Said { token, question, what: "allowance" }, amount.0, deadline)
    })
}

/// What a token says when it is asked something.
struct Said {
    token: Address,
    question: Bytes,
    what: &'static str,
}

fn question(selector: [u8; 4], accounts: &[Address]) -> Bytes {
    let words = accounts.iter().flat_map(|account| account.into_word().0);
    selector.into_iter().chain(words).collect::<Vec<_>>().into()
}

fn set(context: &Context, said: Said, amount: U256, deadline: Deadline) -> Result<(), RpcError> {
    let slot = slot_of(context, &said, amount, deadline)?
        .ok_or_else(|| RpcError::new(Code::Internal, format!("Unable to set ERC20 {}, no slot found", said.what)))?;
    Ok(dev(context)?.edit(said.token, Edit::Slot(slot.into(), amount))?)
}

/// The slot behind what the token says.
fn slot_of(context: &Context, said: &Said, amount: U256, deadline: Deadline) -> Result<Option<B256>, RpcError> {
    let request = TransactionRequest::default().to(said.token).input(said.question.clone().into());
    let (header, view) = place(context, BlockId::default())?;
    let call = Call {
        spec: context.node.spec(),
        header: &header,
        request: &request,
        state_overrides: None,
        block_overrides: None,
        limits: limits(context, deadline),
    };
    let touched = call::create_access_list(&call, view.clone())?.access_list;
    let slots = touched.0.into_iter().filter(|item| item.address == said.token).flat_map(|item| item.storage_keys);
    for slot in slots {
        deadline.check()?;
        let pretended =
            AccountOverride { state_diff: Some([(slot, amount.into())].into_iter().collect()), ..Default::default() };
        let overrides: StateOverride = [(said.token, pretended)].into_iter().collect();
        let answer = call::call(&Call { state_overrides: Some(&overrides), ..call }, view.clone());
        if answer.is_ok_and(|answer| U256::try_from_be_slice(&answer) == Some(amount) && answer.len() == 32) {
            return Ok(Some(slot));
        }
    }
    Ok(None)
}
